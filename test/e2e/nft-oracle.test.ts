import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Classifier, compileGeneration } from '../../classifier/classifier.ts';
import { compileMatcher } from '../../classifier/compile.ts';
import { LinearMatcher } from '../../classifier/linear.ts';
import { LiveState } from '../../classifier/live-state.ts';
import { parse } from '../../classifier/parse.ts';
import { L3, Parsed } from '../../classifier/parsed.ts';
import { REASON_NAMES, VERDICT_NAMES } from '../../classifier/verdict.ts';
import { type FrameBuilder, frame } from '../../pcaps/build.ts';
import { parseRules } from '../../rules/parse.ts';
import type { Rule } from '../../rules/rule.ts';
import { CAPTURES } from '../support/captures.ts';
import { type Evaluation, NftOracle, noNftReason } from '../support/nft-oracle.ts';
import { type OracleFrame, type OracleFrames, oracleFrames, writeFrames } from '../support/oracle-frames.ts';
import { runs, SEED } from '../support/runs.ts';

const reason = noNftReason();
const folder = mkdtempSync(join(tmpdir(), 'holdfast-nft-'));
const capture = (name: keyof OracleFrames) => join(folder, `${name}.pcap`);
let frames: OracleFrames;
let oracle: NftOracle | null = null;

beforeAll(async () => {
  if (reason !== null) return;
  frames = await oracleFrames();
  for (const kind of ['plain', 'tagged', 'fragments', 'stacked'] as const) writeFrames(capture(kind), frames[kind]);
  oracle = new NftOracle();
});

afterAll(() => {
  oracle?.close();
  rmSync(folder, { recursive: true });
});

function rulesOf(matches: readonly string[], sets = ''): { readonly rules: readonly Rule[]; readonly live: LiveState } {
  const text = `${sets}\noutbound {\n${matches.map((match) => `${match} hold\n`).join('')}}\n`;
  const { ruleSet, errors } = parseRules(text, 'oracle.rules');
  if (ruleSet === null) throw new Error(errors.map(({ line, message }) => `${line}: ${message}`).join('\n'));
  return { rules: ruleSet.outbound, live: new LiveState(ruleSet.sets) };
}

/** Frames per rule, as our matchers count them. */
function counted(
  matches: readonly string[],
  sent: readonly OracleFrame[],
  evaluation: Evaluation,
  sets = '',
): number[] {
  const { rules, live } = rulesOf(matches, sets);
  const linear = new LinearMatcher(rules, live);
  const compiled = compileMatcher(rules, live);
  const parsed = new Parsed();
  const counts = rules.map(() => 0);
  for (const frame of sent) {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    parse(parsed, view, 0, frame.length, frame.length);
    if (evaluation === 'first-match') {
      const rule = compiled.classify(parsed, view);
      if (rule >= 0) counts[rule]!++;
      continue;
    }
    for (let i = 0; i < rules.length; i++) if (linear.answerRule(i, parsed, view) === 1) counts[i]!++;
  }
  return counts;
}

/** Each match with both counts, so that a difference names its match. */
function beside(matches: readonly string[], counts: readonly number[]): string[] {
  return matches.map((match, i) => `${counts[i]} ${match}`);
}

function expectEqual(
  kind: keyof OracleFrames,
  matches: readonly string[],
  evaluation: Evaluation = 'independent',
  sets = '',
): void {
  const sent = frames[kind];
  const kernel = oracle!.count(matches, capture(kind), sent.length, evaluation, sets);
  expect(beside(matches, counted(matches, sent, evaluation, sets))).toEqual(beside(matches, kernel));
}

