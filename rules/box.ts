import { difference, intersect, isSubset } from './intervals.ts';
import type { Interval } from './rule.ts';

/** Which values a frame may have in one respect. */
export interface Side {
  /** Values run from 0 to 2^bits - 1. */
  readonly bits: number;
  /** Sorted, disjoint, merged; not empty; not all values. */
  readonly set: readonly Interval[];
}

/** Sides by what they are about (see coordinates.ts). A side that is not there leaves nothing out. */
export type Box = ReadonlyMap<string, Side>;

/** Whether all of `inner` lies in `outer`. */
export function covers(outer: Box, inner: Box): boolean {
  for (const [key, side] of outer) {
    const narrow = inner.get(key);
    if (narrow === undefined || !isSubset(narrow.set, side.set)) return false;
  }
  return true;
}

/** @returns what both have in common; null if that is nothing */
export function common(a: Box, b: Box): Box | null {
  const both = new Map(a);
  for (const [key, side] of b) {
    const other = a.get(key);
    if (other === undefined) {
      both.set(key, side);
      continue;
    }
    const set = intersect(other.set, side.set);
    if (set.length === 0) return null;
    both.set(key, { bits: side.bits, set });
  }
  return both;
}

/** @returns boxes that do not overlap and together are what of `box` lies outside `taken`; at most one for each of its sides */
export function subtract(box: Box, taken: Box): Box[] {
  const rest: Box[] = [];
  const inside = new Map(box);
  for (const [key, side] of taken) {
    const before = box.get(key)?.set ?? allValues(side.bits);
    const outside = difference(before, side.set);
    if (outside.length > 0) rest.push(new Map(inside).set(key, { bits: side.bits, set: outside }));
    const within = intersect(before, side.set);
    if (within.length === 0) return [box];
    inside.set(key, { bits: side.bits, set: within });
  }
  return rest;
}

export function allValues(bits: number): readonly Interval[] {
  return [{ low: 0n, high: (1n << BigInt(bits)) - 1n }];
}
