import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { IP4 } from '../../classifier/headers.ts';
import { LinearMatcher } from '../../classifier/linear.ts';
import { LiveState } from '../../classifier/live-state.ts';
import { L3, type Parsed } from '../../classifier/parsed.ts';
import { checkRules } from '../../rules/check.ts';
import type { FieldMatch, Match, Rule, RuleSet } from '../../rules/rule.ts';
import { arbitraryRuleSet } from '../support/arbitrary-rules.ts';
import { FrameMaker } from '../support/frame-maker.ts';
import { runs, SEED } from '../support/runs.ts';

/** How a rule is made from those before it: so that some of them hide others, alone or together. */
const RECIPE = fc.record({
  how: fc.constantFrom('both', 'same', 'halves', 'wider', 'complement'),
  one: fc.nat(),
  other: fc.nat(),
  verdict: fc.constantFrom('pass', 'hold', 'drop'),
} as const);
type Recipe = typeof RECIPE extends fc.Arbitrary<infer T> ? T : never;

/** The match with the lower or the upper half of its values. */
function half(match: Match, upper: boolean): Match {
  if (match.kind !== 'field' && match.kind !== 'raw') return match;
  const { low } = match.intervals[0]!;
  const { high } = match.intervals.at(-1)!;
  const middle = (low + high) >> 1n;
  return { ...match, intervals: [upper && middle < high ? { low: middle + 1n, high } : { low, high: middle }] };
}

function made(lists: readonly (readonly Match[])[], { how, one, other }: Recipe): (readonly Match[])[] {
  const first = lists[one % lists.length]!;
  const second = lists[other % lists.length]!;
  switch (how) {
    case 'both':
      return [[...second, ...first]];
    case 'same':
      return [first];
    case 'halves': {
      const [head, ...rest] = first;
      return head === undefined ? [] : [[half(head, false), ...rest], [half(head, true), ...rest], first];
    }
    case 'wider':
      return [first.slice(1), first];
    case 'complement': {
      const [head, ...rest] = first;
      if (head === undefined || !('negated' in head)) return [];
      return [
        [head, ...rest],
        [{ ...head, negated: !head.negated }, ...rest],
        [...rest, ...second],
      ];
    }
  }
}

const RULE_SETS: fc.Arbitrary<RuleSet> = fc
  .tuple(
    arbitraryRuleSet(4),
    fc.array(RECIPE, { minLength: 1, maxLength: 6 }),
    fc.constantFrom(null, 'data', 'control'),
  )
  .filter(([{ outbound }]) => outbound.some((rule) => !rule.isDefault))
  .map(([ruleSet, recipes, className]) => {
    const given = ruleSet.outbound.filter((rule) => !rule.isDefault);
    const matches = given.map((rule) => rule.matches);
    const lists = [...matches, ...recipes.flatMap((recipe) => made(matches, recipe))].filter((list) => list.length > 0);
    const outbound = lists.map((list, i): Rule => {
      const verdict = recipes[i % recipes.length]!.verdict;
      const place = { file: 'made.rules', line: i + 1, column: 1 };
      return { ...given[0]!, handle: i + 1, place, matches: list, className, verdict };
    });
    return { ...ruleSet, outbound };
  });

/** A frame that rules are asked about: not a later fragment, which follows its first one. */
function madeFrame(maker: FrameMaker, seed: number): Parsed {
  const p = maker.make(seed);
  if (p.l3 === L3.ip4) {
    const at = p.l3Offset + IP4.fragment;
    maker.slab.setUint16(at, maker.slab.getUint16(at) & 0xe000);
  }
  return p;
}

