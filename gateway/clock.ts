/**
 * The gateway's time: nanoseconds since an origin of the clock's choice, as a double (exact to the nanosecond for
 * 104 days). It never steps back. Everything that depends on time takes it from here, so that a replay is
 * deterministic.
 */
export interface Clock {
  nowNs(): number;
}

/** Time that stands still until it is told to move. */
export class VirtualClock implements Clock {
  readonly #now = new Float64Array(1);

  nowNs(): number {
    return this.#now[0]!;
  }

  /** Moves to `timeNs`; an earlier time changes nothing. */
  advanceTo(timeNs: number): void {
    if (timeNs > this.#now[0]!) this.#now[0] = timeNs;
  }
}
