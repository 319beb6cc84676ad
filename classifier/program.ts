import { APPS, FIELDS, type FieldMatch, type Interval, type Match, type Rule } from '../rules/rule.ts';
import { FIELD_WORDS, wordsOf } from './field.ts';
import { type PlainCondition, plainCondition } from './interval.ts';

/**
 * Rules as numbers in one Int32Array. A rule is a header and its conditions:
 *
 *     header      index of the rule | end of its ranges | end | 1: it has matches above layer 2
 *     range       word, op          | low               | high - low      one word in one interval
 *     list        first word, op    | offset in `lists` | intervals       a masked value in any of several
 *     app         app, op           | 1: negated        | 0
 *
 * Ranges come first, applications last. A rule is known by its header's offset, so offsets grow in the order of the
 * rules. The first number of a condition is the word or app, plus OP, plus UPPER for a match above layer 2.
 *
 * A list in `lists`: how many words a value has | the mask's words | for each interval, in order, the words of its low
 * and of its high end with the top bit flipped (signed order is then unsigned order).
 */
export const OP = { range: 0, list: 0x20, app: 0x40, bits: 0x60 } as const;
export const UPPER = 0x80;
/** What is left of a condition's first number: a word or an app. */
export const SUBJECT = 0x1f;
export const STRIDE = 3;
export const HEADER = { index: 0, rangesEnd: 1, end: 2, hasUpper: 3, size: 4 } as const;

/** Turns unsigned order into signed order. */
export const TOP_BIT = 0x80000000 | 0;

/** Which values of some words a rule may match; a word that is not named may have any. Unsigned, ends included. */
export interface Range {
  readonly word: number;
  readonly low: number;
  readonly high: number;
}

/** Together the boxes of a rule cover every frame that it matches, and possibly more. */
export interface Box {
  /** Offset of the rule's header. */
  readonly rule: number;
  readonly ranges: readonly Range[];
}

export interface EncodedRule {
  readonly rule: number;
  readonly matches: readonly Match[];
  /** For frames whose network header was read. */
  readonly boxes: readonly Box[];
  /** For frames of an unknown EtherType, of which only layer 2 can be compared. */
  readonly layer2Boxes: readonly Box[];
}

/** More boxes than this for one rule become one that covers them. */
const MAX_BOXES = 16;
const ALL_ONES = 0xffffffff;

export class ProgramWriter {
  readonly code: number[] = [];
  readonly lists: number[] = [];

  /** @param index of the rule in the rule set */
  add(rule: Rule, index: number): EncodedRule {
    const start = this.code.length;
    const fields = rule.matches.filter((match) => match.kind === 'field');
    const conditions = fields.map((match) => this.#condition(match));
    const layer2 = fields.map((match) => FIELDS[match.field].layer === 'l2');
    const ranges = conditions.flatMap((condition) => condition.ranges);
    const others = conditions.flatMap((condition) => condition.others);
    for (const match of rule.matches) {
      if (match.kind === 'app') others.push(APPS.indexOf(match.app) | OP.app | UPPER, match.negated ? 1 : 0, 0);
    }
    const rangesEnd = start + HEADER.size + ranges.length;
    const hasUpper = layer2.filter(Boolean).length < rule.matches.length;
    this.code.push(index, rangesEnd, rangesEnd + others.length, hasUpper ? 1 : 0, ...ranges, ...others);
    return {
      rule: start,
      matches: rule.matches,
      boxes: boxesOf(
        start,
        conditions.map((condition) => condition.alternatives),
      ),
      layer2Boxes: boxesOf(
        start,
        conditions.filter((_, i) => layer2[i]).map((condition) => condition.alternatives),
      ),
    };
  }

  #condition(match: FieldMatch): Condition {
    const plain = plainCondition(match);
    const upper = FIELDS[match.field].layer === 'l2' ? 0 : UPPER;
    const only = plain.intervals[0];
    const alternatives = alternativesOf(match, plain);
    if (plain.mask === null && plain.intervals.length === 1 && isBox(match, only!)) {
      const ranges = alternatives[0]!.flatMap(({ word, low, high }) => [
        word | OP.range | upper,
        low | 0,
        (high - low) | 0,
      ]);
      return { ranges, others: [], alternatives };
    }
    const words = FIELD_WORDS[match.field];
    const others = [words[0]! | OP.list | upper, this.lists.length, plain.intervals.length];
    this.lists.push(words.length, ...wordsOf(match.field, plain.mask ?? -1n));
    for (const { low, high } of plain.intervals) {
      for (const end of [low, high]) for (const word of wordsOf(match.field, end)) this.lists.push(word ^ TOP_BIT);
    }
    return { ranges: [], others, alternatives };
  }
}

/** A field match as conditions in code, and the values it may have. */
interface Condition {
  readonly ranges: readonly number[];
  readonly others: readonly number[];
  readonly alternatives: readonly (readonly Range[])[];
}

/** Together they cover every value that the condition allows. */
function alternativesOf(match: FieldMatch, { mask, intervals }: PlainCondition): Range[][] {
  if (mask !== null) return [[]];
  if (intervals.length <= MAX_BOXES) return intervals.map((interval) => rangesOf(match, interval));
  return [rangesOf(match, { low: intervals[0]!.low, high: intervals.at(-1)!.high })];
}

/** Word by word: equal words must be equal, the first that differs gives a range, what follows it may be anything. */
function rangesOf(match: FieldMatch, { low, high }: Interval): Range[] {
  const words = FIELD_WORDS[match.field];
  const lows = wordsOf(match.field, low);
  const highs = wordsOf(match.field, high);
  const ranges: Range[] = [];
  for (let i = 0; i < words.length; i++) {
    const range = { word: words[i]!, low: lows[i]! >>> 0, high: highs[i]! >>> 0 };
    if (range.low !== 0 || range.high !== ALL_ONES) ranges.push(range);
    if (range.low !== range.high) break;
  }
  return ranges;
}

/** Is the interval exactly what `rangesOf` makes of it? It is, for a single value or a prefix. */
function isBox(match: FieldMatch, { low, high }: Interval): boolean {
  const lows = wordsOf(match.field, low);
  const highs = wordsOf(match.field, high);
  const differs = lows.findIndex((word, i) => word !== highs[i]);
  if (differs === -1) return true;
  const full = wordsOf(match.field, -1n);
  return lows.every((word, i) => i <= differs || (word === 0 && highs[i] === full[i]));
}

/** All combinations of the conditions' alternatives, or fewer and larger boxes where those would be too many. */
function boxesOf(rule: number, conditions: readonly (readonly (readonly Range[])[])[]): Box[] {
  let combined: (readonly Range[])[] = [[]];
  for (const alternatives of conditions) {
    const kept = combined.length * alternatives.length > MAX_BOXES ? [cover(alternatives)] : alternatives;
    combined = combined.flatMap((ranges) => kept.map((more) => [...ranges, ...more]));
  }
  return combined.map((ranges) => ({ rule, ranges }));
}

/** One alternative that contains all: words that each of them limits, from the lowest to the highest end. */
function cover(alternatives: readonly (readonly Range[])[]): Range[] {
  const ranges: Range[] = [];
  for (const first of alternatives[0] ?? []) {
    const same = alternatives.map((ranges) => ranges.find((range) => range.word === first.word));
    if (same.some((range) => range === undefined)) continue;
    ranges.push({
      word: first.word,
      low: Math.min(...same.map((range) => range!.low)),
      high: Math.max(...same.map((range) => range!.high)),
    });
  }
  return ranges;
}
