import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileMatcher } from '../../classifier/compile.ts';
import { LinearMatcher } from '../../classifier/linear.ts';
import { type Matcher, NO_MATCH } from '../../classifier/matcher.ts';
import type { RuleSet } from '../../rules/rule.ts';
import { arbitraryRuleSet, FrameMaker, Random } from '../support/arbitrary-rules.ts';
import { LARGE_SHAPES, largeRuleSet } from '../support/large-rules.ts';
import { runs } from '../support/runs.ts';

const FRAMES_PER_SET = 60;

/** Frames that one rule set's two matchers must agree on; what they said is returned. */
function compareOn(ruleSet: RuleSet, seeds: readonly number[]): number[] {
  const linear = new LinearMatcher(ruleSet);
  const compiled: Matcher = compileMatcher(ruleSet);
  const maker = new FrameMaker(ruleSet);
  return seeds.map((seed) => {
    const frame = maker.make(seed);
    const expected = linear.classify(frame, maker.slab);
    expect(compiled.classify(frame, maker.slab), `frame of seed ${seed}`).toBe(expected);
    return expected;
  });
}

function seedsFrom(seed: number, count: number): number[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => random.below(0x7fffffff));
}

describe('a compiled matcher', () => {
  it.each([
    [3, 200],
    [30, 150],
    [300, 100],
  ])(
    "answers as the linear one does, on any set of up to %i rules and frames on the rules' edges",
    (maxRules, sets) => {
      const seen = { rules: 0, none: 0, unknown: 0 };
      fc.assert(
        fc.property(arbitraryRuleSet(maxRules), fc.integer(), (ruleSet, seed) => {
          for (const answer of compareOn(ruleSet, seedsFrom(seed, FRAMES_PER_SET))) {
            if (answer >= 0) seen.rules++;
            else if (answer === NO_MATCH) seen.none++;
            else seen.unknown++;
          }
        }),
        { numRuns: runs(sets) },
      );
      // A generator that only makes one kind of answer would prove little.
      if (runs(sets) >= sets) for (const count of Object.values(seen)) expect(count).toBeGreaterThan(sets);
    },
  );

  it.each(LARGE_SHAPES)('answers as the linear one does on 6,000 rules of the shape %s', (shape) => {
    const ruleSet = largeRuleSet(shape, 6000, 7);
    const answers = compareOn(ruleSet, seedsFrom(11, runs(600)));
    if (runs(600) >= 600) expect(new Set(answers).size).toBeGreaterThan(20);
  });

  it.each(LARGE_SHAPES)('keeps the tables of 10,000 rules of the shape %s below 12 MiB', (shape) => {
    expect(compileMatcher(largeRuleSet(shape, 10_000, 3)).sizeBytes).toBeLessThan(12 * 2 ** 20);
  });

  it('answers for an empty rule set', () => {
    expect(compareOn({ file: 'empty', classes: [], outbound: [] }, seedsFrom(1, 40))).toEqual(Array(40).fill(NO_MATCH));
  });
});
