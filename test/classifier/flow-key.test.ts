import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FLOW_KEY_WORDS, flowKey, hashFlowKey, isOrdered } from '../../classifier/flow-key.ts';
import { MAX_VLAN_TAGS, Parsed } from '../../classifier/parsed.ts';
import { frame } from '../../pcaps/build.ts';
import { parsedOf, parseInto } from '../support/parse-frame.ts';

/** A frame whose tags stay behind in a Parsed, without counting. */
const EIGHT_TAGS = Array.from({ length: 8 }, (_, i) => 0xabc - i)
  .reduce((builder, id) => builder.vlan(id), frame().eth())
  .build();

function keyOf(bytes: Uint8Array): number[] {
  // What the key and the Parsed held before must not matter.
  const key = new Int32Array(FLOW_KEY_WORDS).fill(0x5555_5555);
  const p = new Parsed();
  parseInto(p, EIGHT_TAGS);
  parseInto(p, bytes);
  flowKey(key, p);
  for (let i = p.vlanCount; i < MAX_VLAN_TAGS; i++) p.vlanTci[i]! ^= 0x555;
  const again = new Int32Array(FLOW_KEY_WORDS);
  flowKey(again, p);
  expect(again).toEqual(key);
  return Array.from(key);
}

/** A frame, and what of it makes its flow. */
interface Sample {
  readonly bytes: Uint8Array;
  readonly flow: string;
}

const tags = fc.oneof(
  fc.constant<number[]>([]),
  fc.array(fc.constantFrom(0, 1, 2, 0xfff), { minLength: 1, maxLength: 2 }),
);
const port = fc.constantFrom(0, 1, 5060, 65_534, 65_535);

const ipSample: fc.Arbitrary<Sample> = fc
  .record({
    tags,
    priority: fc.nat({ max: 7 }),
    isIp6: fc.boolean(),
    from: fc.constantFrom(1, 2),
    to: fc.constantFrom(1, 2),
    protocol: fc.constantFrom('tcp', 'udp', 'udplite', 'sctp', 'dccp', 'icmp', 'esp'),
    sport: port,
    dport: port,
    fragment: fc.constantFrom(null, null, 0, 24),
    id: fc.constantFrom(0, 1, 0xffff),
    fill: fc.nat({ max: 255 }),
  })
  .map((s) => {
    const builder = frame().eth();
    for (const tag of s.tags) builder.vlan(tag, { pcp: s.priority });
    const more = s.fragment !== null;
    const offset = s.fragment ?? 0;
    if (s.isIp6) {
      builder.ip6({ src: `2001:db8::${s.from}`, dst: `2001:db8::${s.to}` });
      if (more) builder.fragment({ offset, more, id: s.id });
    } else {
      const ends = { src: `192.0.2.${s.from}`, dst: `192.0.2.${s.to}`, id: s.id };
      builder.ip4({ ...ends, fragOffset: offset, moreFrags: more });
    }
    // Of IPv6 fragments the protocol is known of the first only, if options stand before it.
    const protocol = more && s.isIp6 ? 'udp' : s.protocol;
    const hasPorts = protocol !== 'icmp' && protocol !== 'esp';
    if (protocol === 'icmp') {
      if (s.isIp6) builder.icmpv6();
      else builder.icmp({ rest: 1 });
    } else if (protocol === 'esp') builder.esp({ spi: s.sport });
    else builder[protocol](s.sport, s.dport);
    // Whatever the protocol's header, the whole is a multiple of 8 bytes, as a fragment must be.
    const size = { tcp: 20, udp: 8, udplite: 8, sctp: 12, dccp: 16, icmp: 8, esp: 8 }[protocol];
    const bytes = builder.payload(new Uint8Array(40 - size).fill(s.fill)).build();
    const inner = more ? `fragment ${s.id}` : hasPorts ? `${s.sport} ${s.dport}` : '';
    return { bytes, flow: `${s.tags} ${s.isIp6} ${s.from} ${s.to} ${protocol} ${inner}` };
  });

