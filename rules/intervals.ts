import type { Interval } from './rule.ts';

/** Sorted, disjoint and merged: `5-10` and `11` become `5-11`. */
export function mergeIntervals(intervals: readonly Interval[]): Interval[] {
  const sorted = [...intervals].sort((a, b) => (a.low < b.low ? -1 : a.low > b.low ? 1 : 0));
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

export function isSubset(inner: readonly Interval[], outer: readonly Interval[]): boolean {
  let at = 0;
  for (const interval of inner) {
    while (at < outer.length && outer[at]!.high < interval.low) at++;
    const around = outer[at];
    if (around === undefined || interval.low < around.low || interval.high > around.high) return false;
  }
  return true;
}
