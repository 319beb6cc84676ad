const BUCKETS = 48;
/** The first width; it doubles whenever time runs past the last bucket. */
const FIRST_WIDTH_NS = 1e6;

/** The fullest that the transmit buffer was, in equal spans of time, however long it takes. */
export class Timeline {
  readonly frames = new Float64Array(BUCKETS);
  readonly bytes = new Float64Array(BUCKETS);
  widthNs = FIRST_WIDTH_NS;
  #last = 0;
  #lastFrames = 0;
  #lastBytes = 0;

  /** Spans in use. */
  get length(): number {
    return this.#last + 1;
  }

  /** Notes what is held from `nowNs` on. */
  sample(nowNs: number, frames: number, bytes: number): void {
    while (nowNs >= this.widthNs * BUCKETS) this.#widen();
    const index = Math.max(this.#last, Math.floor(nowNs / this.widthNs));
    for (let i = this.#last; i <= index; i++) this.#raise(i, this.#lastFrames, this.#lastBytes);
    this.#raise(index, frames, bytes);
    this.#last = index;
    this.#lastFrames = frames;
    this.#lastBytes = bytes;
  }

  #raise(index: number, frames: number, bytes: number): void {
    if (frames > this.frames[index]!) this.frames[index] = frames;
    if (bytes > this.bytes[index]!) this.bytes[index] = bytes;
  }

  #widen(): void {
    this.widthNs *= 2;
    this.#last >>= 1;
    for (const values of [this.frames, this.bytes]) {
      for (let i = 0; i < BUCKETS / 2; i++) values[i] = Math.max(values[2 * i]!, values[2 * i + 1]!);
      values.fill(0, BUCKETS / 2);
    }
  }
}
