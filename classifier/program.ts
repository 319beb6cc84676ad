import {
  APPS,
  type AppMatch,
  type ConcatMatch,
  type FieldMatch,
  type FieldName,
  type Interval,
  type Match,
  type RawMatch,
  type Rule,
  type SetMatch,
} from '../rules/rule.ts';
import { alternativesOf, type Box, boxesOf, isBox, type Range } from './box.ts';
import { FIELD_WORDS, isLayer2, needsNetwork, splitWords, WORD, wordsOf } from './field.ts';
import { type PlainCondition, plainCondition } from './interval.ts';
import { RAW_BASE } from './raw.ts';

/**
 * Rules as numbers in one Int32Array. A rule is a header and its conditions:
 *
 *     header      index of the rule | end of its ranges | end | 1: it has matches above layer 2
 *     range       word, op          | low               | high - low      one word in one interval
 *     list        first word, op    | offset in `lists` | intervals       a masked value in any of several
 *     chunk       word, op          | offset in `lists` | intervals       the same for SCTP's chunk, which may be missing
 *     raw         base, op          | offset in `lists` | intervals       the same for bits of the frame
 *     tuples      op                | offset in `lists` | tuples          several values in one of several tuples
 *     app         app, op           | 1: negated        | bit n: type n, bit 0 set; 0: any
 *     set         op                | offset in `lists` | 1: negated
 *     declared    op                | class             | 0
 *
 * Ranges come first. A rule is known by its header's offset, so offsets grow in the order of the rules. The first number
 * of a condition is its subject (a word, app or base), plus OP, plus UPPER if no part of it can be asked at layer 2.
 *
 * A rule with a concatenation is written as several with the same index, one for each tuple, so that trees can tell those
 * apart; for a second or negated one the tuples are compared one by one.
 *
 * In `lists` (bounds have the top bit flipped, which makes signed order of what is unsigned):
 *
 *     list, chunk how many words a value has | the mask's words | for each interval, in order, the words of low and high
 *     raw         first bit | bits | then as a list
 *     tuples      1: negated | fields | for each field: first word, words, 1: above layer 2 | the tuples: for each field,
 *                 the words of low and high
 *     set         index in `sets` | words of the key | those words
 */
export const OP = {
  range: 0,
  list: 0x20,
  chunk: 0x40,
  raw: 0x60,
  tuples: 0x80,
  app: 0xa0,
  set: 0xc0,
  declared: 0xe0,
  bits: 0xe0,
} as const;
export const UPPER = 0x100;
/** What is left of a condition's first number. */
export const SUBJECT = 0x1f;
export const STRIDE = 3;
export const HEADER = { index: 0, rangesEnd: 1, end: 2, hasUpper: 3, size: 4 } as const;

/** Turns unsigned order into signed order. */
export const TOP_BIT = 0x80000000 | 0;

/** One condition of a rule, in code. */
interface Condition {
  /** What a frame must have for it to be true. */
  readonly fields: readonly FieldName[];
  /** No part of it can be compared in a frame whose network header was not read. */
  readonly isUpper: boolean;
  readonly ranges: readonly number[];
  readonly others: readonly number[];
  /** Together they cover every value that the condition allows. */
  readonly alternatives: readonly (readonly Range[])[];
}

/** A rule, or what becomes of it with one tuple of its concatenation. */
export interface EncodedRule {
  /** Offset of its header. */
  readonly rule: number;
  readonly isDefault: boolean;
  /** Some part of it can be compared in a frame whose network header was not read. */
  readonly hasLayer2: boolean;
  readonly usesApps: boolean;
  /** What a frame must have for it to be true. */
  readonly fields: readonly FieldName[];
  /** Which frames it may match, and possibly more. */
  readonly boxes: readonly Box[];
  /** The same for frames of an unknown EtherType, of which only layer 2 can be compared. */
  readonly layer2Boxes: readonly Box[];
}

export class ProgramWriter {
  readonly code: number[] = [];
  readonly lists: number[] = [];
  /** Names of the dynamic sets, and of the classes of rules with `declared`; null: such a rule has no class. */
  readonly sets: string[] = [];
  readonly classes: (string | null)[] = [];

