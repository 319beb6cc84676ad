import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { compileMatcher } from '../../classifier/compile.ts';
import { LinearMatcher } from '../../classifier/linear.ts';
import { LiveState } from '../../classifier/live-state.ts';
import { type Matcher, NO_MATCH } from '../../classifier/matcher.ts';
import { SHIPPED_SETS, shippedRules } from '../../rules/load.ts';
import type { RuleSet } from '../../rules/rule.ts';
import { arbitraryRuleSet, ruleSetOf } from '../support/arbitrary-rules.ts';
import { CAPTURES, captureFiles, NO_CAPTURES } from '../support/captures.ts';
import { FrameMaker, flowOf } from '../support/frame-maker.ts';
import { LARGE_SHAPES, largeRuleSet } from '../support/large-rules.ts';
import { Random } from '../support/random.ts';
import { forEachFrame } from '../support/reference-rows.ts';
import { runs } from '../support/runs.ts';

const FRAMES_PER_SET = 200;
/** Between the timeouts of the sets' elements. */
const NOW_NS = 2e9;

/** Frames that one rule set's two matchers must agree on; what they said is returned. */
function compareOn(ruleSet: RuleSet, seeds: readonly number[]): number[] {
  const live = new LiveState(ruleSet.sets);
  live.begin(0);
  live.nowNs = NOW_NS;
  const linear = new LinearMatcher(ruleSet.outbound, live);
  const compiled: Matcher = compileMatcher(ruleSet.outbound, live);
  const maker = new FrameMaker(ruleSet);
  // The host has declared what some of the frames belong to.
  seeds.forEach((seed, i) => {
    const flow = i % 5 === 0 ? flowOf(maker.make(seed)) : null;
    if (flow !== null) live.declared.declare(flow, [null, 'data', 'control'][(i / 5) % 3]!, null, NOW_NS);
  });
  return seeds.map((seed) => {
    const frame = maker.make(seed);
    const expected = linear.classify(frame, maker.slab);
    const found = compiled.classify(frame, maker.slab);
    if (found !== expected) expect.fail(`frame of seed ${seed}: ${found}, not ${expected}`);
    return expected;
  });
}

function seedsFrom(seed: number, count: number): number[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => random.below(0x7fffffff));
}

describe('a compiled matcher', () => {
  it.each([
    [3, 250],
    [30, 200],
    [300, 60],
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
    const answers = compareOn(ruleSet, seedsFrom(11, runs(400)));
    if (runs(400) >= 600) expect(new Set(answers).size).toBeGreaterThan(20);
  });

  it.each(LARGE_SHAPES)('keeps the tables of 10,000 rules of the shape %s below 12 MiB', (shape) => {
    expect(compileMatcher(largeRuleSet(shape, 10_000, 3).outbound, new LiveState([])).sizeBytes).toBeLessThan(
      12 * 2 ** 20,
    );
  });

  it('answers for an empty rule set', () => {
    expect(compareOn(ruleSetOf([]), seedsFrom(1, 40))).toEqual(Array(40).fill(NO_MATCH));
  });
});

describe('the matchers of a shipped set', () => {
  beforeEach(({ skip }) => skip(CAPTURES === null, NO_CAPTURES));

  it('agree on every frame of the reference captures', async () => {
    const sets = await Promise.all(SHIPPED_SETS.map((name) => shippedRules(name)));
    const pairs = sets.map(({ ruleSet }) => {
      const live = new LiveState(ruleSet.sets);
      live.begin(0);
      return [ruleSet.outbound, ruleSet.inbound ?? []].map((rules) => ({
        file: ruleSet.file,
        linear: new LinearMatcher(rules, live),
        compiled: compileMatcher(rules, live),
      }));
    });
    const matchers = pairs.flat();
    let frames = 0;
    for (const file of captureFiles()) {
      forEachFrame(file, (p, slab, packet) => {
        if (p.problem !== 0 || p.fragOffset > 0) return;
        frames++;
        for (const { file: rules, linear, compiled } of matchers) {
          const expected = linear.classify(p, slab);
          const found = compiled.classify(p, slab);
          if (found !== expected) throw new Error(`${rules} on ${file} ${packet}: ${found}, not ${expected}`);
        }
      });
    }
    expect(frames).toBeGreaterThan(10_000);
  });
});
