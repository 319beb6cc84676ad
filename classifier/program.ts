import { APPS, FIELDS, type FieldMatch, type Interval, type Match, type Rule } from '../rules/rule.ts';
import { FIELD_WORDS, wordsOf } from './field.ts';
import { type PlainCondition, plainCondition } from './interval.ts';

/**
 * Rules as numbers in one Int32Array. A rule is a header and its conditions, four numbers each:
 *
 *     header      index of the rule | end of its layer 2 conditions | end | 1: it has matches above layer 2
 *     range       word, op          | mask | low               | high - low      one word in one interval
 *     list        word, op          | mask | offset in `lists` | intervals       one word in any of several
 *     wideList    word, op          | words| offset in `lists` | intervals       several words, as one number
 *     app         app index, op     | 1: negated
 *
 * The first number of a condition is `word << 2 | op`. Layer 2 conditions come first, applications last. A rule is known
 * by its header's offset, so offsets grow in the order of the rules.
 *
 * `lists` holds sorted interval ends with the top bit flipped (signed order is then unsigned order); of a wide list first
 * the mask's words, then for each interval the words of its low and of its high end.
 */
export const OP = { range: 0, list: 1, wideList: 2, app: 3 } as const;
export const STRIDE = 4;
export const HEADER = { index: 0, layer2End: 1, end: 2, hasUpper: 3 } as const;

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
    const layer2 = fields.filter((match) => FIELDS[match.field].layer === 'l2');
    const upper = fields.filter((match) => FIELDS[match.field].layer !== 'l2');
    const apps = rule.matches.filter((match) => match.kind === 'app');
    const hasUpper = upper.length + apps.length > 0;
    this.code.push(index, 0, 0, hasUpper ? 1 : 0);
    const layer2Ranges = layer2.map((match) => this.#addField(match));
    this.code[start + HEADER.layer2End] = this.code.length;
    const upperRanges = upper.map((match) => this.#addField(match));
    for (const { app, negated } of apps) {
      this.code.push((APPS.indexOf(app) << 2) | OP.app, negated ? 1 : 0, 0, 0);
    }
    this.code[start + HEADER.end] = this.code.length;
    return {
      rule: start,
      matches: rule.matches,
      boxes: boxesOf(start, [...layer2Ranges, ...upperRanges]),
      layer2Boxes: boxesOf(start, layer2Ranges),
    };
  }

  /** @returns the alternatives that the condition leaves, each as ranges of words */
  #addField(match: FieldMatch): Range[][] {
    const words = FIELD_WORDS[match.field];
    const plain = plainCondition(match);
    if (words.length === 1) this.#addNarrow(match, plain, words[0]!);
    else this.#addWide(match, plain, words);
    if (plain.mask !== null) return [[]];
    const alternatives = plain.intervals.map((interval) => rangesOf(match, interval));
    if (alternatives.length <= MAX_BOXES) return alternatives;
    return [rangesOf(match, { low: plain.intervals[0]!.low, high: plain.intervals.at(-1)!.high })];
  }

  #addNarrow(match: FieldMatch, { mask, intervals }: PlainCondition, word: number): void {
    const maskWord = mask === null ? -1 : wordsOf(match.field, mask)[0]!;
    const only = intervals[0];
    if (intervals.length === 1 && only !== undefined) {
      const low = wordsOf(match.field, only.low)[0]!;
      const high = wordsOf(match.field, only.high)[0]!;
      this.code.push((word << 2) | OP.range, maskWord, low, (high - low) | 0);
      return;
    }
    this.code.push((word << 2) | OP.list, maskWord, this.lists.length, intervals.length);
    for (const { low, high } of intervals) {
      this.lists.push(wordsOf(match.field, low)[0]! ^ TOP_BIT, wordsOf(match.field, high)[0]! ^ TOP_BIT);
    }
  }

  #addWide(match: FieldMatch, { mask, intervals }: PlainCondition, words: readonly number[]): void {
    const only = intervals[0];
    if (mask === null && intervals.length === 1 && only !== undefined && isBox(match, only)) {
      for (const { word, low, high } of rangesOf(match, only)) {
        this.code.push((word << 2) | OP.range, -1, low | 0, (high - low) | 0);
      }
      return;
    }
    this.code.push((words[0]! << 2) | OP.wideList, words.length, this.lists.length, intervals.length);
    this.lists.push(...wordsOf(match.field, mask ?? -1n));
    for (const { low, high } of intervals) {
      for (const end of [low, high]) this.lists.push(...wordsOf(match.field, end).map((word) => word ^ TOP_BIT));
    }
  }
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
