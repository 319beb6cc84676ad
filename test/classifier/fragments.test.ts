import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FLOW_KEY_WORDS, flowKey, hashFlowKey } from '../../classifier/flow-key.ts';
import { FragmentTable } from '../../classifier/fragments.ts';
import type { Parsed } from '../../classifier/parsed.ts';
import { REASON_NAMES } from '../../classifier/verdict.ts';
import { frame } from '../../pcaps/build.ts';
import { parsedOf } from '../support/parse-frame.ts';

interface Spec {
  /** In units of 8 bytes, as `end` is: the first unit that is not covered. */
  readonly from: number;
  readonly end: number;
  readonly more?: boolean;
  readonly id?: number;
  readonly proto?: number;
  readonly src?: string;
  readonly dst?: string;
  readonly vlans?: readonly number[];
  readonly ip6?: boolean;
  /** Bytes that the last unit lacks. */
  readonly missing?: number;
}

function fragment({
  from,
  end,
  more = true,
  id = 1,
  proto = 253,
  vlans = [],
  ip6,
  missing = 0,
  src,
  dst,
}: Spec): Parsed {
  const builder = frame().eth();
  for (const vlan of vlans) builder.vlan(vlan);
  const offset = from * 8;
  const ends = { ...(src === undefined ? {} : { src }), ...(dst === undefined ? {} : { dst }) };
  if (ip6) builder.ip6(ends).fragment({ offset, more, id, next: proto });
  else builder.ip4({ ...ends, fragOffset: offset, moreFrags: more, id, proto });
  const p = parsedOf(builder.payload(new Uint8Array((end - from) * 8 - missing)).build());
  expect(p).toMatchObject({ problem: 0, isFragment: 1 });
  return p;
}

/** A table with a clock, which answers in words: a decision as `rule N`, or the reason for a hold. */
class Judge {
  readonly table = new FragmentTable();
  nowNs = 1e18;

  see(spec: Spec, decision = 7): string {
    return this.seen(fragment(spec), decision);
  }

  seen(p: Parsed, decision = 7): string {
    if (p.fragOffset === 0) {
      const held = this.table.begin(p, decision, Float64Array.of(this.nowNs));
      return held === 0 ? `rule ${decision}` : REASON_NAMES[held]!;
    }
    const held = this.table.follow(p, Float64Array.of(this.nowNs));
    return held === 0 ? `rule ${this.table.decision}` : REASON_NAMES[held]!;
  }
}

const FIRST: Spec = { from: 0, end: 2 };
const MIDDLE: Spec = { from: 2, end: 4 };
const LAST: Spec = { from: 4, end: 5, more: false };

describe('a later fragment', () => {
  test('has the decision about the first fragment of its own packet', () => {
    const judge = new Judge();
    judge.see({ ...FIRST, id: 1 }, 10);
    judge.see({ ...FIRST, id: 2 }, 20);
    judge.see({ ...FIRST, id: 3 }, -1);
    expect(judge.see({ ...MIDDLE, id: 1 })).toBe('rule 10');
    expect(judge.see({ ...LAST, id: 2 })).toBe('rule 20');
    expect(judge.see({ ...MIDDLE, id: 2 })).toBe('rule 20');
    expect(judge.see({ ...LAST, id: 3 })).toBe('rule -1');
    expect(judge.see({ ...LAST, id: 1 })).toBe('rule 10');
  });

  test('whose first fragment was not seen is unknown, and so is one that overtook its first', () => {
    const judge = new Judge();
    expect(judge.see(MIDDLE)).toBe('fragment-unknown');
    expect(judge.see(LAST)).toBe('fragment-unknown');
    expect(judge.see(FIRST)).toBe('rule 7');
    expect(judge.see(LAST)).toBe('rule 7');
  });

  test('may come in any order behind its first', () => {
    const judge = new Judge();
    judge.see(FIRST);
    for (const at of [9, 3, 8, 5]) expect(judge.see({ from: at, end: at + 1 })).toBe('rule 7');
    expect(judge.see({ from: 10, end: 11, more: false })).toBe('rule 7');
    for (const at of [2, 4, 6, 7]) expect(judge.see({ from: at, end: at + 1 })).toBe('rule 7');
    expect(judge.see({ from: 2, end: 3 })).toBe('fragment-unknown');
  });

  test('may reach 65,535 bytes', () => {
    const judge = new Judge();
    judge.see({ from: 0, end: 4096 });
    expect(judge.see({ from: 4096, end: 8191 })).toBe('rule 7');
    expect(judge.see({ from: 8191, end: 8192, more: false, missing: 1 })).toBe('rule 7');
    expect(judge.see({ from: 8191, end: 8192, more: false, missing: 1 })).toBe('fragment-unknown');
  });
});

