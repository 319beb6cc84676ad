import { createRequire } from 'node:module';
import type * as Koffi from 'koffi';
import { DiskError } from './disk-error.ts';

/** flock(2) */
const LOCK_EX = 2;
const LOCK_NB = 4;
/** fallocate(2), linux/falloc.h */
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;

interface Calls {
  readonly flock: (fd: number, operation: number) => number;
  readonly fallocate: { async(...parameters: unknown[]): void };
}

let loaded: Calls | null = null;

/** Node has neither of these calls. */
function calls(): Calls {
  if (loaded !== null) return loaded;
  if (process.platform !== 'linux') throw new DiskError('not-supported', 'disks need Linux');
  const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
  const library = koffi.load(null);
  loaded = {
    flock: library.func('int flock(int fd, int operation)') as Calls['flock'],
    fallocate: library.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)'),
  };
  return loaded;
}

/**
 * The kernel drops the lock when the file is closed, however its process ends.
 * @returns false where another process, or another file of this one, has it
 */
export function lockFile(fd: number): boolean {
  return calls().flock(fd, LOCK_EX | LOCK_NB) === 0;
}

/** Makes bytes of a file zero by giving their blocks back. @returns false where the file system cannot */
export function punchHole(fd: number, from: number, length: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    calls().fallocate.async(fd, mode, from, length, (error: Error | null, result: number) => {
      if (error === null) resolve(result === 0);
      else reject(error);
    });
  });
}
