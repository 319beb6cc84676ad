import {
  closeSync,
  constants,
  fstatSync,
  linkSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { Unbelievable } from './unbelievable.ts';

/** Files set aside that are kept for one VM and purpose. */
const KEPT_ASIDE = 3;
/** What one call reads at the most. */
const PIECE_BYTES = 2 ** 30;

/**
 * @returns a copy of the file's bytes, null where there is none
 * @throws Unbelievable for what this gateway cannot have made
 */
export function readOwned(path: string, mostBytes: number): Uint8Array<ArrayBuffer> | null {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    if (code === 'ELOOP') throw new Unbelievable('it is a symbolic link');
    throw new Unbelievable(message);
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new Unbelievable('it is no regular file');
    if (stat.uid !== process.geteuid?.()) throw new Unbelievable(`it belongs to user ${stat.uid}`);
    if ((stat.mode & 0o077) !== 0) throw new Unbelievable('others than its owner may use it');
    if (stat.size > mostBytes) throw new Unbelievable(`it is ${stat.size} bytes long`);
    const bytes = new Uint8Array(stat.size);
    for (let at = 0; at < bytes.length; ) {
      const count = readSync(fd, bytes, at, Math.min(PIECE_BYTES, bytes.length - at), at);
      if (count === 0) throw new Unbelievable('it became shorter while it was read');
      at += count;
    }
    return bytes;
  } finally {
    closeSync(fd);
  }
}

/** @returns a name for a file that is set aside, which no file has */
export function nameAside(folder: string, name: string, stamp: string): string {
  const taken = namesAside(folder, name);
  let aside = `${name}.bad-${stamp}`;
  for (let n = 2; taken.includes(aside); n++) aside = `${name}.bad-${stamp}-${n}`;
  return aside;
}

/** Gives a file that is not believed another name too, under which it stays when its own is taken over. Forgets the oldest such. */
export function keepAside(folder: string, name: string, aside: string): void {
  const taken = namesAside(folder, name);
  // Stamps sort by time.
  for (const old of taken.slice(0, Math.max(0, taken.length - KEPT_ASIDE + 1))) {
    rmSync(join(folder, old), { recursive: true, force: true });
  }
  try {
    linkSync(join(folder, name), join(folder, aside));
  } catch {
    // A folder, or a file system without links.
    renameSync(join(folder, name), join(folder, aside));
  }
}

function namesAside(folder: string, name: string): string[] {
  return readdirSync(folder)
    .filter((one) => one.startsWith(`${name}.bad-`))
    .sort();
}
