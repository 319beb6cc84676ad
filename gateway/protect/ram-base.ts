import {
  closeSync,
  existsSync,
  fstatSync,
  fsync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  DELTA_HEADER_BYTES,
  type DeltaHeader,
  deltaBytes,
  deltaHeaderOf,
  PAGE_BYTES,
  PAGE_NUMBER_BYTES,
} from './delta-image.ts';
import { type StoredImage, TornImageError } from './image-store.ts';
import { PageSums } from './page-sums.ts';
import type { Checkpoint } from './standby-api.ts';

/** Which file the memory is that images of this folder change. */
const MARK = 'base';
/** For which image the network may have been switched to a machine that has the file as its memory. */
const SWITCHING = 'switching';
const RUN_BYTES = 2 ** 20;
const RUN_PAGES = RUN_BYTES / PAGE_BYTES;
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

interface Mark {
  readonly inode: string;
  readonly bornNs: string;
  readonly boot: string;
  /** The storage had all of it whenever a checkpoint counted. */
  readonly isSynced: boolean;
}

/** An image, open, and where in it things are. */
interface Delta {
  readonly fd: number;
  readonly header: DeltaHeader;
  readonly pages: Uint32Array;
  readonly pagesStart: number;
}

/**
 * A standby's memory at the last checkpoint: the file `ram` in the folder of images, which the machine there has as its memory. Each image
 * says what changes in it. An image that has its name is the newest checkpoint, and is brought into the file after that, as often as it
 * takes: it stays until the next one has its name. So whatever a crash leaves there, the file with the newest image brought in once more is
 * that checkpoint.
 */
export class RamBase {
  readonly path: string;
  readonly #mark: string;
  readonly #switching: string;
  readonly #sums: PageSums;
  /** Of the image that was brought in last. */
  #unsummed: { readonly pages: Uint32Array; readonly othersAreZero: boolean } | null = null;
  readonly #isFree: () => Promise<void>;
  readonly #syncs: boolean;

  /** @param isFree resolves when nobody uses the file as the memory of a machine that runs; rejects where somebody may */
  constructor(folder: string, syncs: boolean, isFree: () => Promise<void>) {
    this.path = join(folder, 'ram');
    this.#mark = join(folder, MARK);
    this.#switching = join(folder, SWITCHING);
    this.#sums = new PageSums(join(folder, 'sums'));
    this.#syncs = syncs;
    this.#isFree = isFree;
  }

  /** Resolves when it may be changed. */
  free(): Promise<void> {
    return this.#isFree();
  }

  /**
   * @param path of an image of which every byte has come
   * @param newest the checkpoint whose memory the file is
   * @returns where its devices are
   * @throws TornImageError where it cannot follow that one; Error where the file is of another size
   */
  check(path: string, newest: Checkpoint | null): StoredImage['devices'] {
    // Only the newest image is brought in once more after a crash.
    this.settle();
    return withDelta(path, ({ header, pages }) => {
      const { follows, ramBytes, deviceBytes } = header;
      if (follows !== null && (follows.term !== newest?.term || follows.epoch !== newest.epoch)) {
        throw new TornImageError(`the image follows epoch ${follows.epoch}, and here is ${newest?.epoch ?? 'none'}`);
      }
      const isOrdered = pages.every((page, i) => i === 0 || page > pages[i - 1]!);
      if (!isOrdered || (pages.at(-1) ?? 0) >= ramBytes / PAGE_BYTES || ramBytes % PAGE_BYTES !== 0) {
        throw new TornImageError(`the image has pages that a memory of ${ramBytes} bytes has not`);
      }
      const has = existsSync(this.path) ? statSync(this.path).size : 0;
      if (has !== ramBytes && (has !== 0 || follows !== null)) {
        throw new Error(`the protected machine has ${ramBytes} bytes of memory, and ${this.path} has ${has}`);
      }
      return { start: DELTA_HEADER_BYTES, bytes: deviceBytes };
    });
  }

  /**
   * Brings in the image that has become the newest; once more does no harm.
   * @throws Error where it could not be: then the file is no checkpoint until it can
   */
  apply(path: string): void {
    this.settle();
    withDelta(path, (delta) => {
      if (delta.header.follows === null) closeSync(openSync(this.path, 'a', 0o600));
      const fd = openSync(this.path, 'r+');
      try {
        if (fstatSync(fd).size === 0) ftruncateSync(fd, delta.header.ramBytes);
        if (delta.header.follows === null) zeroOthers(fd, delta);
        bringIn(fd, delta);
      } finally {
        closeSync(fd);
      }
      if (delta.header.follows === null) this.#writeMark();
      this.#unsummed = { pages: delta.pages, othersAreZero: delta.header.follows === null };
    });
  }

