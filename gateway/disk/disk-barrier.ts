import { StateError } from '../epoch.ts';
import type { Attachment } from './attachment.ts';
import { DiskClients } from './clients.ts';
import { checkTerm, isCommitted } from './disk-epochs.ts';
import { DiskError } from './disk-error.ts';
import { DEFAULT_DISK_LIMITS, type DiskLimits, type DiskOptions, type DiskStatus } from './disk-options.ts';
import type { DiskState, RecordMeaning } from './disk-state.ts';
import { Flusher } from './flusher.ts';
import { Image } from './image.ts';
import { LoggedDisk } from './logged-disk.ts';
import { RECORD } from './record.ts';
import { type OpenedLog, openLog, type Recovery } from './recovery.ts';
import type { RedoLog } from './redo-log.ts';

/**
 * The standby's disk. Writes go into a redo log and into the image only when the checkpoint that contains them is committed; reads see
 * all writes. A seal puts a barrier into the log: what was written before belongs to the epoch or an earlier one. Terms and epochs
 * follow the rules of `gateway/epoch.ts`; a request of another term does nothing.
 */
export class DiskBarrier {
  readonly sizeBytes: number;
  readonly #image: Image;
  readonly #log: RedoLog;
  readonly #state: DiskState;
  readonly #flusher: Flusher;
  readonly #disk: LoggedDisk;
  readonly #recovery: Recovery;
  readonly #limits: DiskLimits;
  readonly #clients = new DiskClients();
  /** Where seals are that may not be durable yet: epoch to sequence. */
  readonly #seals = new Map<number, number>();
  #lostWrites = 0;
  #closing: Promise<void> | null = null;

  private constructor(image: Image, opened: OpenedLog, limits: DiskLimits) {
    this.#image = image;
    this.sizeBytes = image.sizeBytes;
    this.#log = opened.log;
    this.#state = opened.state;
    this.#recovery = opened.recovery;
    this.#limits = limits;
    this.#flusher = new Flusher(this.#log, this.#state.layers, image, limits.flushDelayMs);
    const onLost = () => {
      this.#lostWrites++;
      this.#clients.lose();
    };
    const { log, state } = opened;
    this.#disk = new LoggedDisk({ image, log, state, flusher: this.#flusher, limits, onLost });
    this.#flusher.wake();
  }

  /**
   * Opens the disk as its log says it is: what was committed counts, what was written since waits for the host's word, and a torn end
   * is cut off.
   * @throws DiskError; image and log are then as they were
   */
  static async open(options: DiskOptions): Promise<DiskBarrier> {
    const limits = { ...DEFAULT_DISK_LIMITS, ...options };
    const image = await Image.open(options.image, options.sizeBytes ?? null);
    try {
      const owner = { image: image.path, sizeBytes: image.sizeBytes };
      return new DiskBarrier(image, await openLog(options.log, owner, limits.segmentBytes), limits);
    } catch (error) {
      await image.close();
      throw error;
    }
  }

  get status(): DiskStatus {
    const { isOn, term, openEpoch, committedEpoch, sealed, fence } = this.#state.epochs;
    return {
      image: this.#image.path,
      sizeBytes: this.sizeBytes,
      state: this.#log.failure !== null ? 'failed' : isOn ? 'on' : 'off',
      ...{ term, openEpoch, committedEpoch, sealedEpochs: sealed, fence },
      lostWrites: this.#lostWrites,
      attached: this.#clients.size,
      log: {
        bytes: this.#log.bytes,
        segments: this.#log.segments,
        limitBytes: this.#limits.logLimitBytes,
        unsyncedBytes: this.#log.unsyncedBytes,
      },
      extents: this.#state.layers.size,
      isSettled: !this.#flusher.hasWork,
      flushError: this.#flusher.failure?.message ?? null,
      recovery: this.#recovery,
    };
  }

  /** Term that the last rollback began; 0 without one. */
  get fence(): number {
    return this.#state.epochs.fence;
  }

