import { describe, expect, test } from 'vitest';
import { WORD } from '../../classifier/field.ts';
import { HEADER, OP, ProgramWriter, STRIDE, UPPER } from '../../classifier/program.ts';
import { APPS, type ConcatMatch, type FieldName, type Match } from '../../rules/rule.ts';
import { match, ruleOf } from '../support/arbitrary-rules.ts';

/** Bounds are written with the top bit flipped. */
const bound = (value: number): number => (value ^ 0x80000000) | 0;
const is = (field: FieldName, value: number): Match => match(field, [value, value]);

/** A writer with one rule, and what it says about that. */
function written(...matches: readonly Match[]) {
  const writer = new ProgramWriter();
  const rules = writer.add(ruleOf(matches, 7), 7);
  return { writer, rules, code: writer.code, lists: writer.lists };
}

/** The only condition of a rule, and where it was put. */
function conditionOf(one: Match) {
  const { code, lists, rules, writer } = written(one);
  expect(rules).toHaveLength(1);
  expect(code).toHaveLength(HEADER.size + STRIDE);
  const isRange = code[HEADER.rangesEnd] === code.length;
  return { isRange, numbers: code.slice(HEADER.size), lists, encoded: rules[0]!, writer, code };
}

function concat(fields: readonly FieldName[], ...tuples: readonly (readonly (readonly [number, number])[])[]) {
  const made: ConcatMatch = {
    kind: 'concat',
    fields,
    negated: false,
    tuples: tuples.map((tuple) => tuple.map(([low, high]) => ({ low: BigInt(low), high: BigInt(high) }))),
  };
  return made;
}

describe('a rule in code', () => {
  test('is a header alone when it has no match', () => {
    const { code, rules } = written();
    expect(code).toEqual([7, HEADER.size, HEADER.size, 0]);
    expect(rules).toEqual([
      {
        ...{ rule: 0, isDefault: true, hasLayer2: false, usesApps: false, fields: [] },
        ...{ boxes: [{ rule: 0, ranges: [] }], layer2Boxes: [{ rule: 0, ranges: [] }] },
      },
    ]);
  });

  test('has its ranges first, in their order, then the others', () => {
    const { code } = written(
      match('udp.dport', [1, 2], [5, 6]),
      is('udp.sport', 9),
      { kind: 'declared' },
      is('vlan.id', 3),
    );
    expect(code).toEqual([
      ...[7, 10, 16, 1],
      ...[WORD.srcPort | UPPER, 9, 0],
      ...[WORD.vlanId, 3, 0],
      ...[WORD.dstPort | OP.list | UPPER, 0, 2],
      ...[OP.declared | UPPER, 0, 0],
    ]);
  });

  test('begins where the one before ended, with its own index', () => {
    const writer = new ProgramWriter();
    const first = writer.add(ruleOf([is('vlan.id', 3)], 0), 0);
    const second = writer.add(ruleOf([is('vlan.id', 4), is('vlan.pcp', 4)], 1), 1);
    expect(first.map((rule) => rule.rule)).toEqual([0]);
    expect(second.map((rule) => rule.rule)).toEqual([7]);
    expect(writer.code.slice(7, 11)).toEqual([1, 17, 17, 0]);
    expect(second[0]!.boxes.map((box) => box.rule)).toEqual([7]);
  });

  test('says whether it has matches above layer 2, and which conditions can be asked at layer 2', () => {
    const layer2 = written(is('vlan.id', 3), match('frame.length', [1, 2], [4, 5]));
    expect(layer2.code[HEADER.hasUpper]).toBe(0);
    expect(layer2.rules[0]).toMatchObject({ hasLayer2: true, isDefault: false });
    expect(layer2.rules[0]!.layer2Boxes).toEqual(layer2.rules[0]!.boxes);
    const both = written(is('vlan.id', 3), is('udp.dport', 5));
    expect(both.code[HEADER.hasUpper]).toBe(1);
    expect(both.rules[0]).toMatchObject({ hasLayer2: true, fields: ['vlan.id', 'udp.dport'] });
    expect(both.rules[0]!.boxes[0]!.ranges.map((range) => range.word)).toEqual([WORD.vlanId, WORD.dstPort]);
    expect(both.rules[0]!.layer2Boxes[0]!.ranges.map((range) => range.word)).toEqual([WORD.vlanId]);
    const upper = written(is('udp.dport', 5));
    expect(upper.code[HEADER.hasUpper]).toBe(1);
    expect(upper.rules[0]).toMatchObject({ hasLayer2: false, isDefault: false });
    expect(upper.rules[0]!.layer2Boxes).toEqual([{ rule: 0, ranges: [] }]);
  });

  test('names a field once that several matches ask for', () => {
    expect(written(match('udp.dport', [5, 9]), match('udp.dport', [7, 20])).rules[0]!.fields).toEqual(['udp.dport']);
  });
});

