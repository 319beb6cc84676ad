import { describe, expect, test } from 'vitest';
import { alternativesOf, boxesOf, isBox, type Range } from '../../classifier/box.ts';
import { WORD } from '../../classifier/field.ts';
import type { FieldName, Interval } from '../../rules/rule.ts';

type Pair = readonly [bigint | number, bigint | number];

const interval = ([low, high]: Pair): Interval => ({ low: BigInt(low), high: BigInt(high) });
const range = (word: number, low: number, high: number): Range => ({ word, low, high });
const alternatives = (field: FieldName, ...pairs: readonly Pair[]) =>
  alternativesOf(field, { mask: null, intervals: pairs.map(interval) });

describe('the alternatives of a condition', () => {
  test('are its intervals', () => {
    expect(alternatives('tcp.dport', [5, 9], [80, 80])).toEqual([
      [range(WORD.dstPort, 5, 9)],
      [range(WORD.dstPort, 80, 80)],
    ]);
    expect(alternatives('tcp.dport')).toEqual([]);
  });

  test('are unsigned', () => {
    expect(alternatives('ip.saddr', [0xfffffffe, 0xffffffff])).toEqual([[range(WORD.src0, 0xfffffffe, 0xffffffff)]]);
    expect(alternatives('ip.saddr', [0, 0x80000000])).toEqual([[range(WORD.src0, 0, 0x80000000)]]);
  });

  test('are one that limits nothing, where the mask leaves no intervals', () => {
    expect(alternativesOf('tcp.dport', { mask: 5n, intervals: [interval([1, 1]), interval([4, 4])] })).toEqual([[]]);
  });

  test('are one from the first to the last of more than sixteen', () => {
    const pairs = Array.from({ length: 17 }, (_, i): Pair => [10 * i + 3, 10 * i + 5]);
    expect(alternatives('tcp.dport', ...pairs.slice(0, 16))).toHaveLength(16);
    expect(alternatives('tcp.dport', ...pairs)).toEqual([[range(WORD.dstPort, 3, 165)]]);
  });

  test('name only the words that they limit', () => {
    expect(alternatives('ip.saddr', [0, 0xffffffff])).toEqual([[]]);
    expect(alternatives('ip.saddr', [1, 0xffffffff])).toEqual([[range(WORD.src0, 1, 0xffffffff)]]);
    const net = 0x20010db8n << 96n;
    expect(alternatives('ip6.saddr', [net, net + (1n << 96n) - 1n])).toEqual([
      [range(WORD.src0, 0x20010db8, 0x20010db8)],
    ]);
  });

  test('end with the first word that differs: what follows it may be anything', () => {
    const net = 0x20010db8n << 96n;
    expect(alternatives('ip6.saddr', [net + 5n, net + (7n << 64n) + 9n])).toEqual([
      [range(WORD.src0, 0x20010db8, 0x20010db8), range(WORD.src1, 0, 7)],
    ]);
    expect(alternatives('ether.daddr', [0x020000000001n, 0x020000000005n])).toEqual([
      [range(WORD.dstMacHigh, 0x02000000, 0x02000000), range(WORD.dstMacLow, 1, 5)],
    ]);
  });
});

describe('an interval is a box', () => {
  const box = (field: FieldName, low: bigint, high: bigint) => isBox(field, { low, high });

  test('where one word tells it, or all its values begin alike', () => {
    expect(box('tcp.dport', 5n, 9n)).toBe(true);
    expect(box('ip6.saddr', 5n, 5n)).toBe(true);
    expect(box('ip6.saddr', 5n, 9n)).toBe(true);
    const net = 0x20010db8n << 96n;
    expect(box('ip6.saddr', net, net + (1n << 96n) - 1n)).toBe(true);
    expect(box('ip6.saddr', net, net + (2n << 64n) - 1n)).toBe(true);
    expect(box('ether.saddr', 0x010203040000n, 0x01020305ffffn)).toBe(true);
  });

  test('unless it begins or ends inside the words behind the first that differs', () => {
    const net = 0x20010db8n << 96n;
    expect(box('ip6.saddr', net + 1n, net + (1n << 96n) - 1n)).toBe(false);
    expect(box('ip6.saddr', net, net + (1n << 96n) - 2n)).toBe(false);
    expect(box('ip6.saddr', net, net + (2n << 64n))).toBe(false);
    expect(box('ip6.saddr', net + (1n << 32n), net + (2n << 64n) - 1n)).toBe(false);
    expect(box('ether.saddr', 0x010203040000n, 0x01020305fffen)).toBe(false);
    expect(box('ether.saddr', 0x010203040001n, 0x01020305ffffn)).toBe(false);
  });
});

describe('the boxes of a rule', () => {
  const port = (low: number, high = low) => [range(WORD.dstPort, low, high)];
  const proto = (low: number, high = low) => [range(WORD.proto, low, high)];

  test('are all combinations of the alternatives, with the place of the rule', () => {
    expect(boxesOf(70, [[port(1), port(2)], [[]], [proto(6), proto(17)]])).toEqual([
      { rule: 70, ranges: [...port(1), ...proto(6)] },
      { rule: 70, ranges: [...port(1), ...proto(17)] },
      { rule: 70, ranges: [...port(2), ...proto(6)] },
      { rule: 70, ranges: [...port(2), ...proto(17)] },
    ]);
  });

  test('are one without limits for a rule without conditions, and none where a condition is never true', () => {
    expect(boxesOf(7, [])).toEqual([{ rule: 7, ranges: [] }]);
    expect(boxesOf(7, [[port(1)], []])).toEqual([]);
    expect(boxesOf(7, [[], [port(1)]])).toEqual([]);
  });

  test('are sixteen at most: the conditions that would make more are covered by one alternative', () => {
    const four = [port(5), port(9, 11), port(20, 30), port(7)];
    expect(boxesOf(7, [[...Array(4)].map((_, i) => proto(i)), four])).toHaveLength(16);
    expect(
      boxesOf(7, [
        [...Array(5)].map((_, i) => proto(i)),
        four,
        [[range(WORD.vlanId, 1, 1)], [range(WORD.vlanId, 2, 2)]],
      ]),
    ).toEqual(
      [0, 1, 2, 3, 4].flatMap((i) =>
        [1, 2].map((vlan) => ({ rule: 7, ranges: [...proto(i), ...port(5, 30), range(WORD.vlanId, vlan, vlan)] })),
      ),
    );
  });

  test('leave a word open that not all of the covered alternatives limit', () => {
    const many = [...Array(16)].map((_, i) => proto(i));
    const [first, second] = [range(WORD.src0, 3, 4), range(WORD.src0, 1, 9)];
    const limits = (alternatives: readonly (readonly Range[])[]) =>
      boxesOf(7, [many, alternatives])[0]!.ranges.slice(1);
    expect(limits([[first, ...port(1)], [second]])).toEqual([range(WORD.src0, 1, 9)]);
    expect(limits([[second], [first, ...port(1)]])).toEqual([range(WORD.src0, 1, 9)]);
    expect(
      limits([
        [first, ...port(8)],
        [...port(6), second],
      ]),
    ).toEqual([range(WORD.src0, 1, 9), ...port(6, 8)]);
    expect(limits([[first], port(1)])).toEqual([]);
  });
});