describe('packets are kept apart by', () => {
  const base = { src: '192.0.2.1', dst: '192.0.2.2', id: 5, proto: 17, vlans: [1, 2] };
  const base6 = { src: '2001:db8::1', dst: '2001:db8::2', id: 0x1234_5678, proto: 17, vlans: [1], ip6: true };
  test.each([
    ['identification', base, { id: 6 }],
    ['protocol', base, { proto: 50 }],
    ['source', base, { src: '192.0.2.3' }],
    ['destination', base, { dst: '192.0.2.3' }],
    ['outer tag', base, { vlans: [3, 2] }],
    ['inner tag', base, { vlans: [1, 3] }],
    ['number of tags', base, { vlans: [2] }],
    ['upper half of an IPv6 identification', base6, { id: 0x1235_5678 }],
    ['lower half of an IPv6 identification', base6, { id: 0x1234_5679 }],
    ['top bit of an IPv6 identification', base6, { id: 0x9234_5678 }],
    ['start of an IPv6 source', base6, { src: '3001:db8::1' }],
    ['end of an IPv6 destination', base6, { dst: '2001:db8::3' }],
  ] as const)('%s', (_, one, change) => {
    const judge = new Judge();
    expect(judge.see({ ...FIRST, ...one }, 1)).toBe('rule 1');
    expect(judge.see({ ...MIDDLE, ...one, ...change })).toBe('fragment-unknown');
    expect(judge.see({ ...FIRST, ...one, ...change }, 2)).toBe('rule 2');
    expect(judge.see({ ...MIDDLE, ...one })).toBe('rule 1');
    expect(judge.see({ ...MIDDLE, ...one, ...change })).toBe('rule 2');
  });
});

describe('an overlap', () => {
  test.each<[string, readonly Spec[], Spec]>([
    ['of two first fragments', [FIRST], FIRST],
    ['of first fragments of other lengths', [FIRST], { from: 0, end: 1 }],
    ['of a middle one with its first', [FIRST], { from: 1, end: 3 }],
    ['of a middle one with its first by one unit', [FIRST], { from: 1, end: 2 }],
    ['of two middle ones', [FIRST, MIDDLE], MIDDLE],
    ['of 8 bytes at the start', [FIRST, MIDDLE], { from: 3, end: 6 }],
    ['of 8 bytes at the end', [FIRST, { from: 6, end: 8 }], { from: 4, end: 7 }],
    ['around another', [FIRST, { from: 5, end: 6 }], { from: 4, end: 7 }],
    ['within another', [FIRST, { from: 4, end: 7 }], { from: 5, end: 6 }],
    ['of two far behind', [FIRST, { from: 40, end: 44 }], { from: 43, end: 45 }],
    ['of two last ones', [FIRST, LAST], LAST],
    ['with the end: most lies behind it', [FIRST, { from: 6, end: 9 }], { from: 2, end: 3, more: false }],
    ['of a last one with a middle one', [FIRST, { from: 2, end: 6 }], { from: 5, end: 6, more: false }],
    ['of a last one with its first', [FIRST], { from: 1, end: 2, more: false }],
    ['of two last ones that share no byte', [FIRST, LAST], { from: 6, end: 7, more: false }],
    ['of two last ones, the second before the first', [FIRST, LAST], { from: 3, end: 4, more: false }],
    ['with the end: past the last one', [FIRST, LAST], { from: 5, end: 6 }],
    ['with the end: begun before the last one', [FIRST, { from: 6, end: 7, more: false }], { from: 5, end: 8 }],
    ['with the end: a short last fragment before more', [FIRST, MIDDLE], { from: 3, end: 4, more: false, missing: 5 }],
  ])('%s holds the rest of the packet', (_, before, overlapping) => {
    const judge = new Judge();
    for (const spec of before) expect(judge.see(spec)).toBe('rule 7');
    expect(judge.see(overlapping)).toBe('fragment-overlap');
    expect(judge.see({ from: 20, end: 21 })).toBe('fragment-overlap');
    expect(judge.see(FIRST)).toBe('fragment-overlap');
  });

  test('with the end: a last fragment before one that was seen holds the rest of the packet', () => {
    const judge = new Judge();
    expect(judge.see(FIRST)).toBe('rule 7');
    expect(judge.see({ from: 6, end: 7 })).toBe('rule 7');
    expect(judge.see({ from: 4, end: 5, more: false })).toBe('fragment-overlap');
  });

  test('of one packet leaves the others alone', () => {
    const judge = new Judge();
    judge.see({ ...FIRST, id: 1 });
    judge.see({ ...FIRST, id: 2 });
    judge.see({ ...FIRST, id: 1 });
    expect(judge.see({ ...MIDDLE, id: 2 })).toBe('rule 7');
    expect(judge.see({ ...MIDDLE, id: 1 })).toBe('fragment-overlap');
  });

  test('is none where fragments touch, or a last one ends within 8 bytes', () => {
    const judge = new Judge();
    expect(judge.see(FIRST)).toBe('rule 7');
    expect(judge.see({ from: 4, end: 5, more: false, missing: 7 })).toBe('rule 7');
    expect(judge.see(MIDDLE)).toBe('rule 7');
  });
});

