import type { Slab } from '../classifier/slab.ts';
import type { Reason } from '../classifier/verdict.ts';
import { ByteRing } from './byte-ring.ts';
import type { FrameLog } from './durable/frame-log.ts';
import { FlowOrder } from './flow-order.ts';
import type { FrameBatch } from './frame-batch.ts';
import { FLAG, FrameRecords } from './frame-records.ts';
import { type Labels, labelOf } from './labels.ts';
import { Occupancy, type TxBufferLimits } from './occupancy.ts';

export type Pacing = 'burst' | 'paced';

/** Memory of a transmit buffer that is not its own: see `durable/`. */
export interface TxBufferMemory {
  /** As many as `recordsFor` says. */
  readonly records: FrameRecords;
  readonly log: FrameLog;
}

/**
 * The transmit buffer: frames that wait, in hold order, as copies in a byte ring. Epoch labels never fall along the
 * ring, because a frame gets the epoch that is open when it is held. So a release takes from the old end and a
 * rollback from the young end; only a frame that waited behind another one leaves from the middle and leaves a gap.
 *
 * Allocates only when it is made. Records are numbered by int32 that wrap; `number & mask` is a record's index.
 *
 * With a log it survives its process. So the order of stores matters: a frame's record is complete before the log is told, and
 * what a record says never changes while the frame is stored, but where its bytes lie. A new term changes labels by what
 * `relabel` keeps beside the records.
 */
export class TxBuffer {
  readonly occupancy: Occupancy;
  readonly pacing: Pacing;
  readonly flows: FlowOrder;
  /** Changed by `relabel` alone. */
  readonly labels: Labels = { era: 0, boundary: 0, firstLabel: 0 };
  /** Set by the last releaseThrough or discardAfter. */
  changedFrames = 0;
  changedBytes = 0;

  readonly #slab: Slab;
  readonly #start: number;
  readonly #ring: ByteRing;
  readonly #mask: number;
  readonly #log: FrameLog | null;
  readonly #place: Uint32Array;
  readonly #length: Uint32Array;
  readonly #arrivalNs: Float64Array;
  readonly #flags: Uint8Array;
  readonly #records: FrameRecords;
  readonly #flow: Int32Array;
  #head = 0;
  #tail = 0;
  /** Where the search for the next leaving frame goes on; none lies before it. */
  #cursor = 0;
  #leavingFrames = 0;
  #blockedBehind = 0;
  #scan = 0;
  /** A leaving frame's time is its arrival plus this; -Infinity: at once. */
  #shiftNs = Number.NEGATIVE_INFINITY;

  /** @returns bytes of slab that a buffer with these limits needs for frames of up to `frameBytes` */
  static bytesFor(limits: TxBufferLimits, frameBytes: number): number {
    const most = limits.limitBytes + limits.sealReserveBytes;
    // An empty frame takes a byte too; a frame never lies across the ring's end; the rest is slack for gaps. A last frame's bytes
    // are apart from the ring: see #moveBytes.
    return most + limits.limitFrames + limits.sealReserveFrames + 3 * frameBytes + Math.ceil(most / 64);
  }

  /** @returns how many records a buffer with these limits has, a power of two */
  static recordsFor(limits: TxBufferLimits): number {
    const most = limits.limitFrames + limits.sealReserveFrames;
    return Math.max(8, 2 ** Math.ceil(Math.log2(most + Math.ceil(most / 32) + 1)));
  }

  /**
   * @param start bytes from the slab's start; `bytesFor(limits, frameBytes)` bytes from there are the buffer's own
   * @param frameBytes the longest frame
   * @param heldFrames where the number of frames is kept, at index 0
   */
  constructor(
    slab: Slab,
    start: number,
    frameBytes: number,
    limits: TxBufferLimits,
    pacing: Pacing,
    memory: TxBufferMemory | null = null,
    heldFrames?: Int32Array,
  ) {
    const size = TxBuffer.bytesFor(limits, frameBytes);
    if (limits.limitBytes < frameBytes || limits.limitFrames < 1) {
      throw new RangeError(`the transmit buffer must take at least one frame of ${frameBytes} bytes`);
    }
    if (start + size > slab.bytes.length) throw new RangeError('the slab is too small for the transmit buffer');
    this.occupancy = new Occupancy(limits, heldFrames);
    this.pacing = pacing;
    this.#slab = slab;
    this.#start = start;
    this.#ring = new ByteRing(size - frameBytes);
    this.#log = memory?.log ?? null;
    const count = TxBuffer.recordsFor(limits);
    this.#mask = count - 1;
    this.flows = new FlowOrder(limits.limitFrames + limits.sealReserveFrames);
    this.#flow = new Int32Array(count);
    const records = memory?.records ?? new FrameRecords(count);
    this.#records = records;
    this.#place = records.place;
    this.#length = records.length;
    this.#arrivalNs = records.arrivalNs;
    this.#flags = records.flags;
  }

