import { MIXED } from '../rules/apps.ts';
import type {
  AppMatch,
  ConcatMatch,
  FieldMatch,
  FieldName,
  Interval,
  Match,
  RawMatch,
  Rule,
  SetMatch,
} from '../rules/rule.ts';
import { RECOGNISERS, recognise } from './apps/index.ts';
import { ANSWER, type Answer } from './apps/recogniser.ts';
import { dynamicSet } from './conditions.ts';
import { FIELD_WORDS, needsNetwork, splitWords, wordsOf } from './field.ts';
import { presence, readWord } from './frame-value.ts';
import type { LiveState } from './live-state.ts';
import { type Matcher, NO_MATCH, UNDECIDED, UNKNOWN_ETHERTYPE } from './matcher.ts';
import { L3, type Parsed } from './parsed.ts';
import { RAW_BASE, rawPresence, rawStart, readBits } from './raw.ts';

/** A match, ready to be asked. */
type Question = (p: Parsed, slab: DataView) => Answer;

/**
 * The rules as written, one after another: the meaning of a rule set, against which faster matchers are tested.
 * `answerRule` and `answerMatch` say why a frame ended where it did.
 */
export class LinearMatcher implements Matcher {
  readonly #rules: readonly (readonly Question[])[];
  readonly #needsNetwork: readonly boolean[];

  /** @param live must have the dynamic sets that the rules name */
  constructor(rules: readonly Rule[], live: LiveState) {
    this.#rules = rules.map((rule) => rule.matches.map((match) => questionOf(match, rule, live)));
    this.#needsNetwork = rules.map((rule) => rule.matches.some(needsNetwork));
  }

  classify(p: Parsed, slab: DataView): number {
    for (let index = 0; index < this.#rules.length; index++) {
      const answer = this.answerRule(index, p, slab);
      if (answer === ANSWER.yes) return index;
      if (answer === ANSWER.unknown) {
        return p.l3 === L3.unknown && this.#needsNetwork[index]! ? UNKNOWN_ETHERTYPE : UNDECIDED;
      }
    }
    return NO_MATCH;
  }

  /** @param index into the rules */
  answerRule(index: number, p: Parsed, slab: DataView): Answer {
    const matches = this.#rules[index]!;
    let answer: Answer = ANSWER.yes;
    for (let i = 0; i < matches.length; i++) answer = and(answer, matches[i]!(p, slab));
    return answer;
  }

  /** @param index into the rules @param match into that rule's `matches` */
  answerMatch(index: number, match: number, p: Parsed, slab: DataView): Answer {
    return this.#rules[index]![match]!(p, slab);
  }
}

function and(a: Answer, b: Answer): Answer {
  if (a === ANSWER.no || b === ANSWER.no) return ANSWER.no;
  return a === ANSWER.unknown ? a : b;
}

/** @param negated turns yes and no around */
function answerFor(isTrue: boolean, negated: boolean): Answer {
  return isTrue !== negated ? ANSWER.yes : ANSWER.no;
}

function questionOf(match: Match, rule: Rule, live: LiveState): Question {
  switch (match.kind) {
    case 'field':
      return fieldQuestion(match);
    case 'app':
      return appQuestion(match);
    case 'raw':
      return rawQuestion(match);
    case 'concat':
      return concatQuestion(match);
    case 'set':
      return setQuestion(match, live);
    case 'declared':
      return (p) => {
        if (p.l3 === L3.unknown) return ANSWER.unknown;
        return answerFor(live.declared.has(p, rule.className, live.now), false);
      };
  }
}

function fieldQuestion({ field, mask, negated, intervals }: FieldMatch): Question {
  const value = new Int32Array(FIELD_WORDS[field].length);
  const maskWords = wordsOf(field, mask ?? -1n);
  const bounds = intervals.map((interval) => boundsOf(field, interval));
  return (p, slab) => {
    const there = presence(p, field);
    if (there !== ANSWER.yes) return there;
    readField(value, 0, field, p, slab);
    for (let i = 0; i < value.length; i++) value[i]! &= maskWords[i]!;
    return answerFor(isInAny(value, bounds), negated);
  };
}

