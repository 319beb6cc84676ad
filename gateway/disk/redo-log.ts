import type { FileHandle } from 'node:fs/promises';
import type { EpochState } from './disk-epochs.ts';
import { DiskError } from './disk-error.ts';
import { EntryQueue, type Waiting } from './entry-queue.ts';
import { readFully, syncFolder, writeFully } from './file-io.ts';
import { GroupSync } from './group-sync.ts';
import type { LogEntry } from './log-entry.ts';
import { encodeHeader, HEADER_BYTES } from './record.ts';
import { Segment } from './segment.ts';

export interface RedoLogOptions {
  readonly folder: string;
  readonly lock: FileHandle;
  readonly segments: Segment[];
  /** Of the last record. */
  readonly sequence: number;
  /** A segment that would become longer is followed by a new one. */
  readonly segmentBytes: number;
  /** Asked when a segment begins. */
  readonly epochs: () => EpochState;
}

/** The durable log of a disk: records, one behind the other, in a folder of segment files. An address counts bytes over all segments. */
export class RedoLog {
  readonly #options: RedoLogOptions;
  readonly #tag: Buffer;
  readonly #segments: Segment[];
  readonly #queue = new EntryQueue((batch) => this.#write(batch));
  #sequence: number;
  #synced: number;
  /** Address up to which everything is durable. */
  #syncedEnd: number;
  readonly #syncs = new GroupSync(() => this.#syncCurrent());
  #failure: DiskError | null = null;
  /** One removal after another: none gets ahead of one that fails. */
  #removals: Promise<void> = Promise.resolve();

  /** Everything in `segments` is durable. */
  constructor(options: RedoLogOptions) {
    this.#options = options;
    this.#segments = [...options.segments];
    this.#tag = Buffer.from(this.#current.description.tag, 'hex');
    this.#sequence = options.sequence;
    this.#synced = options.sequence;
    this.#syncedEnd = this.#current.end;
  }

