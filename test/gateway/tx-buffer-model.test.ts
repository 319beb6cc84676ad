import fc from 'fast-check';
import { test } from 'vitest';
import { gapsBehindOneThatStays, mixedOperations } from '../support/buffer-model.ts';
import { runs, SEED } from '../support/runs.ts';

const numRuns = runs(500);

test('the ring holds what a list holds, byte for byte, through wraps, gaps and full limits', () => {
  fc.assert(mixedOperations, { numRuns, ...SEED });
});

test('gaps behind a frame that stays are closed before they take the room of others', () => {
  fc.assert(gapsBehindOneThatStays, { numRuns: Math.ceil(numRuns / 10), ...SEED });
});
