import { beforeEach, describe, expect, it } from 'vitest';
import { compileMatcher } from '../../classifier/compile.ts';
import { carries } from '../../classifier/field.ts';
import { fieldValue } from '../../classifier/frame-value.ts';
import { LinearMatcher } from '../../classifier/linear.ts';
import { LiveState } from '../../classifier/live-state.ts';
import { NO_MATCH, UNDECIDED, UNKNOWN_ETHERTYPE } from '../../classifier/matcher.ts';
import { L3, type L3Kind, L4, type L4Kind, Parsed } from '../../classifier/parsed.ts';
import { FIELDS, type FieldMatch, type FieldName, type Match } from '../../rules/rule.ts';
import { FIELD_NAMES, match, ruleSetOf } from '../support/arbitrary-rules.ts';
import { CAPTURES, captureFiles, NO_CAPTURES } from '../support/captures.ts';
import { isCarried, layOut, setField } from '../support/frame-fields.ts';
import { leastHeapGrowth, leastOfEight } from '../support/heap-growth.ts';
import { MATCHERS } from '../support/matchers.ts';
import { forEachFrame } from '../support/reference-rows.ts';

/** Bytes of the frame that was made last. */
const SLAB = new DataView(new ArrayBuffer(256));
const SIP = 'BYE sip:a SIP/2.0\r\n';

function frame(l3: L3Kind, l4: L4Kind, fields: Partial<Record<FieldName, bigint | number>> = {}, tags = 0): Parsed {
  const p = new Parsed();
  p.l3 = l3;
  p.l4 = l4;
  p.vlanCount = tags;
  layOut(p, SLAB);
  // The fields that are lengths may have any value.
  p.length = 0;
  const set = (field: FieldName, value: bigint) => {
    if (isCarried(field, l3, l4)) setField(p, field, value, SLAB);
  };
  for (const field of FIELD_NAMES) set(field, 0n);
  p.etherType = [0x88cc, 0x0800, 0x86dd, 0x0806][l3]!;
  p.proto = [0, 6, 17, 136, 132, 33, 1, 58, 2][l4]!;
  for (const [field, value] of Object.entries(fields)) set(field as FieldName, BigInt(value));
  return p;
}

const not = (one: FieldMatch): FieldMatch => ({ ...one, negated: true });
const masked = (one: FieldMatch, mask: bigint): FieldMatch => ({ ...one, mask });
const app = (name: 'sip' | 'rtp', negated = false): Match => ({ kind: 'app', app: name, types: null, negated });
const full = (field: FieldName): bigint => (1n << BigInt(FIELDS[field].bits)) - 1n;

/** Every kind of frame that the parser tells apart. */
const KINDS: readonly (readonly [string, L3Kind, L4Kind])[] = [
  ['unknown', L3.unknown, L4.none],
  ['arp', L3.arp, L4.none],
  ['ip4', L3.ip4, L4.none],
  ['ip4 tcp', L3.ip4, L4.tcp],
  ['ip4 udp', L3.ip4, L4.udp],
  ['ip4 udplite', L3.ip4, L4.udplite],
  ['ip4 sctp', L3.ip4, L4.sctp],
  ['ip4 dccp', L3.ip4, L4.dccp],
  ['ip4 icmp', L3.ip4, L4.icmp],
  ['ip4 igmp', L3.ip4, L4.igmp],
  ['ip6', L3.ip6, L4.none],
  ['ip6 tcp', L3.ip6, L4.tcp],
  ['ip6 udp', L3.ip6, L4.udp],
  ['ip6 icmpv6', L3.ip6, L4.icmpv6],
];

const IP4 = ['ip4', 'ip4 tcp', 'ip4 udp', 'ip4 udplite', 'ip4 sctp', 'ip4 dccp', 'ip4 icmp', 'ip4 igmp'];
const IP6 = ['ip6', 'ip6 tcp', 'ip6 udp', 'ip6 icmpv6'];