/** By field: matches that both languages spell alike. */
const SHARED: Readonly<Record<string, readonly string[]>> = {
  'ether type': [
    'ether type ip',
    'ether type arp',
    'ether type ip6',
    'ether type != ip',
    'ether type 0x88cc',
    'ether type { ip, arp }',
    'ether type 0-1500',
  ],
  'ether addresses': [
    'ether daddr ff:ff:ff:ff:ff:ff',
    'ether daddr != ff:ff:ff:ff:ff:ff',
    'ether daddr & 01:00:00:00:00:00 == 01:00:00:00:00:00',
    'ether daddr & ff:ff:ff:00:00:00 == 01:00:5e:00:00:00',
    'ether daddr 01:80:c2:00:00:00-01:80:c2:00:00:ff',
    'ether saddr { 52:54:00:00:02:10, 00:00:00:00:00:01 }',
  ],
  arp: [
    'arp operation request',
    'arp operation reply',
    'arp operation { request, reply }',
    'arp operation != request',
    'arp operation >= 2',
  ],
  'ip addresses': [
    'ip saddr 10.0.0.0/8',
    'ip saddr != 10.0.0.0/8',
    'ip daddr 192.168.0.0/16',
    'ip daddr 224.0.0.0/4',
    'ip saddr { 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 }',
    'ip saddr != { 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 }',
    'ip saddr 10.0.0.1-10.0.0.99',
    'ip daddr 255.255.255.255',
    'ip saddr & 255.255.255.0 == 192.168.1.0',
    'ip saddr & 0.0.0.255 == 0.0.0.1',
    'ip daddr & 0.0.0.1 != 0.0.0.0',
    'ip saddr 0.0.0.0/0',
  ],
  'ip header': [
    'ip protocol tcp',
    'ip protocol { ospf, vrrp, pim, igmp }',
    'ip protocol != udp',
    'ip dscp 0',
    'ip dscp cs6',
    'ip dscp { cs6, ef, af31 }',
    'ip dscp != be',
    'ip ttl 1',
    'ip ttl < 64',
    'ip ttl >= 64',
    'ip ttl 64-128',
    'ip length > 1000',
    'ip length <= 60',
    'ip length { 28, 40, 52, 60 }',
    'ip frag-off & 0x4000 != 0',
    'ip frag-off & 0x4000 == 0',
    'ip frag-off & 0x3fff == 0',
    'ip frag-off 0x4000',
  ],
  'ip6 addresses': [
    'ip6 saddr fe80::/10',
    'ip6 saddr != fe80::/10',
    'ip6 daddr ff02::/16',
    'ip6 daddr ff02::1',
    'ip6 daddr { ff02::1, ff02::5, ff02::6, ff02::16 }',
    'ip6 saddr 2000::-3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    'ip6 saddr ::',
    'ip6 daddr & ffff:: == ff02::',
  ],
  'ip6 header': [
    'ip6 nexthdr icmpv6',
    'ip6 nexthdr udp',
    'ip6 nexthdr { tcp, udp }',
    'ip6 nexthdr 0',
    'ip6 hoplimit 255',
    'ip6 hoplimit != 255',
    'ip6 hoplimit < 64',
    'ip6 length > 100',
    'ip6 length 32',
    'ip6 dscp cs6',
    'ip6 dscp 0',
  ],
  'meta l4proto': [
    'meta l4proto tcp',
    'meta l4proto udp',
    'meta l4proto != tcp',
    'meta l4proto { icmp, ipv6-icmp }',
    'meta l4proto sctp',
    'meta l4proto esp',
    'meta l4proto 89',
  ],
  'meta length': [
    'meta length > 100',
    'meta length <= 46',
    'meta length 46-100',
    'meta length 28',
    'meta length != 40',
  ],
  tcp: [
    'tcp dport 80',
    'tcp sport 443',
    'tcp dport 1-1023',
    'tcp dport != 1-1023',
    'tcp sport { 22, 80, 179, 443, 445 }',
    'tcp sport != { 22, 80, 179, 443, 445 }',
    'tcp dport >= 49152',
    'tcp dport & 0xff00 == 0x0100',
    'tcp dport & 1 == 1',
  ],
  'tcp flags': [
    'tcp flags syn',
    'tcp flags syn,ack',
    'tcp flags == syn',
    'tcp flags != syn',
    'tcp flags == syn|ack',
    'tcp flags { syn, syn|ack, ack }',
    'tcp flags & (syn|fin|rst) != 0',
    'tcp flags & (syn|ack) == syn',
    'tcp flags & (fin|syn|rst|ack) == fin|ack',
    'tcp flags syn / fin,syn,rst,ack',
    'tcp flags ! syn',
    'tcp flags psh',
  ],
  udp: [
    'udp dport 53',
    'udp sport 53',
    'udp dport { 53, 67, 68, 5353 }',
    'udp dport 16384-32767',
    'udp length > 100',
    'udp length 8-60',
    'udp length != 20',
    'udp length & 1 == 0',
  ],
  'other transports': [
    'sctp sport 0-65535',
    'sctp dport 2905',
    'sctp dport != 2905',
    'udplite sport 0-65535',
    'dccp dport 0-65535',
    'igmp type 0x16',
    'igmp type membership-query',
    'igmp type != 0x11',
  ],
  icmp: [
    'icmp type echo-request',
    'icmp type echo-reply',
    'icmp type { echo-request, destination-unreachable }',
    'icmp type != echo-request',
    'icmp code 0',
    'icmp code 1-15',
    'icmp type destination-unreachable icmp code 3',
  ],
  icmpv6: [
    'icmpv6 type echo-request',
    'icmpv6 type nd-neighbor-solicit',
    'icmpv6 type { nd-router-advert, nd-neighbor-advert, mld2-listener-report }',
    'icmpv6 type 1-127',
    'icmpv6 code 0',
    'icmpv6 type != nd-neighbor-solicit',
  ],
  'raw payload': [
    '@ll,96,16 0x0800',
    '@ll,0,8 & 1 == 1',
    '@ll,0,48 0xffffffffffff',
    '@nh,0,4 4',
    '@nh,64,8 1-63',
    '@nh,72,8 6',
    '@nh,72,8 != 6',
    '@th,0,16 53',
    '@th,16,16 { 53, 80, 443 }',
    '@th,64,32 0x53495020-0x5349502f',
    '@th,0,8 8',
    '@th,96,4 > 5',
    '@nh,96,32 & 0xff000000 == 0x0a000000',
  ],
  concatenations: [
    'ip protocol . ip saddr { 6 . 10.0.0.1, 17 . 10.0.0.1 }',
    'ip saddr . tcp dport { 10.0.0.0/8 . 1-1023, 192.168.0.0/16 . 80 }',
    'ip saddr . tcp dport != { 10.0.0.0/8 . 1-1023, 192.168.0.0/16 . 80 }',
    'ip daddr . udp dport { 0.0.0.0/1 . 53, 224.0.0.0/4 . 0-65535 }',
    'ip6 daddr . udp dport { ff00::/8 . 0-65535, fe80::/10 . 53 }',
    'ether saddr . ip saddr { 52:54:00:00:02:10 . 0.0.0.0/0 }',
    'tcp sport . tcp dport { 1024-65535 . 80, 80 . 1024-65535 }',
  ],
  several: [
    'ip saddr 192.168.0.0/16 tcp dport 1-1023 tcp flags syn',
    'udp dport 53 udp length > 40',
    'ip ttl 1 ip protocol ospf',
    'ip6 hoplimit 255 icmpv6 type nd-neighbor-advert',
    'meta l4proto udp ip daddr 224.0.0.0/4',
    'meta l4proto { tcp, udp } th dport 53',
    'meta l4proto { tcp, udp, sctp } th sport != 1-1023',
  ],
};

