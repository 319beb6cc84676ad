import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DeclaredFlows } from '../../classifier/declared-flows.ts';
import { conversationKey, FLOW_KEY_WORDS, type Flow, flowKey, keyOfFlow } from '../../classifier/flow-key.ts';
import type { Parsed } from '../../classifier/parsed.ts';
import { frame } from '../../pcaps/build.ts';
import { parsedOf } from '../support/parse-frame.ts';
import { runs, SEED } from '../support/runs.ts';

/** A time as lookups take it. */
const at = (nowNs: number) => Float64Array.of(nowNs);

const S = 1e9;
const MEDIA: Flow = {
  ipVersion: 4,
  src: 0xc000_0201n,
  dst: 0xc633_6407n,
  protocol: 17,
  srcPort: 20_000,
  dstPort: 40_000,
  vlanId: null,
};
const ip4 = () => frame().eth().ip4({ src: '192.0.2.1', dst: '198.51.100.7' });
const media = parsedOf(ip4().udp(20_000, 40_000).payload('x').build());

function declared(flow: Flow, className: string | null, timeoutNs: number | null = null): DeclaredFlows {
  const flows = new DeclaredFlows();
  flows.declare(flow, className, timeoutNs, 0);
  return flows;
}

describe('the frames of a declared flow', () => {
  const ip6 = () => frame().eth().ip6({ src: '2001:db8::1', dst: '2001:db8::ffff:0:7' });
  const six: Flow = {
    ...MEDIA,
    ipVersion: 6,
    src: (0x2001_0db8n << 96n) | 1n,
    dst: (0x2001_0db8n << 96n) | 0xffff_0000_0007n,
  };
  const cases: [string, Flow, Uint8Array][] = [
    ['UDP', MEDIA, ip4().udp(20_000, 40_000).build()],
    ['TCP', { ...MEDIA, protocol: 6, srcPort: 65_535, dstPort: 65_535 }, ip4().tcp(65_535, 65_535).build()],
    ['SCTP', { ...MEDIA, protocol: 132, srcPort: 1, dstPort: 2 }, ip4().sctp(1, 2).build()],
    ['ICMP, which has no ports', { ...MEDIA, protocol: 1, srcPort: 0, dstPort: 0 }, ip4().icmp({ type: 8 }).build()],
    [
      'a tag',
      { ...MEDIA, vlanId: 4095 },
      frame().eth().vlan(4095).ip4({ src: '192.0.2.1', dst: '198.51.100.7' }).udp(20_000, 40_000).build(),
    ],
    ['IPv6', six, ip6().udp(20_000, 40_000).build()],
    ['IPv6 with options', six, ip6().dstopts().udp(20_000, 40_000).build()],
  ];

  test.each(cases)('are told: %s', (_, flow, bytes) => {
    const p = parsedOf(bytes);
    const key = new Int32Array(FLOW_KEY_WORDS);
    flowKey(key, p);
    expect(keyOfFlow(flow)).toEqual(key);
    expect(declared(flow, null).has(p, null, at(0))).toBe(true);
    for (const [, other] of cases) if (other !== flow) expect(declared(other, null).has(p, null, at(0))).toBe(false);
  });

  test('are not those of the other direction, of other ports, addresses, protocols or tags', () => {
    const others: Partial<Flow>[] = [
      { src: MEDIA.dst, dst: MEDIA.src, srcPort: MEDIA.dstPort, dstPort: MEDIA.srcPort },
      { srcPort: 20_001 },
      { dstPort: 0 },
      { src: 0xc000_0202n },
      { dst: 0n },
      { protocol: 6 },
      { vlanId: 0 },
      { ipVersion: 6 },
    ];
    for (const other of others) expect(declared({ ...MEDIA, ...other }, null).has(media, null, at(0))).toBe(false);
  });

  test('include a first fragment, which has the ports', () => {
    const first = ip4WithFragments(0, true);
    expect(declared(MEDIA, null).has(first, null, at(0))).toBe(true);
    const key = new Int32Array(FLOW_KEY_WORDS);
    conversationKey(key, first);
    expect(key).toEqual(keyOfFlow(MEDIA));
  });

  test('are never frames without an IP header', () => {
    const flows = declared({ ...MEDIA, src: 0n, dst: 0n, protocol: 0, srcPort: 0, dstPort: 0 }, null);
    for (const builder of [frame().eth().arp(), frame().eth().llc()]) {
      expect(flows.has(parsedOf(builder.build()), null, at(0))).toBe(false);
    }
  });
});

function ip4WithFragments(offset: number, moreFrags: boolean): Parsed {
  return parsedOf(
    frame()
      .eth()
      .ip4({ src: '192.0.2.1', dst: '198.51.100.7', id: 3, fragOffset: offset, moreFrags, proto: 17 })
      .udp(20_000, 40_000, { length: 999 })
      .payload('12345678')
      .build(),
  );
}