describe('a match on a field', () => {
  test('is a range, where one interval of one word says it', () => {
    const upper = conditionOf(match('ip.saddr', [0x80000000, 0xffffffff]));
    expect(upper).toMatchObject({ isRange: true, lists: [] });
    expect(upper.numbers).toEqual([WORD.src0 | UPPER, -0x80000000, 0x7fffffff]);
    expect(conditionOf(match('meta.length', [1, 0xffffffff])).numbers).toEqual([WORD.metaLength, 1, -2]);
  });

  test('is several ranges where a wide value must be one, and fewer where it is a prefix', () => {
    const { code } = written(match('ether.saddr', [0x010203040506n, 0x010203040506n]));
    expect(code.slice(HEADER.size)).toEqual([WORD.srcMacHigh, 0x01020304, 0, WORD.srcMacLow, 0x0506, 0]);
    expect(code.slice(1, 3)).toEqual([10, 10]);
    const prefix = conditionOf(match('ether.saddr', [0x010203000000n, 0x010203ffffffn]));
    expect(prefix.isRange).toBe(true);
    expect(prefix.numbers).toEqual([WORD.srcMacHigh, 0x01020300, 0xff]);
  });

  test('is a list of bounds where there are several intervals', () => {
    const { isRange, numbers, lists, encoded } = conditionOf(match('udp.dport', [5, 6], [8, 8]));
    expect(isRange).toBe(false);
    expect(numbers).toEqual([WORD.dstPort | OP.list | UPPER, 0, 2]);
    expect(lists).toEqual([1, 0xffff, bound(5), bound(6), bound(8), bound(8)]);
    expect(encoded.boxes).toHaveLength(2);
    expect(encoded.fields).toEqual(['udp.dport']);
  });

  test('is a list where no interval is left, of which no box is', () => {
    const { isRange, numbers, encoded } = conditionOf(match('vlan.id'));
    expect(isRange).toBe(false);
    expect(numbers).toEqual([WORD.vlanId | OP.list, 0, 0]);
    expect(encoded.boxes).toEqual([]);
  });

  test('is a list where a wide interval ends inside its words, with all words of the bounds', () => {
    const { numbers, lists, encoded } = conditionOf(match('ether.daddr', [0x010203040506n, 0x010203050000n]));
    expect(numbers).toEqual([WORD.dstMacHigh | OP.list, 0, 1]);
    expect(lists).toEqual([2, -1, 0xffff, bound(0x01020304), bound(0x0506), bound(0x01020305), bound(0)]);
    expect(encoded.boxes[0]!.ranges).toEqual([{ word: WORD.dstMacHigh, low: 0x01020304, high: 0x01020305 }]);
  });

  test('is a list with a mask, where the mask is no prefix, also for a single value', () => {
    const { numbers, lists, encoded } = conditionOf({
      ...match('udp.dport', [1, 1]),
      mask: 0x0101n,
    });
    expect(numbers).toEqual([WORD.dstPort | OP.list | UPPER, 0, 1]);
    expect(lists).toEqual([1, 0x0101, bound(1), bound(1)]);
    expect(encoded.boxes).toEqual([{ rule: 0, ranges: [] }]);
  });

  test('points behind the lists of the matches before', () => {
    const { code } = written(match('udp.dport', [5, 6], [8, 8]), match('udp.sport', [1, 1], [3, 3]));
    expect([code[HEADER.size + 1], code[HEADER.size + STRIDE + 1]]).toEqual([0, 6]);
  });

  test("has its own operation for SCTP's chunk, which no tree tells apart", () => {
    const { isRange, numbers, lists, encoded } = conditionOf(is('sctp.chunk', 10));
    expect(isRange).toBe(false);
    expect(numbers).toEqual([WORD.sctpChunk | OP.chunk | UPPER, 0, 1]);
    expect(lists).toEqual([1, 0xff, bound(10), bound(10)]);
    expect(encoded).toMatchObject({ fields: ['sctp.chunk'], boxes: [{ rule: 0, ranges: [] }] });
  });
});

