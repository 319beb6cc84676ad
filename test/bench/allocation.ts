import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const ROUNDS = 8;
const CALLS = 4;

setFlagsFromString('--expose-gc');
export const collectGarbage = runInNewContext('gc') as () => void;

/**
 * @param work does its work on `count` frames, enough for it to be compiled after the calls before the first round
 * @returns heap bytes allocated for one frame: the least of several rounds, because the runtime itself allocates too
 */
export function heapBytesPerCall(count: number, work: () => void): number {
  for (let call = 0; call < CALLS; call++) work();
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    for (let call = 0; call < CALLS; call++) work();
    least = Math.min(least, process.memoryUsage().heapUsed - before);
  }
  return Math.max(0, least) / (CALLS * count);
}
