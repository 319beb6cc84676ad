import { describe, expect, it } from 'vitest';
import type { Box } from '../../rules/box.ts';
import { CoverIndex } from '../../rules/cover-index.ts';
import { Work } from '../../rules/work.ts';
import { ruleOf } from '../support/arbitrary-rules.ts';

type Range = readonly [number, number];

function box(sides: Readonly<Record<string, Range | readonly Range[]>>, bits = 16): Box {
  return new Map(
    Object.entries(sides).map(([key, given]) => {
      const ranges = typeof given[0] === 'number' ? [given as Range] : (given as readonly Range[]);
      return [key, { bits, set: ranges.map(([low, high]) => ({ low: BigInt(low), high: BigInt(high) })) }];
    }),
  );
}

/** All of `boxes` are known to the index, the `added` ones are in it; handles count from 1 in `boxes`. */
function indexOf(boxes: readonly Box[], added: readonly Box[] = boxes): CoverIndex {
  const index = new CoverIndex(boxes);
  boxes.forEach((one, i) => {
    if (added.includes(one)) index.add({ rule: ruleOf([], i), box: one });
  });
  return index;
}

function found(index: CoverIndex, wanted: Box, steps = 1e6): number | null {
  return index.find(wanted, new Work(steps))?.rule.handle ?? null;
}

/** How much work it is to find the box. */
function cost(index: CoverIndex, wanted: Box): number {
  const work = new Work(1000);
  expect(index.find(wanted, work)).not.toBeNull();
  let left = 0;
  while (work.spend(1)) left++;
  return 1000 - left;
}

describe('the work of looking up a box', () => {
  it('is a step for each group of boxes, and one for each interval of those around the place', () => {
    const odd: readonly Range[] = [
      [1, 1],
      [3, 3],
    ];
    expect(cost(indexOf([box({ x: [1, 9] })]), box({ x: [5, 5] }))).toBe(2);
    expect(cost(indexOf([box({ x: [1, 9], y: odd })]), box({ x: [5, 5], y: [3, 3] }))).toBe(4);
    expect(cost(indexOf([box({}), box({ x: [1, 9] })]), box({ x: [5, 5] }))).toBe(3);
  });

  it('is not spent on groups under rarer sides that the box has not', () => {
    const others = Array.from({ length: 20 }, (_, i) => box({ common: [0, 9], [`rare ${i}`]: [0, 9] }));
    const before = Array.from({ length: 20 }, (_, i) => box({ [`rare ${i}`]: [0, 9], common: [0, 9] }));
    for (const boxes of [others, before]) {
      expect(cost(indexOf(boxes), box({ common: [5, 5], 'rare 19': [5, 5] }))).toBe(3);
    }
  });

  it('is not spent twice on boxes with the same sides in another order', () => {
    const boxes = [box({ x: [1, 1], y: [1, 9] }), box({ y: [1, 9], x: [2, 2] })];
    expect(cost(indexOf(boxes), box({ x: [2, 2], y: [5, 5] }))).toBe(3);
  });

  it('is not spent on ranges that end beside the place', () => {
    const beside: readonly (readonly [Range, readonly number[]])[] = [
      [
        [1, 2],
        [0, 3, 4],
      ],
      [
        [5, 6],
        [4, 7],
      ],
      [
        [4, 7],
        [3, 8],
      ],
      [
        [3, 8],
        [2, 9],
      ],
      [[0, 0], [1]],
    ];
    for (const [range, places] of beside) {
      for (const place of places) {
        const index = indexOf([box({ x: range }), box({ x: [place, place] })]);
        expect(cost(index, box({ x: [place, place] }))).toBe(2);
      }
    }
  });

  it('is not spent on a later box where an earlier one is found', () => {
    // The wider one is under another subtree, and would take forty steps.
    const many = Array.from({ length: 40 }, (_, i): Range => [i * 2, i * 2]);
    const boxes = [box({ x: [5, 5], y: [0, 99] }), box({ x: [0, 9], y: many })];
    expect(cost(indexOf(boxes), box({ x: [5, 5], y: [4, 4] }))).toBe(3);
  });
});

