import { describe, expect, test } from 'vitest';
import { plainCondition } from '../../classifier/interval.ts';
import type { FieldName } from '../../rules/rule.ts';

function plain(
  field: FieldName,
  mask: bigint | null,
  negated: boolean,
  ...pairs: readonly (readonly [bigint, bigint])[]
) {
  const intervals = pairs.map(([low, high]) => ({ low, high }));
  const made = plainCondition({ kind: 'field', field, mask, negated, intervals });
  return { mask: made.mask, intervals: made.intervals.map(({ low, high }) => [low, high]) };
}

describe('a condition without a mask', () => {
  test('keeps its intervals', () => {
    expect(plain('tcp.dport', null, false, [5n, 9n], [20n, 20n])).toEqual({
      mask: null,
      intervals: [
        [5n, 9n],
        [20n, 20n],
      ],
    });
  });

  test('becomes the gaps when it is negated', () => {
    expect(plain('tcp.dport', null, true, [5n, 9n], [20n, 20n]).intervals).toEqual([
      [0n, 4n],
      [10n, 19n],
      [21n, 65535n],
    ]);
    expect(plain('tcp.dport', null, true, [0n, 9n], [20n, 65535n]).intervals).toEqual([[10n, 19n]]);
    expect(plain('tcp.dport', null, true, [0n, 65535n]).intervals).toEqual([]);
    expect(plain('tcp.dport', null, true, [0n, 65534n]).intervals).toEqual([[65535n, 65535n]]);
    expect(plain('tcp.dport', null, true, [1n, 65535n]).intervals).toEqual([[0n, 0n]]);
    expect(plain('tcp.dport', null, true).intervals).toEqual([[0n, 65535n]]);
  });
});

describe('a condition with a mask', () => {
  test('of all bits says the same without it', () => {
    expect(plain('tcp.dport', 0xffffn, false, [5n, 9n])).toEqual({ mask: null, intervals: [[5n, 9n]] });
    expect(plain('ip6.saddr', (1n << 128n) - 1n, false, [5n, 9n])).toEqual({ mask: null, intervals: [[5n, 9n]] });
  });

  test('that is a prefix becomes the values behind it', () => {
    expect(plain('ip.saddr', 0xffffff00n, false, [0x0a000000n, 0x0a000000n])).toEqual({
      mask: null,
      intervals: [[0x0a000000n, 0x0a0000ffn]],
    });
    expect(plain('tcp.dport', 0xfff0n, false, [1n, 0x30n])).toEqual({ mask: null, intervals: [[0x10n, 0x3fn]] });
    expect(plain('tcp.dport', 0xfff0n, false, [1n, 0xfn])).toEqual({ mask: null, intervals: [] });
    expect(plain('tcp.dport', 0xfff0n, false, [0x10n, 0x1fn], [0x21n, 0x30n])).toEqual({
      mask: null,
      intervals: [
        [0x10n, 0x1fn],
        [0x30n, 0x3fn],
      ],
    });
    expect(plain('tcp.dport', 0xfff0n, false, [0x10n, 0x11n], [0x20n, 0x21n])).toEqual({
      mask: null,
      intervals: [[0x10n, 0x2fn]],
    });
    expect(plain('tcp.dport', 0n, false, [0n, 0n])).toEqual({ mask: null, intervals: [[0n, 65535n]] });
  });

  test('is negated before it is spread', () => {
    expect(plain('tcp.dport', 0xff00n, true, [0x1200n, 0x1200n])).toEqual({
      mask: null,
      intervals: [
        [0n, 0x11ffn],
        [0x1300n, 65535n],
      ],
    });
  });

  test('that is no prefix becomes the values of a narrow field', () => {
    expect(plain('tcp.flags', 0x02n, false, [2n, 2n]).intervals.slice(0, 2)).toEqual([
      [2n, 3n],
      [6n, 7n],
    ]);
    expect(plain('tcp.flags', 0x81n, false, [0x81n, 0x81n]).intervals).toHaveLength(64);
    expect(plain('tcp.flags', 0x81n, true, [0n, 0x80n]).intervals.at(-1)).toEqual([255n, 255n]);
    expect(plain('vlan.pcp', 0x5n, false, [5n, 5n]).intervals).toEqual([
      [5n, 5n],
      [7n, 7n],
    ]);
    expect(plain('tcp.flags', 0x02n, false, [2n, 2n]).mask).toBeNull();
  });

  test('that is no prefix stays on a wide field', () => {
    expect(plain('tcp.dport', 0x0101n, false, [1n, 1n])).toEqual({ mask: 0x0101n, intervals: [[1n, 1n]] });
    expect(plain('vlan.id', 0x101n, false, [1n, 1n]).mask).toBe(0x101n);
  });
});
