const INITIAL_BYTES = 64 * 1024;

/**
 * The bytes of a stream that have arrived and are not yet consumed. Memory follows what has arrived, never what a header
 * claims. A decoder reads `bytes`/`view` from `start` up to `end` and moves `start`.
 */
export class ByteWindow {
  bytes = new Uint8Array(INITIAL_BYTES);
  view = new DataView(this.bytes.buffer);
  start = 0;
  end = 0;
  /** True when no more bytes will come. */
  ended = false;
  #windowOffset = 0;

  get available(): number {
    return this.end - this.start;
  }

  /** Bytes from the start of the stream to `start`. */
  get byteOffset(): number {
    return this.#windowOffset + this.start;
  }

  /** Copies `chunk` behind the bytes that remain; the caller may reuse it. Moves the remaining bytes to the front. */
  append(chunk: Uint8Array): void {
    const remaining = this.available;
    const needed = remaining + chunk.length;
    const previous = this.bytes;
    if (needed > previous.length) {
      // Doubling keeps the cost of copying linear in the bytes fed.
      this.bytes = new Uint8Array(Math.max(needed, previous.length * 2));
      this.view = new DataView(this.bytes.buffer);
      this.bytes.set(previous.subarray(this.start, this.end));
    } else {
      previous.copyWithin(0, this.start, this.end);
    }
    this.#windowOffset += this.start;
    this.start = 0;
    this.bytes.set(chunk, remaining);
    this.end = needed;
  }
}