  /** Of the last record that is written. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Of the last record that is durable. */
  get synced(): number {
    return this.#synced;
  }

  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.size, 0);
  }

  /** Written, and lost if the machine fails now. */
  get unsyncedBytes(): number {
    return this.#current.end - Math.max(this.#syncedEnd, this.#current.address + this.#current.headBytes);
  }

  get segments(): number {
    return this.#segments.length;
  }

  /** Bytes of the segment that is written to. */
  get currentBytes(): number {
    return this.#current.size;
  }

  get failure(): DiskError | null {
    return this.#failure;
  }

  /**
   * Resolves when the entry is written and applied, which does not make it durable. A client's payload must stay as it is until then.
   * @throws what `check` throws; DiskError `log-full` where its file system is, `disk-failed`
   */
  append(entry: LogEntry): Promise<void> {
    return this.#failure === null ? this.#queue.add(entry) : Promise.reject(this.#failure);
  }

  /** Resolves when everything that is written by now is durable. */
  sync(): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    return this.#synced === this.#sequence ? Promise.resolve() : this.#syncs.request();
  }

  /** Fills `into` with what is at `at`; that has to be in one record. The place is kept from the call on until the read is done. */
  async read(into: Uint8Array, at: number): Promise<void> {
    const segment = this.#segments.findLast((one) => one.address <= at)!;
    segment.use();
    try {
      await readFully(segment.file, into, at - segment.address);
    } finally {
      await segment.release();
    }
  }

  /** Begins a new segment, so that those before can be removed. */
  roll(): Promise<void> {
    return this.append({ type: null, flags: 0, a: 0, b: 0, payload: [], check: () => {}, apply: () => {} });
  }

  /**
   * Removes segments of which nothing is needed, but for the one that is written to.
   * @param needed tells the oldest address that is needed; asked again for each one, because writes go on meanwhile
   * @throws Error where one cannot be removed; it is the first of the next call
   */
  removeBefore(needed: () => number): Promise<void> {
    const removed = this.#removals.then(() => this.#removeOldest(needed));
    this.#removals = removed.catch(() => {});
    return removed;
  }

  /** Makes everything durable and closes the files. */
  async close(): Promise<void> {
    await this.#queue.drained();
    try {
      await this.sync();
    } finally {
      this.#failure ??= new DiskError('disk-closed', 'the disk is closed');
      await this.#removals;
      for (const segment of this.#segments) await segment.release();
      await this.#options.lock.close();
    }
  }

  async #removeOldest(needed: () => number): Promise<void> {
    while (this.#segments.length > 1 && this.#segments[0]!.end <= needed()) {
      const oldest = this.#segments[0]!;
      // One by one, so that after a crash none is missing between two others.
      await oldest.unlink();
      await syncFolder(this.#options.folder);
      this.#segments.shift();
      await oldest.release();
    }
  }

  get #current(): Segment {
    return this.#segments.at(-1)!;
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    const isRoll = batch[0]!.entry.type === null;
    const bytes = batch.reduce((sum, waiting) => sum + waiting.bytes, 0);
    const isLong = this.#current.size + bytes > this.#options.segmentBytes;
    if ((isRoll || isLong) && this.#current.size > this.#current.headBytes) await this.#beginSegment();
    if (isRoll) {
      batch[0]!.resolve();
      return;
    }
    const segment = this.#current;
    const start = segment.end;
    await this.#writeRecords(segment, batch);
    this.#sequence += batch.length;
    let record = start;
    for (const { entry, bytes: length, resolve } of batch) {
      entry.apply(record, record + HEADER_BYTES);
      record += length;
      resolve();
    }
  }

  async #writeRecords(segment: Segment, batch: readonly Waiting[]): Promise<void> {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    let sequence = this.#sequence;
    for (const { entry, bytes: length } of batch) {
      const { type, flags, a, b, payload } = entry;
      sequence++;
      chunks.push(
        encodeHeader(this.#tag, { type: type!, flags, sequence, synced: this.#synced, a, b }, payload),
        ...payload,
      );
      bytes += length;
    }
    try {
      await writeFully(segment.file, chunks, segment.size);
    } catch (error) {
      await this.#takeBack(segment, error as NodeJS.ErrnoException);
    }
    segment.size += bytes;
  }

  /** Part of a batch may be in the file. Without it, what follows stands at the right place. */
  async #takeBack(segment: Segment, error: NodeJS.ErrnoException): Promise<never> {
    try {
      await segment.file.truncate(segment.size);
      await segment.file.sync();
    } catch {
      throw this.#fail(error);
    }
    throw logError(error) ?? this.#fail(error);
  }

  /** What the log says at its beginning is what is true once everything before applies. */
  async #beginSegment(): Promise<void> {
    const last = this.#current;
    await this.#syncSegment(last);
    const { tag, number, image, sizeBytes } = last.description;
    const next = {
      ...{ tag, image, sizeBytes, number: number + 1, address: last.end },
      ...{ firstSequence: this.#sequence + 1, epochs: this.#options.epochs() },
    };
    try {
      this.#segments.push(await Segment.create(this.#options.folder, next));
    } catch (error) {
      throw logError(error as NodeJS.ErrnoException) ?? this.#fail(error as Error);
    }
  }

  async #syncCurrent(): Promise<void> {
    const segment = this.#current;
    segment.use();
    try {
      await this.#syncSegment(segment);
    } finally {
      await segment.release();
    }
  }

  /** Segments before the current one are durable as a whole. */
  async #syncSegment(segment: Segment): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    const sequence = this.#sequence;
    const { end } = segment;
    try {
      await segment.file.datasync();
    } catch (error) {
      // What the kernel could not write it has dropped from its cache: asking again would only look like success.
      throw this.#fail(error as Error);
    }
    this.#synced = Math.max(this.#synced, sequence);
    this.#syncedEnd = Math.max(this.#syncedEnd, end);
  }

  #fail(error: Error): DiskError {
    this.#failure ??= new DiskError('disk-failed', `the redo log cannot be written: ${error.message}`);
    return this.#failure;
  }
}

/** @returns null where it is not about room */
function logError(error: NodeJS.ErrnoException): DiskError | null {
  const isFull = error.code === 'ENOSPC' || error.code === 'EDQUOT' || error.code === 'EFBIG';
  return isFull ? new DiskError('log-full', `no room for the redo log: ${error.message}`) : null;
}
