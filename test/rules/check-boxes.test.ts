import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allValues, type Box, common, covers, subtract } from '../../rules/box.ts';
import { CoverIndex } from '../../rules/cover-index.ts';
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
import { coveredTogether, otherSides } from '../../rules/together.ts';
import { Work } from '../../rules/work.ts';
import { ruleOf } from '../support/arbitrary-rules.ts';
import { runs, SEED } from '../support/runs.ts';

const BITS = 4;
const SPACE = Array.from({ length: 1 << BITS }, (_, value) => BigInt(value));

/** Any set of values from 0 to 15, as merged intervals. */
const SETS = fc.subarray(SPACE).map((values) => mergeIntervals(values.map((value) => ({ low: value, high: value }))));

function valuesIn(set: readonly Interval[]): bigint[] {
  return SPACE.filter((value) => set.some(({ low, high }) => low <= value && value <= high));
}

/** Sorted, disjoint, not adjacent. */
function isMerged(set: readonly Interval[]): boolean {
  return set.every(({ low, high }, i) => low <= high && (i === 0 || set[i - 1]!.high + 1n < low));
}

const OPTIONS = { numRuns: runs(500), ...SEED };

describe('intervals are sets of values', () => {
  it('merged in any order, overlapping or not', () => {
    const pairs = fc.tuple(fc.constantFrom(...SPACE), fc.constantFrom(...SPACE));
    const intervals = fc.array(pairs.map(([a, b]) => (a < b ? { low: a, high: b } : { low: b, high: a })));
    fc.assert(
      fc.property(intervals, (list) => {
        const merged = mergeIntervals(list);
        expect(isMerged(merged)).toBe(true);
        expect(valuesIn(merged)).toEqual(valuesIn(list));
      }),
      OPTIONS,
    );
  });

  it('complement, intersection, difference and subset are what they are of sets', () => {
    fc.assert(
      fc.property(SETS, SETS, (a, b) => {
        const [inA, inB] = [valuesIn(a), valuesIn(b)];
        expect(complement(a, 15n)).toEqual(mergeIntervals(complement(a, 15n)));
        expect(valuesIn(complement(a, 15n))).toEqual(SPACE.filter((value) => !inA.includes(value)));
        expect(intersect(a, b).every(({ low, high }) => low <= high)).toBe(true);
        expect(valuesIn(intersect(a, b))).toEqual(inA.filter((value) => inB.includes(value)));
        expect(valuesIn(difference(a, b))).toEqual(inA.filter((value) => !inB.includes(value)));
        expect(isMerged(difference(a, b))).toBe(true);
        expect(isSubset(a, b)).toBe(inA.every((value) => inB.includes(value)));
        expect(isSubset(intersect(a, b), a)).toBe(true);
      }),
      OPTIONS,
    );
  });

  it('have members, and a first one from a value on', () => {
    fc.assert(
      fc.property(SETS, fc.constantFrom(...SPACE), (set, value) => {
        expect(includes(set, value)).toBe(valuesIn(set).includes(value));
        expect(firstFrom(set, value)).toBe(valuesIn(set).find((one) => one >= value) ?? null);
      }),
      OPTIONS,
    );
  });

  it('under a prefix mask are those of which the upper bits are in them', () => {
    fc.assert(
      fc.property(SETS, fc.constantFrom(0n, 1n, 3n, 7n, 15n), (set, free) => {
        const widened = withFreeBits(set, free);
        expect(isMerged(widened)).toBe(true);
        expect(valuesIn(widened)).toEqual(SPACE.filter((value) => includes(set, value & ~free)));
      }),
      OPTIONS,
    );
  });

  it('of all values have both ends', () => {
    expect(allValues(1)).toEqual([{ low: 0n, high: 1n }]);
    expect(allValues(8)).toEqual([{ low: 0n, high: 255n }]);
  });
});

const KEYS = ['x', 'y', 'z'];
const SMALL = [0n, 1n, 2n, 3n];
const POINTS = SMALL.flatMap((x) => SMALL.flatMap((y) => SMALL.map((z) => new Map(Object.entries({ x, y, z })))));

/** Boxes in a space of three sides with four values each; a side with all values is left out, as in real ones. */
const BOXES: fc.Arbitrary<Box> = fc.tuple(...KEYS.map(() => fc.subarray(SMALL, { minLength: 1 }))).map((sides) => {
  const given = sides.map((values, i) => {
    const set = mergeIntervals(values.map((value) => ({ low: value, high: value })));
    return [KEYS[i]!, { bits: 2, set }] as const;
  });
  return new Map(given.filter(([, { set }]) => !isSubset(allValues(2), set)));
});

function isIn(box: Box, point: ReadonlyMap<string, bigint>): boolean {
  return [...box].every(([key, { set }]) => includes(set, point.get(key)!));
}

function pointsIn(box: Box) {
  return POINTS.filter((point) => isIn(box, point));
}

describe('boxes are sets of points', () => {
  it('one covers another when all its points are in it', () => {
    fc.assert(
      fc.property(BOXES, BOXES, (a, b) => {
        expect(covers(a, b)).toBe(pointsIn(b).every((point) => isIn(a, point)));
      }),
      OPTIONS,
    );
  });

  it('what two have in common, and what one has without the other', () => {
    fc.assert(
      fc.property(BOXES, BOXES, (a, b) => {
        const both = pointsIn(a).filter((point) => isIn(b, point));
        const shared = common(a, b);
        expect(shared === null ? [] : pointsIn(shared)).toEqual(both);
        const rest = subtract(a, b);
        expect(rest.length).toBeLessThanOrEqual(3);
        for (const point of POINTS) {
          const times = rest.filter((box) => isIn(box, point)).length;
          expect(times).toBe(isIn(a, point) && !isIn(b, point) ? 1 : 0);
        }
      }),
      OPTIONS,
    );
  });
});

