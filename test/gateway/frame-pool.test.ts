import { expect, test } from 'vitest';
import { slabOf } from '../../classifier/slab.ts';
import { FramePool } from '../../gateway/frame-pool.ts';

test('slots are disjoint, start where they are told and lie within the slab', () => {
  const pool = new FramePool(slabOf(new Uint8Array(100)), 10, 3, 30);
  expect([pool.slots, pool.slotBytes, pool.free]).toEqual([3, 30, 3]);
  const taken = [pool.take(), pool.take(), pool.take()];
  expect(taken.sort((a, b) => a - b)).toEqual([10, 40, 70]);
  expect(pool.free).toBe(0);
});

test('the first slot that is taken is the first of the slab', () => {
  const pool = new FramePool(slabOf(new Uint8Array(100)), 10, 3, 30);
  expect([pool.take(), pool.take()]).toEqual([10, 40]);
});

test('a slot that was given back is taken again', () => {
  const pool = new FramePool(slabOf(new Uint8Array(60)), 0, 2, 30);
  const first = pool.take();
  const second = pool.take();
  pool.give(second);
  expect(pool.free).toBe(1);
  expect(pool.take()).toBe(second);
  pool.give(first);
  pool.give(second);
  expect(pool.free).toBe(2);
});

test('taking from an empty pool and giving to a full one are bugs of the caller', () => {
  const pool = new FramePool(slabOf(new Uint8Array(30)), 0, 1, 30);
  expect(() => pool.give(0)).toThrow(new Error('frame pool: more slots given than taken'));
  pool.take();
  expect(() => pool.take()).toThrow(new Error('frame pool: no slot is free'));
  pool.give(0);
  expect(pool.free).toBe(1);
});

test('a slab that is one byte too small is refused', () => {
  expect(() => new FramePool(slabOf(new Uint8Array(99)), 10, 3, 30)).toThrow(
    new RangeError('the slab is too small for the frame pool'),
  );
});
