import fc from 'fast-check';
import { test } from 'vitest';
import { gapsBehindOneThatStays, mixedOperations } from '../support/buffer-model.ts';

const numRuns = Number(process.env.HOLDFAST_RUNS ?? 500);
const seed = process.env.HOLDFAST_SEED === undefined ? {} : { seed: Number(process.env.HOLDFAST_SEED) };

test('the ring holds what a list holds, byte for byte, through wraps, gaps and full limits', () => {
  fc.assert(mixedOperations, { numRuns, ...seed });
});

test('gaps behind a frame that stays are closed before they take the room of others', () => {
  fc.assert(gapsBehindOneThatStays, { numRuns: Math.ceil(numRuns / 10), ...seed });
});
