import { accessSync, constants, lstatSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { HostClient } from '../host/client.ts';
import { insideSpecs } from '../inside-ports.ts';
import { PortError } from '../port/port-error.ts';
import { Failure } from './failure.ts';

/** What a system looks in that is told nothing. */
const DEFAULT_PATH = '/usr/local/bin:/bin:/usr/bin';

/** Else a gateway would say so in a failover, when the old machine is dead already. @throws Failure */
export function checkInside(inside: string): void {
  try {
    insideSpecs(inside);
  } catch (error) {
    throw error instanceof PortError ? new Failure(`--inside: ${error.message}`) : error;
  }
}

/** @param program as execvp(3) has it @throws Failure where there is none */
export function checkProgram(program: string): void {
  const folders = program.includes('/') ? [''] : (process.env.PATH ?? DEFAULT_PATH).split(':');
  if (folders.some((folder) => isProgram(join(folder, program)))) return;
  throw new Failure(`'${program}' behind --: there is no such program`);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** @param option that names it, for people @param path where a socket will be, or is @throws Failure */
export function checkSocketPlace(option: string, path: string): void {
  const folder = dirname(path);
  let isFolder: boolean | undefined;
  let isSocket: boolean | undefined;
  try {
    isFolder = statSync(folder, { throwIfNoEntry: false })?.isDirectory();
    if (isFolder === true) isSocket = lstatSync(path, { throwIfNoEntry: false })?.isSocket();
  } catch (error) {
    throw new Failure(`${option}: ${(error as Error).message}`);
  }
  if (isFolder !== true) throw new Failure(`${option}: there is no folder ${folder}`);
  if (isSocket === false) throw new Failure(`${option}: ${path} is there and is no socket`);
}

/** @returns why the gateway, as it is now, would refuse to reach the VM there; null: it would not for that */
export async function whyMisfit(gateway: HostClient, vm: string, inside: string): Promise<string | null> {
  const { ports } = await gateway.call('status', {});
  const pairs = ports.filter((port) => port.vm === vm && port.side === 'inside').length;
  const named = insideSpecs(inside).length;
  // It may get to know the VM later.
  if (pairs === 0 || pairs === named) return null;
  return `--inside names ${portsText(named)}, and at its gateway '${vm}' has ${portsText(pairs)} inside: a failover would be refused`;
}

function portsText(count: number): string {
  return count === 1 ? 'one port' : `${count} ports`;
}