describe('a complete packet', () => {
  test('makes room for another of the same identification', () => {
    const judge = new Judge();
    for (const decision of [1, 2, 3]) {
      expect(judge.see(FIRST, decision)).toBe(`rule ${decision}`);
      expect(judge.see(MIDDLE)).toBe(`rule ${decision}`);
      expect(judge.see(LAST)).toBe(`rule ${decision}`);
    }
  });

  test('is complete in any order, of two fragments too', () => {
    const judge = new Judge();
    for (const rest of [[LAST, MIDDLE], [MIDDLE, LAST], [{ from: 2, end: 5, more: false }]]) {
      expect(judge.see(FIRST)).toBe('rule 7');
      for (const spec of rest) expect(judge.see(spec)).toBe('rule 7');
      expect(judge.see(MIDDLE)).toBe('fragment-unknown');
    }
  });
});

describe('time', () => {
  test('ends a packet 30 seconds after its first fragment', () => {
    const judge = new Judge();
    judge.see(FIRST);
    judge.nowNs += 15e9;
    expect(judge.see(MIDDLE)).toBe('rule 7');
    judge.nowNs += 15e9;
    expect(judge.see({ from: 6, end: 7 })).toBe('rule 7');
    judge.nowNs += 1000;
    expect(judge.see(LAST)).toBe('fragment-unknown');
    expect(judge.see(FIRST, 8)).toBe('rule 8');
    expect(judge.see(MIDDLE)).toBe('rule 8');
  });

  test('lets a first fragment begin anew after an overlap', () => {
    const judge = new Judge();
    judge.see(FIRST);
    expect(judge.see(FIRST)).toBe('fragment-overlap');
    judge.nowNs += 30e9;
    expect(judge.see(FIRST)).toBe('fragment-overlap');
    judge.nowNs += 1000;
    expect(judge.see(FIRST, 9)).toBe('rule 9');
    expect(judge.see(MIDDLE)).toBe('rule 9');
  });
});