  /** @param index of the rule @returns one, or one for each tuple of a concatenation */
  add(rule: Rule, index: number): EncodedRule[] {
    const split = longestConcat(rule.matches);
    const shared = rule.matches.filter((match) => match !== split).map((match) => this.#condition(match, rule));
    if (split === null) return [this.#write(rule, index, shared)];
    const fields = split.fields;
    return split.tuples.map((tuple) => {
      const ofTuple = tuple.map((interval, i) => this.#field(plainField(fields[i]!, [interval])));
      return this.#write(rule, index, [...ofTuple, ...shared]);
    });
  }

  #write(rule: Rule, index: number, conditions: readonly Condition[]): EncodedRule {
    const start = this.code.length;
    const ranges = conditions.flatMap((condition) => condition.ranges);
    const others = conditions.flatMap((condition) => condition.others);
    const rangesEnd = start + HEADER.size + ranges.length;
    const hasUpper = rule.matches.some(needsNetwork) ? 1 : 0;
    this.code.push(index, rangesEnd, rangesEnd + others.length, hasUpper, ...ranges, ...others);
    const layer2 = conditions.filter((condition) => !condition.isUpper);
    const boxes = (of: readonly Condition[]) =>
      boxesOf(
        start,
        of.map((condition) => condition.alternatives),
      );
    return {
      rule: start,
      isDefault: conditions.length === 0,
      hasLayer2: layer2.length > 0,
      usesApps: rule.matches.some((match) => match.kind === 'app'),
      fields: [...new Set(conditions.flatMap((condition) => condition.fields))],
      boxes: boxes(conditions),
      layer2Boxes: boxes(layer2),
    };
  }

  #condition(match: Match, rule: Rule): Condition {
    switch (match.kind) {
      case 'field':
        return this.#field(match);
      case 'raw':
        return this.#raw(match);
      case 'concat':
        return this.#tuples(match);
      case 'set':
        return this.#set(match);
      case 'app':
        return other([], true, [APPS.indexOf(match.app) | OP.app, match.negated ? 1 : 0, typesMask(match)]);
      case 'declared':
        return other([], true, [OP.declared, indexIn(this.classes, rule.className), 0]);
    }
  }

  #field(match: FieldMatch): Condition {
    const { field } = match;
    const plain = plainCondition(match);
    const upper = isLayer2(field) ? 0 : UPPER;
    const words = FIELD_WORDS[field];
    const start = this.lists.length;
    // A chunk that is missing or was not captured has no place among the values that trees tell apart.
    if (field === 'sctp.chunk') {
      this.#list(plain, words.length, (value) => wordsOf(field, value));
      return other([field], true, [WORD.sctpChunk | OP.chunk, start, plain.intervals.length]);
    }
    const alternatives = alternativesOf(field, plain);
    const only = plain.intervals[0];
    const fields = [field];
    if (plain.mask === null && plain.intervals.length === 1 && isBox(field, only!)) {
      const ranges = alternatives[0]!.flatMap(({ word, low, high }) => [word | upper, low | 0, (high - low) | 0]);
      return { fields, isUpper: upper !== 0, ranges, others: [], alternatives };
    }
    this.#list(plain, words.length, (value) => wordsOf(field, value));
    const others = [words[0]! | OP.list | upper, start, plain.intervals.length];
    return { fields, isUpper: upper !== 0, ranges: [], others, alternatives };
  }

  #raw(match: RawMatch): Condition {
    const { base, offsetBits, lengthBits } = match;
    const start = this.lists.length;
    const plain = plainCondition(match);
    this.lists.push(offsetBits, lengthBits);
    this.#list(plain, Math.ceil(lengthBits / 32), (value) => splitWords(lengthBits, value));
    return other([], base === 'th', [RAW_BASE[base] | OP.raw, start, plain.intervals.length]);
  }

  #tuples({ fields, negated, tuples }: ConcatMatch): Condition {
    const start = this.lists.length;
    this.lists.push(negated ? 1 : 0, fields.length);
    for (const field of fields) {
      this.lists.push(FIELD_WORDS[field][0]!, FIELD_WORDS[field].length, isLayer2(field) ? 0 : 1);
    }
    for (const tuple of tuples) {
      tuple.forEach((interval, i) => {
        this.#bounds(interval, (value) => wordsOf(fields[i]!, value));
      });
    }
    return other(fields, !fields.some(isLayer2), [OP.tuples, start, tuples.length]);
  }

  #set({ fields, set, negated }: SetMatch): Condition {
    const start = this.lists.length;
    const words = fields.flatMap((field) => FIELD_WORDS[field]);
    this.lists.push(indexIn(this.sets, set), words.length, ...words);
    // It can only be asked as a whole.
    return other(fields, !fields.every(isLayer2), [OP.set, start, negated ? 1 : 0]);
  }

  #list({ mask, intervals }: PlainCondition, words: number, split: (value: bigint) => Int32Array): void {
    this.lists.push(words, ...split(mask ?? -1n));
    for (const interval of intervals) this.#bounds(interval, split);
  }

  #bounds({ low, high }: Interval, split: (value: bigint) => Int32Array): void {
    for (const end of [low, high]) for (const word of split(end)) this.lists.push(word ^ TOP_BIT);
  }
}

/** A condition that trees do not know of. @param code without UPPER */
function other(
  fields: readonly FieldName[],
  isUpper: boolean,
  [head, second, third]: [number, number, number],
): Condition {
  const others = [head | (isUpper ? UPPER : 0), second, third];
  return { fields, isUpper, ranges: [], others, alternatives: [[]] };
}

function plainField(field: FieldName, intervals: readonly Interval[]): FieldMatch {
  return { kind: 'field', field, mask: null, negated: false, intervals };
}

/** The concatenation that is worth rules of its own; null: there is none. */
function longestConcat(matches: readonly Match[]): ConcatMatch | null {
  let longest: ConcatMatch | null = null;
  for (const match of matches) {
    if (match.kind !== 'concat' || match.negated) continue;
    if (longest === null || match.tuples.length > longest.tuples.length) longest = match;
  }
  return longest;
}

function typesMask({ types }: AppMatch): number {
  return types === null ? 0 : types.reduce((mask, type) => mask | (1 << type), 1);
}

/** Adds the name if it is new. */
function indexIn<Name>(names: Name[], name: Name): number {
  const known = names.indexOf(name);
  return known >= 0 ? known : names.push(name) - 1;
}
