/** Index of each counter in `PortCounters.values`. */
export const PORT_COUNT = {
  /** Frames, and their bytes without FCS, that `receive` gave. */
  received: 0,
  receivedBytes: 1,
  /** Frames that the link took. */
  sent: 2,
  sentBytes: 3,
  /** Frames that the kernel or the peer lost before they could be read, as it says itself: `port-lost`. */
  lost: 4,
  /** Frames that the link could not take now; they were offered again. Each attempt counts. */
  refused: 5,
  /** Frames to be sent that were dropped because the link was down or its device gone. */
  linkDown: 6,
  /** Frames to be sent that were dropped because they are longer than the link's MTU allows. */
  tooLong: 7,
  /** Frames to be sent that were dropped because the link cannot take such ones at all. */
  invalid: 8,
} as const;

/** What a port did, since it was made. Doubles, exact to 2^53. */
export class PortCounters {
  readonly values = new Float64Array(Object.keys(PORT_COUNT).length);

  get(name: keyof typeof PORT_COUNT): number {
    return this.values[PORT_COUNT[name]]!;
  }

  /** @returns every counter by its name */
  byName(): Record<keyof typeof PORT_COUNT, number> {
    const entries = Object.entries(PORT_COUNT).map(([name, index]) => [name, this.values[index]!]);
    return Object.fromEntries(entries) as Record<keyof typeof PORT_COUNT, number>;
  }
}