/** By the field's first word: the kinds that have it, as a list that nobody computes. */
const CARRIERS: Readonly<Record<string, readonly string[]>> = {
  arp: ['arp'],
  ip: IP4,
  ip6: IP6,
  meta: [...IP4, ...IP6],
  tcp: ['ip4 tcp', 'ip6 tcp'],
  udp: ['ip4 udp', 'ip6 udp'],
  sctp: ['ip4 sctp'],
  udplite: ['ip4 udplite'],
  dccp: ['ip4 dccp'],
  igmp: ['ip4 igmp'],
  th: ['ip4 tcp', 'ip4 udp', 'ip4 udplite', 'ip4 sctp', 'ip4 dccp', 'ip6 tcp', 'ip6 udp'],
  icmp: ['ip4 icmp'],
  icmpv6: ['ip6 icmpv6'],
};

describe.each(MATCHERS)('the %s matcher', (_, make) => {
  const first = (p: Parsed, ...matches: Match[]): number => make(ruleSetOf([matches])).classify(p, SLAB);

  it.each(FIELD_NAMES)('answers %s for the frames that have it, no for the others, negated or not', (field) => {
    const everything = match(field, [0n, full(field)]);
    const nothing = match(field);
    for (const [name, l3, l4] of KINDS) {
      for (const tags of [0, 1, 2]) {
        const layer2 = FIELDS[field].layer === 'l2';
        const isUnknown = !layer2 && l3 === L3.unknown;
        const has = layer2 ? tags > 0 || !field.startsWith('vlan') : CARRIERS[field.split('.')[0]!]!.includes(name);
        const yes = isUnknown ? UNKNOWN_ETHERTYPE : has ? 0 : NO_MATCH;
        const no = isUnknown ? UNKNOWN_ETHERTYPE : NO_MATCH;
        const p = frame(l3, l4, {}, tags);
        expect([name, tags, first(p, everything), first(p, not(nothing))]).toEqual([name, tags, yes, yes]);
        expect([name, tags, first(p, nothing), first(p, not(everything))]).toEqual([name, tags, no, no]);
        if (!isUnknown) expect(carries(field, l3, l4, tags > 0)).toBe(has);
      }
    }
  });

  // Not the fields that say of which kind a frame is: a TCP frame has no other protocol number.
  const free = FIELD_NAMES.filter((field) => !['ether.type', 'meta.l4proto', 'ip.protocol'].includes(field));

  it.each(free)('compares %s unsigned, both ends included', (field) => {
    const [name, l3, l4] = KINDS.findLast(([name]) => (CARRIERS[field.split('.')[0]!] ?? ['ip4']).includes(name))!;
    for (const value of [0n, 1n, full(field) >> 1n, (full(field) >> 1n) + 1n, full(field) - 1n, full(field)]) {
      const p = frame(l3, l4, { [field]: value }, 1);
      expect(fieldValue(p, field, SLAB), name).toBe(value);
      expect(first(p, match(field, [value, value]))).toBe(0);
      expect(first(p, match(field, [0n, value]))).toBe(0);
      expect(first(p, match(field, [value, full(field)]))).toBe(0);
      if (value > 0n) expect(first(p, match(field, [0n, value - 1n]))).toBe(NO_MATCH);
      if (value < full(field)) expect(first(p, match(field, [value + 1n, full(field)]))).toBe(NO_MATCH);
    }
  });

  it('lets the first rule that matches decide', () => {
    const matcher = make(ruleSetOf([[match('tcp.dport', [80, 80])], [match('tcp.dport', [0, 1023])], []]));
    const at = (port: number) => matcher.classify(frame(L3.ip4, L4.tcp, { 'tcp.dport': port }), SLAB);
    expect([at(80), at(81), at(1023), at(1024)]).toEqual([0, 1, 1, 2]);
    expect(matcher.classify(frame(L3.arp, L4.none), SLAB)).toBe(2);
  });

  it('wants all matches of a rule', () => {
    const both = [match('tcp.sport', [1, 1]), match('tcp.dport', [2, 2])];
    expect(first(frame(L3.ip4, L4.tcp, { 'tcp.sport': 1, 'tcp.dport': 2 }), ...both)).toBe(0);
    expect(first(frame(L3.ip4, L4.tcp, { 'tcp.sport': 1, 'tcp.dport': 3 }), ...both)).toBe(NO_MATCH);
    expect(first(frame(L3.ip4, L4.tcp, { 'tcp.sport': 2, 'tcp.dport': 2 }), ...both)).toBe(NO_MATCH);
  });

  it('finds a value in a list and none beside it', () => {
    const list = match('udp.dport', [5, 5], [10, 20], [30, 30], [65535, 65535]);
    const at = (port: number) => first(frame(L3.ip6, L4.udp, { 'udp.dport': port }), list);
    expect([4, 5, 6, 9, 10, 20, 21, 29, 30, 31, 65534, 65535].map(at)).toEqual([
      -1, 0, -1, -1, 0, 0, -1, -1, 0, -1, -1, 0,
    ]);
  });

  it('finds an IPv6 address in a list of ranges that end inside words', () => {
    const base = 0x20010db8_00000001_ffffffff_fffffff0n;
    const list = match('ip6.saddr', [1n, 1n], [base, base + 0x20n]);
    const at = (address: bigint) => first(frame(L3.ip6, L4.udp, { 'ip6.saddr': address }), list);
    expect([1n, 2n, base - 1n, base, base + 0x10n, base + 0x20n, base + 0x21n].map(at)).toEqual([
      0, -1, -1, 0, 0, 0, -1,
    ]);
  });

  it('applies the mask before it compares, and the negation after', () => {
    const control = masked(match('tcp.flags', [1, 255]), 0b111n);
    const at = (flags: number, one: Match) => first(frame(L3.ip4, L4.tcp, { 'tcp.flags': flags }), one);
    expect([0x10, 0x18, 0x12, 0x11, 0x04].map((flags) => at(flags, control))).toEqual([-1, -1, 0, 0, 0]);
    expect([0x10, 0x18, 0x12, 0x11, 0x04].map((flags) => at(flags, not(control)))).toEqual([0, 0, -1, -1, -1]);
    const odd = masked(match('tcp.dport', [1, 1]), 1n);
    expect(first(frame(L3.ip4, L4.tcp, { 'tcp.dport': 4097 }), odd)).toBe(0);
    expect(first(frame(L3.ip4, L4.tcp, { 'tcp.dport': 4096 }), odd)).toBe(NO_MATCH);
    const oddMac = masked(match('ether.saddr', [1, 1]), 0x0100_0000_0001n);
    expect(first(frame(L3.arp, L4.none, { 'ether.saddr': 0x5254_0000_0001n }), oddMac)).toBe(0);
    expect(first(frame(L3.arp, L4.none, { 'ether.saddr': 0x5354_0000_0001n }), oddMac)).toBe(NO_MATCH);
  });

  it('reads the outermost tag', () => {
    const p = frame(L3.ip4, L4.udp, { 'vlan.id': 100, 'vlan.pcp': 5 }, 2);
    p.vlanTci[1] = 200;
    expect(first(p, match('vlan.id', [100, 100]), match('vlan.pcp', [5, 5]))).toBe(0);
    expect(first(p, match('vlan.id', [200, 200]))).toBe(NO_MATCH);
  });

  it('knows an IPv4 frame in SNAP by its 802.3 length', () => {
    const p = frame(L3.ip4, L4.udp);
    p.etherType = 100;
    expect(first(p, match('ether.type', [100, 100]))).toBe(0);
    expect(first(p, match('ether.type', [0x800, 0x800]))).toBe(NO_MATCH);
  });

  it('has no answer where an unknown EtherType meets a rule above layer 2 before one that is true', () => {
    const rules = [[match('ether.type', [0x88cc, 0x88cc])], [match('vlan.id', [7, 7]), match('udp.dport', [5, 5])], []];
    const matcher = make(ruleSetOf(rules));
    const p = frame(L3.unknown, L4.none);
    expect(matcher.classify(p, SLAB)).toBe(0);
    p.etherType = 0x88cd;
    expect(matcher.classify(p, SLAB)).toBe(2);
    const tagged = frame(L3.unknown, L4.none, { 'vlan.id': 7 }, 1);
    tagged.etherType = 0x88cd;
    expect(matcher.classify(tagged, SLAB)).toBe(UNKNOWN_ETHERTYPE);
  });

  it('asks applications after the fields, and has no answer where their evidence was cut off', () => {
    const matcher = make(ruleSetOf([[app('sip'), match('udp.dport', [5060, 5060])], [app('sip', true)]]));
    const p = frame(L3.ip4, L4.udp, { 'udp.dport': 5060, 'udp.sport': 5060, 'udp.length': 27 });
    const slab = new DataView(Uint8Array.from(SIP, (char) => char.charCodeAt(0)).buffer);
    p.payloadOffset = 0;
    p.payloadLength = SIP.length;
    p.payloadCaptured = SIP.length;
    expect(matcher.classify(p, slab)).toBe(0);
    p.payloadCaptured = 6;
    expect(matcher.classify(p, slab)).toBe(UNDECIDED);
    p.dstPort = 5061;
    expect(matcher.classify(p, slab)).toBe(UNDECIDED);
    p.payloadCaptured = SIP.length;
    expect(matcher.classify(p, slab)).toBe(NO_MATCH);
    slab.setUint8(0, 0);
    p.dstPort = 5060;
    expect(matcher.classify(p, slab)).toBe(1);
    expect(matcher.classify(frame(L3.arp, L4.none), SLAB)).toBe(1);
    expect(matcher.classify(frame(L3.unknown, L4.none), SLAB)).toBe(UNKNOWN_ETHERTYPE);
  });

  it('allocates nothing per frame', () => {
    const rules: Match[][] = Array.from({ length: 8 }, (_, i) => [
      match('ip.saddr', [i * 2 ** 26, i * 2 ** 26 + 5]),
      match('udp.dport', [i, i], [1000 + i, 1010 + i]),
    ]);
    const matcher = make(
      ruleSetOf([...rules, [match('ip6.saddr', [1, 5], [9, full('ip6.saddr') - 1n])], [app('rtp')]]),
    );
    const p = frame(L3.ip4, L4.udp, { 'ip.saddr': 7 * 2 ** 26, 'udp.dport': 1007 });
    const other = frame(L3.ip6, L4.udp, { 'ip6.saddr': full('ip6.saddr') });
    let kept: unknown = null;
    const ours = () => {
      for (let i = 0; i < 20_000; i++) {
        matcher.classify(p, SLAB);
        matcher.classify(other, SLAB);
      }
    };
    const control = () => {
      for (let i = 0; i < 20_000; i++) kept = { kept: null };
    };
    expect(leastHeapGrowth(ours, 20_000).bytes).toBeLessThan(20_000);
    expect(leastOfEight(control)).toBeGreaterThan(20_000 * 8);
    expect(kept).not.toBeNull();
  });
});