  /** Frames that are here. */
  get frames(): number {
    return this.occupancy.frames;
  }

  /** Their bytes. */
  get bytes(): number {
    return this.occupancy.bytes;
  }

  /** Frames that may leave and wait for their time or the port. */
  get leavingFrames(): number {
    return this.#leavingFrames;
  }

  /**
   * Stores a copy of frame `i` of the batch, labelled with its epoch.
   * @param key the flow whose order the frame keeps, null if it keeps none
   * @param behind the frame's verdict is pass: it waits only for earlier frames of its flow, or if it keeps no order for
   * the port to take what is here already
   * @param unclassified it counts against that share
   * @param draining a seal is in progress: the reserve may be used
   * @returns 0, or the reason for which it is dropped instead
   */
  hold(
    batch: FrameBatch,
    i: number,
    key: Int32Array | null,
    behind: boolean,
    unclassified: boolean,
    draining: boolean,
  ): Reason | 0 {
    const length = batch.length[i]!;
    const full = this.occupancy.whyFull(length, behind, unclassified, draining);
    if (full !== 0) return full;
    this.#append(batch, i, key === null ? -1 : this.flows.add(key), behind, unclassified);
    return 0;
  }

  /**
   * Stores a copy of a frame that an earlier process of the gateway held, behind what is here. Its label may not be lower than that
   * of any frame that is here; `releaseThrough` afterwards lets go what may leave.
   * @param isOrdered it keeps the order of the flow that `high` and `low` stand for
   * @returns false when it is more than the limits and the reserve take
   */
  restore(
    batch: FrameBatch,
    i: number,
    isOrdered: boolean,
    high: number,
    low: number,
    behind: boolean,
    unclassified: boolean,
  ): boolean {
    if (!this.occupancy.takes(batch.length[i]!)) return false;
    this.#append(batch, i, isOrdered ? this.flows.addHash(high, low) : -1, behind, unclassified, false);
    return true;
  }

  /** @param mayLeave at once, where it only waits behind others and there are none */
  #append(batch: FrameBatch, i: number, flow: number, behind: boolean, unclassified: boolean, mayLeave = true): void {
    const length = batch.length[i]!;
    const records = this.#records;
    const place = this.#makeRoom(length);
    this.#ring.take(place, length);
    this.#slab.bytes.copyWithin(this.#start + place, batch.offset[i]!, batch.offset[i]! + length);
    const at = this.#tail & this.#mask;
    records.write(at, batch, i);
    records.place[at] = place;
    records.era[at] = this.labels.era;
    let flags = flow < 0 ? 0 : FLAG.ordered;
    if (behind) {
      flags |= FLAG.behind;
      if (mayLeave && (flow < 0 || this.flows.blocking[flow] === 0)) {
        flags |= FLAG.leaving;
        this.#leavingFrames++;
      } else {
        this.#blockedBehind++;
      }
    }
    if (unclassified) flags |= FLAG.unclassified;
    if (flow >= 0 && (flags & FLAG.leaving) === 0) this.flows.blocking[flow]!++;
    this.#flow[at] = flow;
    this.#flags[at] = flags;
    if (this.#log !== null) this.#log.stored(this.#tail, at, flow, this.flows);
    this.#tail = (this.#tail + 1) | 0;
    this.occupancy.add(length, behind, unclassified);
  }

