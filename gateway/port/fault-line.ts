import { slabOf } from '../../classifier/slab.ts';
import { FrameBatch } from '../frame-batch.ts';
import { copyBytes } from './copy-bytes.ts';

/** What goes wrong. Each of the first four is the share of frames that it happens to, 0..1. */
export interface Faults {
  readonly drop?: number;
  readonly duplicate?: number;
  /** One bit changes. Super-frames stay whole: their checksum, unfinished, would be made to fit. */
  readonly corrupt?: number;
  /** Up to three later frames come first, of those that are there. */
  readonly reorder?: number;
  readonly delayNs?: number;
}

const MOST_OVERTAKING = 3;

/** One direction of a bad link: frames that wait, in slots of its own. */
export class FaultLine {
  /** The frames that wait, by slot; `left` frees one. */
  readonly frames: FrameBatch;
  dropped = 0;
  duplicated = 0;
  corrupted = 0;
  reordered = 0;
  readonly #faults: Required<Faults>;
  readonly #slotBytes: number;
  readonly #used: Uint8Array;
  readonly #dueNs: Float64Array;
  /** The order in which they go. */
  readonly #rank: Float64Array;
  #waiting = 0;
  #next = 0;
  #state: number;

  constructor(faults: Faults, seed: number, slots: number, slotBytes: number) {
    this.#faults = { drop: 0, duplicate: 0, corrupt: 0, reorder: 0, delayNs: 0, ...faults };
    this.#slotBytes = slotBytes;
    this.frames = new FrameBatch(slabOf(new Uint8Array(slots * slotBytes)), slots);
    this.#used = new Uint8Array(slots);
    this.#dueNs = new Float64Array(slots);
    this.#rank = new Float64Array(slots);
    this.#state = Math.imul(seed, 0x9e3779b1) | 1;
  }

  /** Whether a frame and its duplicate fit. */
  get hasRoom(): boolean {
    return this.#waiting + 2 <= this.#used.length;
  }

  /** Takes a copy of frame `i`, or none, or two. */
  put(batch: FrameBatch, i: number, nowNs: number): void {
    // Every frame takes the same numbers from the seed, so that one fault does not move all the others.
    const isDropped = this.#happens(this.#faults.drop);
    const isTwice = this.#happens(this.#faults.duplicate);
    const isCorrupted = this.#happens(this.#faults.corrupt) && batch.gsoType[i] === 0 && batch.length[i]! > 0;
    const bit = this.#below(batch.length[i]! * 8);
    const isLate = this.#happens(this.#faults.reorder);
    const lateness = 1.5 + this.#below(MOST_OVERTAKING);
    if (isDropped) {
      this.dropped++;
      return;
    }
    const rank = this.#next++;
    const slot = this.#store(batch, i, nowNs, isLate ? rank + lateness : rank);
    if (isLate) this.reordered++;
    if (isCorrupted) {
      this.corrupted++;
      this.frames.slab.bytes[this.frames.offset[slot]! + (bit >> 3)]! ^= 1 << (bit & 7);
    }
    if (!isTwice) return;
    this.duplicated++;
    this.#store(batch, i, nowNs, rank + 0.25);
  }

  /** @returns the slot of the frame that goes next, -1 if none may go by `nowNs` */
  due(nowNs: number): number {
    let found = -1;
    for (let slot = 0; slot < this.#used.length && this.#waiting > 0; slot++) {
      if (this.#used[slot] === 0 || this.#dueNs[slot]! > nowNs) continue;
      if (found < 0 || this.#rank[slot]! < this.#rank[found]!) found = slot;
    }
    return found;
  }

  /** @returns when the next frame may go, Infinity when none waits */
  nextDueNs(): number {
    let due = Number.POSITIVE_INFINITY;
    for (let slot = 0; slot < this.#used.length && this.#waiting > 0; slot++) {
      if (this.#used[slot] === 1 && this.#dueNs[slot]! < due) due = this.#dueNs[slot]!;
    }
    return due;
  }

  left(slot: number): void {
    this.#used[slot] = 0;
    this.#waiting--;
  }

  /** Moves frames that are due into the slots of a batch, as `Port.receive` does. @returns how many */
  take(batch: FrameBatch, from: number, max: number, slotBytes: number, nowNs: number): number {
    let count = 0;
    for (; count < max; count++) {
      const slot = this.due(nowNs);
      if (slot < 0) break;
      const i = from + count;
      const place = batch.offset[i]!;
      const length = Math.min(this.frames.length[slot]!, slotBytes);
      copyBytes(this.frames.slab.view, this.frames.offset[slot]!, batch.slab.view, place, length);
      batch.copyFrom(i, this.frames, slot);
      batch.offset[i] = place;
      batch.length[i] = length;
      batch.arrivalNs[i] = nowNs;
      this.left(slot);
    }
    return count;
  }

  #store(batch: FrameBatch, i: number, nowNs: number, rank: number): number {
    const slot = this.#used.indexOf(0);
    const place = slot * this.#slotBytes;
    const length = Math.min(batch.length[i]!, this.#slotBytes);
    copyBytes(batch.slab.view, batch.offset[i]!, this.frames.slab.view, place, length);
    this.frames.copyFrom(slot, batch, i);
    this.frames.offset[slot] = place;
    this.frames.length[slot] = length;
    this.#used[slot] = 1;
    this.#dueNs[slot] = nowNs + this.#faults.delayNs;
    this.#rank[slot] = rank;
    this.#waiting++;
    return slot;
  }

  #happens(share: number): boolean {
    return this.#below(2 ** 24) < share * 2 ** 24;
  }

  /** xorshift32 */
  #below(count: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return count > 0 ? (x >>> 0) % count : 0;
  }
}