describe('a declaration', () => {
  test('that names a class counts for that class, one that names none for every class and for none', () => {
    const named = declared(MEDIA, 'data');
    expect(['data', 'control', null].map((name) => named.has(media, name, at(0)))).toEqual([true, false, false]);
    const unnamed = declared(MEDIA, null);
    expect(['data', 'control', null].map((name) => unnamed.has(media, name, at(0)))).toEqual([true, true, true]);
  });

  test('is over at exactly its deadline, or when it is removed', () => {
    const flows = declared(MEDIA, null, 5 * S);
    expect([flows.has(media, null, at(5 * S - 1)), flows.has(media, null, at(5 * S))]).toEqual([true, false]);
    expect([flows.count(5 * S - 1), flows.count(5 * S)]).toEqual([1, 0]);
    const handle = flows.declare(MEDIA, 'data', null, 0)!;
    expect(flows.remove(handle, 6 * S)).toBe(true);
    expect(flows.has(media, 'data', at(6 * S))).toBe(false);
    expect(flows.remove(handle, 6 * S)).toBe(false);
  });

  test('made again has its handle again and a new deadline; of another class it is another', () => {
    const flows = new DeclaredFlows();
    const handle = flows.declare(MEDIA, 'data', 5 * S, 0);
    expect(flows.declare(MEDIA, 'data', 5 * S, 3 * S)).toBe(handle);
    expect(flows.has(media, 'data', at(8 * S - 1))).toBe(true);
    const other = flows.declare(MEDIA, 'voice', null, 0)!;
    expect(other).not.toBe(handle);
    flows.remove(other, 0);
    expect(flows.has(media, 'data', at(0))).toBe(true);
    expect(flows.declare(MEDIA, 'voice', null, 0)).not.toBe(other);
  });

  test('that finds no room after what has expired is gone is refused', () => {
    const flows = new DeclaredFlows(2);
    const to = (dstPort: number): Flow => ({ ...MEDIA, dstPort });
    flows.declare(to(1), null, 1 * S, 0);
    flows.declare(to(2), 'data', null, 0);
    expect(flows.declare(to(3), null, null, 0)).toBeNull();
    expect(flows.declare(to(2), 'data', 9 * S, 0), 'one that is there needs no room').not.toBeNull();
    expect(flows.declare(to(3), null, null, 1 * S)).not.toBeNull();
    expect(flows.declare(to(4), null, null, 1 * S)).toBeNull();
    expect(flows.count(1 * S)).toBe(2);
  });

  test('is forgotten by clear, and its handle is not given to another', () => {
    const flows = new DeclaredFlows();
    const handle = flows.declare(MEDIA, null, null, 0)!;
    flows.clear();
    expect([flows.has(media, null, at(0)), flows.remove(handle, 0), flows.count(0)]).toEqual([false, false, 0]);
    expect(flows.declare(MEDIA, null, null, 0)).not.toBe(handle);
  });
});

test('as a list of declarations that is searched from its start, whatever comes and goes when', () => {
  const flow = fc.record({ srcPort: fc.nat(2), dstPort: fc.nat(1) }).map((ports): Flow => ({ ...MEDIA, ...ports }));
  const className = fc.constantFrom(null, 'data', 'voice');
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('declare' as const),
        flow,
        className,
        timeout: fc.option(fc.integer({ min: 1, max: 9 })),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('remove' as const), which: fc.nat(9) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('has' as const), flow, className }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), by: fc.nat(4) }) },
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), fc.array(step, { maxLength: 80, size: 'max' }), (max, steps) => {
      const flows = new DeclaredFlows(max);
      let model: { handle: number; flow: Flow; className: string | null; deadlineNs: number }[] = [];
      const handles: number[] = [];
      let nowNs = 0;
      const isSame = (a: Flow, b: Flow) => a.srcPort === b.srcPort && a.dstPort === b.dstPort;
      for (const next of steps) {
        if (next.do === 'wait') nowNs += next.by;
        const alive = model.filter(({ deadlineNs }) => nowNs < deadlineNs);
        if (next.do === 'declare') {
          const known = alive.find((one) => isSame(one.flow, next.flow) && one.className === next.className);
          const handle = flows.declare(next.flow, next.className, next.timeout, nowNs);
          expect(handle === null).toBe(known === undefined && alive.length >= max);
          if (handle === null) continue;
          if (known !== undefined) expect(handle).toBe(known.handle);
          const deadlineNs = nowNs + (next.timeout ?? Number.POSITIVE_INFINITY);
          model = model.filter((one) => one.handle !== handle);
          model.push({ handle, flow: next.flow, className: next.className, deadlineNs });
          handles.push(handle);
        }
        if (next.do === 'remove' && handles.length > 0) {
          const handle = handles[next.which % handles.length]!;
          expect(flows.remove(handle, nowNs)).toBe(alive.some((one) => one.handle === handle));
          model = model.filter((one) => one.handle !== handle);
        }
        if (next.do === 'has') {
          const p = parsedOf(ip4().udp(next.flow.srcPort, next.flow.dstPort).build());
          const expected = alive.some(
            (one) => isSame(one.flow, next.flow) && (one.className === null || one.className === next.className),
          );
          expect(flows.has(p, next.className, at(nowNs))).toBe(expected);
        }
      }
    }),
    { numRuns: runs(500), ...SEED },
  );
});
