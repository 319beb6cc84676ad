import type { Clock } from './clock.ts';

/**
 * The machine's monotonic clock: nanoseconds since it booted, so that times of one process of the gateway can be compared with
 * those of the next.
 */
export class LiveClock implements Clock {
  /** When the clock was 0, since 1970. */
  readonly origin: { readonly seconds: number; readonly nanoseconds: number };
  readonly #originNs: number;

  constructor() {
    this.#originNs = Number(process.hrtime.bigint()) - performance.now() * 1e6;
    const bootMs = performance.timeOrigin - this.#originNs / 1e6;
    const seconds = Math.floor(bootMs / 1e3);
    this.origin = { seconds, nanoseconds: Math.floor((bootMs - seconds * 1e3) * 1e6) };
  }

  nowNs(): number {
    return Math.round(this.#originNs + performance.now() * 1e6);
  }
}
