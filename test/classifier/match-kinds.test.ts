import { describe, expect, it } from 'vitest';
import { LiveState } from '../../classifier/live-state.ts';
import { NO_MATCH, UNDECIDED, UNKNOWN_ETHERTYPE } from '../../classifier/matcher.ts';
import { parse } from '../../classifier/parse.ts';
import { Parsed } from '../../classifier/parsed.ts';
import { slabOf } from '../../classifier/slab.ts';
import { type FrameBuilder, frame } from '../../pcaps/build.ts';
import type {
  ConcatMatch,
  FieldMatch,
  FieldName,
  Interval,
  Match,
  NamedSet,
  RawBase,
  RawMatch,
} from '../../rules/rule.ts';
import { dynamicSet, match, ruleSetOf } from '../support/arbitrary-rules.ts';
import { flowOf } from '../support/frame-maker.ts';
import { leastHeapGrowth } from '../support/heap-growth.ts';
import { MATCHERS } from '../support/matchers.ts';
import { parsedOf, parseInto } from '../support/parse-frame.ts';

type Pair = readonly [bigint | number, bigint | number];

const interval = ([low, high]: Pair): Interval => ({ low: BigInt(low), high: BigInt(high) });
const is = (field: FieldName, value: bigint | number): FieldMatch => match(field, [value, value]);
const masked = (one: FieldMatch, mask: bigint): FieldMatch => ({ ...one, mask });
const not = <T extends Match>(one: T): T => ({ ...one, negated: true });

function raw(base: RawBase, offsetBits: number, lengthBits: number, ...intervals: readonly Pair[]): RawMatch {
  return { kind: 'raw', base, offsetBits, lengthBits, mask: null, negated: false, intervals: intervals.map(interval) };
}

/** Tuples of single values or pairs of ends. */
function concat(
  fields: readonly FieldName[],
  ...tuples: readonly (readonly (Pair | bigint | number)[])[]
): ConcatMatch {
  const toInterval = (one: Pair | bigint | number) => interval(typeof one === 'object' ? one : [one, one]);
  return { kind: 'concat', fields, negated: false, tuples: tuples.map((tuple) => tuple.map(toInterval)) };
}

const YES = 0;
const ip4 = () => frame().eth().ip4();
const A = 0xc0000201n;
const B = 0xc0000202n;

