/**
 * 'No packets' for a VM: until it is resumed, or its time is over, nothing is read from the outside ports. What arrives meanwhile
 * waits in the ports' own queues, and what these lose is theirs to count.
 */
export class Quiesce {
  /** At index 0: until then nothing is delivered; -Infinity: the VM is not quiesced. In an array, so that reading it allocates nothing. */
  readonly until = Float64Array.of(Number.NEGATIVE_INFINITY);

  begin(untilNs: number): void {
    this.until[0] = untilNs;
  }

  /** @returns whether it was still in force */
  end(nowNs: number): boolean {
    const wasInForce = this.until[0]! > nowNs;
    this.until[0] = Number.NEGATIVE_INFINITY;
    return wasInForce;
  }
}