  /** @returns where a frame of `length` bytes may lie; its limits have let it in, so there is a place */
  #makeRoom(length: number): number {
    const place = this.#findRoom(length);
    if (place >= 0) return place;
    this.#closeGaps();
    return this.#findRoom(length);
  }

  #findRoom(length: number): number {
    const records = (this.#tail - this.#head) | 0;
    if (records === 0) return this.#ring.place(-1, length);
    return records > this.#mask ? -1 : this.#ring.place(this.#place[this.#head & this.#mask]!, length);
  }

  /**
   * Every frame held in an epoch up to `epoch` may leave, and every frame that only waited behind such ones. Frames
   * that may leave already and still wait for their time leave now: call `collect` before.
   * @param freesBehind false: frames of later epochs stay, also those that only waited behind others
   */
  releaseThrough(epoch: number, nowNs: number, freesBehind = true): void {
    this.changedFrames = 0;
    this.changedBytes = 0;
    let shift = this.#leavingFrames > 0 ? Number.NEGATIVE_INFINITY : Number.NaN;
    this.#scan = (this.#scan + 1) | 0;
    let number = this.#head;
    for (; number !== this.#tail; number = (number + 1) | 0) {
      const at = number & this.#mask;
      const isDue = this.#label(number) <= epoch;
      if (!isDue && (this.#blockedBehind === 0 || !freesBehind)) break;
      const flags = this.#flags[at]!;
      if ((flags & (FLAG.gone | FLAG.leaving)) !== 0) continue;
      const flow = this.#flow[at]!;
      if (!isDue) {
        const isFree = (flags & FLAG.behind) !== 0 && this.flows.stamp[flow] !== this.#scan;
        if (!isFree) {
          if (flow >= 0) this.flows.stamp[flow] = this.#scan;
          continue;
        }
      }
      if (flow >= 0) this.flows.blocking[flow]!--;
      if ((flags & FLAG.behind) !== 0) this.#blockedBehind--;
      if (Number.isNaN(shift)) {
        shift = this.pacing === 'paced' ? nowNs - this.#arrivalNs[at]! : Number.NEGATIVE_INFINITY;
      }
      this.#flags[at] = flags | FLAG.leaving;
      this.#leavingFrames++;
      this.changedFrames++;
      this.changedBytes += this.#length[at]!;
    }
    if (!Number.isNaN(shift)) this.#shiftNs = shift;
    this.#cursor = this.#head;
  }

  /** What may leave but still waits for its time is due at once. */
  hurry(): void {
    this.#shiftNs = Number.NEGATIVE_INFINITY;
  }

  /** Discards every frame labelled with an epoch above `epoch`, also those that may leave but have not. */
  discardAfter(epoch: number): void {
    this.changedFrames = 0;
    this.changedBytes = 0;
    while (this.#tail !== this.#head) {
      const number = (this.#tail - 1) | 0;
      const at = number & this.#mask;
      if (this.#label(number) <= epoch) break;
      if ((this.#flags[at]! & FLAG.gone) === 0) {
        this.changedFrames++;
        this.changedBytes += this.#length[at]!;
        this.#forget(at);
        if (this.#log !== null) this.#log.ended(at);
      }
      this.#ring.giveBack(this.#place[at]!);
      this.#tail = number;
    }
    this.#dropGoneHead();
    this.#cursor = this.#head;
  }

  /**
   * A new term begins: what is committed (up to `committed`) gets label 0, all else belongs to its first epoch; Infinity: to none, it
   * is to be discarded. Changes no record, so that it takes force in the file when `labels` does.
   */
  relabel(committed: number, firstEpoch = 1): void {
    let number = this.#head;
    while (number !== this.#tail && this.#label(number) <= committed) number = (number + 1) | 0;
    this.labels.boundary = number;
    this.labels.firstLabel = firstEpoch;
    this.labels.era = (this.labels.era + 1) | 0;
  }

  #label(number: number): number {
    return labelOf(this.labels, this.#records, number, number & this.#mask);
  }

  /** @returns how many frames held and not leaving carry a label in `from..to`, both included */
  countEpochs(from: number, to: number): number {
    let count = 0;
    for (let n = this.#head; n !== this.#tail; n = (n + 1) | 0) {
      const at = n & this.#mask;
      if ((this.#flags[at]! & (FLAG.gone | FLAG.leaving)) !== 0) continue;
      const label = this.#label(n);
      if (label >= from && label <= to) count++;
    }
    return count;
  }

  /**
   * @param takesBehind as in `collect`
   * @returns when the next frame that may leave is due (-Infinity: at once), Infinity when there is none
   */
  nextDueNs(takesBehind = true): number {
    if (this.#leavingFrames === 0) return Number.POSITIVE_INFINITY;
    this.#seek();
    if (!takesBehind && (this.#flags[this.#cursor & this.#mask]! & FLAG.behind) !== 0) return Number.POSITIVE_INFINITY;
    return this.#arrivalNs[this.#cursor & this.#mask]! + this.#shiftNs;
  }

  /** @returns arrival of the oldest frame that waits, NaN when there is none */
  oldestArrivalNs(): number {
    return this.frames === 0 ? Number.NaN : this.#arrivalNs[this.#head & this.#mask]!;
  }

  /**
   * Lends the frames that are due, in hold order, as far as the batch takes them and `most` lets them. They stay here until `left`.
   * @param takesBehind false: not beyond the first that only waited behind others
   * @returns how many
   */
  collect(batch: FrameBatch, nowNs: number, most = batch.capacity, takesBehind = true): number {
    batch.count = 0;
    if (this.#leavingFrames === 0) return 0;
    this.#seek();
    const records = this.#records;
    const room = most < batch.capacity ? most : batch.capacity;
    let left = this.#leavingFrames;
    for (let number = this.#cursor; left > 0 && batch.count < room; number = (number + 1) | 0) {
      const at = number & this.#mask;
      const flags = this.#flags[at]!;
      if ((flags & (FLAG.leaving | FLAG.gone)) !== FLAG.leaving) continue;
      if (!takesBehind && (flags & FLAG.behind) !== 0) break;
      if (this.#arrivalNs[at]! + this.#shiftNs > nowNs) break;
      const i = batch.count;
      batch.offset[i] = this.#start + this.#place[at]!;
      records.read(at, batch, i);
      batch.ticket[i] = number;
      batch.count++;
      left--;
    }
    if (this.#log !== null && batch.count > 0) this.#log.lent(batch.ticket[0]!, batch.ticket[batch.count - 1]!);
    return batch.count;
  }

  /** The port accepted the first `count` frames of the batch that `collect` filled: they are no longer here. */
  left(batch: FrameBatch, count: number): void {
    for (let i = 0; i < count; i++) {
      const at = batch.ticket[i]! & this.#mask;
      this.#forget(at);
      this.#flags[at]! |= FLAG.gone;
      if (this.#log !== null) this.#log.ended(at);
    }
    if (this.#log !== null) this.#log.back();
    this.#dropGoneHead();
  }

  /** Moves the cursor to the first frame that may leave; there is one. */
  #seek(): void {
    while ((this.#flags[this.#cursor & this.#mask]! & (FLAG.leaving | FLAG.gone)) !== FLAG.leaving) {
      this.#cursor = (this.#cursor + 1) | 0;
    }
  }

  /** Takes a frame out of every count. */
  #forget(at: number): void {
    const flags = this.#flags[at]!;
    const isBehind = (flags & FLAG.behind) !== 0;
    this.occupancy.remove(this.#length[at]!, isBehind, (flags & FLAG.unclassified) !== 0);
    if (isBehind && (flags & FLAG.leaving) === 0) this.#blockedBehind--;
    if ((flags & FLAG.leaving) !== 0) this.#leavingFrames--;
    const flow = this.#flow[at]!;
    if (flow < 0) return;
    if ((flags & FLAG.leaving) === 0) this.flows.blocking[flow]!--;
    this.flows.remove(flow);
  }

  #dropGoneHead(): void {
    while (this.#head !== this.#tail && (this.#flags[this.#head & this.#mask]! & FLAG.gone) !== 0) {
      this.#head = (this.#head + 1) | 0;
    }
    if (((this.#cursor - this.#head) | 0) < 0) this.#cursor = this.#head;
    if (this.#log !== null) this.#log.headIs(this.#head);
  }

  /** Moves frames together over the gaps that earlier departures left. Rare: the ring has slack for gaps. */
  #closeGaps(): void {
    const end = this.#tail;
    this.#cursor = this.#head;
    this.#tail = this.#head;
    for (let number = this.#head; number !== end; number = (number + 1) | 0) {
      const from = number & this.#mask;
      if ((this.#flags[from]! & FLAG.gone) !== 0) continue;
      const length = this.#length[from]!;
      const isFirst = this.#tail === this.#head;
      const place = isFirst ? this.#place[from]! : this.#ring.place(this.#place[this.#head & this.#mask]!, length);
      if (place !== this.#place[from]!) this.#moveBytes(from, place, length);
      this.#ring.take(place, length);
      if (number !== this.#tail) this.#moveRecord(number, this.#tail);
      this.#tail = (this.#tail + 1) | 0;
    }
  }

  #moveBytes(at: number, place: number, length: number): void {
    const { bytes } = this.#slab;
    const source = this.#start + this.#place[at]!;
    const isOverlapping = Math.abs(place - this.#place[at]!) < length;
    if (this.#log !== null && isOverlapping) {
      // Behind the ring, so that there is a whole copy at every instant.
      bytes.copyWithin(this.#start + this.#ring.size, source, source + length);
      this.#place[at] = this.#ring.size;
    }
    bytes.copyWithin(this.#start + place, source, source + length);
    this.#place[at] = place;
  }

  #moveRecord(fromNumber: number, toNumber: number): void {
    const records = this.#records;
    const from = fromNumber & this.#mask;
    const to = toNumber & this.#mask;
    records.copy(to, from);
    // By its number it could fall on the other side of the boundary.
    records.epoch[to] = this.#label(fromNumber);
    records.era[to] = this.labels.era;
    this.#flow[to] = this.#flow[from]!;
    if (this.#log !== null) this.#log.moved(fromNumber, from, toNumber, to);
  }
}