function rawQuestion({ base, offsetBits, lengthBits, mask, negated, intervals }: RawMatch): Question {
  const value = splitWords(lengthBits, 0n);
  const maskWords = splitWords(lengthBits, mask ?? -1n);
  const bounds = intervals.map(({ low, high }) => ({
    low: splitWords(lengthBits, low),
    high: splitWords(lengthBits, high),
  }));
  return (p, slab) => {
    const there = rawPresence(p, RAW_BASE[base], offsetBits, lengthBits);
    if (there !== ANSWER.yes) return there;
    const start = rawStart(p, RAW_BASE[base]);
    for (let i = 0; i < value.length; i++) {
      const bits = Math.min(32, lengthBits - 32 * i);
      value[i] = readBits(slab, start, offsetBits + 32 * i, bits) & maskWords[i]!;
    }
    return answerFor(isInAny(value, bounds), negated);
  };
}

function appQuestion({ app, types, negated }: AppMatch): Question {
  return (p, slab) => {
    if (p.l3 === L3.unknown) return ANSWER.unknown;
    const type: number = recognise(RECOGNISERS[app], p, slab);
    if (type < ANSWER.no) return ANSWER.unknown;
    if (types === null) return answerFor(type > ANSWER.no, negated);
    if (type === MIXED && !types.includes(MIXED)) return ANSWER.unknown;
    // Of another application it is no message at all, also not one of the types that `!=` leaves.
    return type === ANSWER.no ? ANSWER.no : answerFor(types.includes(type), negated);
  };
}

/** A tuple is true if all its fields lie in their intervals; the match, if one of the tuples is. */
function concatQuestion({ fields, negated, tuples }: ConcatMatch): Question {
  const values = fields.map((field) => new Int32Array(FIELD_WORDS[field].length));
  const bounds = tuples.map((tuple) => tuple.map((interval, i) => boundsOf(fields[i]!, interval)));
  const answers: Answer[] = fields.map(() => ANSWER.no);
  return (p, slab) => {
    let there: Answer = ANSWER.yes;
    for (let i = 0; i < fields.length; i++) {
      answers[i] = presence(p, fields[i]!);
      there = and(there, answers[i]!);
      if (answers[i] === ANSWER.yes) readField(values[i]!, 0, fields[i]!, p, slab);
    }
    if (there === ANSWER.no) return ANSWER.no;
    for (let i = 0; i < bounds.length; i++) {
      let couldBe = true;
      for (let j = 0; j < fields.length; j++) {
        // What is unknown may be anything.
        if (answers[j] === ANSWER.yes && !isInside(values[j]!, bounds[i]![j]!)) couldBe = false;
      }
      if (couldBe) return there === ANSWER.unknown ? ANSWER.unknown : answerFor(true, negated);
    }
    // In no tuple, whatever the unknown fields are: but negated it is only true if the frame has them.
    return negated ? there : ANSWER.no;
  };
}

function setQuestion({ fields, set, negated }: SetMatch, live: LiveState): Question {
  const elements = dynamicSet(live, set);
  const key = new Int32Array(fields.reduce((count, field) => count + FIELD_WORDS[field].length, 0));
  return (p, slab) => {
    let there: Answer = ANSWER.yes;
    for (let i = 0; i < fields.length; i++) there = and(there, presence(p, fields[i]!));
    if (there !== ANSWER.yes) return there;
    let at = 0;
    for (let i = 0; i < fields.length; i++) at = readField(key, at, fields[i]!, p, slab);
    return answerFor(elements.has(key, live.now), negated);
  };
}

interface Bounds {
  readonly low: Int32Array;
  readonly high: Int32Array;
}

function boundsOf(field: FieldName, { low, high }: Interval): Bounds {
  return { low: wordsOf(field, low), high: wordsOf(field, high) };
}

/** Puts the field's words into `out` from `at` on. @returns where they end */
function readField(out: Int32Array, at: number, field: FieldName, p: Parsed, slab: DataView): number {
  const words = FIELD_WORDS[field];
  for (let i = 0; i < words.length; i++) out[at + i] = readWord(p, words[i]!, slab);
  return at + words.length;
}

function isInAny(value: Int32Array, bounds: readonly Bounds[]): boolean {
  for (let i = 0; i < bounds.length; i++) if (isInside(value, bounds[i]!)) return true;
  return false;
}

function isInside(value: Int32Array, { low, high }: Bounds): boolean {
  return compare(value, low) >= 0 && compare(value, high) <= 0;
}

/** @returns below, at or above 0 as `a` is below, at or above `b`, unsigned */
function compare(a: Int32Array, b: Int32Array): number {
  for (let i = 0; i < a.length; i++) {
    // Flipping the top bit makes the signed comparison of int32 an unsigned one, without leaving int32.
    const left = a[i]! ^ 0x80000000;
    const right = b[i]! ^ 0x80000000;
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}