const SETS = `set ports { type inet_service; elements = { 22, 53, 80, 443 } }
set ranges { type inet_service; flags interval; elements = { 1-1023, 16384-32767 } }
set nets { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.168.1.0/24, 224.0.0.0/4 } }
set nets6 { type ipv6_addr; flags interval; elements = { fe80::/10, ff02::/16 } }
set protos { type inet_proto; elements = { tcp, 89 } }
set macs { type ether_addr; elements = { ff:ff:ff:ff:ff:ff, 52:54:00:00:02:10 } }
set fresh { type ipv4_addr . inet_service; flags timeout; timeout 1h; elements = { 192.0.2.10 . 5060, 192.0.2.1 . 5060 timeout 2h, 10.0.0.1 . 80 } }
set pairs { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.0/8 . 80, 192.168.0.0/16 . 1-1023 } }`;

describe('nft and Holdfast select the same frames', () => {
  beforeEach(({ skip }) => skip(reason !== null, reason ?? ''));

  for (const [field, matches] of Object.entries(SHARED)) {
    test(`by ${field}`, () => {
      expectEqual('plain', matches);
    });
  }

  test('by named sets', () => {
    const matches = [
      'tcp dport @ports',
      'udp dport != @ports',
      'udp sport @ranges',
      'ip saddr @nets',
      'ip saddr != @nets',
      'ip6 daddr @nets6',
      'meta l4proto @protos',
      'ether daddr @macs',
      'ip saddr . udp sport @fresh',
      'ip daddr . tcp dport != @fresh',
      'ip saddr . tcp dport @pairs',
      'ip saddr . tcp dport != @pairs',
    ];
    expectEqual('plain', matches, 'independent', SETS);
  });

  test('behind one VLAN tag', () => {
    expectEqual('tagged', [
      'vlan id 1-4094',
      'vlan id 100',
      'vlan id != 100',
      'vlan id { 5, 10, 100, 200 }',
      'vlan pcp 0',
      'vlan pcp != 0',
      'vlan pcp > 3',
      ...['ip addresses', 'ip header', 'ip6 addresses', 'tcp', 'udp', 'icmp', 'icmpv6', 'arp', 'meta length'].flatMap(
        (field) => SHARED[field]!,
      ),
    ]);
  });

  test('in the order of the rules, the first that matches', () => {
    const matches = [
      'arp operation request',
      'tcp flags & (syn|fin|rst) != 0',
      'udp dport { 53, 67, 68 }',
      'ip saddr 10.0.0.0/8',
      'tcp dport 1-1023',
      'ip6 daddr ff02::/16',
      'meta l4proto udp',
      'ip ttl < 64',
      'tcp sport 1-65535',
    ];
    const known = frames.plain.filter((frame) => isKnown(frame));
    writeFrames(join(folder, 'known.pcap'), known);
    const kernel = oracle!.count(matches, join(folder, 'known.pcap'), known.length, 'first-match');
    expect(beside(matches, counted(matches, known, 'first-match'))).toEqual(beside(matches, kernel));
    // Our own traces alone have not everything.
    if (CAPTURES !== null) expect(kernel.every((count) => count > 0)).toBe(true);
  });

  test('by random rules that are made of the frames themselves', () => {
    const known = frames.plain.filter((frame) => isKnown(frame));
    writeFrames(join(folder, 'known.pcap'), known);
    fc.assert(
      fc.property(fc.array(arbitraryMatch(known), { minLength: 20, maxLength: 60 }), (matches) => {
        for (const evaluation of ['independent', 'first-match'] as const) {
          const kernel = oracle!.count(matches, join(folder, 'known.pcap'), known.length, evaluation);
          expect(beside(matches, counted(matches, known, evaluation))).toEqual(beside(matches, kernel));
        }
      }),
      // A failure is shown as it was found: each smaller one would have to be sent again.
      { numRuns: runs(8), endOnFailure: true, ...SEED },
    );
  });
});

