import type { FieldName, Interval } from '../rules/rule.ts';
import { FIELD_WORDS, wordsOf } from './field.ts';
import type { PlainCondition } from './interval.ts';

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

/** More boxes than this for one rule become one that covers them. */
const MAX_BOXES = 16;
const ALL_ONES = 0xffffffff;

/** Together they cover every value that the condition allows. */
export function alternativesOf(field: FieldName, { mask, intervals }: PlainCondition): Range[][] {
  if (mask !== null) return [[]];
  if (intervals.length <= MAX_BOXES) return intervals.map((interval) => rangesOf(field, interval));
  return [rangesOf(field, { low: intervals[0]!.low, high: intervals.at(-1)!.high })];
}

/** Word by word: equal words must be equal, the first that differs gives a range, what follows it may be anything. */
function rangesOf(field: FieldName, { low, high }: Interval): Range[] {
  const words = FIELD_WORDS[field];
  const lows = wordsOf(field, low);
  const highs = wordsOf(field, high);
  const ranges: Range[] = [];
  for (let i = 0; i < words.length; i++) {
    const range = { word: words[i]!, low: lows[i]! >>> 0, high: highs[i]! >>> 0 };
    if (range.low !== 0 || range.high !== ALL_ONES) ranges.push(range);
    if (range.low !== range.high) break;
  }
  return ranges;
}

/** Is the interval exactly what `rangesOf` makes of it? It is, for a single value or a prefix. */
export function isBox(field: FieldName, { low, high }: Interval): boolean {
  const lows = wordsOf(field, low);
  const highs = wordsOf(field, high);
  const differs = lows.findIndex((word, i) => word !== highs[i]);
  if (differs === -1) return true;
  const full = wordsOf(field, -1n);
  return lows.every((word, i) => i <= differs || (word === 0 && highs[i] === full[i]));
}

/** All combinations of the conditions' alternatives, or fewer and larger boxes where those would be too many. */
export function boxesOf(rule: number, conditions: readonly (readonly (readonly Range[])[])[]): Box[] {
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
  for (const first of alternatives[0]!) {
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
