import type { Slab } from '../classifier/slab.ts';
import type { Reason } from '../classifier/verdict.ts';
import { ByteRing } from './byte-ring.ts';
import { FlowOrder } from './flow-order.ts';
import type { FrameBatch } from './frame-batch.ts';
import { Occupancy, type TxBufferLimits } from './occupancy.ts';

export type Pacing = 'burst' | 'paced';

/** What a stored frame is. */
const FLAG = {
  /** Verdict pass: waits only until no earlier frame of its flow remains. */
  behind: 1,
  unclassified: 2,
  /** May leave; waits for its time or for the port. */
  leaving: 4,
  /** Left already; its place is free once every older frame has left too. */
  gone: 8,
} as const;

/**
 * The transmit buffer: frames that wait, in hold order, as copies in a byte ring. Epoch labels never fall along the
 * ring, because a frame gets the epoch that is open when it is held. So a release takes from the old end and a
 * rollback from the young end; only a frame that waited behind another one leaves from the middle and leaves a gap.
 *
 * Allocates only when it is made. Records are numbered by int32 that wrap; `number & mask` is a record's index.
 */
export class TxBuffer {
  readonly occupancy: Occupancy;
  readonly pacing: Pacing;
  readonly flows: FlowOrder;
  /** Set by the last releaseThrough or discardAfter. */
  changedFrames = 0;
  changedBytes = 0;

