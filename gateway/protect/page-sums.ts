import { fstatSync, readFileSync, readSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { PAGE_BYTES } from './delta-image.ts';

const SUM_BYTES = 4;
const RUN_PAGES = 256;
const SUM_OF_ZEROS = crc32(Buffer.alloc(PAGE_BYTES));

/**
 * A CRC-32 of each page of a memory, in a file: they tell whether anybody has changed it since. A guest that ran for a moment only has changed
 * pages that nobody can name, so all of them are looked at.
 */
export class PageSums {
  readonly #path: string;
  #sums: Buffer | null = null;

  /** @param path of the file, which need not be there */
  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Pages were written. What a crash leaves may be without them: whoever comes next brings them in once more.
   * @param ram the memory, of whole pages
   * @param pages their numbers, ascending
   * @param othersAreZero all that are not among them are
   */
  update(ram: number, pages: Uint32Array, othersAreZero: boolean, isFlushed: boolean): void {
    const count = fstatSync(ram).size / PAGE_BYTES;
    let sums = othersAreZero ? zeroSums(count) : this.#kept(count);
    if (sums === null) {
      sums = zeroSums(count);
      sum(ram, everyPage(count), sums);
    } else sum(ram, pages, sums);
    this.#sums = sums;
    writeFileSync(`${this.#path}.new`, sums, { mode: 0o600, flush: isFlushed });
    renameSync(`${this.#path}.new`, this.#path);
  }

  /** @returns whether the memory is what it was at the last `update`; false where that is not known */
  match(ram: number): boolean {
    const count = fstatSync(ram).size / PAGE_BYTES;
    const kept = this.#kept(count);
    if (kept === null) return false;
    const found = zeroSums(count);
    sum(ram, everyPage(count), found);
    return found.equals(kept);
  }

  forget(): void {
    this.#sums = null;
    rmSync(this.#path, { force: true });
  }

  /** @returns null: there are none for so many pages */
  #kept(count: number): Buffer | null {
    this.#sums ??= readOrNull(this.#path);
    return this.#sums?.length === count * SUM_BYTES ? this.#sums : null;
  }
}

function zeroSums(count: number): Buffer {
  const sums = Buffer.alloc(count * SUM_BYTES);
  for (let i = 0; i < count; i++) sums.writeUInt32LE(SUM_OF_ZEROS, i * SUM_BYTES);
  return sums;
}

function everyPage(count: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, page) => page);
}

/** Pages that follow each other are read together. */
function sum(ram: number, pages: Uint32Array, sums: Buffer): void {
  const run = Buffer.allocUnsafe(RUN_PAGES * PAGE_BYTES);
  for (let i = 0; i < pages.length; ) {
    const first = pages[i]!;
    let count = 1;
    while (count < RUN_PAGES && pages[i + count] === first + count) count++;
    readSync(ram, run, 0, count * PAGE_BYTES, first * PAGE_BYTES);
    for (let n = 0; n < count; n++) {
      const page = run.subarray(n * PAGE_BYTES, (n + 1) * PAGE_BYTES);
      sums.writeUInt32LE(crc32(page), (first + n) * SUM_BYTES);
    }
    i += count;
  }
}

function readOrNull(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
