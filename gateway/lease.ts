/**
 * How long data may pass without a sign of life from the host. Begins with a term; every request of the term renews it.
 * Knows no frames: whoever reads them compares `deadline` with the clock.
 */
export class Lease {
  /** At index 0: from then on everything is held; Infinity: never. In an array, so that reading it allocates nothing. */
  readonly deadline = Float64Array.of(Number.POSITIVE_INFINITY);
  #leaseNs = Number.POSITIVE_INFINITY;
  #signNs = Number.NaN;

  /** A term begins. @param leaseNs Infinity: data passes however long the host is silent */
  grant(leaseNs: number, nowNs: number): void {
    this.#leaseNs = leaseNs;
    this.renew(nowNs);
  }

  /** The host has given a sign of life. */
  renew(nowNs: number): void {
    this.#signNs = nowNs;
    this.deadline[0] = nowNs + this.#leaseNs;
  }

  /** No term is in force. */
  end(): void {
    this.#signNs = Number.NaN;
    this.#leaseNs = Number.POSITIVE_INFINITY;
    this.deadline[0] = Number.POSITIVE_INFINITY;
  }

  /** @returns how long the host has been silent, NaN without a term */
  silentNs(nowNs: number): number {
    return nowNs - this.#signNs;
  }
}
