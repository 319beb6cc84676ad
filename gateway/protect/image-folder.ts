import { closeSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lockFile } from '../disk/syscalls.ts';
import { troubleAt } from './folder-trouble.ts';

/** Whose images they are: the VM's name. */
const OWNER = 'vm';

/**
 * Makes a folder of images this process's own, until the process ends, however it does, or the answer is called; and the VM's, for good. One
 * that says no name is taken over.
 * @param folder is made where it does not exist
 * @throws Error where another process has it, or it keeps images of another VM
 */
export function claimFolder(folder: string, vm: string): () => void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const fd = openSync(folder, 'r');
  try {
    if (!lockFile(fd)) throw new Error('another standby uses this folder: it must end first, or have one of its own');
    own(join(folder, OWNER), vm);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return () => closeSync(fd);
}

function own(path: string, vm: string): void {
  const owner = ownerIn(path);
  if (owner === vm) return;
  if (owner !== '')
    throw new Error(
      `images of the VM '${owner}' are kept there, not of '${vm}': name another folder, or remove that one`,
    );
  try {
    writeFileSync(`${path}.new`, `${vm}\n`, { mode: 0o600, flush: true });
    renameSync(`${path}.new`, path);
  } catch (error) {
    throw new Error(troubleAt(path, error));
  }
}

/** @returns the name; empty: there is none */
function ownerIn(path: string): string {
  try {
    return readFileSync(path, 'utf8').replace(/\n$/, '');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw new Error(troubleAt(path, error));
  }
}
