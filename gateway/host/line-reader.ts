const LINE_END = 0x0a;
/** A buffer that has grown beyond this is not kept for the next line. */
const KEPT_BYTES = 65_536;

/** Cuts a stream of bytes into lines. What it stores is at most twice the longest line, however small the pieces come. */
export class LineReader {
  readonly #maxBytes: number;
  #stored = Buffer.alloc(0);
  #length = 0;

  /** @param maxBytes of a line, without its end */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of memory that wait for the end of their line. */
  get storedBytes(): number {
    return this.#stored.length;
  }

  /** A line has begun and not ended. */
  get isInLine(): boolean {
    return this.#length > 0;
  }

  /**
   * @param onLine gets each line without its end, valid until it returns; false: no more of them now
   * @returns how many bytes of the chunk were taken: all, unless `onLine` said so; -1 when a line is too long
   */
  feed(chunk: Uint8Array, onLine: (line: Uint8Array) => boolean): number {
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(LINE_END, from);
      const piece = (end < 0 ? chunk.length : end) - from;
      if (this.#length + piece > this.#maxBytes) return -1;
      if (end < 0) {
        if (piece > 0) this.#store(chunk, from, piece);
        return chunk.length;
      }
      let line = chunk.subarray(from, end);
      if (this.#length > 0) {
        this.#store(chunk, from, piece);
        line = this.#stored.subarray(0, this.#length);
        this.#length = 0;
      }
      const goesOn = onLine(line);
      if (this.#stored.length > KEPT_BYTES) this.#stored = Buffer.alloc(0);
      from = end + 1;
      if (!goesOn) return from;
    }
  }

  #store(chunk: Uint8Array, from: number, length: number): void {
    const needed = this.#length + length;
    if (needed > this.#stored.length) {
      const grown = Buffer.alloc(Math.min(this.#maxBytes, Math.max(needed, 2 * this.#stored.length)));
      grown.set(this.#stored.subarray(0, this.#length));
      this.#stored = grown;
    }
    this.#stored.set(chunk.subarray(from, from + length), this.#length);
    this.#length = needed;
  }
}
