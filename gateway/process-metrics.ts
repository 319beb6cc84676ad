import { readdirSync } from 'node:fs';
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import type { Clock } from './clock.ts';
import type { Exposition } from './exposition.ts';
import { FAMILY } from './metric-families.ts';

const NS_PER_SECOND = 1e9;
const RESOLUTION_MS = 20;
/** Several readers may ask: each gets the delays of the last span of at least this length that is over. */
const SPAN_NS = 15 * NS_PER_SECOND;

/** What the process itself costs. Measures the event loop from when it is made until `close`. */
export class ProcessMetrics {
  readonly #clock: Clock;
  readonly #delays: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #spanStartNs: number;
  /** Of the last span; null: the first is not over. */
  #lastSeconds: number | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#spanStartNs = clock.nowNs();
    this.#delays.enable();
  }

  write(to: Exposition): void {
    const { user, system } = process.cpuUsage();
    to.family(FAMILY.cpu).sample([], (user + system) / 1e6);
    to.family(FAMILY.resident).sample([], process.memoryUsage.rss());
    to.family(FAMILY.startTime).sample([], performance.timeOrigin / 1e3);
    to.family(FAMILY.openFds);
    const fds = openFds();
    if (fds !== null) to.sample([], fds);
    to.family(FAMILY.loopDelay).sample([], this.#loopDelaySeconds());
  }

  close(): void {
    this.#delays.disable();
  }

  #loopDelaySeconds(): number {
    const nowNs = this.#clock.nowNs();
    const current = this.#p99Seconds();
    if (nowNs - this.#spanStartNs >= SPAN_NS) {
      this.#spanStartNs = nowNs;
      this.#lastSeconds = current;
      this.#delays.reset();
    }
    return this.#lastSeconds ?? current;
  }

  /** The monitor measures from one of its ticks to the next, so that an idle loop's values are its resolution. */
  #p99Seconds(): number {
    if (this.#delays.count === 0) return 0;
    return Math.max(0, this.#delays.percentile(99) / NS_PER_SECOND - RESOLUTION_MS / 1e3);
  }
}

/** @returns null where the system does not tell */
function openFds(): number | null {
  try {
    // One is the folder itself.
    return readdirSync('/proc/self/fd').length - 1;
  } catch {
    return null;
  }
}
