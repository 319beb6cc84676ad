/**
 * Places for blocks of bytes in a ring, oldest first out, newest first back. Every block is contiguous: one that does
 * not fit before the ring's end starts over at its beginning, and the gap is left empty.
 *
 *     0          head               tail        size
 *     |  free    | oldest … newest  |   free    |      not wrapped
 *     | … newest | free    | oldest …     | gap |      wrapped: tail < head
 */
export class ByteRing {
  readonly size: number;
  #tail = 0;

  constructor(size: number) {
    this.size = size;
  }

  /**
   * @param head where the oldest block lies, -1 when there is none
   * @returns where a block of `length` bytes may start, or -1 when it does not fit; nothing is taken yet
   */
  place(head: number, length: number): number {
    const need = length === 0 ? 1 : length;
    if (head < 0) return need <= this.size ? 0 : -1;
    if (this.#tail > head) {
      if (this.size - this.#tail >= need) return this.#tail;
      return head > need ? 0 : -1;
    }
    return head - this.#tail > need ? this.#tail : -1;
  }

  /** Takes the bytes at a place that `place` gave. */
  take(at: number, length: number): void {
    if (at < 0) throw new Error('byte ring: no room within the limits that were set for it');
    this.#tail = at + (length === 0 ? 1 : length);
  }

  /** Gives back the newest block, which starts at `at`. */
  giveBack(at: number): void {
    this.#tail = at;
  }
}
