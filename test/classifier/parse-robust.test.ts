import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse } from '../../classifier/parse.ts';
import { L3, Parsed } from '../../classifier/parsed.ts';
import { REASON, REASON_NAMES } from '../../classifier/verdict.ts';
import { frame } from '../../pcaps/build.ts';
import { numbers } from '../../pcaps/build-bytes.ts';
import { FRAME_OFFSET, parsedOf, parseInto, rawFields } from '../support/parse-frame.ts';

const data = new Uint8Array(16).fill(0x5a);
const jumboOption = numbers([1, 0xc2], [1, 4], [4, 0x1_0000]);

/** One frame of each kind that the parser knows. */
const KINDS: Readonly<Record<string, Uint8Array>> = {
  'unknown EtherType': frame().eth({ type: 0x88cc }).payload(data).build(),
  LLC: frame().eth().llc().payload(data).build(),
  'SNAP and IPv4': frame().eth().snap().ip4().udp(1, 2).payload(data).build(),
  'three tags': frame().eth().vlan(1, { tpid: 0x9100 }).vlan(2, { tpid: 0x88a8 }).vlan(3).ip4().udp(1, 2).build(),
  ARP: frame().eth().arp().build(),
  'ARP of InfiniBand': frame()
    .eth({ type: 0x0806 })
    .payload(numbers([2, 32], [2, 0x0800], [1, 20], [1, 4], [2, 1]))
    .payload(new Uint8Array(48))
    .build(),
  'TCP with options': frame().eth().ip4({ options: data }).tcp(80, 81, { options: data }).payload(data).build(),
  'TCP over IPv6': frame().eth().ip6().tcp(80, 81, { options: data }).payload(data).build(),
  UDP: frame().eth().ip4().udp(1, 2).payload(data).build(),
  'UDP-Lite': frame().eth().ip4().udplite(1, 2).payload(data).build(),
  SCTP: frame().eth().ip4().sctp(1, 2).payload(data).build(),
  DCCP: frame().eth().ip6().dccp(1, 2).payload(data).build(),
  ICMP: frame().eth().ip4().icmp().payload(data).build(),
  ICMPv6: frame().eth().ip6().icmpv6().payload(data).build(),
  IGMP: frame().eth().ip4().igmp().build(),
  ESP: frame().eth().ip4().esp().payload(data).build(),
  'AH over IPv4': frame().eth().ip4().ah().tcp(1, 2).build(),
  'chain of IPv6 headers': frame()
    .eth()
    .ip6()
    .hopopts()
    .dstopts({ options: data })
    .routing({ addresses: ['2001:db8::9'] })
    .fragment()
    .ah()
    .udp(1, 2)
    .payload(data)
    .build(),
  'first IPv4 fragment': frame().eth().ip4({ moreFrags: true }).udp(1, 2, { length: 99 }).payload(data).build(),
  'last IPv4 fragment': frame().eth().ip4({ fragOffset: 24 }).payload(data).build(),
  'first IPv6 fragment': frame().eth().ip6().fragment({ more: true }).tcp(1, 2).payload('1234').build(),
  'middle IPv6 fragment': frame().eth().ip6().fragment({ offset: 24, more: true }).payload(data).build(),
  'IPv4 offload': frame().eth().ip4({ totalLength: 0 }).tcp(1, 2).payload(data).build(),
  'IPv4 beneath three labels': frame()
    .eth()
    .mpls(1)
    .mpls(2)
    .mpls(3)
    .ip4({ options: data })
    .udp(1, 2)
    .payload(data)
    .build(),
  'IPv6 beneath a label': frame().eth().vlan(1).mpls(1, { type: 0x8848 }).ip6().dstopts().tcp(1, 2).build(),
  'pseudowire beneath labels': frame().eth().mpls(1).mpls(2).eth({ dst: '46:00:00:20:00:01' }).payload(data).build(),
  'IPv4 in a PPPoE session': frame().eth().pppoe().ip4().tcp(1, 2).payload(data).build(),
  'IPv6 in a PPPoE session': frame().eth().vlan(1).pppoe().ip6().udp(1, 2).payload(data).build(),
  'LCP in a PPPoE session': frame().eth().pppoe({ protocol: 0xc021 }).payload(data).build(),
  jumbogram: frame().eth().ip6({ payloadLength: 0 }).hopopts({ options: jumboOption }).tcp(1, 2).payload(data).build(),
};
const kinds = fc.constantFrom(...Object.values(KINDS));

