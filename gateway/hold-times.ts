import type { FrameBatch } from './frame-batch.ts';

const NS_PER_SECOND = 1e9;

/** Upper bounds of the buckets, inclusive, in seconds: 100 µs to a minute, three per factor of ten. */
export const HOLD_BUCKETS_SECONDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const;

const BOUNDS_NS = Float64Array.from(HOLD_BUCKETS_SECONDS, (seconds) => Math.round(seconds * NS_PER_SECOND));

/** How long released frames were held, from when they came to when they left. Allocates only when it is made. */
export class HoldTimes {
  /** Frames per bucket, each counted once; the last bucket is for all that was held longer than the last bound. */
  readonly counts = new Float64Array(BOUNDS_NS.length + 1);
  readonly #sumNs = new Float64Array(1);

  get sumSeconds(): number {
    return this.#sumNs[0]! / NS_PER_SECOND;
  }

  /** The first `count` frames of the batch leave at `nowNs`. */
  add(batch: FrameBatch, count: number, nowNs: number): void {
    // Neighbours were held for about as long: the search begins where it ended.
    let bucket = 0;
    for (let i = 0; i < count; i++) {
      // An arrival that lies ahead comes from a port whose clock does not stand still while a batch is dealt with.
      const heldNs = Math.max(0, nowNs - batch.arrivalNs[i]!);
      while (bucket < BOUNDS_NS.length && heldNs > BOUNDS_NS[bucket]!) bucket++;
      while (bucket > 0 && heldNs <= BOUNDS_NS[bucket - 1]!) bucket--;
      this.counts[bucket]!++;
      this.#sumNs[0]! += heldNs;
    }
  }
}
