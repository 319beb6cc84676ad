import { APPS, type AppName, FIELDS, type Match, type Rule } from '../rules/rule.ts';
import { RECOGNISERS } from './apps/index.ts';
import { ANSWER } from './apps/recogniser.ts';
import type { Classifier, Generation } from './classifier.ts';
import { fieldValue } from './field.ts';
import { LinearMatcher } from './linear.ts';
import { L3, type Parsed } from './parsed.ts';
import { REASON, REASON_NAMES, REASON_TEXTS, VERDICT_NAMES } from './verdict.ts';

/** @returns the application that the frame's payload shows, null if none is recognised for certain */
export function recognisedApp(p: Parsed, slab: DataView): AppName | null {
  if (p.problem !== 0 || p.payloadCaptured <= 0 || p.fragOffset > 0) return null;
  for (const app of APPS) if (RECOGNISERS[app](p, slab) === ANSWER.yes) return app;
  return null;
}

/** One match of a rule against one frame, for people. */
export interface MatchTrial {
  /** As in `tcp.dport = 5060`; the value is the frame's. */
  readonly text: string;
  readonly answer: 'yes' | 'no' | 'unknown';
}

export interface RuleTrial {
  readonly rule: Rule;
  readonly matches: readonly MatchTrial[];
  readonly answer: 'yes' | 'no' | 'unknown';
}

/** Why a frame got its verdict. */
export interface Derivation {
  /** The rules that were tried, in order; the last one decided. Empty when rules were not asked. */
  readonly trials: readonly RuleTrial[];
  readonly verdict: string;
  readonly reason: string;
  readonly reasonText: string;
}

/**
 * Tries the rules one by one and says what each found. Slow; call it right after `classifier.classify(p, …)`.
 * @param p the frame, as it was classified
 */
export function derive(generation: Generation, classifier: Classifier, p: Parsed, slab: DataView): Derivation {
  const trials: RuleTrial[] = [];
  if (p.problem === 0 && p.fragOffset <= 0 && classifier.reason !== REASON.badChecksum) {
    const linear = new LinearMatcher(generation.ruleSet);
    for (const [index, rule] of generation.ruleSet.outbound.entries()) {
      const matches = rule.matches.map((match, i) => ({
        text: matchText(match, p),
        answer: answerName(linear.answerMatch(index, i, p, slab)),
      }));
      const answer = answerName(linear.answerRule(index, p, slab));
      trials.push({ rule, matches, answer });
      if (answer !== 'no') break;
    }
  }
  return {
    trials,
    verdict: VERDICT_NAMES[classifier.verdict],
    reason: REASON_NAMES[classifier.reason],
    reasonText: REASON_TEXTS[classifier.reason]!,
  };
}

function answerName(answer: number): 'yes' | 'no' | 'unknown' {
  return answer === ANSWER.yes ? 'yes' : answer === ANSWER.no ? 'no' : 'unknown';
}

function matchText(match: Match, p: Parsed): string {
  if (match.kind === 'app') return `app ${match.app}`;
  if (FIELDS[match.field].layer !== 'l2' && p.l3 === L3.unknown) return `${match.field} cannot be read`;
  const value = fieldValue(p, match.field);
  if (value === null) return `${match.field} is not in the frame`;
  const hex = match.field.includes('addr') || match.field === 'ether.type' || match.field === 'tcp.flags';
  return `${match.field} = ${hex ? `0x${value.toString(16)}` : value}`;
}