describe('an index of boxes', () => {
  const entriesOf = (boxes: readonly Box[]) => boxes.map((box, i) => ({ rule: ruleOf([], i), box }));

  it('finds the first that covers a box', () => {
    fc.assert(
      fc.property(fc.array(BOXES, { maxLength: 12 }), BOXES, (boxes, wanted) => {
        const entries = entriesOf(boxes);
        const index = new CoverIndex(boxes);
        expect(index.find(wanted, new Work(1e6))).toBeNull();
        for (const entry of entries) index.add(entry);
        const first = entries.find((entry) => covers(entry.box, wanted)) ?? null;
        expect(index.find(wanted, new Work(1e6))).toBe(first);
        expect(index.find(wanted, new Work(0))).toBeNull();
      }),
      OPTIONS,
    );
  });

  it('tells which together cover a box, never too much', () => {
    fc.assert(
      fc.property(fc.array(BOXES, { maxLength: 12 }), BOXES, (boxes, wanted) => {
        const index = new CoverIndex(boxes);
        for (const entry of entriesOf(boxes)) index.add(entry);
        const found = coveredTogether([wanted], index, otherSides(boxes, index.uses), new Work(1e6));
        const isCovered = pointsIn(wanted).every((point) => boxes.some((box) => isIn(box, point)));
        if (found !== null) {
          const handles = found.map(({ handle }) => handle);
          expect(handles).toEqual([...handles].sort((a, b) => a - b));
          const named = handles.map((handle) => boxes[handle - 1]!);
          expect(pointsIn(wanted).every((point) => named.some((box) => isIn(box, point)))).toBe(true);
        } else if (isCovered) {
          // Only along a side that a single box has, and the wanted one has not.
          const sides = KEYS.filter((key) => !wanted.has(key) && index.uses.get(key) === 1);
          expect(sides).not.toEqual([]);
        }
        expect(coveredTogether([wanted], index, otherSides(boxes, index.uses), new Work(0))).toBeNull();
      }),
      OPTIONS,
    );
  });

  const range = (key: string, low: bigint, high: bigint, bits = 16): [string, { bits: number; set: Interval[] }] => [
    key,
    { bits, set: [{ low, high }] },
  ];

  it('keeps 64 boxes at one place, the first ones', () => {
    // All have the same values of x and are filed under it; each has one value of y more than the one before.
    const boxes = Array.from({ length: 66 }, (_, i) => new Map([range('x', 0n, 9n), range('y', 0n, BigInt(i), 7)]));
    const index = new CoverIndex(boxes);
    for (const entry of entriesOf(boxes)) index.add(entry);
    const at = (y: bigint) =>
      index.find(new Map([range('x', 5n, 5n), range('y', y, y, 7)]), new Work(1e6))?.rule.handle;
    expect([at(0n), at(40n), at(63n), at(64n)]).toEqual([1, 41, 64, undefined]);
  });

  it('keeps more where ranges end at different values', () => {
    const boxes = Array.from(
      { length: 100 },
      (_, i) => new Map([range('x', 32_767n - BigInt(i), 32_768n + BigInt(i))]),
    );
    const index = new CoverIndex(boxes);
    for (const entry of entriesOf(boxes)) index.add(entry);
    const at = (x: bigint) => index.find(new Map([range('x', x, x)]), new Work(1e6))?.rule.handle;
    expect([at(32_767n), at(32_668n), at(32_867n), at(32_667n)]).toEqual([1, 100, 100, undefined]);
  });

  it('finds values at both ends of each range, and none beside them', () => {
    const ends = fc.tuple(fc.nat(65_535), fc.nat(65_535)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
    for (const bits of [16, 40]) {
      fc.assert(
        fc.property(fc.array(ends, { minLength: 1, maxLength: 20 }), (list) => {
          const boxes = list.map(([low, high]) => new Map([range('x', BigInt(low), BigInt(high), bits)]));
          const index = new CoverIndex(boxes);
          for (const entry of entriesOf(boxes)) index.add(entry);
          for (const value of list.flatMap(([low, high]) => [low - 1, low, high, high + 1])) {
            if (value < 0) continue;
            const first = list.findIndex(([low, high]) => low <= value && value <= high);
            const found = index.find(new Map([range('x', BigInt(value), BigInt(value), bits)]), new Work(1e6));
            expect(found?.rule.handle ?? 0).toBe(first + 1);
          }
        }),
        OPTIONS,
      );
    }
  });

  it('finds a box of many separate values by each of them', () => {
    const set = Array.from({ length: 40 }, (_, i) => ({ low: BigInt(i * 3), high: BigInt(i * 3) }));
    const box = new Map([['x', { bits: 16, set }]]);
    const index = new CoverIndex([box]);
    index.add({ rule: ruleOf([], 0), box });
    for (let value = 0n; value < 121n; value++) {
      const found = index.find(new Map([range('x', value, value)]), new Work(1e6));
      expect(found !== null).toBe(includes(set, value));
    }
  });
});
