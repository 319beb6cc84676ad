import type { Attachment } from './attachment.ts';
import { DiskError } from './disk-error.ts';
import type { DiskLimits } from './disk-options.ts';
import type { DiskState, RecordMeaning } from './disk-state.ts';
import { ZERO } from './extent-map.ts';
import type { Flusher } from './flusher.ts';
import type { Image } from './image.ts';
import { IN_IMAGE } from './layers.ts';
import { KEEP_BLOCKS, MAX_PAYLOAD_BYTES, RECORD } from './record.ts';
import type { RedoLog } from './redo-log.ts';

export interface LoggedDiskOptions {
  readonly image: Image;
  readonly log: RedoLog;
  readonly state: DiskState;
  readonly flusher: Flusher;
  readonly limits: DiskLimits;
  /** A write was refused for want of room, or by a failure: the disk is not what its client believes. */
  readonly onLost: () => void;
}

/** An image with a redo log over it: writes go into the log, reads see the youngest bytes wherever they are. Knows no epochs. */
export class LoggedDisk {
  readonly #options: LoggedDiskOptions;

  constructor(options: LoggedDiskOptions) {
    this.#options = options;
  }

  /** @throws DiskError `out-of-range` */
  async read(into: Uint8Array, from: number): Promise<void> {
    const { image, log, state } = this.#options;
    this.#checkRange(from, into.length);
    const reads: Promise<void>[] = [];
    state.layers.visit(from, from + into.length, (first, end, at) => {
      const part = into.subarray(first - from, end - from);
      if (at === IN_IMAGE) reads.push(image.read(part, first));
      else if (at === ZERO.hole || at === ZERO.kept) part.fill(0);
      else reads.push(log.read(part, at));
    });
    // `into` is the caller's again only when nobody writes to it any more.
    for (const result of await Promise.allSettled(reads)) if (result.status === 'rejected') throw result.reason;
  }

  /** @throws DiskError `out-of-range`, `log-full`, `cut-off`, `disk-failed` */
  async write(from: number, chunks: readonly Uint8Array[], who: Attachment | null): Promise<void> {
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    this.#checkRange(from, bytes);
    if (bytes > MAX_PAYLOAD_BYTES)
      throw new DiskError('out-of-range', `${bytes} bytes are more than one write may have`);
    await this.#change({ type: RECORD.write, flags: 0, a: from, b: bytes }, chunks, who);
  }

  /** @throws as `write` */
  async zero(from: number, length: number, mayPunch: boolean, who: Attachment | null): Promise<void> {
    this.#checkRange(from, length);
    await this.#change({ type: RECORD.zero, flags: mayPunch ? 0 : KEEP_BLOCKS, a: from, b: length }, [], who);
  }

  /** Removes all of the log that no write needs, the segment that is written to included. */
  async shrinkLog(): Promise<void> {
    const { log, state } = this.#options;
    await log.roll();
    await log.removeBefore(() => state.layers.oldest);
  }

  async #change(meaning: RecordMeaning, payload: readonly Uint8Array[], who: Attachment | null): Promise<void> {
    if (meaning.b === 0) return;
    const { log, state, flusher, onLost } = this.#options;
    const check = () => {
      if (who?.isCut) throw new DiskError('cut-off', 'the disk went back to a checkpoint: this client must not write');
    };
    try {
      await this.#makeRoom(payload.length === 0 ? 0 : meaning.b);
      const apply = (address: number, at: number) => state.apply(meaning, address, at);
      await log.append({ ...meaning, payload, check, apply });
    } catch (error) {
      if (!who?.isCut) onLost();
      throw error;
    }
    if (!state.epochs.isOn) flusher.wake();
  }

  /** Waits until committed writes that take the room are in the image, if any are. */
  async #makeRoom(bytes: number): Promise<void> {
    const { flusher } = this.#options;
    if (!this.#isFull(bytes)) return;
    while (flusher.hasWork && this.#isFull(bytes)) await flusher.flush();
    if (!this.#isFull(bytes)) return;
    await this.shrinkLog();
    if (this.#isFull(bytes))
      throw new DiskError('log-full', 'the redo log has reached its limit with uncommitted writes');
  }

  #isFull(bytes: number): boolean {
    const { log, state, limits } = this.#options;
    return log.bytes + bytes > limits.logLimitBytes || state.layers.size >= limits.maxExtents;
  }

  #checkRange(from: number, length: number): void {
    const { sizeBytes } = this.#options.image;
    if (from >= 0 && length >= 0 && from + length <= sizeBytes) return;
    throw new DiskError('out-of-range', `${length} bytes at ${from} are not within the disk's ${sizeBytes}`);
  }
}