describe.each(MATCHERS)('the %s matcher', (_, make) => {
  /** What a rule set of one rule says about a frame. @param cutTo bytes that a capture kept */
  function ask(built: FrameBuilder, matches: readonly Match[], cutTo = Number.POSITIVE_INFINITY): number {
    const bytes = built.build();
    const p = new Parsed();
    const slab = parseInto(p, bytes.subarray(0, cutTo), bytes.length);
    expect(p.problem).toBe(0);
    return make(ruleSetOf([matches])).classify(p, slab);
  }

  const holds = (built: FrameBuilder, ...matches: Match[]) => expect(ask(built, matches)).toBe(YES);
  const fails = (built: FrameBuilder, ...matches: Match[]) => expect(ask(built, matches)).toBe(NO_MATCH);

  describe('reads from the IP header', () => {
    const udp4 = frame().eth().ip4({ tos: 0xb9, ttl: 63, dontFragment: true }).udp(1, 2).payload('x');
    const udp6 = frame().eth().ip6({ trafficClass: 0xb9, hopLimit: 62 }).udp(1, 2).payload('xy');

    it('the DSCP without ECN', () => {
      holds(udp4, is('ip.dscp', 46));
      fails(udp4, is('ip.dscp', 47));
      fails(udp4, is('ip6.dscp', 46));
      holds(udp6, is('ip6.dscp', 46));
      fails(udp6, is('ip6.dscp', 45));
      fails(udp6, not(is('ip.dscp', 1)));
    });

    it('how many hops it may still make', () => {
      holds(udp4, is('ip.ttl', 63), not(is('ip.ttl', 62)));
      fails(udp4, not(is('ip6.hoplimit', 1)));
      holds(udp6, match('ip6.hoplimit', [60, 62]));
      fails(udp6, match('ip6.hoplimit', [63, 255]));
    });

    it("its length, which is the packet's in IPv4 and the payload's in IPv6", () => {
      holds(udp4, is('ip.length', 29));
      holds(udp6, is('ip6.length', 10));
      fails(udp6, is('ip6.length', 50));
    });

    it('the flags and the offset of fragments as one number', () => {
      holds(udp4, is('ip.frag-off', 0x4000));
      fails(udp4, masked(is('ip.frag-off', 0x2000), 0x2000n));
      const first = frame().eth().ip4({ moreFrags: true }).udp(1, 2).payload(new Uint8Array(16));
      holds(first, masked(is('ip.frag-off', 0x2000), 0x2000n), is('ip.frag-off', 0x2000));
      fails(udp6, not(is('ip.frag-off', 1)));
    });
  });

  it('counts the bytes that were on the wire, without tag and Ethernet header for `meta length`', () => {
    const content = frame().eth().payload(new Uint8Array(46));
    holds(content, is('frame.length', 60), is('meta.length', 46));
    const tagged = frame().eth().vlan(5).payload(new Uint8Array(46));
    holds(tagged, is('frame.length', 64), is('meta.length', 46));
    const twice = frame().eth().vlan(5).vlan(6).payload(new Uint8Array(46));
    holds(twice, is('frame.length', 68), is('meta.length', 50));
    expect(ask(content, [is('frame.length', 60), is('meta.length', 46)], 20)).toBe(YES);
  });

  describe("asked for SCTP's chunk", () => {
    const two = ip4().sctp(36412, 7).chunk(10).chunk(0);

    it('looks at the first one', () => {
      holds(two, is('sctp.chunk', 10));
      fails(two, is('sctp.chunk', 0));
      holds(two, not(is('sctp.chunk', 0)));
      fails(two, not(is('sctp.chunk', 10)));
    });

    it('says no without one, negated or not', () => {
      for (const built of [ip4().sctp(1, 2), ip4().udp(1, 2).payload('\x0a')]) {
        fails(built, match('sctp.chunk', [0, 255]));
        fails(built, not(is('sctp.chunk', 9)));
        fails(built, not(concat(['sctp.chunk', 'sctp.sport'], [9, 9])));
      }
    });

    it('does not mind it in concatenations of other fields, though a rule before asks for it', () => {
      const header = 14 + 20 + 12;
      // In code the second address looks as the number of the chunk's word does.
      for (const address of [A, 0x8000001en]) {
        const others = not(concat(['ip.saddr', 'sctp.dport'], [address, 9]));
        const matcher = make(ruleSetOf([[is('sctp.chunk', 9), is('sctp.dport', 8)], [others]]));
        const bytes = two.build();
        for (const built of [ip4().sctp(36412, 7).build(), bytes, bytes.subarray(0, header)]) {
          const p = new Parsed();
          const slab = parseInto(p, built, built.length > header ? built.length : bytes.length);
          expect(matcher.classify(p, slab)).toBe(1);
        }
      }
    });

    it('compares it in a concatenation, negated or beside a longer one', () => {
      holds(two, not(concat(['sctp.chunk', 'sctp.dport'], [10, 8], [9, 7])));
      fails(two, not(concat(['sctp.chunk', 'sctp.dport'], [10, 8], [10, 7])));
      const longer = concat(['sctp.sport', 'sctp.dport'], [1, 7], [2, 7], [36412, 7]);
      holds(two, longer, concat(['sctp.chunk', 'sctp.dport'], [10, 7]));
      fails(two, longer, concat(['sctp.chunk', 'sctp.dport'], [9, 7]));
    });

    it('does not know where the capture has cut it off, unless another match says no', () => {
      const header = 14 + 20 + 12;
      expect(ask(two, [is('sctp.chunk', 9)], header)).toBe(UNDECIDED);
      expect(ask(two, [not(is('sctp.chunk', 9))], header)).toBe(UNDECIDED);
      expect(ask(two, [is('sctp.chunk', 9), is('sctp.dport', 8)], header)).toBe(NO_MATCH);
      expect(ask(two, [is('sctp.chunk', 10)], header + 1)).toBe(YES);
      expect(ask(two, [is('sctp.sport', 36412)], header)).toBe(YES);
    });

    it('does not know a concatenation with one that was cut off, unless the other fields are in no tuple', () => {
      const header = 14 + 20 + 12;
      const pairs = concat(['sctp.dport', 'sctp.chunk'], [7, 9], [8, 10]);
      expect(ask(two, [pairs], header)).toBe(UNDECIDED);
      expect(ask(two, [not(pairs)], header)).toBe(UNDECIDED);
      const others = concat(['sctp.dport', 'sctp.chunk'], [8, 10], [9, 10], [10, 10]);
      expect(ask(two, [others], header)).toBe(NO_MATCH);
      expect(ask(two, [others, pairs], header)).toBe(NO_MATCH);
      expect(ask(two, [concat(['ip.saddr', 'sctp.dport'], [[0, A], 7], [0, 0], [0, 1]), pairs], header)).toBe(
        UNDECIDED,
      );
      expect(ask(two, [not(others)], header)).toBe(UNDECIDED);
    });
  });

  it("reads UDP-Lite's and DCCP's ports and IGMP's type, each from its own protocol alone", () => {
    const lite = ip4().udplite(10, 20);
    const dccp = ip4().dccp(10, 20);
    holds(lite, is('udplite.sport', 10), is('udplite.dport', 20), is('th.dport', 20));
    holds(dccp, is('dccp.sport', 10), is('dccp.dport', 20), is('th.sport', 10));
    fails(lite, is('udp.dport', 20));
    fails(lite, is('dccp.dport', 20));
    fails(dccp, not(is('udplite.dport', 21)));
    holds(ip4().igmp({ type: 0x16 }), is('igmp.type', 0x16));
    fails(ip4().igmp({ type: 0x16 }), not(is('icmp.type', 8)));
    fails(ip4().icmp({ type: 8 }), is('igmp.type', 8));
  });

  describe('asked for raw payload', () => {
    const udp = ip4().udp(5060, 0x1234).payload('SIP/2.0 200 OK\r\n');

    it('counts `@ll` from the destination MAC address, whatever the EtherType and with the tags', () => {
      const built = frame().eth({ dst: '01:80:c2:00:00:0e' }).vlan(7).payload('abc');
      holds(built, raw('ll', 0, 48, [0x0180c200000en, 0x0180c200000en]));
      holds(built, raw('ll', 96, 32, [0x81000007, 0x81000007]));
      fails(built, raw('ll', 96, 16, [0x88b5, 0x88b5]));
      holds(built, raw('ll', 128, 16, [0x88b5, 0x88b5]));
    });

    it('counts `@nh` from behind the last tag, or from the IP header that lies in another', () => {
      holds(frame().eth().payload('abc'), raw('nh', 8, 8, [0x62, 0x62]));
      holds(frame().eth().vlan(1).vlan(2).payload('abc'), raw('nh', 0, 24, [0x616263, 0x616263]));
      for (const carried of [
        frame().eth(),
        frame().eth().vlan(3),
        frame().eth().snap(),
        frame().eth().mpls(17).mpls(18),
        frame().eth().pppoe(),
      ]) {
        holds(carried.ip4({ src: '192.0.2.2' }).udp(1, 2), raw('nh', 96, 32, [B, B]), is('ip.saddr', B));
      }
    });

    it('counts `@th` from the end of the IP header chain, whatever follows', () => {
      holds(udp, raw('th', 64, 56, [0x5349502f322e30n, 0x5349502f322e30n]));
      holds(udp, raw('th', 16, 16, [0x1234, 0x1234]));
      holds(ip4().esp({ spi: 0xdeadbeef }), raw('th', 0, 32, [0xdeadbeef, 0xdeadbeef]));
      holds(frame().eth().ip4({ proto: 89 }).payload('\x02\x01'), raw('th', 8, 8, [1, 1]), is('ip.protocol', 89));
      holds(frame().eth().ip6().hopopts().udp(53, 54), raw('th', 0, 16, [53, 53]));
      fails(frame().eth().arp(), raw('th', 0, 1, [0, 1]));
      fails(frame().eth().arp(), not(raw('th', 0, 1, [0, 1])));
    });

    it('reads bits that begin and end inside bytes, up to 128 of them', () => {
      const bytes = Uint8Array.of(0xa5, 0x5a, 0xff, 0x00, 0x12, 0x34, 0x56, 0x78, 0x9a);
      const built = frame().eth().payload(bytes);
      holds(built, raw('nh', 0, 1, [1, 1]), raw('nh', 1, 1, [0, 0]), raw('nh', 4, 4, [5, 5]), raw('nh', 3, 3, [1, 1]));
      holds(built, raw('nh', 4, 8, [0x55, 0x55]), raw('nh', 7, 10, [0x2b5, 0x2b5]));
      holds(built, raw('nh', 4, 32, [0x55aff001, 0x55aff001]), raw('nh', 0, 32, [0xa55aff00, 0xa55aff00]));
      holds(built, raw('nh', 4, 37, [0x0ab5fe0024n, 0x0ab5fe0024n]));
      const long = frame()
        .eth()
        .payload(Uint8Array.from({ length: 20 }, (_, i) => i + 0x80));
      const value = 0x0818283848586878_8898a8b8c8d8e8f9n;
      holds(long, raw('nh', 4, 128, [value, value]));
      fails(long, raw('nh', 4, 128, [value + 1n, value + 1n]));
      holds(long, raw('nh', 4, 128, [value - 1n, value + 1n]));
    });

    it('compares unsigned, after the mask and before the negation, with any of several intervals', () => {
      const built = frame()
        .eth()
        .payload(Uint8Array.of(0xf0, 0, 0, 1));
      holds(built, raw('nh', 0, 32, [0x80000000, 0xffffffff]));
      fails(built, raw('nh', 0, 32, [0, 0x7fffffff]));
      holds(built, raw('nh', 0, 8, [1, 2], [0xef, 0xf1], [0xf3, 0xf4]));
      fails(built, raw('nh', 0, 8, [1, 2], [0xf1, 0xf1], [0xf3, 0xf4]));
      fails(built, not(raw('nh', 0, 8, [0xf0, 0xf0])));
      holds(built, not(raw('nh', 0, 8, [0xf1, 0xf1])));
      holds(built, { ...raw('nh', 0, 32, [1, 1]), mask: 0xffn });
      holds(built, { ...raw('nh', 0, 32, [0x80000000, 0x80000000]), mask: 0x80000002n });
      fails(built, { ...raw('nh', 0, 32, [3, 3]), mask: 0x3n });
      holds(built, not({ ...raw('nh', 0, 32, [3, 3]), mask: 0x3n }));
    });

    it('says no where the frame on the wire ended before the bits do, negated or not', () => {
      const built = frame().eth().payload('ab');
      holds(built, raw('nh', 8, 8, [0x62, 0x62]));
      fails(built, raw('nh', 9, 8, [0, 255]));
      fails(built, not(raw('nh', 9, 8, [0, 0])));
      fails(built, not(raw('ll', 128, 1, [0, 0])));
      fails(ip4().udp(1, 2), not(raw('th', 64, 1, [0, 0])));
    });

    it('does not know bits that were on the wire but not captured', () => {
      const built = frame().eth().payload('abcd');
      expect(ask(built, [raw('nh', 0, 16, [0x6162, 0x6162])], 16)).toBe(YES);
      expect(ask(built, [raw('nh', 0, 17, [0, 0])], 16)).toBe(UNDECIDED);
      expect(ask(built, [not(raw('nh', 16, 8, [0, 0]))], 16)).toBe(UNDECIDED);
      expect(ask(built, [raw('nh', 16, 8, [0, 0]), is('ether.type', 1)], 16)).toBe(NO_MATCH);
      expect(ask(built, [raw('nh', 24, 16, [0, 0])], 16)).toBe(NO_MATCH);
      expect(ask(built, [raw('nh', 16, 8, [0, 0]), is('udp.sport', 1)], 16)).toBe(UNKNOWN_ETHERTYPE);
      expect(ask(udp, [raw('th', 64, 8, [0x53, 0x53])], 42)).toBe(UNDECIDED);
    });

    it('does not know `@th` of an unknown EtherType', () => {
      const built = frame().eth().payload('abcd');
      expect(ask(built, [raw('th', 0, 8, [0, 255])])).toBe(UNKNOWN_ETHERTYPE);
      expect(ask(built, [raw('th', 0, 8, [0, 255]), raw('nh', 0, 8, [1, 1])])).toBe(NO_MATCH);
    });
  });

  describe('asked for a concatenation', () => {
    const from = (src: string, sport: number) => frame().eth().ip4({ src }).udp(sport, 9).payload('x');
    const pairs = concat(['ip.saddr', 'udp.sport'], [A, 5060], [B, [6000, 6010]]);

    it('wants all values of one tuple', () => {
      holds(from('192.0.2.1', 5060), pairs);
      fails(from('192.0.2.1', 6000), pairs);
      fails(from('192.0.2.2', 5060), pairs);
      holds(from('192.0.2.2', 6000), pairs);
      holds(from('192.0.2.2', 6010), pairs);
      fails(from('192.0.2.2', 6011), pairs);
      fails(from('192.0.2.2', 5999), pairs);
    });

    it('wants none of the tuples where it is negated, and all of the fields', () => {
      fails(from('192.0.2.1', 5060), not(pairs));
      holds(from('192.0.2.1', 6000), not(pairs));
      fails(frame().eth().ip4().tcp(1, 2), not(pairs));
      fails(frame().eth().ip4().tcp(1, 2), pairs);
    });

    it('wants two of them both, and other matches beside them', () => {
      const onTo = concat(['udp.dport', 'ip.daddr'], [8, [0, 0xffffffff]], [9, 0xc6336402n]);
      holds(from('192.0.2.1', 5060), pairs, onTo);
      holds(from('192.0.2.1', 5060), onTo, pairs, is('ip.ttl', 64), not(concat(['udp.dport', 'ip.ttl'], [9, 63])));
      fails(from('192.0.2.1', 5060), pairs, onTo, not(concat(['udp.dport', 'ip.ttl'], [9, 64])));
      fails(from('192.0.2.1', 5061), pairs, onTo);
      fails(from('192.0.2.1', 5060), pairs, concat(['udp.dport', 'ip.daddr'], [8, [0, 0xffffffff]], [9, 0]));
    });

    it('does not look behind its tuples, whatever was written there', () => {
      // What the list of ports begins with would be the bounds of 128.0.0.1 to 128.0.255.255.
      const ports = match('udp.dport', [5, 8], [9, 9], [11, 20]);
      const built = frame().eth().ip4({ src: '128.0.0.5' }).udp(7, 9);
      holds(built, not(concat(['ip.saddr', 'udp.sport'], [A, 7])), ports);
    });

    it('compares IPv6 ranges that end inside words, and MAC addresses', () => {
      const low = 0x20010db8_00000000_00000000_fffffff0n;
      const six = concat(
        ['ip6.saddr', 'ether.saddr'],
        [
          [low, low + 0x20n],
          [0x020000000001n, 0x020000000001n],
        ],
      );
      const at = (src: string) => frame().eth().ip6({ src }).udp(1, 2);
      holds(at('2001:db8::ffff:fff0'), six);
      holds(at('2001:db8::1:0:10'), six);
      fails(at('2001:db8::1:0:11'), six);
      fails(at('2001:db8::ffff:ffef'), six);
      holds(at('2001:db8::ffff:ffef'), not(six));
      holds(at('2001:db8::1:0:10'), concat(['udp.sport', 'udp.dport'], [1, 2], [3, 4]), six);
      fails(at('2001:db8::1:0:11'), concat(['udp.sport', 'udp.dport'], [1, 2], [3, 4]), six);
    });

    it('answers in the order of the rules, whichever tuple is true', () => {
      const rules = [
        [concat(['udp.sport', 'udp.dport'], [1, 1], [2, 2])],
        [is('udp.sport', 2)],
        [concat(['udp.sport', 'udp.dport'], [3, 3], [2, 9], [4, [0, 9]])],
        [],
      ];
      const matcher = make(ruleSetOf(rules));
      const at = (sport: number, dport: number) => {
        const p = new Parsed();
        const slab = parseInto(p, ip4().udp(sport, dport).build());
        return matcher.classify(p, slab);
      };
      expect([at(1, 1), at(2, 2), at(2, 9), at(4, 9), at(4, 10), at(3, 3)]).toEqual([0, 0, 1, 2, 3, 2]);
    });

    it('compares what it can of a frame with an unknown EtherType, and does not know the rest', () => {
      const mac = 0x020000000001n;
      const other = frame().eth({ src: '02:00:00:00:00:09' }).payload('x');
      const same = frame().eth().payload('x');
      const stations = concat(['ether.saddr', 'ip.saddr'], [mac + 1n, A], [mac, B]);
      expect(ask(other, [stations])).toBe(NO_MATCH);
      expect(ask(same, [stations])).toBe(UNKNOWN_ETHERTYPE);
      expect(ask(other, [not(stations)])).toBe(UNKNOWN_ETHERTYPE);
      expect(ask(same, [not(stations)])).toBe(UNKNOWN_ETHERTYPE);
      const more = concat(['ether.daddr', 'udp.sport'], [mac + 1n, 7], [mac, 8], [mac, 9]);
      expect(ask(same, [stations, more])).toBe(UNKNOWN_ETHERTYPE);
      expect(ask(other, [more, stations])).toBe(NO_MATCH);
      expect(ask(same, [not(concat(['vlan.id', 'ip.saddr'], [7, A]))])).toBe(NO_MATCH);
      expect(ask(same, [concat(['vlan.id', 'ip.saddr'], [7, A])])).toBe(NO_MATCH);
      expect(ask(same, [concat(['ether.saddr', 'meta.length'], [mac, [0, 9]])])).toBe(YES);
      expect(ask(same, [not(concat(['ether.saddr', 'meta.length'], [mac, [0, 9]]))])).toBe(NO_MATCH);
    });
  });

  describe('asked for a dynamic set', () => {
    const element = (timeoutMs: number | null, ...intervals: Pair[]) => ({
      timeoutMs,
      intervals: intervals.map(interval),
    });
    const sets: NamedSet[] = [
      dynamicSet(
        'calls',
        ['ipv4_addr', 'inet_service'],
        [element(null, [A, A], [5060, 5060]), element(1000, [B, B], [0, 99])],
      ),
      dynamicSet('hosts6', ['ipv6_addr'], [element(null, [1n << 64n, 1n << 64n])]),
    ];
    const calls = { kind: 'set', fields: ['ip.saddr', 'udp.sport'], set: 'calls', negated: false } as const;
    const hosts6 = { kind: 'set', fields: ['ip6.daddr'], set: 'hosts6', negated: false } as const;

    function askAt(nowNs: number, built: FrameBuilder, ...matches: Match[]): number {
      const live = new LiveState(sets);
      live.begin(0);
      const matcher = make(ruleSetOf([matches], sets), live);
      live.nowNs = nowNs;
      const p = new Parsed();
      const slab = parseInto(p, built.build());
      return matcher.classify(p, slab);
    }
    const from = (src: string, sport: number) => frame().eth().ip4({ src }).udp(sport, 9);

    it('finds tuples in it, and ranges', () => {
      expect(askAt(5, from('192.0.2.1', 5060), calls)).toBe(YES);
      expect(askAt(5, from('192.0.2.1', 5061), calls)).toBe(NO_MATCH);
      expect(askAt(5, from('192.0.2.2', 99), calls)).toBe(YES);
      expect(askAt(5, from('192.0.2.2', 100), calls)).toBe(NO_MATCH);
      expect(askAt(5, frame().eth().ip6({ dst: '0:0:0:1::' }).udp(1, 2), hosts6)).toBe(YES);
      expect(askAt(5, frame().eth().ip6({ dst: '0:0:0:2::' }).udp(1, 2), hosts6)).toBe(NO_MATCH);
    });

    it('turns the answer around where it is negated, but says no for a frame that lacks a field', () => {
      expect(askAt(5, from('192.0.2.1', 5060), not(calls))).toBe(NO_MATCH);
      expect(askAt(5, from('192.0.2.1', 5061), not(calls))).toBe(YES);
      expect(askAt(5, ip4().tcp(5060, 1), calls)).toBe(NO_MATCH);
      expect(askAt(5, ip4().tcp(5060, 1), not(calls))).toBe(NO_MATCH);
      expect(askAt(5, frame().eth().payload('x'), not(calls))).toBe(UNKNOWN_ETHERTYPE);
    });

    it("looks up SCTP's chunk, which may be missing or not captured", () => {
      const chunks = [dynamicSet('chunks', ['inet_proto'], [element(null, [0, 0]), element(null, [9, 9])])];
      const isIn = { kind: 'set', fields: ['sctp.chunk'], set: 'chunks', negated: false } as const;
      const answers = (built: FrameBuilder, cutTo?: number) => {
        const bytes = built.build();
        const p = new Parsed();
        const slab = parseInto(p, bytes.subarray(0, cutTo), bytes.length);
        return [isIn, not(isIn)].map((one) => make(ruleSetOf([[one]], chunks)).classify(p, slab));
      };
      expect(answers(ip4().sctp(1, 2).chunk(9))).toEqual([YES, NO_MATCH]);
      expect(answers(ip4().sctp(1, 2).chunk(0))).toEqual([YES, NO_MATCH]);
      expect(answers(ip4().sctp(1, 2).chunk(8))).toEqual([NO_MATCH, YES]);
      expect(answers(ip4().sctp(1, 2))).toEqual([NO_MATCH, NO_MATCH]);
      expect(answers(ip4().sctp(1, 2).chunk(9), 14 + 20 + 12)).toEqual([UNDECIDED, UNDECIDED]);
    });

    it('misses an element from its deadline on', () => {
      expect(askAt(1e9 - 1, from('192.0.2.2', 50), calls)).toBe(YES);
      expect(askAt(1e9, from('192.0.2.2', 50), calls)).toBe(NO_MATCH);
      expect(askAt(1e15, from('192.0.2.1', 5060), calls)).toBe(YES);
    });

    it('sees elements that were added since the rules took force', () => {
      const live = new LiveState(sets);
      live.begin(0);
      const matcher = make(ruleSetOf([[hosts6]], sets), live);
      const p = new Parsed();
      const slab = parseInto(p, frame().eth().ip6({ dst: '::9' }).udp(1, 2).build());
      expect(matcher.classify(p, slab)).toBe(NO_MATCH);
      live.set('hosts6')!.add([interval([9, 9])], null, 0);
      expect(matcher.classify(p, slab)).toBe(YES);
    });

    it('throws when it is made for a set that does not exist', () => {
      expect(() => make(ruleSetOf([[{ ...hosts6, set: 'nowhere' }]]))).toThrow("no dynamic set 'nowhere'");
    });
  });

  it("knows the flows that the host has declared, with the rule's class or without one", () => {
    const live = new LiveState([]);
    const declare = (built: FrameBuilder, className: string | null) =>
      live.declared.declare(flowOf(parsedOf(built.build()))!, className, null, 0);
    const at = (sport: number) => ip4().udp(sport, 9);
    declare(at(1), 'data');
    declare(at(2), 'control');
    declare(at(3), null);
    const [asData, asNothing] = [
      ['data', true],
      [null, false],
    ].map(([className, withPort]) => {
      const ruleSet = ruleSetOf([[{ kind: 'declared' }, ...(withPort === true ? [match('udp.dport', [0, 9])] : [])]]);
      return make(
        { ...ruleSet, outbound: ruleSet.outbound.map((rule) => ({ ...rule, className: className as string | null })) },
        live,
      );
    });
    const answer = (matcher: typeof asData, built: FrameBuilder) => {
      const p = new Parsed();
      const slab = parseInto(p, built.build());
      return matcher!.classify(p, slab);
    };
    expect([1, 2, 3, 4].map((sport) => answer(asData, at(sport)))).toEqual([YES, NO_MATCH, YES, NO_MATCH]);
    expect([1, 2, 3, 4].map((sport) => answer(asNothing, at(sport)))).toEqual([NO_MATCH, NO_MATCH, YES, NO_MATCH]);
    expect(answer(asData, ip4().udp(3, 10))).toBe(NO_MATCH);
    expect(answer(asNothing, frame().eth().arp())).toBe(NO_MATCH);
    expect(answer(asNothing, frame().eth().payload('x'))).toBe(UNKNOWN_ETHERTYPE);
  });

  it("tells the types of an application's messages", () => {
    const app = (types: readonly number[] | null, negated = false): Match => ({
      kind: 'app',
      app: 'http',
      types,
      negated,
    });
    const request = ip4().tcp(50000, 80).payload('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const response = ip4().tcp(80, 50000).payload('HTTP/1.1 200 OK\r\n\r\n');
    const other = ip4().tcp(80, 50000).payload('\x00\x01\x02\x03');
    const all = (...matches: Match[]) => [request, response, other].map((built) => ask(built, matches));
    expect(all(app(null))).toEqual([YES, YES, NO_MATCH]);
    expect(all(app(null, true))).toEqual([NO_MATCH, NO_MATCH, YES]);
    expect(all(app([1]))).toEqual([YES, NO_MATCH, NO_MATCH]);
    expect(all(app([2, 31]))).toEqual([NO_MATCH, YES, NO_MATCH]);
    expect(all(app([1], true))).toEqual([NO_MATCH, YES, NO_MATCH]);
    expect(all(app([1, 2], true))).toEqual([NO_MATCH, NO_MATCH, NO_MATCH]);
    expect(all(app(null), app([2]))).toEqual([NO_MATCH, YES, NO_MATCH]);
  });

  it('tells frames in which messages of several types start by type 31 alone', () => {
    const keepalive = `${'\xff'.repeat(16)}\x00\x13\x04`;
    const notification = `${'\xff'.repeat(16)}\x00\x15\x03\x06\x02`;
    const bytes = Uint8Array.from(keepalive + notification, (char) => char.charCodeAt(0));
    const mixed = ip4().tcp(179, 50000).payload(bytes);
    const types = (list: readonly number[], negated = false): Match => ({
      kind: 'app',
      app: 'bgp',
      types: list,
      negated,
    });
    holds(mixed, types([31]));
    fails(mixed, types([31], true));
    // A rule that does not name them says nothing certain: the frame has a keepalive, but not that alone.
    for (const unsure of [types([4]), types([3, 4]), types([1]), types([1], true), types([3], true)]) {
      expect(ask(mixed, [unsure])).toBe(UNDECIDED);
    }
  });

  it('knows IP behind MPLS and PPPoE, and the EtherType in front of it', () => {
    for (const [carried, type] of [
      [frame().eth().mpls(17), 0x8847],
      [frame().eth().mpls(17, { type: 0x8848 }), 0x8848],
      [frame().eth().pppoe(), 0x8864],
    ] as const) {
      const built = carried.ip4({ ttl: 9 }).udp(1, 2);
      holds(built, is('udp.dport', 2), is('ether.type', type), is('ip.ttl', 9));
      fails(built, is('udp.dport', 2), is('ether.type', 0x0800));
      holds(built, is('ip.ttl', 9), not(is('ether.type', 0x0800)));
    }
  });

  it('allocates nothing per frame, whatever it is asked', () => {
    const sets = [dynamicSet('calls', ['ipv4_addr', 'inet_service'], [])];
    const live = new LiveState(sets);
    live.begin(0);
    live.set('calls')!.add([interval([A, A]), interval([5, 5])], 1e9, 0);
    live.set('calls')!.add([interval([A, B]), interval([7, 9])], 1e9, 0);
    live.declared.declare(flowOf(parsedOf(ip4().udp(1, 1).build()))!, 'data', 1e9, 0);
    const rules: Match[][] = [
      [raw('th', 60, 100, [1, 2], [5, 6]), is('udp.dport', 2)],
      [raw('ll', 3, 32, [1, 2])],
      [concat(['ip.saddr', 'udp.dport'], [1, 2], [3, [4, 5]])],
      [not(concat(['ip.saddr', 'udp.dport'], [B, [0, 65535]], [A, 2]))],
      [{ kind: 'set', fields: ['ip.saddr', 'udp.sport'], set: 'calls', negated: false }],
      [{ kind: 'declared' }],
      [is('ip.ttl', 1), is('ip.dscp', 2), is('frame.length', 3)],
      [{ kind: 'app', app: 'http', types: [1], negated: false }],
    ];
    const ruleSet = ruleSetOf(rules, sets);
    const matcher = make(
      { ...ruleSet, outbound: ruleSet.outbound.map((rule) => ({ ...rule, className: 'data' })) },
      live,
    );
    const p = new Parsed();
    const slab = slabOf(ip4().udp(1, 2).payload(new Uint8Array(40)).build());
    parse(p, slab.view, 0, slab.bytes.length, slab.bytes.length);
    // A variable that holds a fraction would be allocated anew at each step.
    const nowNs = Float64Array.of(0.5);
    let sum = 0;
    const { bytes, rounds } = leastHeapGrowth(() => {
      for (let i = 0; i < 20_000; i++) {
        nowNs[0]! += 1234.5;
        live.nowNs = nowNs[0]!;
        sum += matcher.classify(p, slab.view);
      }
    }, 20_000);
    expect(sum).toBe(-rounds * 20_000);
    expect(bytes).toBeLessThan(20_000);
  });
});
