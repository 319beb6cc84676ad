import type { Clock } from '../clock.ts';

const SECOND_NS = 1e9;
/** Handshakes take about a millisecond of the thread that forwards frames. */
const MOST_IN_ALL = 100;
const MOST_OF_ONE = 20;

/** Says how many new connections are worth a handshake: so many a second, and so many from each address. */
export class ConnectionRate {
  readonly #clock: Clock;
  readonly #byAddress = new Map<string, number>();
  #sinceNs = Number.NEGATIVE_INFINITY;
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A connection has come. @returns false: it is one too many */
  admits(address: string): boolean {
    const nowNs = this.#clock.nowNs();
    if (nowNs - this.#sinceNs >= SECOND_NS) {
      this.#sinceNs = nowNs;
      this.#count = 0;
      this.#byAddress.clear();
    }
    if (this.#count >= MOST_IN_ALL) return false;
    const ofOne = this.#byAddress.get(address) ?? 0;
    if (ofOne >= MOST_OF_ONE) return false;
    this.#count++;
    this.#byAddress.set(address, ofOne + 1);
    return true;
  }
}