function isKnown(frame: OracleFrame): boolean {
  const parsed = new Parsed();
  parse(parsed, new DataView(frame.buffer, frame.byteOffset, frame.byteLength), 0, frame.length, frame.length);
  return parsed.l3 !== L3.unknown;
}

/** A match on a field of one of the frames, with its own value or one beside it. */
function arbitraryMatch(sent: readonly OracleFrame[]): fc.Arbitrary<string> {
  const number = (name: string, at: (p: Parsed, v: DataView) => number, bits: number) =>
    fc
      .record({
        frame: fc.constantFrom(...sent),
        step: fc.integer({ min: -2, max: 2 }),
        form: fc.nat(6),
        other: fc.nat(2 ** bits - 1),
      })
      .map(({ frame, step, form, other }) => {
        const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
        const parsed = new Parsed();
        parse(parsed, view, 0, frame.length, frame.length);
        const value = Math.min(2 ** bits - 1, Math.max(1, at(parsed, view) + step));
        const [low, high] = value < other ? [value, other] : [other, value];
        const mask = 2 ** (other % bits);
        return `${name} ${[`${value}`, `!= ${value}`, `> ${value - 1}`, low === high ? `${low}` : `${low}-${high}`, `{ ${[...new Set([value, other])].join(', ')} }`, `!= { ${[...new Set([value, other])].join(', ')} }`, `& ${mask} == ${value & mask}`][form]}`;
      });
  const ip4 = (name: string, at: number) =>
    fc
      .record({ frame: fc.constantFrom(...sent), length: fc.integer({ min: 1, max: 32 }), negated: fc.boolean() })
      .map(({ frame, length, negated }) => {
        const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
        const parsed = new Parsed();
        parse(parsed, view, 0, frame.length, frame.length);
        const address = parsed.l3 === L3.ip4 ? view.getUint32(parsed.l3Offset + at) : 0x0a000001;
        const network = (address & (-1 << (32 - length))) >>> 0;
        const text = [24, 16, 8, 0].map((shift) => (network >>> shift) & 255).join('.');
        return `${name} ${negated ? '!= ' : ''}${text}/${length}`;
      });
  return fc.oneof(
    number('tcp dport', (p) => p.dstPort, 16),
    number('tcp sport', (p) => p.srcPort, 16),
    number('udp dport', (p) => p.dstPort, 16),
    number('udp length', (p) => p.udpLength, 16),
    number('ip ttl', (p, v) => (p.l3 === L3.ip4 ? v.getUint8(p.l3Offset + 8) : 64), 8),
    number('ip length', (p, v) => (p.l3 === L3.ip4 ? v.getUint16(p.l3Offset + 2) : 40), 16),
    number('ip6 hoplimit', (p, v) => (p.l3 === L3.ip6 ? v.getUint8(p.l3Offset + 7) : 64), 8),
    number('meta l4proto', (p) => p.proto, 8),
    number('icmp type', (p) => p.icmpType, 8),
    number('icmpv6 type', (p) => p.icmpType, 8),
    number('meta length', (p) => p.length - 14, 16),
    number('@nh,64,16', (p, v) => (p.l3Offset + 10 <= p.length ? v.getUint16(p.l3Offset + 8) : 1), 16),
    number('@th,0,16', (p) => p.srcPort, 16),
    ip4('ip saddr', 12),
    ip4('ip daddr', 16),
    fc
      .tuple(
        ip4('ip saddr', 12),
        number('tcp dport', (p) => p.dstPort, 16),
      )
      .map((parts) => parts.join(' ')),
  );
}

