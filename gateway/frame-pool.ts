import type { Slab } from '../classifier/slab.ts';

/** Equal slots in a slab. A slot is known by its offset; whoever took it gives it back once. */
export class FramePool {
  readonly slab: Slab;
  readonly slotBytes: number;
  readonly slots: number;
  readonly #free: Uint32Array;
  #freeCount: number;

  /** @param start bytes from the slab's start to the first slot */
  constructor(slab: Slab, start: number, slots: number, slotBytes: number) {
    if (start + slots * slotBytes > slab.bytes.length) throw new RangeError('the slab is too small for the frame pool');
    this.slab = slab;
    this.slotBytes = slotBytes;
    this.slots = slots;
    this.#free = Uint32Array.from({ length: slots }, (_, slot) => start + (slots - 1 - slot) * slotBytes);
    this.#freeCount = slots;
  }

  get free(): number {
    return this.#freeCount;
  }

  /** @returns a slot's offset; the caller checks `free` first */
  take(): number {
    if (this.#freeCount === 0) throw new Error('frame pool: no slot is free');
    this.#freeCount--;
    return this.#free[this.#freeCount]!;
  }

  give(offset: number): void {
    if (this.#freeCount === this.slots) throw new Error('frame pool: more slots given than taken');
    this.#free[this.#freeCount] = offset;
    this.#freeCount++;
  }
}
