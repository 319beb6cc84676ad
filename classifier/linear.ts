import { type AppName, FIELDS, type FieldName, type Match, type RuleSet } from '../rules/rule.ts';
import { RECOGNISERS } from './apps/index.ts';
import { ANSWER, type Answer } from './apps/recogniser.ts';
import { carries, FIELD_WORDS, readWord, wordsOf } from './field.ts';
import { type Matcher, NO_MATCH, UNKNOWN_ETHERTYPE, UNKNOWN_TRUNCATED } from './matcher.ts';
import { L3, type Parsed } from './parsed.ts';

interface PlainFieldMatch {
  readonly field: FieldName;
  readonly isLayer2: boolean;
  readonly words: readonly number[];
  readonly mask: Int32Array;
  readonly lows: readonly Int32Array[];
  readonly highs: readonly Int32Array[];
  readonly negated: boolean;
}

interface PlainAppMatch {
  readonly app: AppName;
  readonly negated: boolean;
}

type PlainMatch = PlainFieldMatch | PlainAppMatch;

/**
 * The rules as written, one after another: the meaning of a rule set, against which faster matchers are tested.
 * `answerRule` and `answerMatch` say why a frame ended where it did.
 */
export class LinearMatcher implements Matcher {
  readonly #rules: readonly (readonly PlainMatch[])[];

  constructor(ruleSet: RuleSet) {
    this.#rules = ruleSet.outbound.map((rule) => rule.matches.map(plain));
  }

  classify(p: Parsed, slab: DataView): number {
    for (let index = 0; index < this.#rules.length; index++) {
      const answer = this.answerRule(index, p, slab);
      if (answer === ANSWER.yes) return index;
      // Only an application can be unknown where the network header was read.
      if (answer === ANSWER.unknown) return p.l3 === L3.unknown ? UNKNOWN_ETHERTYPE : UNKNOWN_TRUNCATED;
    }
    return NO_MATCH;
  }

  /** @param index into the rule set's `outbound` */
  answerRule(index: number, p: Parsed, slab: DataView): Answer {
    const matches = this.#rules[index]!;
    let answer: Answer = ANSWER.yes;
    for (let i = 0; i < matches.length; i++) {
      const one = answerOf(matches[i]!, p, slab);
      if (one === ANSWER.no) return ANSWER.no;
      if (one === ANSWER.unknown) answer = ANSWER.unknown;
    }
    return answer;
  }

  /** @param index into the rule set's `outbound` @param match into that rule's `matches` */
  answerMatch(index: number, match: number, p: Parsed, slab: DataView): Answer {
    return answerOf(this.#rules[index]![match]!, p, slab);
  }
}

function plain(match: Match): PlainMatch {
  if (match.kind === 'app') return { app: match.app, negated: match.negated };
  const { field } = match;
  return {
    field,
    isLayer2: FIELDS[field].layer === 'l2',
    words: FIELD_WORDS[field],
    mask: wordsOf(field, match.mask ?? -1n),
    lows: match.intervals.map((interval) => wordsOf(field, interval.low)),
    highs: match.intervals.map((interval) => wordsOf(field, interval.high)),
    negated: match.negated,
  };
}

function answerOf(match: PlainMatch, p: Parsed, slab: DataView): Answer {
  return 'app' in match ? answerOfApp(match, p, slab) : answerOfField(match, p);
}

function answerOfApp(match: PlainAppMatch, p: Parsed, slab: DataView): Answer {
  if (p.l3 === L3.unknown) return ANSWER.unknown;
  const answer = RECOGNISERS[match.app](p, slab);
  if (answer === ANSWER.unknown) return ANSWER.unknown;
  return (answer === ANSWER.yes) !== match.negated ? ANSWER.yes : ANSWER.no;
}

function answerOfField(match: PlainFieldMatch, p: Parsed): Answer {
  if (!match.isLayer2 && p.l3 === L3.unknown) return ANSWER.unknown;
  if (!carries(match.field, p.l3, p.l4, p.vlanCount > 0)) return ANSWER.no;
  return isInside(match, p) !== match.negated ? ANSWER.yes : ANSWER.no;
}

function isInside(match: PlainFieldMatch, p: Parsed): boolean {
  for (let i = 0; i < match.lows.length; i++) {
    if (compareValue(match, p, match.lows[i]!) >= 0 && compareValue(match, p, match.highs[i]!) <= 0) return true;
  }
  return false;
}

/** @returns below, at or above 0 as the frame's masked value is below, at or above `bound`, unsigned */
function compareValue(match: PlainFieldMatch, p: Parsed, bound: Int32Array): number {
  for (let i = 0; i < bound.length; i++) {
    // Flipping the top bit makes the signed comparison of int32 an unsigned one, without leaving int32.
    const value = (readWord(p, match.words[i]!) & match.mask[i]!) ^ 0x80000000;
    const other = bound[i]! ^ 0x80000000;
    if (value !== other) return value < other ? -1 : 1;
  }
  return 0;
}