describe('a match on raw payload', () => {
  const raw = (base: 'll' | 'nh' | 'th', lengthBits: number, mask: bigint | null = null): Match => {
    const intervals = [{ low: 1n, high: 2n }];
    return { kind: 'raw', base, offsetBits: 9, lengthBits, mask, negated: false, intervals };
  };

  test('has its place, its mask and its bounds in the list', () => {
    const { isRange, numbers, lists, encoded } = conditionOf(raw('nh', 40));
    expect(isRange).toBe(false);
    expect(numbers).toEqual([1 | OP.raw, 0, 1]);
    expect(lists).toEqual([9, 40, 2, -1, 0xff, bound(0), bound(1), bound(0), bound(2)]);
    expect(encoded).toMatchObject({ fields: [], hasLayer2: true, isDefault: false, usesApps: false });
  });

  test('of 32 bits is one word', () => {
    expect(conditionOf(raw('ll', 32)).lists).toEqual([9, 32, 1, -1, bound(1), bound(2)]);
    expect(conditionOf(raw('ll', 33)).lists.slice(0, 3)).toEqual([9, 33, 2]);
    expect(conditionOf(raw('ll', 32, 5n)).lists).toEqual([9, 32, 1, 5, bound(1), bound(2)]);
  });

  test('is above layer 2 only where it counts from the transport header', () => {
    expect(conditionOf(raw('ll', 8)).numbers[0]).toBe(0 | OP.raw);
    expect(conditionOf(raw('nh', 8)).code[HEADER.hasUpper]).toBe(0);
    const { numbers, encoded, code } = conditionOf(raw('th', 8));
    expect(numbers[0]).toBe(2 | OP.raw | UPPER);
    expect(encoded.hasLayer2).toBe(false);
    expect(code[HEADER.hasUpper]).toBe(1);
  });
});

describe('a match on an application', () => {
  const app = (types: readonly number[] | null, negated: boolean): Match => ({
    kind: 'app',
    app: 'http',
    types,
    negated,
  });
  const http = APPS.indexOf('http') | OP.app | UPPER;

  test('has its types as bits, and bit 0 if there are any', () => {
    expect(conditionOf(app(null, false)).numbers).toEqual([http, 0, 0]);
    expect(conditionOf(app(null, true)).numbers).toEqual([http, 1, 0]);
    expect(conditionOf(app([1, 5], false)).numbers).toEqual([http, 0, 0b100011]);
    expect(conditionOf(app([31], true)).numbers).toEqual([http, 1, -0x80000000 + 1]);
  });

  test('is above layer 2, and known as such', () => {
    expect(conditionOf(app(null, false)).encoded).toMatchObject({ usesApps: true, hasLayer2: false, fields: [] });
    expect(written(is('udp.dport', 5), app([1], false)).rules[0]!.usesApps).toBe(true);
    expect(written(is('udp.dport', 5)).rules[0]!.usesApps).toBe(false);
  });
});

describe('a match on a dynamic set', () => {
  const set = (name: string, negated: boolean, ...fields: FieldName[]): Match => ({
    kind: 'set',
    fields,
    set: name,
    negated,
  });

  test('has the words of the key in the list, after the number of the set', () => {
    const { numbers, lists, encoded, writer } = conditionOf(set('a', false, 'ether.saddr', 'udp.sport'));
    expect(numbers).toEqual([OP.set | UPPER, 0, 0]);
    expect(lists).toEqual([0, 3, WORD.srcMacHigh, WORD.srcMacLow, WORD.srcPort]);
    expect(encoded).toMatchObject({ fields: ['ether.saddr', 'udp.sport'], hasLayer2: false });
    expect(writer.sets).toEqual(['a']);
  });

  test('can be asked at layer 2 if all of its fields can', () => {
    expect(conditionOf(set('a', true, 'ether.saddr', 'vlan.id')).numbers).toEqual([OP.set, 0, 1]);
    expect(conditionOf(set('a', true, 'vlan.id', 'ip.saddr')).numbers).toEqual([OP.set | UPPER, 0, 1]);
  });

  test('gives each name one number', () => {
    const { writer, lists } = written(
      set('a', false, 'vlan.id'),
      set('b', false, 'vlan.id'),
      set('a', true, 'vlan.pcp'),
    );
    expect(writer.sets).toEqual(['a', 'b']);
    expect([lists[0], lists[3], lists[6]]).toEqual([0, 1, 0]);
  });
});