describe('both matchers on real captures', () => {
  beforeEach(({ skip }) => skip(CAPTURES === null, NO_CAPTURES));

  it("agree under rules made of the frames' own values", () => {
    const rules: Match[][] = [];
    let frames = 0;
    // Fields that tell frames apart: a rule on `ip protocol` would decide for nearly all of them.
    const fields = FIELD_NAMES.filter((field) => /port|addr|length|type|id/.test(field) && field !== 'ether.type');
    for (const file of captureFiles()) {
      forEachFrame(file, (p, slab, packet) => {
        if (p.problem !== 0 || packet % 97 !== 1 || rules.length > 400) return;
        const field = fields[(packet + rules.length) % fields.length]!;
        const value = fieldValue(p, field, slab);
        if (value !== null) rules.push([match(field, [value, value + 3n > full(field) ? full(field) : value + 3n])]);
        if (rules.length % 20 === 19) rules.push([app(rules.length % 3 === 0 ? 'sip' : 'rtp')]);
      });
    }
    const ruleSet = ruleSetOf(rules);
    const live = new LiveState([]);
    const linear = new LinearMatcher(ruleSet.outbound, live);
    const compiled = compileMatcher(ruleSet.outbound, live);
    const seen = new Set<number>();
    for (const file of captureFiles()) {
      forEachFrame(file, (p, slab, packet) => {
        if (p.problem !== 0 || p.fragOffset > 0 || packet > 500) return;
        frames++;
        const expected = linear.classify(p, slab);
        seen.add(expected);
        if (compiled.classify(p, slab) !== expected) throw new Error(`${file} ${packet}: not ${expected}`);
      });
    }
    expect(frames).toBeGreaterThan(5000);
    expect(seen.size).toBeGreaterThan(30);
  });
});
