import { FIELDS, type FieldMatch, type Interval, type RawMatch } from '../rules/rule.ts';

/** A match on one value without negation: true if `value & mask` lies in one of the intervals. `mask` null: the whole value. */
export interface PlainCondition {
  readonly mask: bigint | null;
  /** Sorted, disjoint. Empty: never true. */
  readonly intervals: readonly Interval[];
}

/** Up to this many bits, a mask that is no prefix is turned into intervals by trying every value. */
const ENUMERABLE_BITS = 8;

/** Says the same without negation and, where intervals can say it, without a mask. */
export function plainCondition(match: FieldMatch | RawMatch): PlainCondition {
  const bits = match.kind === 'raw' ? match.lengthBits : FIELDS[match.field].bits;
  const full = (1n << BigInt(bits)) - 1n;
  const intervals = match.negated ? complement(match.intervals, full) : match.intervals;
  if (match.mask === null) return { mask: null, intervals };
  const free = full ^ match.mask;
  if ((free & (free + 1n)) === 0n) return { mask: null, intervals: widen(intervals, free) };
  if (bits <= ENUMERABLE_BITS) return { mask: null, intervals: enumerate(intervals, match.mask, full) };
  return { mask: match.mask, intervals };
}

/** Everything from 0 to `full` that the intervals leave out. */
function complement(intervals: readonly Interval[], full: bigint): Interval[] {
  const gaps: Interval[] = [];
  let next = 0n;
  for (const { low, high } of intervals) {
    if (low > next) gaps.push({ low: next, high: low - 1n });
    next = high + 1n;
  }
  if (next <= full) gaps.push({ low: next, high: full });
  return gaps;
}

/** A prefix mask rounds values down to multiples of `free + 1`: the values whose rounded self lies in the intervals. */
function widen(intervals: readonly Interval[], free: bigint): Interval[] {
  const widened: Interval[] = [];
  for (const { low, high } of intervals) {
    const first = (low + free) & ~free;
    const last = high & ~free;
    if (first <= last) append(widened, first, last | free);
  }
  return widened;
}

function enumerate(intervals: readonly Interval[], mask: bigint, full: bigint): Interval[] {
  const found: Interval[] = [];
  for (let value = 0n; value <= full; value++) {
    const masked = value & mask;
    if (intervals.some(({ low, high }) => low <= masked && masked <= high)) append(found, value, value);
  }
  return found;
}

/** Adds an interval above all others, joined to the last one if nothing lies between them. */
function append(sorted: Interval[], low: bigint, high: bigint): void {
  const last = sorted.at(-1);
  if (last !== undefined && last.high + 1n === low) sorted[sorted.length - 1] = { low: last.low, high };
  else sorted.push({ low, high });
}