/** Frames that the two read differently: what the kernel counts and what our rules select, or why we hold the frame unasked. */
interface Difference {
  readonly what: string;
  readonly frames: readonly OracleFrame[];
  readonly matches: readonly string[];
  readonly nft: readonly number[];
  readonly ours: readonly number[] | string;
}

const tcp80 = (f: FrameBuilder) => f.ip4().tcp(1024, 80, {}).build();
const MATCHES = ['ip protocol tcp', 'tcp dport 80', 'ether type ip'];

const DIFFERENCES: readonly Difference[] = [
  {
    what: 'reads IP behind two tags, which nft does not',
    frames: [tcp80(frame().eth().vlan(5).vlan(6))],
    matches: [...MATCHES, 'vlan id 5', 'vlan id 6'],
    nft: [0, 0, 0, 1, 0],
    ours: [1, 1, 1, 1, 0],
  },
  {
    what: 'takes a service tag for a tag, which nft does only for customer tags',
    frames: [tcp80(frame().eth().vlan(5, { tpid: 0x88a8 }))],
    matches: ['vlan id 5', 'ip protocol tcp'],
    nft: [0, 1],
    ours: [1, 1],
  },
  {
    what: 'takes the type behind the last tag for the EtherType, nft the first',
    frames: [tcp80(frame().eth().vlan(5))],
    matches: ['ether type ip', 'ether type vlan'],
    nft: [0, 1],
    ours: [1, 0],
  },
  {
    what: 'reads IP under MPLS, PPPoE and SNAP, which nft does not',
    frames: [tcp80(frame().eth().mpls(16)), tcp80(frame().eth().pppoe()), tcp80(frame().eth({ type: 800 }).snap())],
    matches: ['ip protocol tcp', 'tcp dport 80'],
    nft: [0, 0],
    ours: [3, 3],
  },
  {
    what: 'follows an IPv6 chain through an authentication header, where nft stops',
    frames: [frame().eth().ip6().ah().tcp(1024, 80, {}).build()],
    matches: ['meta l4proto tcp', 'meta l4proto ah', 'tcp dport 80'],
    nft: [0, 1, 0],
    ours: [1, 0, 1],
  },
  {
    what: 'finds no ports in ICMP, whose first bytes nft takes for them',
    frames: [frame().eth().ip4().icmp({ type: 8, code: 0 }).payload('ping').build()],
    matches: ['th sport 0-65535'],
    nft: [1],
    ours: [0],
  },
  {
    what: 'holds a later fragment whose first it has not seen; nft takes its payload for a header',
    frames: [frame().eth().ip4({ fragOffset: 1480, proto: 17 }).payload('0123456789abcdef').build()],
    matches: ['udp sport 0-65535', 'ip protocol udp'],
    nft: [1, 1],
    ours: 'fragment-unknown',
  },
  {
    what: 'holds a wrong IPv4 header checksum, which nft does not look at',
    frames: [frame().eth().ip4({ checksum: 0x1234 }).tcp(1024, 80, {}).build()],
    matches: MATCHES,
    nft: [1, 1, 1],
    ours: 'bad-checksum',
  },
  {
    what: 'holds a packet that is longer than its frame, in which nft finds no transport',
    frames: [frame().eth().ip4({ totalLength: 400 }).tcp(1024, 80, {}).build()],
    matches: MATCHES,
    nft: [1, 0, 1],
    ours: 'truncated',
  },
  {
    what: 'holds a datagram whose UDP length is impossible, which nft compares as it is',
    frames: [frame().eth().ip4().udp(1024, 53, { length: 4000 }).payload('x').build()],
    matches: ['udp dport 53', 'udp length 4000'],
    nft: [1, 1],
    ours: 'malformed',
  },
  {
    what: 'holds an EtherType that nobody parses as soon as a rule asks for more; to nft the rule is false',
    frames: [frame().eth({ type: 0x88b5 }).payload('0123456789').build()],
    matches: ['tcp dport 80', 'ether type 0x88b5'],
    nft: [0, 1],
    ours: 'unknown-ethertype',
  },
];

describe('by design Holdfast', () => {
  beforeEach(({ skip }) => skip(reason !== null, reason ?? ''));

  test.each(DIFFERENCES)('$what', ({ frames: sent, matches, nft, ours }) => {
    const file = join(folder, 'different.pcap');
    writeFrames(file, sent);
    expect(beside(matches, oracle!.count(matches, file, sent.length, 'independent'))).toEqual(beside(matches, nft));
    if (typeof ours !== 'string') {
      expect(beside(matches, counted(matches, sent, 'independent'))).toEqual(beside(matches, ours));
      return;
    }
    const text = `outbound {\n${matches.map((match) => `${match} pass\n`).join('')}}\n`;
    const classifier = new Classifier(
      compileGeneration(1, parseRules(text, 'oracle.rules').ruleSet!),
      true,
      'outbound',
    );
    const parsed = new Parsed();
    const view = new DataView(sent[0]!.buffer, sent[0]!.byteOffset, sent[0]!.byteLength);
    parse(parsed, view, 0, view.byteLength, view.byteLength);
    classifier.classify(parsed, view, 0);
    expect([VERDICT_NAMES[classifier.verdict], REASON_NAMES[classifier.reason]]).toEqual(['hold', ours]);
  });
});
