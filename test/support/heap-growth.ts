/** How long V8 may take to optimise: on a busy machine its compiler thread waits for a processor. */
const MOST_ROUNDS = 60;

export interface HeapGrowth {
  /** The fewest by which the heap grew in one of the rounds. */
  readonly bytes: number;
  /** How many there were. */
  readonly rounds: number;
}

/**
 * Needs `--expose-gc`.
 * @param enough no further round is tried once the heap grew by fewer bytes in one
 * @param after what a round leaves to be done, not measured
 */
export function leastHeapGrowth(round: () => void, enough: number, after: () => void = () => {}): HeapGrowth {
  const gc = globalThis.gc;
  if (gc === undefined) throw new Error('run with --expose-gc');
  let bytes = Number.POSITIVE_INFINITY;
  let rounds = 0;
  for (; rounds < MOST_ROUNDS && bytes >= enough; rounds++) {
    gc();
    const before = process.memoryUsage().heapUsed;
    round();
    bytes = Math.min(bytes, process.memoryUsage().heapUsed - before);
    after();
  }
  return { bytes, rounds };
}

/** @returns the fewest bytes by which the heap grew in one of eight rounds of something that allocates */
export function leastOfEight(round: () => void): number {
  return Math.min(...Array.from({ length: 8 }, () => leastHeapGrowth(round, Number.POSITIVE_INFINITY).bytes));
}