  readonly #slab: Slab;
  readonly #start: number;
  readonly #ring: ByteRing;
  readonly #mask: number;
  readonly #place: Uint32Array;
  readonly #length: Uint32Array;
  readonly #wireLength: Uint32Array;
  readonly #arrivalNs: Float64Array;
  readonly #epoch: Float64Array;
  readonly #flow: Int32Array;
  readonly #rule: Int32Array;
  readonly #flags: Uint8Array;
  readonly #reason: Uint8Array;
  readonly #verdict: Uint8Array;
  readonly #gsoType: Uint8Array;
  readonly #gsoSize: Uint16Array;
  readonly #l4Start: Uint16Array;
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
    // An empty frame takes a byte too; a frame never lies across the ring's end; the rest is slack for gaps.
    return most + limits.limitFrames + limits.sealReserveFrames + 2 * frameBytes + Math.ceil(most / 64);
  }

  /**
   * @param start bytes from the slab's start; `bytesFor(limits, frameBytes)` bytes from there are the buffer's own
   * @param frameBytes the longest frame
   */
  constructor(slab: Slab, start: number, frameBytes: number, limits: TxBufferLimits, pacing: Pacing) {
    const size = TxBuffer.bytesFor(limits, frameBytes);
    if (limits.limitBytes < frameBytes || limits.limitFrames < 1) {
      throw new RangeError(`the transmit buffer must take at least one frame of ${frameBytes} bytes`);
    }
    if (start + size > slab.bytes.length) throw new RangeError('the slab is too small for the transmit buffer');
    this.occupancy = new Occupancy(limits);
    this.pacing = pacing;
    this.#slab = slab;
    this.#start = start;
    this.#ring = new ByteRing(size);
    const most = limits.limitFrames + limits.sealReserveFrames;
    const records = 2 ** Math.ceil(Math.log2(most + Math.ceil(most / 32) + 1));
    this.#mask = records - 1;
    this.flows = new FlowOrder(most);
    this.#place = new Uint32Array(records);
    this.#length = new Uint32Array(records);
    this.#wireLength = new Uint32Array(records);
    this.#arrivalNs = new Float64Array(records);
    this.#epoch = new Float64Array(records);
    this.#flow = new Int32Array(records);
    this.#rule = new Int32Array(records);
    this.#flags = new Uint8Array(records);
    this.#reason = new Uint8Array(records);
    this.#verdict = new Uint8Array(records);
    this.#gsoType = new Uint8Array(records);
    this.#gsoSize = new Uint16Array(records);
    this.#l4Start = new Uint16Array(records);
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
    const place = this.#makeRoom(length);
    this.#ring.take(place, length);
    this.#slab.bytes.copyWithin(this.#start + place, batch.offset[i]!, batch.offset[i]! + length);
    const at = this.#tail & this.#mask;
    this.#place[at] = place;
    this.#length[at] = length;
    this.#wireLength[at] = batch.wireLength[i]!;
    this.#arrivalNs[at] = batch.arrivalNs[i]!;
    this.#epoch[at] = batch.epoch[i]!;
    this.#rule[at] = batch.rule[i]!;
    this.#reason[at] = batch.reason[i]!;
    this.#verdict[at] = batch.verdict[i]!;
    this.#gsoType[at] = batch.gsoType[i]!;
    this.#gsoSize[at] = batch.gsoSize[i]!;
    this.#l4Start[at] = batch.l4Start[i]!;
    let flags = 0;
    let flow = -1;
    if (key !== null) flow = this.flows.add(key);
    if (behind) {
      flags |= FLAG.behind;
      if (flow < 0 || this.flows.blocking[flow] === 0) {
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
    this.#tail = (this.#tail + 1) | 0;
    this.occupancy.add(length, behind, unclassified);
    return 0;
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
   */
  releaseThrough(epoch: number, nowNs: number): void {
    this.changedFrames = 0;
    this.changedBytes = 0;
    let shift = this.#leavingFrames > 0 ? Number.NEGATIVE_INFINITY : Number.NaN;
    this.#scan = (this.#scan + 1) | 0;
    let number = this.#head;
    for (; number !== this.#tail; number = (number + 1) | 0) {
      const at = number & this.#mask;
      const isDue = this.#epoch[at]! <= epoch;
      if (!isDue && this.#blockedBehind === 0) break;
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
      if (this.#epoch[at]! <= epoch) break;
      if ((this.#flags[at]! & FLAG.gone) === 0) {
        this.changedFrames++;
        this.changedBytes += this.#length[at]!;
        this.#forget(at);
      }
      this.#ring.giveBack(this.#place[at]!);
      this.#tail = number;
    }
    this.#dropGoneHead();
    this.#cursor = this.#head;
  }

  /** A new term begins: what is committed (up to `committed`) gets label 0, all else belongs to its first epoch. */
  relabel(committed: number, firstEpoch = 1): void {
    for (let n = this.#head; n !== this.#tail; n = (n + 1) | 0) {
      const at = n & this.#mask;
      this.#epoch[at] = this.#epoch[at]! <= committed ? 0 : firstEpoch;
    }
  }

  /** @returns how many frames held and not leaving carry a label in `from..to`, both included */
  countEpochs(from: number, to: number): number {
    let count = 0;
    for (let n = this.#head; n !== this.#tail; n = (n + 1) | 0) {
      const at = n & this.#mask;
      if ((this.#flags[at]! & (FLAG.gone | FLAG.leaving)) !== 0) continue;
      if (this.#epoch[at]! >= from && this.#epoch[at]! <= to) count++;
    }
    return count;
  }

  /** @returns when the next frame that may leave is due (-Infinity: at once), Infinity when there is none */
  nextDueNs(): number {
    if (this.#leavingFrames === 0) return Number.POSITIVE_INFINITY;
    this.#seek();
    return this.#arrivalNs[this.#cursor & this.#mask]! + this.#shiftNs;
  }

  /** @returns arrival of the oldest frame that waits, NaN when there is none */
  oldestArrivalNs(): number {
    return this.frames === 0 ? Number.NaN : this.#arrivalNs[this.#head & this.#mask]!;
  }

  /**
   * Lends the frames that are due, in hold order, as far as the batch takes them. They stay here until `left`.
   * @returns how many
   */
  collect(batch: FrameBatch, nowNs: number): number {
    batch.count = 0;
    if (this.#leavingFrames === 0) return 0;
    this.#seek();
    let left = this.#leavingFrames;
    for (let number = this.#cursor; left > 0 && batch.count < batch.capacity; number = (number + 1) | 0) {
      const at = number & this.#mask;
      if ((this.#flags[at]! & (FLAG.leaving | FLAG.gone)) !== FLAG.leaving) continue;
      if (this.#arrivalNs[at]! + this.#shiftNs > nowNs) break;
      const i = batch.count;
      batch.offset[i] = this.#start + this.#place[at]!;
      batch.length[i] = this.#length[at]!;
      batch.wireLength[i] = this.#wireLength[at]!;
      batch.linkType[i] = 1;
      batch.arrivalNs[i] = this.#arrivalNs[at]!;
      batch.epoch[i] = this.#epoch[at]!;
      batch.rule[i] = this.#rule[at]!;
      batch.reason[i] = this.#reason[at]!;
      batch.verdict[i] = this.#verdict[at]!;
      batch.gsoType[i] = this.#gsoType[at]!;
      batch.gsoSize[i] = this.#gsoSize[at]!;
      batch.l4Start[i] = this.#l4Start[at]!;
      batch.ticket[i] = number;
      batch.count++;
      left--;
    }
    return batch.count;
  }

  /** The port accepted the first `count` frames of the batch that `collect` filled: they are no longer here. */
  left(batch: FrameBatch, count: number): void {
    for (let i = 0; i < count; i++) {
      const at = batch.ticket[i]! & this.#mask;
      this.#forget(at);
      this.#flags[at]! |= FLAG.gone;
    }
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
      if (place !== this.#place[from]!) {
        const source = this.#start + this.#place[from]!;
        this.#slab.bytes.copyWithin(this.#start + place, source, source + length);
      }
      this.#ring.take(place, length);
      this.#moveRecord(from, this.#tail & this.#mask, place);
      this.#tail = (this.#tail + 1) | 0;
    }
  }

  #moveRecord(from: number, to: number, place: number): void {
    this.#place[to] = place;
    if (from === to) return;
    this.#length[to] = this.#length[from]!;
    this.#wireLength[to] = this.#wireLength[from]!;
    this.#arrivalNs[to] = this.#arrivalNs[from]!;
    this.#epoch[to] = this.#epoch[from]!;
    this.#flow[to] = this.#flow[from]!;
    this.#rule[to] = this.#rule[from]!;
    this.#flags[to] = this.#flags[from]!;
    this.#reason[to] = this.#reason[from]!;
    this.#verdict[to] = this.#verdict[from]!;
    this.#gsoType[to] = this.#gsoType[from]!;
    this.#gsoSize[to] = this.#gsoSize[from]!;
    this.#l4Start[to] = this.#l4Start[from]!;
  }
}
