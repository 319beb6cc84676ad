import { FLOW_KEY_WORDS, hashFlowKey } from '../classifier/flow-key.ts';

/**
 * The flows that have frames in the transmit buffer, so that no frame overtakes an earlier one of its flow.
 * An entry lives as long as a frame of its flow waits. Allocates only when it is made.
 */
export class FlowOrder {
  /** Frames of the flow in the buffer. */
  readonly waiting: Int32Array;
  /** Those of them that may not leave yet. */
  readonly blocking: Int32Array;
  /** Marks flows in one scan of the buffer: see TxBuffer.releaseThrough. */
  readonly stamp: Int32Array;
  readonly #keys: Int32Array;
  readonly #next: Int32Array;
  readonly #bucketOf: Int32Array;
  readonly #buckets: Int32Array;
  #free: number;

  /** @param capacity the most flows at once: the most frames in the buffer */
  constructor(capacity: number) {
    this.waiting = new Int32Array(capacity);
    this.blocking = new Int32Array(capacity);
    this.stamp = new Int32Array(capacity);
    this.#keys = new Int32Array(capacity * FLOW_KEY_WORDS);
    this.#next = Int32Array.from({ length: capacity }, (_, entry) => (entry + 1 < capacity ? entry + 1 : -1));
    this.#bucketOf = new Int32Array(capacity);
    this.#buckets = new Int32Array(2 ** Math.ceil(Math.log2(capacity + 1))).fill(-1);
    this.#free = capacity > 0 ? 0 : -1;
  }

  /** @returns the flow's entry, or -1 when no frame of it waits */
  find(key: Int32Array): number {
    let entry = this.#buckets[this.#bucket(key)]!;
    while (entry >= 0 && !this.#isKey(entry, key)) entry = this.#next[entry]!;
    return entry;
  }

  /** Counts one more frame of the flow. @returns its entry */
  add(key: Int32Array): number {
    let entry = this.find(key);
    if (entry < 0) {
      entry = this.#free;
      if (entry < 0) throw new Error('flow order: more flows than frames in the buffer');
      this.#free = this.#next[entry]!;
      const bucket = this.#bucket(key);
      this.#keys.set(key, entry * FLOW_KEY_WORDS);
      this.#next[entry] = this.#buckets[bucket]!;
      this.#bucketOf[entry] = bucket;
      this.#buckets[bucket] = entry;
      this.waiting[entry] = 0;
      this.blocking[entry] = 0;
      this.stamp[entry] = 0;
    }
    this.waiting[entry]!++;
    return entry;
  }

  /** Counts one frame of the flow less; the last one ends the entry. */
  remove(entry: number): void {
    const left = this.waiting[entry]! - 1;
    this.waiting[entry] = left;
    if (left > 0) return;
    const bucket = this.#bucketOf[entry]!;
    if (this.#buckets[bucket] === entry) {
      this.#buckets[bucket] = this.#next[entry]!;
    } else {
      let at = this.#buckets[bucket]!;
      while (this.#next[at] !== entry) at = this.#next[at]!;
      this.#next[at] = this.#next[entry]!;
    }
    this.#next[entry] = this.#free;
    this.#free = entry;
  }

  #bucket(key: Int32Array): number {
    return hashFlowKey(key) & (this.#buckets.length - 1);
  }

  #isKey(entry: number, key: Int32Array): boolean {
    const base = entry * FLOW_KEY_WORDS;
    for (let i = 0; i < FLOW_KEY_WORDS; i++) if (this.#keys[base + i] !== key[i]) return false;
    return true;
  }
}
