const CAPACITY = 256 * 1024;

/** Collects what a writer writes and hands it on in large pieces. */
export class OutputBuffer {
  bytes = new Uint8Array(CAPACITY);
  view = new DataView(this.bytes.buffer);
  length = 0;
  readonly #sink: (chunk: Uint8Array) => void;

  /** @param sink takes each piece; the memory is reused after it returns */
  constructor(sink: (chunk: Uint8Array) => void) {
    this.#sink = sink;
  }

  /** Makes room for `count` more bytes in one piece. @returns the offset at which they begin */
  reserve(count: number): number {
    if (this.length + count > this.bytes.length) {
      this.flush();
      if (count > this.bytes.length) {
        this.bytes = new Uint8Array(count);
        this.view = new DataView(this.bytes.buffer);
      }
    }
    const at = this.length;
    this.length += count;
    return at;
  }

  /** Copies `length` bytes of `source` to `at`, which has been reserved. */
  copy(at: number, source: Uint8Array, offset: number, length: number): void {
    // A short copy by hand costs less than the view object that set() would need.
    if (length <= 64) {
      for (let i = 0; i < length; i++) this.bytes[at + i] = source[offset + i]!;
    } else {
      this.bytes.set(source.subarray(offset, offset + length), at);
    }
  }

  flush(): void {
    if (this.length === 0) return;
    this.#sink(this.bytes.subarray(0, this.length));
    this.length = 0;
  }
}