describe('a match on declared flows', () => {
  test('has a number for the class, and one for none', () => {
    const writer = new ProgramWriter();
    const declared = (className: string | null) => {
      writer.add({ ...ruleOf([{ kind: 'declared' }], 0), className }, 0);
      return writer.code.slice(-STRIDE);
    };
    expect(declared('data')).toEqual([OP.declared | UPPER, 0, 0]);
    expect(declared(null)).toEqual([OP.declared | UPPER, 1, 0]);
    expect(declared('control')).toEqual([OP.declared | UPPER, 2, 0]);
    expect(declared('data')).toEqual([OP.declared | UPPER, 0, 0]);
    expect(writer.classes).toEqual(['data', null, 'control']);
  });
});

describe('a rule with a concatenation', () => {
  const pairs = concat(
    ['ip.saddr', 'udp.sport'],
    [
      [1, 1],
      [5, 9],
    ],
    [
      [2, 2],
      [7, 7],
    ],
    [
      [3, 3],
      [8, 8],
    ],
  );

  test('is written once for each tuple, with the other matches behind the fields of the tuple', () => {
    const { rules, code, lists } = written(is('vlan.id', 3), pairs);
    expect(rules.map((rule) => rule.rule)).toEqual([0, 13, 26]);
    expect(code.slice(13)).toEqual([
      ...[7, 26, 26, 1, WORD.src0 | UPPER, 2, 0, WORD.srcPort | UPPER, 7, 0, WORD.vlanId, 3, 0],
      ...[7, 39, 39, 1, WORD.src0 | UPPER, 3, 0, WORD.srcPort | UPPER, 8, 0, WORD.vlanId, 3, 0],
    ]);
    expect(lists).toEqual([]);
    expect(rules[1]).toMatchObject({ fields: ['ip.saddr', 'udp.sport', 'vlan.id'], isDefault: false, hasLayer2: true });
    expect(rules[1]!.boxes[0]!.ranges).toEqual([
      { word: WORD.src0, low: 2, high: 2 },
      { word: WORD.srcPort, low: 7, high: 7 },
      { word: WORD.vlanId, low: 3, high: 3 },
    ]);
  });

  test('is written for each tuple of the longest, the first of equally long ones', () => {
    const two = concat(
      ['vlan.id', 'vlan.pcp'],
      [
        [1, 1],
        [1, 1],
      ],
      [
        [2, 2],
        [2, 2],
      ],
    );
    for (const matches of [
      [two, pairs],
      [pairs, two],
    ]) {
      const { rules, lists } = written(...matches);
      expect(rules).toHaveLength(3);
      // The other one is compared tuple by tuple: negated, fields, each field, the bounds of each tuple.
      expect(lists).toEqual([...[0, 2, WORD.vlanId, 1, 0, WORD.vlanPcp, 1, 0], ...[1, 1, 1, 1, 2, 2, 2, 2].map(bound)]);
    }
    const other = concat(
      ['udp.dport', 'ip.ttl'],
      [
        [1, 1],
        [1, 1],
      ],
      [
        [2, 2],
        [2, 2],
      ],
    );
    expect(written(two, other).lists.slice(2, 3)).toEqual([WORD.dstPort]);
  });

  test('is compared tuple by tuple if it is negated', () => {
    const { code, lists, rules } = written({ ...pairs, negated: true });
    expect(rules).toHaveLength(1);
    expect(code.slice(HEADER.size)).toEqual([OP.tuples | UPPER, 0, 3]);
    expect(lists).toEqual([
      ...[1, 2, WORD.src0, 1, 1, WORD.srcPort, 1, 1],
      ...[1, 1, 5, 9, 2, 2, 7, 7, 3, 3, 8, 8].map(bound),
    ]);
    expect(rules[0]).toMatchObject({ fields: ['ip.saddr', 'udp.sport'], boxes: [{ rule: 0, ranges: [] }] });
  });

  test('can be asked at layer 2 if one of its fields can, word by word', () => {
    const stations = {
      ...concat(
        ['ether.saddr', 'ip.saddr'],
        [
          [1, 1],
          [2, 2],
        ],
      ),
      negated: true,
    };
    const { code, lists, rules } = written(stations);
    expect(code[HEADER.size]).toBe(OP.tuples);
    expect(code[HEADER.hasUpper]).toBe(1);
    expect(rules[0]!.hasLayer2).toBe(true);
    expect(lists).toEqual([...[1, 2, WORD.srcMacHigh, 2, 0, WORD.src0, 1, 1], ...[0, 1, 0, 1, 2, 2].map(bound)]);
  });
});
