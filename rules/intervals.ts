import type { Interval } from './rule.ts';

/** Sorted, disjoint and merged: `5-10` and `11` become `5-11`. */
export function mergeIntervals(intervals: readonly Interval[]): Interval[] {
  const sorted = [...intervals].sort((a, b) => (a.low < b.low ? -1 : 1));
  const merged: Interval[] = [];
  for (const interval of sorted) {
    const last = merged.at(-1);
    if (last === undefined || interval.low > last.high + 1n) merged.push(interval);
    else if (interval.high > last.high) merged[merged.length - 1] = { low: last.low, high: interval.high };
  }
  return merged;
}

/** What of 0-`max` lies in none of the intervals. All arguments here and below are merged ones. */
export function complement(intervals: readonly Interval[], max: bigint): Interval[] {
  const gaps: Interval[] = [];
  let low = 0n;
  for (const interval of intervals) {
    if (interval.low > low) gaps.push({ low, high: interval.low - 1n });
    low = interval.high + 1n;
  }
  if (low <= max) gaps.push({ low, high: max });
  return gaps;
}

export function intersect(a: readonly Interval[], b: readonly Interval[]): Interval[] {
  const common: Interval[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const x = a[i]!;
    const y = b[j]!;
    const low = x.low > y.low ? x.low : y.low;
    const high = x.high < y.high ? x.high : y.high;
    if (low <= high) common.push({ low, high });
    if (x.high < y.high) i++;
    else j++;
  }
  return common;
}

/** What of `a` lies outside `b`. */
export function difference(a: readonly Interval[], b: readonly Interval[]): Interval[] {
  const last = a.at(-1);
  return last === undefined ? [] : intersect(a, complement(b, last.high));
}

export function isSubset(inner: readonly Interval[], outer: readonly Interval[]): boolean {
  let at = 0;
  for (const interval of inner) {
    while (at < outer.length && outer[at]!.high < interval.low) at++;
    const around = outer[at];
    if (around === undefined || interval.low < around.low || interval.high > around.high) return false;
  }
  return true;
}

/**
 * The values whose upper bits, the `free` lowest ones set to 0, lie in the intervals.
 * @param free ones only, from bit 0 on: 0, 1, 3, 7, …
 */
export function withFreeBits(intervals: readonly Interval[], free: bigint): Interval[] {
  const widened: Interval[] = [];
  for (const { low, high } of intervals) {
    const first = (low + free) & ~free;
    const last = high & ~free;
    if (first <= last) widened.push({ low: first, high: last | free });
  }
  return mergeIntervals(widened);
}

export function includes(intervals: readonly Interval[], value: bigint): boolean {
  return intervals.some(({ low, high }) => low <= value && value <= high);
}

/** @returns the smallest value from `least` on; null if there is none */
export function firstFrom(intervals: readonly Interval[], least: bigint): bigint | null {
  const around = intervals.find(({ high }) => high >= least);
  if (around === undefined) return null;
  return around.low > least ? around.low : least;
}
