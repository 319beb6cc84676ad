import { hashFlowKey } from '../classifier/flow-key.ts';

/** Seed of the other half of the hash that stands for a flow's key. */
const SEED_HIGH = 0x51ed270b;

/**
 * The flows that have frames in the transmit buffer, so that no frame overtakes an earlier one of its flow.
 * An entry lives as long as a frame of its flow waits. Allocates only when it is made.
 *
 * Instead of its key an entry keeps 64 bits of hash. Two flows that share them would wait for each other: never an
 * overtaking, and one pair in 10^10 with 60,000 flows waiting.
 */
export class FlowOrder {
  /** Frames of the flow in the buffer. */
  readonly waiting: Int32Array;
  /** Those of them that may not leave yet. */
  readonly blocking: Int32Array;
  /** Marks flows in one scan of the buffer: see TxBuffer.releaseThrough. */
  readonly stamp: Int32Array;
  /** The hash that stands for the flow's key. */
  readonly high: Int32Array;
  readonly low: Int32Array;
  readonly #next: Int32Array;
  readonly #buckets: Int32Array;
  #free: number;

  /** @param capacity the most flows at once: the most frames in the buffer */
  constructor(capacity: number) {
    this.waiting = new Int32Array(capacity);
    this.blocking = new Int32Array(capacity);
    this.stamp = new Int32Array(capacity);
    this.high = new Int32Array(capacity);
    this.low = new Int32Array(capacity);
    this.#next = Int32Array.from({ length: capacity }, (_, entry) => (entry + 1 < capacity ? entry + 1 : -1));
    this.#buckets = new Int32Array(2 ** Math.ceil(Math.log2(capacity + 1))).fill(-1);
    this.#free = capacity > 0 ? 0 : -1;
  }

  /** @returns the flow's entry, or -1 when no frame of it waits */
  find(key: Int32Array): number {
    return this.#find(hashFlowKey(key, SEED_HIGH), hashFlowKey(key));
  }

  /** Counts one more frame of the flow. @returns its entry */
  add(key: Int32Array): number {
    return this.addHash(hashFlowKey(key, SEED_HIGH), hashFlowKey(key));
  }

  /** Counts one more frame of the flow that these two words stand for. @returns its entry */
  addHash(high: number, low: number): number {
    let entry = this.#find(high, low);
    if (entry < 0) {
      entry = this.#free;
      if (entry < 0) throw new Error('flow order: more flows than frames in the buffer');
      this.#free = this.#next[entry]!;
      const bucket = low & (this.#buckets.length - 1);
      this.high[entry] = high;
      this.low[entry] = low;
      this.#next[entry] = this.#buckets[bucket]!;
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
    const bucket = this.low[entry]! & (this.#buckets.length - 1);
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

  #find(high: number, low: number): number {
    let entry = this.#buckets[low & (this.#buckets.length - 1)]!;
    while (entry >= 0 && (this.high[entry] !== high || this.low[entry] !== low)) entry = this.#next[entry]!;
    return entry;
  }
}