const otherSample: fc.Arbitrary<Sample> = fc
  .record({
    tags,
    src: fc.constantFrom('02:00:00:00:00:01', '03:00:00:00:00:01', '02:00:00:00:00:02'),
    dst: fc.constantFrom('02:00:00:00:00:01', '03:00:00:00:00:01', '02:00:00:00:00:02'),
    kind: fc.constantFrom('arp', 'arp in SNAP', 'llc', 'llc of another size', 0x88b5, 0x88cc, 1501),
  })
  .map((s) => {
    const builder = frame().eth({ src: s.src, dst: s.dst, ...(typeof s.kind === 'number' ? { type: s.kind } : {}) });
    // A tag takes the frame's type with it.
    for (const [i, tag] of s.tags.entries()) {
      builder.vlan(tag, typeof s.kind === 'number' && i === s.tags.length - 1 ? { type: s.kind } : {});
    }
    const bytes = (() => {
      if (typeof s.kind !== 'number') return layers(builder, s.kind);
      if (s.tags.length === 0) return builder.payload('abc').build();
      const tagged = builder.payload('abc').build();
      tagged.set([0x81, 0], 12);
      return tagged;
    })();
    const kind = typeof s.kind === 'number' ? s.kind : s.kind.split(' ')[0];
    return { bytes, flow: `${s.tags} ${s.src} ${s.dst} ${kind}` };
  });

function layers(builder: ReturnType<typeof frame>, kind: string): Uint8Array {
  if (kind === 'arp') return builder.arp().build();
  if (kind === 'arp in SNAP') return builder.snap().arp({ operation: 2 }).build();
  return builder
    .llc()
    .payload(new Uint8Array(kind === 'llc' ? 35 : 50))
    .build();
}

describe('a flow key', () => {
  test('is equal for frames of one flow and differs for frames of two', () => {
    const seen = new Map<string, string>();
    const flows = new Map<string, string>();
    let again = 0;
    fc.assert(
      fc.property(fc.oneof({ weight: 3, arbitrary: ipSample }, otherSample), ({ bytes, flow }) => {
        const key = keyOf(bytes).join();
        if (seen.has(flow)) again++;
        expect(seen.get(flow) ?? key).toBe(key);
        expect(flows.get(key) ?? flow).toBe(flow);
        seen.set(flow, key);
        flows.set(key, flow);
      }),
      { numRuns: 4000 },
    );
    expect(seen.size).toBeGreaterThan(500);
    expect(again).toBeGreaterThan(500);
  });

  test('is that of one direction only', () => {
    const there = frame().eth().ip4({ src: '192.0.2.1', dst: '192.0.2.2' }).tcp(1, 2).build();
    const back = frame().eth().ip4({ src: '192.0.2.2', dst: '192.0.2.1' }).tcp(2, 1).build();
    expect(keyOf(there)).not.toEqual(keyOf(back));
  });

  test('leaves MAC addresses, priorities and kinds of tags out of a conversation’s', () => {
    const one = frame().eth().vlan(5, { pcp: 1 }).ip4().udp(1, 2).build();
    const other = frame()
      .eth({ src: '02:09:09:09:09:09' })
      .vlan(5, { pcp: 7, dei: true, tpid: 0x88a8 })
      .ip4()
      .udp(1, 2);
    expect(keyOf(other.build())).toEqual(keyOf(one));
    expect(keyOf(frame().eth().snap().ip4().udp(1, 2).build())).toEqual(keyOf(frame().eth().ip4().udp(1, 2).build()));
  });

  test('of an ICMP error is not that of the packet it quotes', () => {
    const quoted = frame().ip4().tcp(1, 2).build();
    const error = frame().eth().ip4().icmp({ type: 3 }).payload(quoted).build();
    expect(keyOf(error)).toEqual(keyOf(frame().eth().ip4().icmp({ type: 8 }).build()));
    expect(keyOf(error)).not.toEqual(keyOf(frame().eth().ip4().tcp(1, 2).build()));
  });

  test('tells every bit of an IPv6 address apart', () => {
    const seen = new Set<string>();
    for (let bit = 0; bit < 128; bit++) {
      for (const at of [22, 38]) {
        const bytes = frame().eth().ip6().udp(1, 2).build();
        bytes[at + (bit >> 3)]! ^= 1 << (bit & 7);
        seen.add(keyOf(bytes).join());
      }
    }
    expect(seen.size).toBe(256);
  });

  test('of three tags tells them apart as long as no more than the outermost changes', () => {
    const stack = (...ids: readonly number[]) => {
      const builder = frame().eth();
      for (const id of ids) builder.vlan(id);
      return keyOf(builder.ip4().udp(1, 2).build()).join();
    };
    expect(new Set([stack(1, 2, 3), stack(2, 2, 3), stack(1, 3, 3), stack(1, 2, 4), stack(2, 3), stack(3)]).size).toBe(
      6,
    );
  });

  test('is written for a frame that cannot be classified too', () => {
    const whole = frame().eth().ip4().tcp(80, 81).build();
    for (let length = 0; length < whole.length; length++) expect(keyOf(whole.subarray(0, length))).toHaveLength(11);
  });
});

