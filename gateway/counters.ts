import { REASON_NAMES } from '../classifier/verdict.ts';

/** Index of each counter in `Counters.values`. */
export const COUNT = {
  outbound: 0,
  inbound: 1,
  passed: 2,
  held: 3,
  released: 4,
  discarded: 5,
  dropped: 6,
  inboundPassed: 7,
  inboundDropped: 8,
} as const;

/**
 * What became of every frame. Doubles, exact to 2^53.
 * Outbound frames end as passed, released, discarded or dropped, or are still held; the sum always holds. `held`
 * counts frames that were ever in the transmit buffer. Reasons count each frame once, both directions.
 */
export class Counters {
  readonly values = new Float64Array(Object.keys(COUNT).length);
  readonly reasons = new Float64Array(REASON_NAMES.length);

  get(name: keyof typeof COUNT): number {
    return this.values[COUNT[name]]!;
  }

  /** @returns the reasons that occurred, by name */
  reasonsByName(): Record<string, number> {
    const result: Record<string, number> = {};
    REASON_NAMES.forEach((name, code) => {
      const count = this.reasons[code]!;
      if (count > 0) result[name] = count;
    });
    return result;
  }
}