describe('room', () => {
  test('is for 1024 packets; the oldest gives way', () => {
    const judge = new Judge();
    for (let id = 0; id < 1024; id++) judge.see({ ...FIRST, id }, id);
    expect(judge.see({ ...MIDDLE, id: 0 })).toBe('rule 0');
    judge.see({ ...FIRST, id: 5000 }, 5000);
    expect(judge.see({ from: 6, end: 7, id: 0 })).toBe('fragment-unknown');
    for (let id = 1; id < 1024; id++) expect(judge.see({ ...MIDDLE, id })).toBe(`rule ${id}`);
    expect(judge.see({ ...MIDDLE, id: 5000 })).toBe('rule 5000');
    judge.see({ ...FIRST, id: 5001 });
    expect(judge.see({ from: 6, end: 7, id: 1 })).toBe('fragment-unknown');
    expect(judge.see({ from: 6, end: 7, id: 2 })).toBe('rule 2');
  });

  test('keeps an incomplete packet however many others are completed meanwhile', () => {
    const judge = new Judge();
    judge.see({ ...FIRST, id: 60_000 }, 9);
    for (let id = 0; id < 5000; id++) {
      judge.see({ ...FIRST, id });
      judge.see({ ...MIDDLE, id });
      judge.see({ ...LAST, id });
      expect(judge.see({ ...LAST, id })).toBe('fragment-unknown');
    }
    expect(judge.see({ ...MIDDLE, id: 60_000 })).toBe('rule 9');
  });

  test('is used again with nothing left of who had it before', () => {
    const judge = new Judge();
    for (let id = 0; id < 1024; id++) {
      judge.see({ ...FIRST, id });
      judge.see({ ...LAST, id });
      if (id % 2 === 0) judge.see({ ...LAST, id });
    }
    for (let id = 2000; id < 3024; id++) {
      expect(judge.see({ ...FIRST, id }, id)).toBe(`rule ${id}`);
      expect(judge.see({ from: 5, end: 7, id })).toBe(`rule ${id}`);
      expect(judge.see({ from: 7, end: 8, more: false, id })).toBe(`rule ${id}`);
      expect(judge.see({ from: 2, end: 5, id })).toBe(`rule ${id}`);
      expect(judge.see({ ...MIDDLE, id })).toBe('fragment-unknown');
    }
  });
});

test('clear forgets every packet, spoiled ones too', () => {
  const judge = new Judge();
  for (const id of [1, 2, 3]) judge.see({ ...FIRST, id });
  judge.see({ ...FIRST, id: 3 });
  judge.table.clear();
  for (const id of [1, 2, 3]) expect(judge.see({ ...MIDDLE, id })).toBe('fragment-unknown');
  for (const id of [3, 1, 2]) expect(judge.see({ ...FIRST, id }, id)).toBe(`rule ${id}`);
  for (const id of [1, 2, 3]) expect(judge.see({ ...MIDDLE, id })).toBe(`rule ${id}`);
});

test('room is found after clear as before', () => {
  const judge = new Judge();
  for (let id = 0; id < 1500; id++) judge.see({ ...FIRST, id });
  judge.table.clear();
  for (let id = 0; id < 1024; id++) expect(judge.see({ ...FIRST, id }, id)).toBe(`rule ${id}`);
  for (let id = 0; id < 1024; id++) expect(judge.see({ ...MIDDLE, id })).toBe(`rule ${id}`);
});

/** Identifications whose keys share the hash's lowest 16 bits, so a bucket of any table up to that size. */
function sameBucket(count: number): number[] {
  const p = fragment({ ...FIRST, ip6: true });
  const key = new Int32Array(FLOW_KEY_WORDS);
  const ids: number[] = [];
  let wanted = -1;
  for (let id = 1; ids.length < count; id++) {
    p.fragId = id;
    flowKey(key, p);
    const bucket = hashFlowKey(key) & 0xffff;
    if (wanted < 0) wanted = bucket;
    if (bucket === wanted) ids.push(id);
  }
  return ids;
}

describe('packets that fall into one bucket', () => {
  const ids = sameBucket(5);
  const orders = [
    [0, 1, 2, 3, 4],
    [4, 3, 2, 1, 0],
    [2, 0, 4, 1, 3],
    [1, 3, 0, 4, 2],
  ];

  test.each(orders)('are told apart, and leave it from any place: %i %i %i %i %i', (...order) => {
    const judge = new Judge();
    for (const [i, id] of ids.entries()) judge.see({ ...FIRST, id, ip6: true }, i);
    for (const [step, completed] of order.entries()) {
      // Each step sees the next unit of every packet; of one packet it is the last.
      const next = { from: 2 + step, end: 3 + step, ip6: true };
      expect(judge.see({ ...next, more: false, id: ids[completed]! })).toBe(`rule ${completed}`);
      for (const [i, id] of ids.entries()) {
        const wanted = order.indexOf(i) <= step ? 'fragment-unknown' : `rule ${i}`;
        expect(judge.see({ ...next, id }), `packet ${i} after step ${step}`).toBe(wanted);
      }
    }
    for (const [i, id] of ids.entries()) expect(judge.see({ ...FIRST, id, ip6: true }, i)).toBe(`rule ${i}`);
    for (const [i, id] of ids.entries()) expect(judge.see({ ...MIDDLE, id, ip6: true })).toBe(`rule ${i}`);
  });
});