describe('the hash of a flow key', () => {
  const word = fc.integer();
  const anyKey = fc.array(word, { minLength: FLOW_KEY_WORDS, maxLength: FLOW_KEY_WORDS });

  test('is an int32 that every bit of the key changes', () => {
    fc.assert(
      fc.property(anyKey, fc.nat({ max: FLOW_KEY_WORDS - 1 }), fc.nat({ max: 31 }), (words, at, bit) => {
        const key = Int32Array.from(words);
        const one = hashFlowKey(key);
        expect(one | 0).toBe(one);
        expect(hashFlowKey(Int32Array.from(words))).toBe(one);
        key[at]! ^= 1 << bit;
        expect(hashFlowKey(key)).not.toBe(one);
      }),
      { numRuns: 1000 },
    );
  });

  test('spreads alike flows over buckets about as dice would', () => {
    const fill = (change: (key: Int32Array, i: number) => void) => {
      const buckets = new Uint16Array(4096);
      const key = new Int32Array(FLOW_KEY_WORDS);
      for (let i = 0; i < 4096; i++) {
        change(key, i);
        buckets[hashFlowKey(key) & 4095]!++;
      }
      return { most: Math.max(...buckets), empty: buckets.filter((count) => count === 0).length };
    };
    const changes = [
      ...Array.from({ length: FLOW_KEY_WORDS }, (_, at) => (key: Int32Array, i: number) => (key[at] = i)),
      (key: Int32Array, i: number) => (key[10] = i << 16),
      (key: Int32Array, i: number) => (key[2] = i << 20),
    ];
    for (const change of changes) {
      // Dice leave 1/e of the buckets empty, 1,507, and fill the fullest with six to eight.
      const { most, empty } = fill(change);
      expect(most).toBeLessThan(12);
      expect(empty).toBeLessThan(1900);
    }
  });
});

describe('frames that must not overtake each other are those of', () => {
  const ip4 = () => frame().eth().ip4();
  const ip6 = () => frame().eth().ip6();
  test.each<[string, Uint8Array, boolean]>([
    ['TCP', ip4().tcp(1, 2).build(), true],
    ['TCP over IPv6', ip6().hopopts().tcp(1, 2).build(), true],
    ['SCTP', ip4().sctp(1, 2).build(), true],
    ['SCTP over IPv6', ip6().sctp(1, 2).build(), true],
    ['a later fragment of TCP', frame().eth().ip4({ fragOffset: 8, proto: 6 }).payload('x').build(), true],
    ['ARP', frame().eth().arp().build(), true],
    ['what is not IP', frame().eth({ type: 0x88cc }).build(), true],
    ['spanning tree', frame().eth().llc().build(), true],
    ['nobody knows', new Uint8Array(5), true],
    ['UDP', ip4().udp(1, 2).build(), false],
    ['UDP over IPv6', ip6().udp(1, 2).build(), false],
    ['UDP-Lite', ip4().udplite(1, 2).build(), false],
    ['DCCP', ip4().dccp(1, 2).build(), false],
    ['ICMP', ip4().icmp().build(), false],
    ['ESP', ip4().esp().build(), false],
  ])('%s', (_, bytes, isSo) => {
    expect(isOrdered(parsedOf(bytes))).toBe(isSo);
  });
});
