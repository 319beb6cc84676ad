import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DynamicSet, type LiveElement } from '../../classifier/dynamic-set.ts';
import { wordsOf } from '../../classifier/field.ts';
import { LiveState } from '../../classifier/live-state.ts';
import type { FieldName, Interval, NamedSet, SetType } from '../../rules/rule.ts';
import { runs, SEED } from '../support/runs.ts';

/** A time as lookups take it. */
const at = (nowNs: number) => Float64Array.of(nowNs);

const FIELD_OF: Record<SetType, FieldName> = {
  ipv4_addr: 'ip.daddr',
  ipv6_addr: 'ip6.daddr',
  ether_addr: 'ether.daddr',
  inet_service: 'udp.dport',
  inet_proto: 'ip.protocol',
};

/** The key of a frame that has these values. */
function keyOf(types: readonly SetType[], values: readonly bigint[]): Int32Array {
  return Int32Array.from(types.flatMap((type, i) => [...wordsOf(FIELD_OF[type], values[i]!)]));
}

const one = (...values: bigint[]): Interval[] => values.map((value) => ({ low: value, high: value }));
const S = 1e9;

describe('an element of a dynamic set', () => {
  test('with a timeout is gone at exactly its deadline', () => {
    const set = new DynamicSet(['inet_service'], 4);
    const key = keyOf(['inet_service'], [5060n]);
    expect(set.has(key, at(7))).toBe(false);
    expect(set.add(one(5060n), 10 * S, 7)).toBe(true);
    expect(set.has(key, at(10 * S + 6))).toBe(true);
    expect(set.has(key, at(10 * S + 7))).toBe(false);
    expect(set.list(10 * S + 6)).toEqual([{ intervals: one(5060n), deadlineNs: 10 * S + 7 }]);
    expect(set.list(10 * S + 7)).toEqual([]);
  });

  test('without a timeout has the set’s own, and where there is none it stays', () => {
    const key = keyOf(['inet_proto'], [6n]);
    const timed = new DynamicSet(['inet_proto'], 4, 3 * S);
    timed.add(one(6n), null, 0);
    expect([timed.has(key, at(3 * S - 1)), timed.has(key, at(3 * S))]).toEqual([true, false]);
    const lasting = new DynamicSet(['inet_proto'], 4);
    lasting.add(one(6n), null, 0);
    expect(lasting.has(key, at(Number.MAX_SAFE_INTEGER))).toBe(true);
    expect(lasting.list(0)).toEqual([{ intervals: one(6n), deadlineNs: null }]);
  });

  test('that is added again has a new deadline, an earlier one too', () => {
    for (const interval of [one(80n), [{ low: 80n, high: 90n }]]) {
      const set = new DynamicSet(['inet_service'], 4);
      const key = keyOf(['inet_service'], [80n]);
      set.add(interval, 5 * S, 0);
      set.add(interval, 5 * S, 2 * S);
      expect([set.has(key, at(7 * S - 1)), set.has(key, at(7 * S))]).toEqual([true, false]);
      set.add(interval, 1 * S, 3 * S);
      expect([set.has(key, at(4 * S - 1)), set.has(key, at(4 * S))]).toEqual([true, false]);
      expect(set.list(3 * S)).toHaveLength(1);
    }
  });

  test('that is deleted is gone, and only one that was there was deleted', () => {
    const set = new DynamicSet(['ipv4_addr'], 4);
    const prefix = [{ low: 0xc000_0200n, high: 0xc000_02ffn }];
    set.add(one(0xc000_0201n), 1 * S, 0);
    set.add(prefix, 1 * S, 0);
    expect(set.delete(one(0xc000_0202n), 0)).toBe(false);
    expect(set.delete([{ low: 0xc000_0200n, high: 0xc000_02fen }], 0)).toBe(false);
    expect(set.delete(one(0xc000_0201n), 0)).toBe(true);
    expect(set.has(keyOf(['ipv4_addr'], [0xc000_0201n]), at(0))).toBe(true);
    expect(set.delete(prefix, 0)).toBe(true);
    expect(set.has(keyOf(['ipv4_addr'], [0xc000_0201n]), at(0))).toBe(false);
    set.add(one(1n), 1 * S, 0);
    set.add(prefix, 1 * S, 0);
    expect([set.delete(one(1n), 1 * S), set.delete(prefix, 1 * S)]).toEqual([false, false]);
    expect(set.list(0)).toEqual([]);
  });

  test('is compared unsigned, each field by itself', () => {
    const types: SetType[] = ['ipv4_addr', 'inet_service'];
    const set = new DynamicSet(types, 4);
    set.add(
      [
        { low: 0x7fff_fffen, high: 0x8000_0001n },
        { low: 5n, high: 6n },
      ],
      null,
      0,
    );
    const has = (address: bigint, l4Port: bigint) => set.has(keyOf(types, [address, l4Port]), at(0));
    expect([has(0x7fff_fffdn, 5n), has(0x7fff_fffen, 5n), has(0x8000_0001n, 6n), has(0x8000_0002n, 6n)]).toEqual([
      false,
      true,
      true,
      false,
    ]);
    expect([has(0x8000_0000n, 4n), has(0x8000_0000n, 7n)]).toEqual([false, false]);
  });

  test('may be a MAC address or an IPv6 prefix', () => {
    const mac = new DynamicSet(['ether_addr'], 4);
    mac.add(one(0x02_00_00_ff_ff_aan), null, 0);
    expect(mac.has(keyOf(['ether_addr'], [0x02_00_00_ff_ff_aan]), at(0))).toBe(true);
    expect(mac.has(keyOf(['ether_addr'], [0x02_00_00_ff_ff_abn]), at(0))).toBe(false);
    expect(mac.has(keyOf(['ether_addr'], [0x03_00_00_ff_ff_aan]), at(0))).toBe(false);
    const low = 0x2001_0db8n << 96n;
    const prefix = new DynamicSet(['ipv6_addr'], 4);
    prefix.add([{ low, high: low | 0xffffn }], null, 0);
    expect(prefix.has(keyOf(['ipv6_addr'], [low | 0xffffn]), at(0))).toBe(true);
    expect(prefix.has(keyOf(['ipv6_addr'], [low | 0x1_0000n]), at(0))).toBe(false);
    expect(prefix.list(0)[0]!.intervals).toEqual([{ low, high: low | 0xffffn }]);
  });
});