test('a packet that gives way to one of its own bucket leaves the bucket whole', () => {
  const judge = new Judge();
  const [oldest, other, next, unseen] = sameBucket(4);
  judge.see({ ...FIRST, id: oldest!, ip6: true }, 1);
  judge.see({ ...FIRST, id: other!, ip6: true }, 2);
  for (let id = 0; id < 1022; id++) judge.see({ ...FIRST, id });
  expect(judge.see({ ...FIRST, id: next!, ip6: true }, 3)).toBe('rule 3');
  const rest = { ...MIDDLE, ip6: true };
  expect(judge.see({ ...rest, id: other! })).toBe('rule 2');
  expect(judge.see({ ...rest, id: next! })).toBe('rule 3');
  expect(judge.see({ ...rest, id: oldest! })).toBe('fragment-unknown');
  expect(judge.see({ ...rest, id: unseen! })).toBe('fragment-unknown');
});

/** What the table says, said by sets and a list. */
class NaiveTable {
  readonly #packets = new Map<
    number,
    { decision: number; born: number; units: Set<number>; all: number; bad: boolean }
  >();

  see(spec: Spec, decision: number, now: number): string {
    const id = spec.id!;
    let packet = this.#packets.get(id);
    if (packet !== undefined && now - packet.born > 30e9) {
      this.#packets.delete(id);
      packet = undefined;
    }
    if (spec.from === 0) {
      if (packet !== undefined) {
        packet.bad = true;
        return 'fragment-overlap';
      }
      this.#packets.set(id, { decision, born: now, units: new Set(units(spec)), all: 0, bad: false });
      return `rule ${decision}`;
    }
    if (packet === undefined) return 'fragment-unknown';
    const overlaps = units(spec).some((unit) => packet.units.has(unit));
    const contradicts = packet.all > 0 && (spec.more === false || spec.end > packet.all);
    if (packet.bad || overlaps || contradicts) {
      packet.bad = true;
      return 'fragment-overlap';
    }
    for (const unit of units(spec)) packet.units.add(unit);
    if (spec.more === false) packet.all = spec.end;
    if (packet.units.size === packet.all) this.#packets.delete(id);
    return `rule ${packet.decision}`;
  }
}

function units({ from, end }: Spec): number[] {
  return Array.from({ length: end - from }, (_, i) => from + i);
}

test('any fragments at any time are judged as a table of sets judges them', () => {
  // No fragment ends behind the last one's start, but behind a last one that came first.
  const specs = fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 3 }).map((end): Spec => ({ from: 0, end })) },
    {
      weight: 4,
      arbitrary: fc
        .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 3 }))
        .map(([from, length]): Spec => ({ from, end: Math.min(5, from + length) })),
    },
    { weight: 3, arbitrary: fc.constant<Spec>({ from: 5, end: 6, more: false }) },
  );
  const step = fc.tuple(specs, fc.integer({ min: 1, max: 3 }), fc.constantFrom(0, 0, 0, 1e9, 10e9, 20e9));
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => {
      const judge = new Judge();
      const naive = new NaiveTable();
      for (const [i, [spec, id, wait]] of steps.entries()) {
        judge.nowNs += wait;
        const want = naive.see({ ...spec, id }, i, judge.nowNs);
        expect(judge.see({ ...spec, id }, i)).toBe(want);
        const kind = want.split(' ')[0]!;
        seen.set(kind, (seen.get(kind) ?? 0) + 1);
      }
    }),
    { numRuns: 300 },
  );
  expect([...seen.keys()].sort()).toEqual(['fragment-overlap', 'fragment-unknown', 'rule']);
});