/** A frame of a known kind of which some bytes were changed, so that most of it still makes sense. */
const damagedFrame = fc
  .tuple(kinds, fc.array(fc.tuple(fc.nat({ max: 90 }), fc.nat({ max: 255 })), { maxLength: 4 }))
  .map(([whole, changes]) => {
    const bytes = whole.slice();
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
    return bytes;
  });
const randomFrame = fc.oneof(
  fc.uint8Array({ maxLength: 120 }),
  // Random bytes behind a type that is parsed: most random frames would end at the type.
  fc
    .tuple(
      fc.constantFrom(0x0800, 0x0806, 0x86dd, 0x8100, 0x88a8, 0x9100, 0x8847, 0x8848, 0x8864, 20),
      fc.uint8Array({ maxLength: 120 }),
    )
    .map(([type, bytes]) => frame().eth({ type }).payload(bytes).build()),
);
const anyFrame = fc.oneof(damagedFrame, randomFrame);
/** Some bytes off the end. */
const cutFrame = fc
  .tuple(anyFrame, fc.oneof(fc.constant(0), fc.nat({ max: 120 })))
  .map(([bytes, cut]) => bytes.subarray(0, Math.max(0, bytes.length - cut)));
const wireExtra = fc.oneof(fc.constant(0), fc.nat({ max: 100 }), fc.constant(70_000));

/** What may stand in `problem` after a parse. */
const PROBLEMS: readonly number[] = [0, REASON.truncated, REASON.malformed, REASON.tooManyHeaders, REASON.fragmentNoL4];

describe.each(Object.entries(KINDS))('a frame of the kind %s', (_, whole) => {
  test('cut at any byte is read only where it lies, and no cut adds to what is known', () => {
    const full = parsedOf(whole);
    for (let length = 0; length <= whole.length; length++) {
      for (const wireLength of [length, whole.length]) {
        // The view throws when a byte outside of the frame is read.
        const p = parsedOf(whole.subarray(0, length), wireLength);
        expect(PROBLEMS).toContain(p.problem);
        expect([-1, full.etherType]).toContain(p.etherType);
        expect([-1, full.proto, full.nextHeader, 0, 60, 43, 44, 51]).toContain(p.proto);
        expect([-1, full.srcPort]).toContain(p.srcPort);
        expect([-1, full.tcpFlags]).toContain(p.tcpFlags);
        if (p.payloadCaptured > 0) expect(p.payloadOffset + p.payloadCaptured).toBeLessThanOrEqual(p.offset + length);
      }
    }
  });

  test('is a problem when the wire cut it within its IP packet', () => {
    const full = parsedOf(whole);
    if (full.l3 !== L3.ip4 && full.l3 !== L3.ip6) return;
    const lengthened = parsedOf(Buffer.concat([whole, data]));
    const isOffload = lengthened.payloadLength !== full.payloadLength;
    const mayEnd = isOffload ? full.payloadOffset - full.offset : whole.length;
    for (let length = 14; length < mayEnd; length++) {
      const p = parsedOf(whole.subarray(0, length));
      // Without an IP length, what is missing from the frame is missing from the packet.
      const reasons = isOffload ? ['truncated', 'malformed'] : ['truncated'];
      if (p.l3 !== L3.unknown) expect(reasons, `at ${length}`).toContain(REASON_NAMES[p.problem]);
    }
  });
});