test('a full set first forgets what has expired, then refuses and counts it', () => {
  const set = new DynamicSet(['inet_service'], 2);
  set.add(one(1n), 1 * S, 0);
  set.add([{ low: 10n, high: 19n }], 2 * S, 0);
  expect(set.add(one(2n), null, 0)).toBe(false);
  expect(set.add(one(1n), 1 * S, 0), 'one that is there needs no room').toBe(true);
  expect(set.refused).toBe(1);
  expect(set.add(one(2n), null, 1 * S)).toBe(true);
  expect(set.add([{ low: 20n, high: 29n }], null, 1 * S)).toBe(false);
  expect(set.add([{ low: 20n, high: 29n }], null, 2 * S)).toBe(true);
  expect(set.refused).toBe(2);
  expect(set.list(2 * S).map(({ intervals }) => intervals[0]!.low)).toEqual([2n, 20n]);
});

describe('as a list that is searched from its start', () => {
  const shapes: SetType[][] = [
    ['inet_service'],
    ['ether_addr'],
    ['ipv4_addr', 'inet_service'],
    ['inet_proto', 'ipv6_addr'],
  ];
  /** Few values, so that they meet. */
  const value = fc.nat(5).map(BigInt);
  const interval = fc.oneof(
    { weight: 3, arbitrary: value.map((low) => ({ low, high: low })) },
    {
      weight: 1,
      arbitrary: fc.tuple(value, value).map(([a, b]) => (a < b ? { low: a, high: b } : { low: b, high: a })),
    },
  );
  const tuple = fc.tuple(interval, interval);
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('add' as const),
        tuple,
        timeout: fc.option(fc.integer({ min: 1, max: 9 })),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), tuple }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('has' as const), values: fc.tuple(value, value) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), by: fc.nat(4) }) },
  );

  test('a set answers, whatever comes and goes when', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...shapes),
        fc.integer({ min: 1, max: 40 }),
        fc.option(fc.integer({ min: 1, max: 9 })),
        fc.array(step, { maxLength: 120, size: 'max' }),
        (types, max, ownTimeout, steps) => {
          const set = new DynamicSet(types, max, ownTimeout);
          let model: { text: string; intervals: Interval[]; deadlineNs: number }[] = [];
          let nowNs = 1000;
          const alive = () => model.filter(({ deadlineNs }) => nowNs < deadlineNs);
          for (const next of steps) {
            if (next.do === 'wait') nowNs += next.by;
            if (next.do === 'add' || next.do === 'delete') {
              const intervals = next.tuple.slice(0, types.length);
              const text = intervals.map(({ low, high }) => `${low}-${high}`).join();
              const known = alive().some((element) => element.text === text);
              if (next.do === 'delete') {
                expect(set.delete(intervals, nowNs)).toBe(known);
                model = model.filter((element) => element.text !== text);
              } else {
                const fits = known || alive().length < max;
                expect(set.add(intervals, next.timeout, nowNs)).toBe(fits);
                if (fits) {
                  model = model.filter((element) => element.text !== text);
                  const timeout = next.timeout ?? ownTimeout ?? Number.POSITIVE_INFINITY;
                  model.push({ text, intervals, deadlineNs: nowNs + timeout });
                }
              }
            }
            if (next.do === 'has') {
              const values = next.values.slice(0, types.length);
              const expected = alive().some(({ intervals }) =>
                intervals.every(({ low, high }, i) => low <= values[i]! && values[i]! <= high),
              );
              expect(set.has(keyOf(types, values), at(nowNs))).toBe(expected);
            }
          }
          const texts = ({ intervals, deadlineNs }: LiveElement) =>
            `${intervals.map(({ low, high }) => `${low}-${high}`).join()} ${deadlineNs}`;
          const expected = alive().map(
            ({ text, deadlineNs }) => `${text} ${deadlineNs === Infinity ? null : deadlineNs}`,
          );
          expect(set.list(nowNs).map(texts).sort()).toEqual(expected.sort());
        },
      ),
      { numRuns: runs(1000), ...SEED },
    );
  });

  test('a set of thousands answers, while elements are deleted', () => {
    const set = new DynamicSet(['inet_service'], 65_536);
    const key = (n: number) => keyOf(['inet_service'], [BigInt(n)]);
    for (let n = 0; n < 20_000; n++) set.add(one(BigInt(n)), n % 3 === 0 ? 1 : null, 0);
    for (let n = 0; n < 20_000; n += 7) expect(set.delete(one(BigInt(n)), 0)).toBe(true);
    for (let n = 0; n < 21_000; n++)
      expect(set.has(key(n), at(1)), `${n}`).toBe(n < 20_000 && n % 7 !== 0 && n % 3 !== 0);
  });
});