describe('what is said of rules is true of any frame', () => {
  it('a rule that is said not to be reached, or to match nothing, never decides', () => {
    const told = new Map<string, number>();
    fc.assert(
      fc.property(RULE_SETS, fc.nat(), (ruleSet, seed) => {
        const maker = new FrameMaker(ruleSet);
        const matcher = new LinearMatcher(ruleSet.outbound, new LiveState(ruleSet.sets));
        const warnings = checkRules(ruleSet, []).filter(({ code }) => code !== 'unused-class');
        for (const { code } of warnings) told.set(code, (told.get(code) ?? 0) + 1);
        if (warnings.length === 0) return;
        for (let i = 0; i < 30; i++) {
          const p = madeFrame(maker, seed + i);
          const decision = matcher.classify(p, maker.slab);
          for (const { code, line, message, related } of warnings) {
            expect(decision, `${code}: ${message}`).not.toBe(line - 1);
            const answer = matcher.answerRule(line - 1, p, maker.slab);
            if (answer !== ANSWER.yes) continue;
            expect(code).not.toBe('never-matches');
            // The one rule that hides it takes the frame, or holds it for want of an answer.
            if (message.includes('one of these')) continue;
            expect(matcher.answerRule(related!.line - 1, p, maker.slab), message).not.toBe(ANSWER.no);
          }
        }
      }),
      { numRuns: runs(400), ...SEED },
    );
    const codes = ['never-matches', 'duplicate-rule', 'conflicting-rule', 'shadowed-rule'];
    for (const code of codes) expect([code, (told.get(code) ?? 0) > runs(400) / 50]).toEqual([code, true]);
  });

  it('rules that are said to match the same frames do', () => {
    fc.assert(
      fc.property(RULE_SETS, fc.nat(), (ruleSet, seed) => {
        const maker = new FrameMaker(ruleSet);
        const matcher = new LinearMatcher(ruleSet.outbound, new LiveState(ruleSet.sets));
        const warnings = checkRules(ruleSet, []).filter(
          ({ code }) => code === 'duplicate-rule' || code === 'conflicting-rule',
        );
        for (let i = 0; i < 20 && warnings.length > 0; i++) {
          const p = madeFrame(maker, seed + i);
          for (const { line, related, message } of warnings) {
            const isYes = [line, related!.line].map(
              (each) => matcher.answerRule(each - 1, p, maker.slab) === ANSWER.yes,
            );
            expect(isYes[0], message).toBe(isYes[1]);
          }
        }
      }),
      { numRuns: runs(200), ...SEED },
    );
  });
});

describe('what is made to be hidden is found', () => {
  const narrowed = (match: Match, seed: number): Match => {
    if (match.kind !== 'field' || match.negated || match.mask !== null) return match;
    const { low, high } = match.intervals[seed % match.intervals.length]!;
    return { ...match, intervals: [{ low, high: low + (high - low) / BigInt(1 + (seed % 3)) }] } satisfies FieldMatch;
  };

  it('a rule with the matches of an earlier one, or narrower ones, and perhaps more', () => {
    fc.assert(
      fc.property(arbitraryRuleSet(6), fc.nat(), fc.nat(), (ruleSet, one, other) => {
        const rules = ruleSet.outbound.filter((rule) => !rule.isDefault);
        fc.pre(rules.length > 0);
        const wide = rules[one % rules.length]!;
        const more = rules[other % rules.length]!.matches;
        const matches = [...more, ...wide.matches.map((match) => narrowed(match, other))];
        const line = rules.length + 1;
        const last = { ...wide, matches, handle: line, place: { ...wide.place, line } };
        const warned = checkRules({ ...ruleSet, outbound: [...rules, last] }, []).map((warning) => warning.line);
        expect(warned).toContain(line);
      }),
      { numRuns: runs(500), ...SEED },
    );
  });

  it('a range that earlier ones make up, in any order', () => {
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 65_534 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(cuts, fc.boolean(), (unsorted, reversed) => {
        const ends = [...unsorted].sort((a, b) => a - b);
        const ranges = [0, ...ends].map((low, i) => [BigInt(low), BigInt((ends[i] ?? 65_536) - 1)] as const);
        const lists = (reversed ? ranges.toReversed() : ranges).map(([low, high]) => [port(low, high)]);
        const whole = port(0n, 65_535n);
        expect(warnedLines([...lists, [whole]])).toEqual([lists.length + 1]);
        // With one of them missing it is reached.
        for (let i = 0; i < lists.length; i++) expect(warnedLines([...lists.toSpliced(i, 1), [whole]])).toEqual([]);
      }),
      { numRuns: runs(60), ...SEED },
    );
  });
});

function port(low: bigint, high: bigint): Match {
  return { kind: 'field', field: 'udp.dport', mask: null, negated: false, intervals: [{ low, high }] };
}

function warnedLines(lists: readonly (readonly Match[])[]): number[] {
  const outbound = lists.map(
    (matches, i): Rule => ({
      handle: i + 1,
      place: { file: 'made.rules', line: i + 1, column: 1 },
      text: `rule ${i + 1}`,
      matches,
      className: null,
      verdict: 'hold',
      isDefault: false,
      guard: false,
      ordered: false,
      comment: null,
    }),
  );
  const ruleSet = { file: 'made.rules', classes: [], sets: [], unusedSets: [], outbound, inbound: null };
  return checkRules(ruleSet, []).map(({ line }) => line);
}
