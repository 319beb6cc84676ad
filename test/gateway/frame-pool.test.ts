import { expect, test } from 'vitest';
import { slabOf } from '../../classifier/slab.ts';
import { FramePool } from '../../gateway/frame-pool.ts';
import { Random } from '../support/random.ts';

test('slots are disjoint, start where they are told and lie within the slab', () => {
  const pool = new FramePool(slabOf(new Uint8Array(100)), 10, 3, 30);
  expect([pool.slots, pool.slotBytes, pool.free]).toEqual([3, 30, 3]);
  expect(take(pool, 3).sort((a, b) => a - b)).toEqual([10, 40, 70]);
  expect(pool.free).toBe(0);
});

test('the first slot that is taken is the first of the slab', () => {
  const pool = new FramePool(slabOf(new Uint8Array(100)), 10, 3, 30);
  expect(take(pool, 2)).toEqual([10, 40]);
});

test('a slot that was given back is taken again', () => {
  const pool = new FramePool(slabOf(new Uint8Array(60)), 0, 2, 30);
  const [first, second] = take(pool, 2);
  pool.give(second!);
  expect(pool.free).toBe(1);
  expect(take(pool, 1)).toEqual([second]);
  pool.give(first!);
  pool.give(second!);
  expect(pool.free).toBe(2);
});

test('of the slots that are shown only those are taken that were used', () => {
  const pool = new FramePool(slabOf(new Uint8Array(100)), 10, 3, 30);
  const offsets = new Uint32Array(4);
  expect(pool.show(offsets, 2)).toBe(2);
  expect([...offsets]).toEqual([10, 40, 0, 0]);
  pool.takeShown(1);
  expect(pool.free).toBe(2);
  expect(pool.show(offsets, 4)).toBe(2);
  expect([...offsets]).toEqual([40, 70, 0, 0]);
});

test('what was shown before is shown again only where it is still so', () => {
  const random = new Random(7);
  const pool = new FramePool(slabOf(new Uint8Array(60)), 0, 6, 10);
  const shown = new Uint32Array(6);
  const other = new Uint32Array(6);
  const used: number[] = [];
  const free = new Set([0, 10, 20, 30, 40, 50]);
  for (let n = 0; n < 5000; n++) {
    const offsets = random.below(5) === 0 ? other : shown;
    const count = pool.show(offsets, random.below(7));
    const now = [...offsets.subarray(0, count)];
    expect(new Set(now).size).toBe(count);
    expect(now.every((offset) => free.has(offset))).toBe(true);
    for (const offset of now.slice(0, random.below(count + 1))) {
      free.delete(offset);
      used.push(offset);
      pool.takeShown(1);
    }
    if (random.below(2) === 0) used.reverse();
    for (let given = random.below(used.length + 1); given > 0; given--) {
      free.add(used.at(-1)!);
      pool.give(used.pop()!);
    }
  }
});

test('taking from an empty pool and giving to a full one are bugs of the caller', () => {
  const pool = new FramePool(slabOf(new Uint8Array(30)), 0, 1, 30);
  expect(() => pool.give(0)).toThrow(new Error('frame pool: more slots given than taken'));
  pool.takeShown(1);
  expect(() => pool.takeShown(1)).toThrow(new Error('frame pool: more slots taken than are free'));
  expect(pool.show(new Uint32Array(1), 1)).toBe(0);
  pool.give(0);
  expect(pool.free).toBe(1);
});

test('a slab that is one byte too small is refused', () => {
  expect(() => new FramePool(slabOf(new Uint8Array(99)), 10, 3, 30)).toThrow(
    new RangeError('the slab is too small for the frame pool'),
  );
});

function take(pool: FramePool, count: number): number[] {
  const offsets = new Uint32Array(count);
  expect(pool.show(offsets, count)).toBe(count);
  pool.takeShown(count);
  return [...offsets];
}
