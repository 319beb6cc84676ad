import type { Clock } from './clock.ts';

const NS_PER_MS = 1e6;
const TICK_MS = 50;
/** Between two looks at the clock; more is a standstill. What is shorter goes unnoticed: whoever waits for a lease allows for it. */
export const UNNOTICED_MS = 150;

/**
 * Notices that the process was not let run while the clock went on: it was stopped, or swapped out. What it reads right afterwards may have
 * been sent before, and a request that was must not count as a sign of life of now. A machine whose clock stood still too is not noticed.
 */
export class Standstill {
  readonly #clock: Clock;
  readonly #ticker: NodeJS.Timeout;
  #lastNs: number;
  /** Begin of a standstill that ended at the last tick; NaN: there was none. */
  #beganNs = Number.NaN;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastNs = clock.nowNs();
    this.#ticker = setInterval(() => this.#tick(), TICK_MS).unref();
  }

  /** @returns now, on the clock; or after a standstill when that began: what is read now was sent then or later, and nobody knows when */
  sentNs(): number {
    const nowNs = this.#clock.nowNs();
    // The process may have been stopped again before it came to its sockets: then the first standstill counts.
    if (!Number.isNaN(this.#beganNs)) return this.#beganNs;
    // The loop may come to its sockets before it comes to its timers.
    return this.#isStandstill(nowNs) ? this.#lastNs : nowNs;
  }

  close(): void {
    clearInterval(this.#ticker);
  }

  #tick(): void {
    const nowNs = this.#clock.nowNs();
    this.#beganNs = this.#isStandstill(nowNs) ? this.#lastNs : Number.NaN;
    this.#lastNs = nowNs;
  }

  #isStandstill(nowNs: number): boolean {
    return nowNs - this.#lastNs > UNNOTICED_MS * NS_PER_MS;
  }
}
