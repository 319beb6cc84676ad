const factor = Number(process.env.HOLDFAST_RUNS ?? 1);
const seed = process.env.HOLDFAST_SEED;

/** @returns how often a property is tried that is tried `usually` times: HOLDFAST_RUNS multiplies it */
export function runs(usually: number): number {
  return Math.max(1, Math.round(usually * factor));
}

/** For `fc.assert`: the seed that HOLDFAST_SEED repeats, if it is set. */
export const SEED = seed === undefined ? {} : { seed: Number(seed) };
