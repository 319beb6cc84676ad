import { describe, expect, it } from 'vitest';
import { type Box, common, covers, subtract } from '../../rules/box.ts';
import { otherSides } from '../../rules/together.ts';
import { Work } from '../../rules/work.ts';

/** Sides with values from 0 to 15, each one interval. */
function box(sides: Readonly<Record<string, readonly [number, number]>>): Box {
  return new Map(
    Object.entries(sides).map(([key, [low, high]]) => [
      key,
      { bits: 4, set: [{ low: BigInt(low), high: BigInt(high) }] },
    ]),
  );
}

describe('boxes, exactly', () => {
  it('have in common the sides of both', () => {
    expect(common(box({ x: [1, 5], y: [1, 2] }), box({ x: [3, 9], z: [4, 4] }))).toEqual(
      box({ x: [3, 5], y: [1, 2], z: [4, 4] }),
    );
  });

  it('have nothing in common where one side has nothing', () => {
    expect(common(box({ x: [1, 5], y: [1, 2] }), box({ x: [6, 9], y: [1, 2] }))).toBeNull();
  });

  it('cover those that are as narrow on each of their sides', () => {
    const outer = box({ x: [1, 5] });
    expect(covers(outer, box({ x: [1, 5], y: [0, 0] }))).toBe(true);
    expect(covers(outer, box({ x: [1, 6] }))).toBe(false);
    expect(covers(outer, box({ y: [0, 0] }))).toBe(false);
    expect(covers(box({}), outer)).toBe(true);
  });

  it('without another are cut along its sides, one after the other', () => {
    expect(subtract(box({ x: [0, 9] }), box({ x: [0, 4], y: [0, 7] }))).toEqual([
      box({ x: [5, 9] }),
      box({ x: [0, 4], y: [8, 15] }),
    ]);
    expect(subtract(box({ x: [0, 4] }), box({ x: [0, 4] }))).toEqual([]);
  });

  it('without one that is elsewhere stay whole', () => {
    const whole = box({ x: [0, 9], y: [0, 9] });
    const elsewhere = subtract(whole, box({ x: [0, 4], y: [10, 12] }));
    expect(elsewhere).toHaveLength(1);
    expect(elsewhere[0]).toBe(whole);
  });
});

describe('the sides along which boxes may be cut', () => {
  const corner = (key: string) => [key, { bits: 4, set: [{ low: 0n, high: 0n }] }];
  const usesOf = (boxes: readonly Box[]) => {
    const keys = boxes.flatMap((one) => [...one.keys()]);
    return new Map(keys.map((key) => [key, keys.filter((other) => other === key).length]));
  };

  it('are those of several boxes, the most frequent first', () => {
    const boxes = [
      box({ y: [1, 2], z: [0, 0] }),
      box({ x: [1, 2] }),
      box({ x: [0, 0] }),
      box({ x: [1, 1], y: [5, 5] }),
    ];
    expect(otherSides(boxes, usesOf(boxes))).toEqual([corner('x'), corner('y')]);
  });

  it('are at most 48', () => {
    const keys = Array.from({ length: 49 }, (_, i) => [`k${i}`, [1, 1] as const] as const);
    const boxes = [box(Object.fromEntries(keys)), box(Object.fromEntries(keys))];
    expect(otherSides(boxes, usesOf(boxes))).toEqual(keys.slice(0, 48).map(([key]) => corner(key)));
  });
});

it('work may be spent to the last step', () => {
  const work = new Work(3);
  expect([work.spend(2), work.spend(1), work.spend(1), work.spend(0)]).toEqual([true, true, false, false]);
});