describe('any bytes as a frame', () => {
  test('are parsed without an exception and without a read outside of the frame', () => {
    const seen = new Set<number>();
    fc.assert(
      fc.property(cutFrame, wireExtra, (bytes, extra) => {
        const p = parsedOf(bytes, bytes.length + extra);
        seen.add(p.problem);
        expect(PROBLEMS).toContain(p.problem);
        for (const value of Object.values(rawFields(p))) {
          if (typeof value === 'number') expect(value | 0).toBe(value);
        }
        if (p.payloadCaptured !== 0) {
          expect(p.payloadCaptured).toBeGreaterThan(0);
          expect(p.payloadCaptured).toBeLessThanOrEqual(p.payloadLength);
          expect(p.payloadOffset + p.payloadCaptured).toBeLessThanOrEqual(p.offset + p.length);
        }
      }),
      { numRuns: 3000 },
    );
    // Frames that all fail in the same way would prove little.
    expect(seen.size).toBeGreaterThan(3);
  });

  test('say the same whatever lies around them', () => {
    fc.assert(
      fc.property(cutFrame, wireExtra, fc.nat({ max: 255 }), (bytes, extra, canary) => {
        const one = new Parsed();
        const other = new Parsed();
        parseInto(one, bytes, bytes.length + extra, canary);
        parseInto(other, bytes, bytes.length + extra, 255 - canary);
        expect(rawFields(one)).toEqual(rawFields(other));
      }),
      { numRuns: 1000 },
    );
  });

  test('say the same wherever they lie', () => {
    fc.assert(
      fc.property(cutFrame, wireExtra, fc.nat({ max: 9 }), (bytes, extra, at) => {
        const slab = new Uint8Array(at + bytes.length);
        slab.set(bytes, at);
        const p = new Parsed();
        parse(p, new DataView(slab.buffer), at, bytes.length, bytes.length + extra);
        for (const name of ['networkOffset', 'l3Offset', 'l4Offset', 'payloadOffset'] as const) {
          if (p[name] >= 0) p[name] += FRAME_OFFSET - at;
        }
        p.offset = FRAME_OFFSET;
        expect(rawFields(p)).toEqual(rawFields(parsedOf(bytes, bytes.length + extra)));
      }),
      { numRuns: 500 },
    );
  });

  test('say the same to a Parsed that has held other frames as to a new one', () => {
    const used = new Parsed();
    fc.assert(
      fc.property(cutFrame, wireExtra, cutFrame, (bytes, extra, before) => {
        parseInto(used, before);
        parseInto(used, bytes, bytes.length + extra);
        expect(rawFields(used)).toEqual(rawFields(parsedOf(bytes, bytes.length + extra)));
      }),
      { numRuns: 2000 },
    );
  });
});

test.each(Object.entries(KINDS))('nothing of a frame of the kind %s is left when an empty one follows', (_, bytes) => {
  const used = new Parsed();
  parseInto(used, bytes);
  parseInto(used, new Uint8Array(0));
  const fresh = new Parsed();
  expect(rawFields(used)).toEqual({ ...rawFields(fresh), problem: REASON.truncated, offset: FRAME_OFFSET });
});

test('padding behind an IP packet changes nothing but the frame’s length', () => {
  let compared = 0;
  fc.assert(
    fc.property(anyFrame, fc.uint8Array({ minLength: 1, maxLength: 40 }), (bytes, padding) => {
      const bare = parsedOf(bytes);
      fc.pre(bare.problem === 0 && (bare.l3 === L3.ip4 || bare.l3 === L3.ip6));
      // Beneath labels, IPv6 is only what ends with the frame.
      fc.pre(bare.l3 === L3.ip4 || (bare.etherType !== 0x8847 && bare.etherType !== 0x8848));
      // Without an IP length there is no telling padding from payload.
      const told = bytes.length - (bare.l3Offset - bare.offset);
      const header = bytes.subarray(bare.l3Offset - bare.offset);
      const packet = bare.l3 === L3.ip4 ? header[2]! * 256 + header[3]! : header[4]! * 256 + header[5]! + 40;
      fc.pre(packet !== (bare.l3 === L3.ip4 ? 0 : 40) && packet <= told);
      const padded = parsedOf(Buffer.concat([bytes, padding]));
      const length = bytes.length + padding.length;
      expect(rawFields(padded)).toEqual({ ...rawFields(bare), length, wireLength: length });
      compared++;
    }),
    { numRuns: 500 },
  );
  expect(compared).toBeGreaterThan(100);
});
