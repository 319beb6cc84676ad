import type { Slab } from '../classifier/slab.ts';

/** Equal slots in a slab. A slot is known by its offset; whoever took it gives it back once. */
export class FramePool {
  readonly slab: Slab;
  readonly slotBytes: number;
  readonly slots: number;
  readonly #free: Uint32Array;
  #freeCount: number;
  /** What was shown last and is still so: slots come back in the order in which they went, as a rule. */
  #shown: Uint32Array | null = null;
  #shownCount = 0;
  #shownOf = 0;

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

  /**
   * Writes the offsets of the slots that would be taken next, up to `max`. What was written is the pool's: it is not written again
   * where nothing has changed.
   * @returns how many; `takeShown` takes the first of them
   */
  show(offsets: Uint32Array, max: number): number {
    const count = max < this.#freeCount ? max : this.#freeCount;
    if (offsets === this.#shown && this.#freeCount === this.#shownOf && count <= this.#shownCount) return count;
    const last = this.#freeCount - 1;
    for (let i = 0; i < count; i++) offsets[i] = this.#free[last - i]!;
    this.#shown = offsets;
    this.#shownCount = count;
    this.#shownOf = this.#freeCount;
    return count;
  }

  /** Takes the first `count` of the slots that were shown; nothing was taken or given since. */
  takeShown(count: number): void {
    if (count > this.#freeCount) throw new Error('frame pool: more slots taken than are free');
    this.#freeCount -= count;
  }

  give(offset: number): void {
    if (this.#freeCount === this.slots) throw new Error('frame pool: more slots given than taken');
    if (this.#free[this.#freeCount] !== offset) {
      this.#free[this.#freeCount] = offset;
      this.#shown = null;
    }
    this.#freeCount++;
  }
}