describe('the live state of rules', () => {
  const place = { file: 'test.rules', line: 1, column: 1 };
  const named = (given: Partial<NamedSet>): NamedSet => ({
    name: 'media',
    place,
    types: ['inet_service'],
    isDynamic: true,
    timeoutMs: null,
    maxElements: 8,
    elements: [],
    ...given,
  });
  const element = (value: bigint, timeoutMs: number | null = null) => ({ intervals: one(value), timeoutMs });
  const lows = (live: LiveState, nowNs: number) =>
    live
      .set('media')!
      .list(nowNs)
      .map(({ intervals }) => intervals[0]!.low);

  test('has the sets that are dynamic, with their first elements', () => {
    const live = new LiveState([
      named({ elements: [element(1n), element(2n, 500)] }),
      named({ name: 'fixed', isDynamic: false }),
    ]);
    expect(live.set('fixed')).toBeUndefined();
    expect(live.set('media')).toBe(live.set('media'));
    expect(lows(live, 0)).toEqual([1n, 2n]);
    live.set('media')!.add(one(3n), null, 0);
    live.begin(4 * S);
    expect(lows(live, 4.5 * S - 1)).toEqual([1n, 2n]);
    expect(lows(live, 4.5 * S)).toEqual([1n]);
  });

  test('of other rules has what came in meanwhile, and of the rules’ own elements takes what changed', () => {
    const old = new LiveState([named({ elements: [element(1n), element(2n, 9000), element(3n), element(4n, 1000)] })]);
    old.begin(0);
    old.set('media')!.add(one(7n), 20 * S, 0);
    const next = new LiveState([
      named({ elements: [element(1n), element(2n, 9000), element(4n, 1000), element(5n, 1000)] }),
    ]);
    const set = next.set('media')!;
    next.takeOver(old, 5 * S);
    expect(next.set('media')).toBe(set);
    expect(lows(next, 5 * S), '3 was taken out, 4 had expired').toEqual([1n, 2n, 5n, 7n]);
    expect(lows(next, 6 * S)).toEqual([1n, 2n, 7n]);
    expect(lows(next, 9 * S)).toEqual([1n, 7n]);
    expect(lows(next, 20 * S)).toEqual([1n]);
  });

  test('of other rules starts afresh where a set’s types changed, or its name', () => {
    for (const changed of [named({ types: ['inet_proto'], elements: [element(1n, 1000)] }), named({ name: 'voice' })]) {
      const old = new LiveState([named({})]);
      old.set('media')!.add(one(7n), null, 0);
      const next = new LiveState([changed]);
      next.takeOver(old, 3 * S);
      const found = next.set(changed.name)!.list(3 * S);
      expect(found).toEqual(changed.elements.map(({ intervals }) => ({ intervals, deadlineNs: 4 * S })));
    }
  });

  test('goes back to the rules before with all that came in', () => {
    const first = new LiveState([named({})]);
    const second = new LiveState([named({ maxElements: 1 })]);
    first.set('media')!.add(one(1n), null, 0);
    first.set('media')!.add(one(2n), null, 0);
    second.takeOver(first, 0);
    expect(second.set('media')!.add(one(3n), null, 0), 'there are more than it may hold').toBe(false);
    second.set('media')!.delete(one(1n), 0);
    second.set('media')!.delete(one(2n), 0);
    expect(second.set('media')!.add(one(3n), null, 0)).toBe(true);
    first.takeOver(second, 0);
    first.takeOver(first, 0);
    expect(lows(first, 0)).toEqual([3n]);
  });
});

test('a copy has the same elements with their deadlines, and goes its own way from then on', () => {
  const types = ['ipv4_addr', 'inet_service'] as const;
  const set = new DynamicSet(types, 10);
  const element = (address: bigint, low: bigint, high = low) => [
    { low: address, high: address },
    { low, high },
  ];
  set.add(element(1n, 5n), 100, 0);
  set.add(element(2n, 5n, 9n), null, 0);
  const copy = new DynamicSet(types, 10);
  copy.copyFrom(set);
  expect(copy.list(50)).toEqual(set.list(50));
  expect(copy.list(100)).toEqual([{ intervals: element(2n, 5n, 9n), deadlineNs: null }]);
  copy.delete(element(2n, 5n, 9n), 50);
  set.add(element(3n, 5n), null, 50);
  expect([set.list(50).length, copy.list(50).length]).toEqual([3, 1]);
});
