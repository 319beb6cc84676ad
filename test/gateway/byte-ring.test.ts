import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteRing } from '../../gateway/byte-ring.ts';

/** A ring of 10 bytes whose blocks start where they are told. */
function ringWith(...blocks: readonly (readonly [at: number, length: number])[]): ByteRing {
  const ring = new ByteRing(10);
  for (const [at, length] of blocks) ring.take(at, length);
  return ring;
}

describe('an empty ring', () => {
  test('gives its beginning to whatever fits as a whole', () => {
    const ring = ringWith([3, 4]);
    expect(ring.size).toBe(10);
    expect(ring.place(-1, 1)).toBe(0);
    expect(ring.place(-1, 10)).toBe(0);
    expect(ring.place(-1, 11)).toBe(-1);
    expect(ring.place(-1, 0)).toBe(0);
  });

  test('without a single byte takes not even an empty block', () => {
    expect(new ByteRing(0).place(-1, 0)).toBe(-1);
  });
});

describe('a ring that has not wrapped', () => {
  test('goes on after the newest block, up to its last byte', () => {
    const ring = ringWith([0, 4]);
    expect(ring.place(0, 5)).toBe(4);
    expect(ring.place(0, 6)).toBe(4);
    expect(ring.place(0, 7)).toBe(-1);
  });

  test('starts over when the end is too near, but never reaches the oldest block', () => {
    const ring = ringWith([4, 4]);
    expect(ring.place(4, 2)).toBe(8);
    expect(ring.place(4, 3)).toBe(0);
    // The fourth byte would make full look like empty.
    expect(ring.place(4, 4)).toBe(-1);
  });

  test('starts over right at its end', () => {
    const ring = ringWith([4, 6]);
    expect(ring.place(4, 1)).toBe(0);
    expect(ring.place(4, 3)).toBe(0);
    expect(ring.place(4, 4)).toBe(-1);
    expect(ring.place(0, 1)).toBe(-1);
    expect(ring.place(1, 1)).toBe(-1);
  });
});

describe('a ring that has wrapped', () => {
  test('goes on up to one byte before the oldest block', () => {
    const ring = ringWith([6, 3], [0, 2]);
    expect(ring.place(6, 3)).toBe(2);
    expect(ring.place(6, 4)).toBe(-1);
  });

  test('an empty block takes one byte, so that the next one lies elsewhere', () => {
    const ring = ringWith([6, 3], [0, 0]);
    expect(ring.place(6, 4)).toBe(1);
    expect(ring.place(6, 5)).toBe(-1);
    ring.take(1, 4);
    expect(ring.place(6, 0)).toBe(-1);
    expect(ring.place(7, 0)).toBe(5);
  });

  test('gives the newest block back', () => {
    const ring = ringWith([6, 3], [0, 2], [2, 3]);
    expect(ring.place(6, 3)).toBe(-1);
    ring.giveBack(2);
    expect(ring.place(6, 3)).toBe(2);
    ring.giveBack(0);
    expect(ring.place(6, 5)).toBe(0);
    ring.giveBack(6);
    expect(ring.place(-1, 10)).toBe(0);
  });
});

test('blocks never overlap, whatever comes and goes', () => {
  const op = fc.oneof(
    { weight: 3, arbitrary: fc.record({ what: fc.constant('take' as const), length: fc.nat(12) }) },
    {
      weight: 2,
      arbitrary: fc.record({ what: fc.constantFrom('oldest' as const, 'newest' as const), length: fc.constant(0) }),
    },
  );
  const property = fc.property(fc.integer({ min: 1, max: 40 }), fc.array(op, { maxLength: 60 }), (size, ops) => {
    const ring = new ByteRing(size);
    const blocks: { at: number; bytes: number }[] = [];
    for (const { what, length } of ops) {
      if (what === 'take') {
        const at = ring.place(blocks[0]?.at ?? -1, length);
        if (at < 0) continue;
        const block = { at, bytes: Math.max(1, length) };
        expect(at + block.bytes).toBeLessThanOrEqual(size);
        for (const other of blocks) {
          expect(at + block.bytes <= other.at || other.at + other.bytes <= at).toBe(true);
        }
        ring.take(at, length);
        blocks.push(block);
      } else if (what === 'oldest') {
        blocks.shift();
      } else {
        const newest = blocks.pop();
        if (newest !== undefined) ring.giveBack(newest.at);
      }
    }
  });
  fc.assert(property);
});

test('a block that has no place is never taken', () => {
  const ring = new ByteRing(10);
  expect(() => ring.take(ring.place(-1, 11), 11)).toThrow('no room');
});
