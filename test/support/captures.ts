import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

function findCaptures(): string | null {
  const named = process.env.HOLDFAST_CAPTURES;
  const folder = named ?? fileURLToPath(new URL('../../../shared/captures', import.meta.url));
  return existsSync(folder) ? folder : null;
}

/** Folder of reference captures that are not part of the project, or null where this machine has none. */
export const CAPTURES = findCaptures();

/** @returns the capture files' names, sorted; empty without the folder */
export function captureFiles(): string[] {
  if (CAPTURES === null) return [];
  return readdirSync(CAPTURES)
    .filter((name) => /\.(pcap|pcapng|cap)$/.test(name))
    .sort();
}

/** Why a test that needs them is skipped. */
export const NO_CAPTURES = 'there is no folder of reference captures (HOLDFAST_CAPTURES)';