  /** What is left to do about the image that was brought in last, and need not be done before it is confirmed. */
  settle(): void {
    if (this.#unsummed === null) return;
    const { pages, othersAreZero } = this.#unsummed;
    const fd = openSync(this.path, 'r');
    try {
      this.#sums.update(fd, pages, othersAreZero, this.#syncs);
    } finally {
      closeSync(fd);
    }
    this.#unsummed = null;
  }

  /** A machine that has loaded the image, and has the file as its memory, may run from now on. */
  markSwitching({ term, epoch }: Checkpoint): void {
    this.settle();
    writeFileSync(`${this.#switching}.new`, JSON.stringify({ term, epoch }), { mode: 0o600, flush: this.#syncs });
    renameSync(`${this.#switching}.new`, this.#switching);
  }

  /** @returns whether the file is as the newest image left it: no machine has run on it */
  isAsKept(): boolean {
    if (!this.#isMarked()) return false;
    const fd = openSync(this.path, 'r');
    try {
      return this.#sums.match(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** The storage has what was brought in, where that is wanted. */
  async sync(): Promise<void> {
    if (!this.#syncs) return;
    const fd = openSync(this.path, 'r+');
    try {
      await promisify(fsync)(fd);
    } finally {
      closeSync(fd);
    }
  }

  /**
   * Makes the file what it was at the newest image that an earlier process left; where a machine may run on it, looks only.
   * @returns that image; null where the file is another one than it changes, may have lost something, or a machine has run on it
   */
  recover(image: StoredImage): StoredImage | null {
    const { follows, deviceBytes } = withDelta(image.path, ({ header }) => header);
    const mayBeSwitched = this.#mayBeSwitched(image);
    if (mayBeSwitched) {
      if (!this.isAsKept()) return null;
    } else {
      if (follows !== null && !this.#isMarked()) return null;
      this.apply(image.path);
      this.#writeMark();
    }
    return { ...image, devices: { start: DELTA_HEADER_BYTES, bytes: deviceBytes }, mayBeSwitched };
  }

  /** The file is no checkpoint any more. */
  forget(): void {
    this.#unsummed = null;
    for (const path of [this.#mark, this.#switching]) rmSync(path, { force: true });
    this.#sums.forget();
  }

  #mayBeSwitched({ term, epoch }: Checkpoint): boolean {
    if (!existsSync(this.#switching)) return false;
    const mark = parsed<Checkpoint>(readFileSync(this.#switching, 'utf8'));
    return mark?.term === term && mark.epoch === epoch;
  }

  #isMarked(): boolean {
    if (!existsSync(this.#mark) || !existsSync(this.path)) return false;
    const was = parsed<Mark>(readFileSync(this.#mark, 'utf8'));
    if (was === null) return false;
    const is = this.#identity();
    return was.inode === is.inode && was.bornNs === is.bornNs && (was.isSynced || was.boot === is.boot);
  }

  #writeMark(): void {
    writeFileSync(`${this.#mark}.new`, JSON.stringify(this.#identity()), { flush: this.#syncs });
    renameSync(`${this.#mark}.new`, this.#mark);
  }

  #identity(): Mark {
    const { ino, birthtimeNs } = statSync(this.path, { bigint: true });
    const boot = readFileSync(BOOT_ID, 'utf8').trim();
    return { inode: String(ino), bornNs: String(birthtimeNs), boot, isSynced: this.#syncs };
  }
}

/** @returns null for one that was cut short */
function parsed<T>(text: string): T | null {
  try {
    return JSON.parse(text) as T;
  } catch {
    return null;
  }
}

/** @throws TornImageError where the file is no such image, of its whole length */
function withDelta<T>(path: string, work: (delta: Delta) => T): T {
  const fd = openSync(path, 'r');
  try {
    const header = deltaHeaderOf(fd);
    if (header === null) throw new TornImageError('the image is all of memory, and here are kept changes only');
    if (fstatSync(fd).size !== deltaBytes(header)) throw new TornImageError('the image is not as long as it says');
    const list = Buffer.alloc(header.pages * PAGE_NUMBER_BYTES);
    const listStart = DELTA_HEADER_BYTES + header.deviceBytes;
    readSync(fd, list, 0, list.length, listStart);
    const pages = Uint32Array.from({ length: header.pages }, (_, i) => list.readUInt32LE(i * PAGE_NUMBER_BYTES));
    return work({ fd, header, pages, pagesStart: listStart + list.length });
  } finally {
    closeSync(fd);
  }
}

/** Pages that follow each other are read and written together. */
function bringIn(ram: number, { fd, pages, pagesStart }: Delta): void {
  const run = Buffer.allocUnsafe(RUN_BYTES);
  for (let i = 0; i < pages.length; ) {
    let end = i + 1;
    while (end < pages.length && end - i < RUN_PAGES && pages[end] === pages[end - 1]! + 1) end++;
    const bytes = run.subarray(0, (end - i) * PAGE_BYTES);
    readAll(fd, bytes, pagesStart + i * PAGE_BYTES);
    writeAll(ram, bytes, pages[i]! * PAGE_BYTES);
    i = end;
  }
}

/** Pages that are not in the image become zero; a file's holes stay. */
function zeroOthers(ram: number, { header, pages }: Delta): void {
  const run = Buffer.allocUnsafe(RUN_BYTES);
  const zeros = Buffer.alloc(RUN_BYTES);
  let start = 0;
  for (const page of [...pages, header.ramBytes / PAGE_BYTES]) {
    for (const end = page * PAGE_BYTES; start < end; ) {
      const bytes = run.subarray(0, Math.min(RUN_BYTES, end - start));
      readAll(ram, bytes, start);
      const none = zeros.subarray(0, bytes.length);
      if (bytes.compare(none) !== 0) writeAll(ram, none, start);
      start += bytes.length;
    }
    start = (page + 1) * PAGE_BYTES;
  }
}

function readAll(fd: number, bytes: Buffer, start: number): void {
  for (let done = 0; done < bytes.length; ) {
    const read = readSync(fd, bytes, done, bytes.length - done, start + done);
    if (read === 0) throw new Error(`a file of memory ends at ${start + done}`);
    done += read;
  }
}

function writeAll(fd: number, bytes: Buffer, start: number): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, start + done);
}