  /** @param onTurn called when committed writes cannot be brought into the image any more, and when they can again: null */
  watchFlushes(onTurn: (why: Error | null) => void): void {
    this.#flusher.onTurn = onTurn;
    if (this.#flusher.failure !== null) onTurn(this.#flusher.failure);
  }

  /** A client comes. @param onCut called when a rollback takes its right to write away */
  attach(onCut: () => void): Attachment {
    return this.#clients.attach(onCut);
  }

  detach(attachment: Attachment): void {
    this.#clients.detach(attachment);
  }

  /** Cuts every client off. Whoever comes next is the one that `isMirror` is about. */
  hangUp(): void {
    this.#clients.cut();
  }

  /** The first client since `hangUp` is there without a break, and every write that arrived is kept: the disk is what that client believes. */
  get isMirror(): boolean {
    return this.#clients.isWhole;
  }

  /**
   * Fills `into` with the disk's bytes from `from` on.
   * @throws DiskError `out-of-range`
   */
  read(into: Uint8Array, from: number): Promise<void> {
    return this.#disk.read(into, from);
  }

  /**
   * Resolves when the write is in the log, where every read sees it; `flush` makes it durable.
   * @param chunks one behind the other, at most 32 MiB; must stay as they are until then
   * @throws DiskError `out-of-range`, `log-full`, `cut-off`, `disk-failed`
   */
  write(from: number, chunks: readonly Uint8Array[], who: Attachment | null = null): Promise<void> {
    return this.#disk.write(from, chunks, who);
  }

  /** As `write`, with zeros. @param mayPunch the image may have a hole there */
  zero(from: number, length: number, mayPunch: boolean, who: Attachment | null = null): Promise<void> {
    return this.#disk.zero(from, length, mayPunch, who);
  }

  /** Resolves when everything is durable whose write had resolved. */
  flush(): Promise<void> {
    return this.#log.sync();
  }

  /**
   * A term begins, newer than any before. Without one in force until now, everything on the disk counts as committed; otherwise what is
   * not committed stays so. What is committed is called `epoch`, and the next one is open.
   */
  async start(term: number, epoch = 0): Promise<void> {
    await this.#control(RECORD.start, term, epoch, () => {
      this.#lostWrites = 0;
      this.#seals.clear();
    });
    await this.#log.sync();
  }

  /**
   * Closes the open epoch: all writes that have resolved belong to it or to an earlier one. Resolves when the barrier is in the log;
   * `durableThrough` tells when that is durable.
   * @throws StateError; DiskError `write-lost` where a write was refused in this term: the disk is not what its VM believes
   */
  async seal(term: number, epoch: number): Promise<void> {
    await this.#control(
      RECORD.seal,
      ...[term, epoch],
      () => this.#seals.set(epoch, this.#log.sequence),
      () => this.#checkWhole(),
    );
    this.#log.sync().catch(() => {});
  }

  /**
   * Resolves when the writes up to the barrier are durable: then the network output of the epoch may leave, if memory is durable too.
   * @throws StateError where the epoch is neither sealed nor committed; DiskError `disk-failed`
   */
  async durableThrough(term: number, epoch: number): Promise<void> {
    const { epochs } = this.#state;
    checkTerm(epochs, term);
    if (epoch !== epochs.committedEpoch && !epochs.sealed.includes(epoch)) {
      throw new StateError('epoch-not-sealed', `epoch ${epoch} is not sealed; ${epochs.openEpoch} is open`);
    }
    const sequence = this.#seals.get(epoch) ?? 0;
    while (this.#log.synced < sequence) await this.#log.sync();
  }

  /**
   * Commits a sealed epoch and every earlier one. Resolves when that is durable; the writes go into the image some time later.
   * @returns false when it was committed before
   */
  async commit(term: number, epoch: number): Promise<boolean> {
    const { epochs } = this.#state;
    checkTerm(epochs, term);
    const isNew = !isCommitted(epochs, epoch);
    if (isNew) {
      await this.#control(RECORD.commit, term, epoch, () => {
        for (const sealed of this.#seals.keys()) if (sealed <= epoch) this.#seals.delete(sealed);
      });
    }
    await this.#log.sync();
    this.#flusher.wake();
    return isNew;
  }

  /** The checkpoint of a sealed epoch failed: its writes belong to the next one. */
  async abort(term: number, epoch: number): Promise<void> {
    await this.#control(RECORD.abort, term, epoch, () => this.#seals.delete(epoch));
  }

  /**
   * The disk goes back to `epoch`, which is committed, or sealed and thereby committed. Every client is cut off. Resolves when it is
   * durable that the writes behind the barrier are gone. A new term begins; epoch numbers grow on.
   */
  async rollback(term: number, epoch: number): Promise<void> {
    await this.#control(RECORD.rollback, term, epoch, () => {
      this.#lostWrites = 0;
      this.#seals.clear();
      this.#clients.cut();
    });
    await this.#log.sync();
    this.#flusher.wake();
  }

  /** As `rollback`, to the last committed epoch. @returns which one that is */
  async failover(term: number): Promise<number> {
    for (;;) {
      const { committedEpoch } = this.#state.epochs;
      try {
        await this.rollback(term, committedEpoch);
        return committedEpoch;
      } catch (error) {
        // A commit that was asked for before came in between.
        if (!(error instanceof StateError) || error.code !== 'output-already-released') throw error;
      }
    }
  }

  /** The term ends; all writes count as committed, these and later ones. */
  async stop(term: number): Promise<void> {
    await this.#control(RECORD.stop, term, 0, () => this.#seals.clear());
    await this.#log.sync();
    this.#flusher.wake();
  }

  /** Resolves when the image has all that is committed by now, durably. @throws where it cannot be written */
  settle(): Promise<void> {
    return this.#flusher.settle();
  }

  /**
   * Gives the image away, to a machine that will write into it: it has all that is committed, and the log has nothing that a later `open`
   * would write again. Cuts clients off, and closes.
   * @throws Error where something is neither committed nor rolled back, or cannot be written; the disk stays open then
   */
  async handOver(): Promise<void> {
    this.#clients.cut();
    await this.settle();
    if (this.#state.layers.oldest !== Number.POSITIVE_INFINITY) {
      throw new DiskError('not-settled', 'the disk has writes that are neither committed nor rolled back');
    }
    await this.#disk.shrinkLog();
    await this.close();
  }

  /** Makes the log durable and closes everything. Clients are cut off. What is not in the image yet goes there after the next `open`. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#clients.cut();
    await this.#flusher.close();
    try {
      await this.#log.close();
    } finally {
      await this.#image.close();
    }
  }

  async #control(
    type: RecordMeaning['type'],
    term: number,
    epoch: number,
    applied: () => void,
    check: () => void = () => {},
  ): Promise<void> {
    const meaning = { type, flags: 0, a: term, b: epoch };
    await this.#log.append({
      ...meaning,
      payload: [],
      check: () => {
        this.#state.check(meaning);
        check();
      },
      apply: (address, at) => {
        this.#state.apply(meaning, address, at);
        applied();
      },
    });
  }

  #checkWhole(): void {
    if (this.#lostWrites === 0) return;
    const message = `${this.#lostWrites} writes were refused in this term: copy the disk again, then begin a new one`;
    throw new DiskError('write-lost', message);
  }
}