describe('groups of boxes', () => {
  it('are told apart by the names of their sides', () => {
    const index = indexOf([box({ ab: [1, 2], c: [1, 2] }), box({ a: [1, 2], bc: [1, 2] })]);
    expect(found(index, box({ ab: [1, 1], c: [1, 1] }))).toBe(1);
    expect(found(index, box({ a: [1, 1], bc: [1, 1] }))).toBe(2);
  });

  it('under one side are tried up to the 512th', () => {
    // Each group has side `a`, which is the rarest, and another choice of the sides that many boxes have.
    const names = Array.from({ length: 10 }, (_, bit) => `b${bit}`);
    const wanted = box(Object.fromEntries(['a', ...names].map((name) => [name, [5, 5]])));
    const common = Array.from({ length: 1200 }, () => box(Object.fromEntries(names.map((name) => [name, [0, 9]]))));
    const groups = Array.from({ length: 513 }, (_, choice) =>
      box(
        Object.fromEntries(
          ['a', ...names.filter((_name, bit) => ((choice >> bit) & 1) === 1)].map((name) => [name, [0, 9]]),
        ),
      ),
    );
    const boxes = [...groups, ...common];
    expect(found(indexOf(boxes, [groups[511]!]), wanted)).toBe(512);
    expect(found(indexOf(boxes, [groups[512]!]), wanted)).toBeNull();
  });

  it('give the first rule of all of them', () => {
    const boxes = [box({ x: [1, 9] }), box({ y: [1, 9] }), box({})];
    const wanted = box({ y: [5, 5], x: [5, 5] });
    expect(found(indexOf(boxes), wanted)).toBe(1);
    expect(found(indexOf(boxes, boxes.slice(1)), wanted)).toBe(2);
    expect(found(indexOf(boxes, boxes.slice(2)), wanted)).toBe(3);
  });
});

/** One box more than are kept at one place: whether the last one is still found tells where they are filed. */
const FULL = 65;

describe('boxes are filed', () => {
  it('under the side that has the most different starts', () => {
    for (const [rare, many] of [
      ['x', 'y'],
      ['y', 'x'],
    ] as const) {
      const boxes = Array.from({ length: FULL }, (_, i) =>
        box({ x: [1, 9], y: [1, 9], [many]: [i, i], [rare]: [1, 9] }),
      );
      expect(found(indexOf(boxes), box({ [rare]: [5, 5], [many]: [64, 64] }))).toBe(FULL);
    }
  });

  it.each([
    [32, FULL],
    [33, null],
  ])('under each of up to 32 intervals: %d', (count, expected) => {
    const boxes = Array.from({ length: FULL }, (_, i) => {
      const own = Array.from({ length: count - 2 }, (_none, j): Range => [(i * 40 + j + 1) * 2, (i * 40 + j + 1) * 2]);
      return box({ x: [[0, 0], ...own, [65_535, 65_535]] });
    });
    const value = ((FULL - 1) * 40 + 1) * 2;
    expect(found(indexOf(boxes), box({ x: [value, value] }))).toBe(expected);
  });

  it.each([
    [32, FULL],
    [33, null],
  ])('at the ends of ranges in sides of up to 32 bits: %d', (bits, expected) => {
    const middle = 2 ** (bits - 1);
    const boxes = Array.from({ length: FULL }, (_, i) => box({ x: [middle - 1 - i, middle + i] }, bits));
    const end = middle + FULL - 1;
    expect(found(indexOf(boxes), box({ x: [end, end] }, bits))).toBe(expected);
  });

  it('as prefixes and single values in wider sides', () => {
    const [wide, last] = [40, [2 ** 36 + 3, 2 ** 36 + 3] as const];
    const beside = Array.from({ length: FULL }, () => box({ x: [2 ** 36 + 2, 2 ** 36 + 2] }, wide));
    expect(found(indexOf([...beside, box({ x: last }, wide)]), box({ x: last }, wide))).toBe(FULL + 1);
    const prefixes = Array.from({ length: FULL }, () => box({ x: [2 ** 36 + 4, 2 ** 36 + 7] }, wide));
    expect(found(indexOf([...prefixes, box({ x: [2 ** 36, 2 ** 36 + 3] }, wide)]), box({ x: last }, wide))).toBe(
      FULL + 1,
    );
  });
});
