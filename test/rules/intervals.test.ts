import { describe, expect, it } from 'vitest';
import {
  complement,
  difference,
  firstFrom,
  includes,
  intersect,
  isSubset,
  mergeIntervals,
  withFreeBits,
} from '../../rules/intervals.ts';
import type { Interval } from '../../rules/rule.ts';

/** `1-3 7` */
function set(text: string): Interval[] {
  return text
    .split(' ')
    .filter((part) => part !== '')
    .map((part) => {
      const [low, high] = part.split('-');
      return { low: BigInt(low!), high: BigInt(high ?? low!) };
    });
}

describe('intervals, exactly', () => {
  it.each([
    ['', ''],
    ['5', '5'],
    ['5 1-3', '1-3 5'],
    ['1-3 4-6', '1-6'],
    ['4-6 1-3', '1-6'],
    ['1-3 5', '1-3 5'],
    ['1-9 2-3 9-10 12', '1-10 12'],
    ['1-3 1-9', '1-9'],
    ['1-9 1-3', '1-9'],
    ['2 2', '2'],
  ])('%s merged is %s', (given, merged) => {
    expect(mergeIntervals(set(given))).toEqual(set(merged));
  });

  it.each([
    ['', '0-15'],
    ['0-15', ''],
    ['0', '1-15'],
    ['15', '0-14'],
    ['1-14', '0 15'],
    ['0-3 5 8-15', '4 6-7'],
  ])('from 0 to 15 without %s there is %s', (given, rest) => {
    expect(complement(set(given), 15n)).toEqual(set(rest));
  });

  it.each([
    ['1-5', '5-9', '5', '1-4'],
    ['1-5', '6-9', '', '1-5'],
    ['1-9', '3-5', '3-5', '1-2 6-9'],
    ['3-5', '1-9', '3-5', ''],
    ['1-3 5-7', '2-6', '2-3 5-6', '1 7'],
    ['1-3 5-7', '3 7-9', '3 7', '1-2 5-6'],
    ['1-3', '1-3', '1-3', ''],
    ['0-3', '0', '0', '1-3'],
    ['', '1', '', ''],
    ['1', '', '', '1'],
  ])('%s and %s have in common %s; the first alone has %s', (a, b, shared, rest) => {
    expect(intersect(set(a), set(b))).toEqual(set(shared));
    expect(intersect(set(b), set(a))).toEqual(set(shared));
    expect(difference(set(a), set(b))).toEqual(set(rest));
    expect(isSubset(set(a), set(b))).toBe(rest === '');
  });

  it.each([
    ['5', 0n, '5'],
    ['5', 1n, ''],
    ['4', 1n, '4-5'],
    ['4-5', 1n, '4-5'],
    ['5-7', 1n, '6-7'],
    ['4-7', 3n, '4-7'],
    ['5-7', 3n, ''],
    ['5-9', 3n, '8-11'],
    ['0 4 9', 3n, '0-7'],
    ['0', 255n, '0-255'],
  ])('%s with the free bits %s is %s', (given, free, widened) => {
    expect(withFreeBits(set(given), free)).toEqual(set(widened));
  });

  it('have their ends, and nothing beside them', () => {
    const members = [0n, 1n, 2n, 3n, 4n, 5n, 6n].filter((value) => includes(set('1-3 5'), value));
    expect(members).toEqual([1n, 2n, 3n, 5n]);
    expect([0n, 1n, 2n, 3n, 4n, 5n, 6n].map((value) => firstFrom(set('1-3 5'), value))).toEqual([
      1n,
      1n,
      2n,
      3n,
      5n,
      5n,
      null,
    ]);
  });
});
