import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ExtentMap, GAP, ZERO } from '../../../gateway/disk/extent-map.ts';
import { runs, SEED } from '../../support/runs.ts';

type Piece = [from: number, to: number, at: number];

function pieces(map: ExtentMap, from: number, to: number): Piece[] {
  const seen: Piece[] = [];
  map.visit(from, to, (...piece) => seen.push(piece));
  return seen;
}

/** Address of each byte between `from` and `to`, the obvious way. */
function bytes(seen: readonly Piece[]): number[] {
  return seen.flatMap(([from, to, at]) => Array.from({ length: to - from }, (_, index) => (at < 0 ? at : at + index)));
}

const SIZE = 600;
const change = fc.record({
  from: fc.integer({ min: 0, max: SIZE - 1 }),
  length: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: SIZE })),
  zero: fc.option(fc.constantFrom(ZERO.hole, ZERO.kept), { freq: 3, nil: null }),
});

describe('an extent map', () => {
  it('knows of every byte what an array of bytes knows', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 600 }), fc.nat(SIZE), fc.nat(SIZE), (changes, one, other) => {
        const map = new ExtentMap();
        const naive = new Array<number>(SIZE).fill(GAP);
        let address = 0;
        for (const { from, length, zero } of changes) {
          const to = Math.min(SIZE, from + length);
          const at = zero ?? address;
          map.set(from, to, at);
          for (let index = from; index < to; index++) naive[index] = at < 0 ? at : at + (index - from);
          address += length + 56;
        }
        const [from, to] = one < other ? [one, other] : [other, one];
        expect(bytes(pieces(map, 0, SIZE))).toEqual(naive);
        expect(bytes(pieces(map, from, to))).toEqual(naive.slice(from, to));
        let count = 0;
        let end = 0;
        map.forEach((first, last) => {
          expect(first).toBeGreaterThanOrEqual(end);
          expect(last).toBeGreaterThan(first);
          end = last;
          count++;
        });
        expect(map.size).toBe(count);
      }),
      { numRuns: runs(150), ...SEED },
    );
  });

  it('keeps its memory in proportion when most of it is overwritten again', () => {
    const map = new ExtentMap();
    for (let block = 0; block < 50_000; block++) map.set(block * 10, block * 10 + 5, block);
    expect(map.size).toBe(50_000);
    for (let block = 0; block < 50_000; block++)
      if (block % 100 !== 0) map.set(block * 10 - 5, block * 10 + 5, ZERO.hole);
    expect(map.size).toBeLessThan(100_000);
    map.set(0, 500_000, ZERO.kept);
    expect(pieces(map, 0, 500_000)).toEqual([[0, 500_000, ZERO.kept]]);
  });

  it('goes up to a terabyte', () => {
    const map = new ExtentMap();
    map.set(2 ** 40 - 512, 2 ** 40, 7);
    expect(pieces(map, 2 ** 40 - 1024, 2 ** 40)).toEqual([
      [2 ** 40 - 1024, 2 ** 40 - 512, GAP],
      [2 ** 40 - 512, 2 ** 40, 7],
    ]);
  });
});
