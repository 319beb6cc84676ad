import { describe, expect, it } from 'vitest';
import { parseRules } from '../../rules/parse.ts';
import { fileOf } from './rules.ts';

/** What is said of the rules in these lines, each as `line: message`, apart from classes that only the test leaves unused. */
function warningsOf(...lines: readonly string[]): string[] {
  const { errors, warnings } = parseRules(fileOf(...lines), 'r');
  expect(errors).toEqual([]);
  return warnings.filter(({ code }) => code !== 'unused-class').map(({ line, message }) => `${line}: ${message}`);
}

const REACHED = (line: number, text: string) => `all its frames match line ${line}, '${text}'`;

describe('a rule that an earlier one hides', () => {
  it.each([
    ['udp dport 5 hold', 'udp dport 5 ip saddr 10.0.0.0/8 drop'],
    ['udp dport 5-9 hold', 'udp dport { 5, 7-9 } hold'],
    ['ip saddr 10.0.0.0/8 hold', 'ip saddr 10.1.0.0/16 tcp dport 80 pass'],
    ['ip saddr 0.0.0.0/0 hold', 'ip protocol udp pass'],
    ['th dport 99 hold', 'sctp dport 99 pass'],
    ['meta l4proto udp hold', 'udp dport 5 pass'],
    ['meta l4proto { tcp, udp } hold', 'ip protocol tcp pass'],
    ['tcp flags & (syn|ack) == syn hold', 'tcp flags == syn pass'],
    ['tcp flags & (syn|fin|rst) != 0 hold', 'tcp flags { fin, fin|ack } pass'],
    ['tcp flags syn,fin hold', 'tcp flags & syn != 0 tcp dport 5 pass'],
    ['udp dport != 5 hold', 'udp dport 6 pass'],
    ['ether type != ip hold', 'ether type arp pass'],
    ['vlan id 0-4095 hold', 'vlan pcp 3 ip6 saddr ::1 pass'],
    ['udp dport 5 hold', 'vlan id 0-4095 udp dport 5 pass'],
    ['app sip hold', 'app sip udp dport 5060 pass'],
    ['ip6 saddr 2001:db8::/32 hold', 'ip6 saddr 2001:db8::5 icmpv6 type 128 pass'],
    ['ip saddr 10.0.0.0-10.0.0.9 hold', 'ip saddr 10.0.0.1-10.0.0.8 pass'],
    ['ether saddr 02:00:00:00:00:00/24 hold', 'ether saddr 02:00:00:00:00:01 pass'],
    ['ip dscp { 10, 46 } hold', 'ip dscp ef pass'],
    ['ip ttl < 5 hold', 'ip ttl 4 pass'],
    ['ip6 hoplimit > 4 hold', 'ip6 hoplimit 5 pass'],
    ['meta length 0-100 hold', 'meta length 100 pass'],
    ['frame length >= 60 hold', 'frame length 60 pass'],
    ['meta l4proto { tcp, udplite } hold', 'udplite dport 5 pass'],
    ['th sport 5 hold', 'udplite sport 5 pass'],
    ['th sport 5 hold', 'dccp sport 5 pass'],
    ['ip protocol igmp hold', 'igmp type 0x16 pass'],
    ['sctp dport 0-65535 hold', 'sctp chunk init pass'],
    ['ip frag-off & 0x1fff == 0 hold', 'ip ttl 5 pass'],
    ['ip frag-off & 0x3fff != 0 hold', 'ip frag-off 0x2000 pass'],
    ['ip frag-off & 0x4000 != 0 hold', 'ip frag-off & 0x4000 == 0x4000 ip ttl 5 pass'],
    ['ip saddr & 255.255.0.0 == 10.1.0.0 hold', 'ip saddr 10.1.2.3 pass'],
    ['ip saddr 10.1.0.0/16 hold', 'ip saddr & 255.255.255.0 == 10.1.2.0 pass'],
    ['ip saddr & 255.0.0.255 == 10.0.0.1 hold', 'ip saddr & 255.0.0.255 == 10.0.0.1 udp dport 5 pass'],
    ['ip ttl & 1 == 1 hold', 'ip ttl 5 pass'],
    ['@th,16,16 0-9 hold', '@th,16,16 { 5, 7 } pass'],
    ['@nh,0,8 & 0xf0 == 0x40 hold', '@nh,0,8 0x45 pass'],
    ['ip saddr . udp dport { 10.0.0.0/8 . 1-9 } hold', 'ip saddr 10.0.0.1 udp dport 5 pass'],
    ['ip saddr . udp dport { 10.0.0.1 . 1, 10.0.0.2 . 2-9 } hold', 'ip saddr 10.0.0.2 udp dport 5 pass'],
    [
      'ip saddr . udp dport { 10.0.0.1 . 1, 10.0.0.2 . 2-9 } hold',
      'ip saddr . udp dport { 10.0.0.2 . 3, 10.0.0.1 . 1 } ip ttl 3 pass',
    ],
    [
      'ip saddr . udp dport != { 10.0.0.1 . 1, 10.0.0.2 . 2 } hold',
      'ip saddr . udp dport != { 10.0.0.2 . 2, 10.0.0.1 . 1 } ip ttl 3 pass',
    ],
    ['udp dport 1-9 hold', 'ip saddr . udp dport { 10.0.0.1 . 1, 10.0.0.2 . 9 } pass'],
    ['app sip hold', 'app sip type request pass'],
    ['app sip type != request hold', 'app sip type response udp dport 5 pass'],
    ['declared class data', 'declared udp dport 5 class data'],
  ])('%s hides %s', (first, second) => {
    expect(warningsOf(first, second)).toEqual([`5: this rule is never reached: ${REACHED(4, first)}`]);
    // And never the other way round: the second selects fewer frames.
    expect(warningsOf(second, first)).toEqual([]);
  });

  it.each([
    ['udp dport 5 hold', 'udp dport { 5 } pass'],
    ['udp dport 5-6 hold', 'udp dport { 6, 5 } pass'],
    ['tcp flags syn hold', 'tcp flags & syn != 0 pass'],
    ['ip protocol udp udp dport 5 hold', 'udp dport 5 ip saddr 0.0.0.0/0 pass'],
    ['ip saddr 10.0.0.0/8 hold', 'ip saddr & 255.0.0.0 == 10.0.0.0 pass'],
    ['ip saddr . udp dport { 10.0.0.1 . 1 } hold', 'udp dport 1 ip saddr 10.0.0.1 pass'],
    [
      'ip saddr . udp dport { 10.0.0.1 . 1, 10.0.0.2 . 2 } hold',
      'udp dport . ip saddr { 2 . 10.0.0.2, 1 . 10.0.0.1 } pass',
    ],
    [
      'ip saddr . udp dport { 10.0.0.1 . 1-5, 10.0.0.1 . 6-9 } hold',
      'ip saddr . udp dport { 10.0.0.1 . 1-5, 10.0.0.1 . 6-9 } pass',
    ],
    ['app sip type { request, response } hold', 'app sip type { response, request } pass'],
  ])('%s and %s select the same frames', (first, second) => {
    expect(warningsOf(first, second)).toEqual([
      `5: this rule is never reached: it matches the same frames as line 4, '${first}', which holds them; this one asks for pass`,
    ]);
    expect(warningsOf(second, first)).toEqual([
      `5: this rule is never reached: it matches the same frames as line 4, '${second}', which passes them; this one asks for hold`,
    ]);
    const again = second.replace('pass', 'hold');
    expect(warningsOf(first, again)).toEqual([
      `5: this rule is never reached: it matches the same frames as line 4, '${first}'`,
    ]);
    expect(warningsOf(second.replace('pass', 'drop'), first)[0]).toMatch(/, which drops them; this one asks for hold$/);
  });

  it.each([
    ['udp dport 5 hold', 'th dport 5 pass'],
    ['ip protocol tcp hold', 'meta l4proto tcp pass'],
    ['tcp dport 0-65535 hold', 'meta l4proto tcp pass'],
    ['ether type ip hold', 'ip saddr 10.0.0.1 pass'],
    ['vlan id 5 hold', 'ip saddr 10.0.0.1 pass'],
    ['app sip hold', 'app != rtp pass'],
    ['app sip udp dport 5 hold', 'udp dport 5 pass'],
    ['tcp dport != 5 hold', 'udp dport 6 pass'],
    ['ip6 nexthdr udp hold', 'meta l4proto udp pass'],
    ['icmp type 8 hold', 'icmpv6 type 8 pass'],
    ['ip saddr 10.0.0.0-10.0.0.9 hold', 'ip saddr 10.0.0.1-10.0.0.10 pass'],
    ['ip saddr 10.0.0.1-10.0.0.9 hold', 'ip saddr 10.0.0.0-10.0.0.9 pass'],
    ['ip dscp 46 hold', 'ip6 dscp 46 pass'],
    ['ip ttl 5 hold', 'ip6 hoplimit 5 pass'],
    ['meta length 0-100 hold', 'meta length 101 pass'],
    ['meta length 50 hold', 'frame length 64 pass'],
    ['sctp chunk 0-255 hold', 'sctp dport 5 pass'],
    ['sctp chunk != init hold', 'sctp dport 5 pass'],
    ['ether type 0x0800 hold', 'ip ttl 5 pass'],
    ['ip saddr & 255.0.0.255 == 10.0.0.1 hold', 'ip saddr & 255.0.0.254 == 10.0.0.0 pass'],
    ['ip saddr & 255.0.0.255 == 10.0.0.1 hold', 'ip daddr & 255.0.0.255 == 10.0.0.1 pass'],
    ['@th,16,16 0-65535 hold', 'udp dport 5 pass'],
    ['@th,16,16 5 hold', '@th,16,17 10 pass'],
    ['@th,16,16 5 hold', '@nh,16,16 5 pass'],
    ['@th,16,16 != 5 hold', 'udp dport 6 pass'],
    ['ip saddr . udp dport { 10.0.0.1 . 1, 10.0.0.2 . 2 } hold', 'ip saddr 10.0.0.1 udp dport 2 pass'],
    [
      'ip saddr . udp dport { 10.0.0.1 . 1, 10.0.0.2 . 2 } hold',
      'ip saddr . udp dport { 10.0.0.1 . 1, 10.0.0.3 . 2 } pass',
    ],
    ['ip saddr . udp dport != { 10.0.0.1 . 1 } hold', 'ip saddr 10.0.0.2 udp dport 2 pass'],
    ['app sip type request hold', 'app sip type response pass'],
    ['app sip type request hold', 'app http type request pass'],
    ['app sip type != request hold', 'app != sip pass'],
    ['declared class data', 'declared class control'],
    ['declared hold', 'declared class data'],
    ['udp dport 5 hold', 'declared class data'],
  ])('%s does not hide %s', (first, second) => {
    expect(warningsOf(first, second)).toEqual([]);
  });

  it('is blamed on the first rule that hides it, which is itself reached', () => {
    expect(warningsOf('udp dport 1-9 hold', 'udp dport 2-8 pass', 'udp dport 3 drop')).toEqual([
      `5: this rule is never reached: ${REACHED(4, 'udp dport 1-9 hold')}`,
      `6: this rule is never reached: ${REACHED(4, 'udp dport 1-9 hold')}`,
    ]);
  });

  it('is found in a file of 10,000 rules', () => {
    const lines = Array.from({ length: 10_000 }, (_, i) => `ip saddr 10.0.${i >> 8}.${i & 255} udp dport ${i} hold`);
    lines.push('ip saddr 10.0.3.7 udp dport 775 ip daddr 10.9.9.9 pass', 'default class data');
    expect(warningsOf(...lines)).toEqual([
      `10004: this rule is never reached: ${REACHED(779, 'ip saddr 10.0.3.7 udp dport 775 hold')}`,
    ]);
  });
});

describe('a rule that never matches', () => {
  it.each([
    ['ip protocol udp tcp flags syn', "'ip protocol' and 'tcp flags' exclude each other"],
    ['tcp dport 5 udp sport 6', "'tcp dport' and 'udp sport' exclude each other"],
    ['ip saddr 192.0.2.1 ip6 daddr ::1', "'ip saddr' and 'ip6 daddr' exclude each other"],
    ['ether type arp udp dport 5', "'ether type' and 'udp dport' exclude each other"],
    ['arp operation 1 ip saddr 192.0.2.1', "'arp operation' and 'ip saddr' exclude each other"],
    ['icmp type 8 ip6 saddr ::1', "'icmp type' and 'ip6 saddr' exclude each other"],
    ['ip protocol tcp meta l4proto udp', "'ip protocol' and 'meta l4proto' exclude each other"],
    ['tcp dport 5 tcp dport 6', "its matches on 'tcp dport' exclude each other"],
    ['tcp dport 5 th dport 6', "'tcp dport' and 'th dport' exclude each other"],
    ['tcp flags syn tcp flags & syn == 0', "its matches on 'tcp flags' exclude each other"],
    ['tcp flags 0', "no value of 'tcp flags' satisfies its match"],
    ['tcp flags & syn == ack', "no value of 'tcp flags' satisfies its match"],
    ['udp dport != 0-65535', "no value of 'udp dport' satisfies its match"],
    ['app sip app != sip', "'app sip' and 'app != sip' exclude each other"],
    ['app sip type request app sip type response', "its matches on 'app sip type' exclude each other"],
    ['app sip type request app != sip', "'app sip type' and 'app != sip' exclude each other"],
    ['udplite dport 5 udp dport 5', "'udplite dport' and 'udp dport' exclude each other"],
    ['dccp dport 5 ip protocol tcp', "'dccp dport' and 'ip protocol' exclude each other"],
    ['igmp type 5 ip6 saddr ::1', "'igmp type' and 'ip6 saddr' exclude each other"],
    ['igmp type 5 icmp type 5', "'igmp type' and 'icmp type' exclude each other"],
    ['sctp chunk init tcp dport 5', "'sctp chunk' and 'tcp dport' exclude each other"],
    ['ip ttl 5 ip6 hoplimit 5', "'ip ttl' and 'ip6 hoplimit' exclude each other"],
    ['ip length & 0x2001 == 1 ip length & 0x2001 == 0', "its matches on 'ip length' exclude each other"],
    ['@th,0,16 5 @th,0,16 6', "its matches on '@th,0,16' exclude each other"],
    ['@th,0,16 5 arp operation 1', "'@th,0,16' and 'arp operation' exclude each other"],
    [
      'ip saddr . udp dport { 10.0.0.1 . 1, 10.0.0.2 . 2 } udp dport 3',
      "'ip saddr . udp dport' and 'udp dport' exclude each other",
    ],
    [
      'ip saddr . udp dport { 10.0.0.1 . 1, 10.0.0.2 . 2 } ip saddr 10.0.0.1 udp dport 2',
      'none of its tuples fits its other matches',
    ],
    [
      'ip saddr . udp dport { 10.0.0.1 . 1, 10.0.0.2 . 2 } ip saddr . udp dport != { 10.0.0.2 . 2, 10.0.0.1 . 1 }',
      "its matches on 'ip saddr . udp dport' exclude each other",
    ],
    ['ether type { ip, arp } ip6 hoplimit 5', "'ether type' and 'ip6 hoplimit' exclude each other"],
  ])('%s', (matches, why) => {
    expect(warningsOf(`${matches} hold`)).toEqual([`4: this rule never matches: ${why}`]);
  });

  it.each([
    'ip protocol udp udp dport 5',
    'ether type 0x9000 vlan id 5',
    'th dport 5 meta l4proto dccp',
    'ether type != arp ip saddr 192.0.2.1',
    'ether type 0x8847 ip saddr 192.0.2.1',
    'ether type { ip, 0x8864 } ip6 hoplimit 5',
    'ether type & 0xfff9 == 0x0800 arp operation 1',
    '@ll,0,48 5 @nh,0,8 5 @th,0,8 5',
    'ip saddr . udp dport { 10.0.0.1 . 1, 10.0.0.2 . 2 } ip saddr 10.0.0.1 udp dport 1',
    'ip length & 0x2001 == 1 ip length & 0x4001 == 0',
    'ip frag-off & 0x2000 != 0',
    'ip frag-off & 0x3fff != 0',
    'ip frag-off & 0x1fff == 0',
    'ip frag-off >= 0x4000',
    'ip frag-off . udp dport { 1 . 53, 0x2000 . 53 }',
    'meta length 10 frame length 5',
  ])('%s may match', (matches) => {
    expect(warningsOf(`${matches} hold`)).toEqual([]);
  });

  it.each([
    'ip frag-off & 0x1fff != 0',
    'ip frag-off & 0x1fff > 0',
    'ip frag-off & 0x1fff 1-185',
    'ip frag-off & 0x3fff { 5, 0x2005 }',
    'ip frag-off 185',
    'ip frag-off { 0x2001-0x3fff, 1 }',
    'ip frag-off > 0x2000 ip frag-off < 0x4000',
    'ip frag-off != { 0, 0x2000, 0x4000, 0x6000, 0x8000, 0xa000, 0xc000, 0xe000 }',
    'ip frag-off . udp dport { 1 . 53, 2 . 53 }',
  ])('%s is what only later fragments are', (matches) => {
    const why =
      "no whole packet and no first fragment has such an 'ip frag-off', and later fragments follow their first one";
    expect(warningsOf(`${matches} hold`)).toEqual([`4: this rule never matches: ${why}`]);
  });
});

describe('a rule that earlier ones hide together', () => {
  const TOGETHER = 'this rule is never reached: all its frames match one of these:';

  it.each([
    [['udp dport 1-100 hold', 'udp dport 101-200 hold'], 'udp dport 1-200 pass'],
    [['udp dport 0-100 hold', 'udp dport > 100 hold'], 'udp dport 0-65535 pass'],
    [['ip protocol tcp hold', 'ip protocol != tcp hold'], 'ip saddr 10.0.0.1 pass'],
    [['ip saddr 0.0.0.0/0 hold', 'ip6 saddr ::/0 drop'], 'udp dport 5 pass'],
    [['tcp dport 5 hold', 'udp dport 5 hold'], 'th dport 5 meta l4proto { tcp, udp } pass'],
    [['ether type ip hold', 'ether type != ip hold'], 'ip ttl 5 pass'],
    [['ether type arp hold', 'ether type != arp hold'], 'vlan id 5 pass'],
    [['ip saddr 0.0.0.0/0 hold', 'ether type != ip hold'], 'ether type { 0x0700, ip } udp dport 5 pass'],
    [
      ['ip saddr 10.0.0.0/9 hold', 'ip saddr 10.128.0.0/9 udp dport 0-65535 hold'],
      'ip saddr 10.0.0.0/8 udp dport 5 pass',
    ],
    [['ip ttl & 1 == 0 hold', 'ip ttl & 1 == 1 hold'], 'ip dscp 3 pass'],
    [['@th,0,8 0-9 hold', '@th,0,8 > 9 hold'], '@th,0,8 & 3 == 2 pass'],
    [['app sip hold', 'app != sip hold'], 'ip dscp 3 pass'],
    [['udp dport 1 hold', 'udp dport 2 hold'], 'ip saddr . udp dport { 10.0.0.1 . 1, 10.0.0.2 . 2 } pass'],
    [
      ['ip saddr . udp dport { 10.0.0.1 . 1, 10.0.0.3 . 1 } hold', 'udp dport 2 hold'],
      'ip saddr . udp dport { 10.0.0.1 . 1, 10.0.0.2 . 2 } pass',
    ],
  ])('%j hide %s', (first, last) => {
    const [one, two] = first;
    expect(warningsOf(...first, last)).toEqual([`6: ${TOGETHER} line 4, '${one}'; and line 5, '${two}'`]);
    // Neither does it alone.
    expect(warningsOf(one!, last)).toEqual([]);
    expect(warningsOf(two!, last)).toEqual([]);
  });

  it.each([
    [['udp dport 1-100 hold', 'udp dport 102-200 hold'], 'udp dport 1-200 pass'],
    [['udp dport 2-100 hold', 'udp dport 101-200 hold'], 'udp dport 1-200 pass'],
    [['udp dport 1-100 hold', 'udp dport 101-199 hold'], 'udp dport 1-200 pass'],
    [['tcp dport 5 hold', 'udp dport 5 hold'], 'th dport 5 pass'],
    [['udp dport 1-100 ip saddr 10.0.0.1 hold', 'udp dport 101-200 hold'], 'udp dport 1-200 pass'],
    [['ether type ip hold', 'ip6 saddr ::/0 hold'], 'vlan id 5 pass'],
    [['vlan id 0-4095 hold', 'ip saddr 0.0.0.0/0 hold'], 'udp dport 5 pass'],
    [['@th,0,8 0-9 hold', '@th,0,8 > 9 hold'], 'udp dport 5 pass'],
    [['udp dport 1 hold', 'udp dport 2 hold'], 'ip saddr . udp dport { 10.0.0.1 . 1, 10.0.0.2 . 3 } pass'],
  ])('%j do not hide %s', (first, last) => {
    expect(warningsOf(...first, last)).toEqual([]);
  });

  it('may be those for each network header that is known', () => {
    const headers = ['ip ttl 0-255 hold', 'ip6 hoplimit 0-255 hold', 'arp operation 0-65535 hold'];
    expect(warningsOf(...headers, 'app != sip pass')).toHaveLength(1);
    expect(warningsOf(...headers, '@ll,0,8 5 pass')).toEqual([]);
    expect(warningsOf(...headers.slice(0, 2), '@th,0,8 5 pass')).toHaveLength(1);
  });

  it('names three of them, in order, and counts the others', () => {
    const ports = [3, 1, 5, 2, 4].map((port) => `udp dport ${port} hold`);
    const named = "line 4, 'udp dport 3 hold'; line 5, 'udp dport 1 hold'; line 6, 'udp dport 5 hold'";
    expect(warningsOf(...ports, 'udp dport 1-5 pass')).toEqual([`9: ${TOGETHER} ${named}; and 2 more`]);
    expect(warningsOf(...ports.slice(0, 3), 'udp dport { 1, 3, 5 } pass')).toEqual([
      `7: ${TOGETHER} line 4, 'udp dport 3 hold'; line 5, 'udp dport 1 hold'; and line 6, 'udp dport 5 hold'`,
    ]);
  });

  it('are not named where one of them hides it alone', () => {
    const lines = ['udp dport 1 hold', 'udp dport 1-9 hold', 'udp dport 1-5 pass'];
    expect(warningsOf(...lines)).toEqual([`6: this rule is never reached: ${REACHED(5, lines[1]!)}`]);
  });

  it('is not the default', () => {
    expect(warningsOf('ether type ip hold', 'ether type != ip hold', 'default pass')).toEqual([]);
  });

  it('leaves out those that have no part in it', () => {
    const lines = [
      'tcp dport 5 hold',
      'udp dport 1 hold',
      'udp dport 9 hold',
      'udp dport 2 hold',
      'udp dport 1-2 hold',
    ];
    expect(warningsOf(...lines)).toEqual([`8: ${TOGETHER} line 5, 'udp dport 1 hold'; and line 7, 'udp dport 2 hold'`]);
  });

  it('is found up to 256 of them', () => {
    const ports = (count: number) => Array.from({ length: count }, (_, port) => `udp dport ${port} hold`);
    expect(warningsOf(...ports(256), 'udp dport 0-255 pass')).toHaveLength(1);
    expect(warningsOf(...ports(257), 'udp dport 0-256 pass')).toHaveLength(0);
  });

  it('is called hidden by one, if one hides all its tuples', () => {
    const first = 'ip ttl . udp dport { 1 . 1, 2 . 2, 3 . 3 } hold';
    expect(warningsOf(first, 'ip ttl . udp dport { 1 . 1, 2 . 2 } pass')).toEqual([
      `5: this rule is never reached: ${REACHED(4, first)}`,
    ]);
  });
});

describe('of many tuples', () => {
  /** As many as `count`: 1 . 1, 2 . 2, and so on. */
  const tuples = (count: number) => Array.from({ length: count }, (_, i) => `${i + 1} . ${i + 1}`).join(', ');
  const NEVER = 'this rule never matches: none of its tuples fits its other matches';
  /** A rule that no frame can match, if its tuples are told apart. */
  const never = (count: number) => `th sport . th dport { ${tuples(count)} } th sport 1 th dport 2 hold`;

  it('20,000 are told apart, in all rules together', () => {
    const all = ['udp dport 5 hold', never(19_990), never(11), never(10)];
    expect(warningsOf(...all)).toEqual([`5: ${NEVER}`, `7: ${NEVER}`]);
    expect(warningsOf(...all, never(2))).toHaveLength(2);
  });

  it('rules with the same ones match the same frames, if not too many pairs are to be compared', () => {
    const other = (count: number) => `th sport . th dport { 70 . 71, ${tuples(count)} } hold`;
    const codes = (first: string, second: string) =>
      parseRules(fileOf(first, second), 'r')
        .warnings.filter(({ code }) => code !== 'unused-class')
        .map(({ code }) => code);
    expect(codes(other(99), other(99))).toEqual(['duplicate-rule']);
    expect(codes(other(100), other(100))).toEqual(['shadowed-rule']);
    // Equal short lists are equal without a look at their pairs.
    const twice = `ip ttl . udp sport { ${tuples(11)} } ip length . udp dport { ${tuples(11)} } hold`;
    expect(codes(twice, twice)).toEqual(['duplicate-rule']);
  });
});

describe('sets', () => {
  const warned = (...lines: readonly string[]) => {
    const { errors, warnings } = parseRules(lines.join('\n'), 'r');
    expect(errors).toEqual([]);
    return warnings.map(({ line, column, length, code, message }) => [`${line}:${column}+${length}`, code, message]);
  };
  const DYNAMIC = 'set d { type ipv4_addr; flags dynamic; }';

  it('that no rule asks for are named, in whichever block', () => {
    const sets = [
      'set a { type inet_service; elements = { 5 } }',
      DYNAMIC,
      'set e { type inet_service; elements = { 6 } }',
    ];
    expect(warned(...sets, 'outbound {', '  udp dport @a pass', '}')).toEqual([
      ['2:5+1', 'unused-set', "no rule asks for set 'd'"],
      ['3:5+1', 'unused-set', "no rule asks for set 'e'"],
    ]);
    const inbound = ['inbound {', '  ip saddr @d drop', '  udp dport @e drop', '}'];
    expect(warned(...sets, 'outbound {', '  udp dport @a pass', '}', ...inbound)).toEqual([]);
  });

  it('that change hide only what asks for the same', () => {
    const hidden = (first: string, second: string) =>
      warned(DYNAMIC, 'outbound {', first, second, '}').map(([place]) => place);
    expect(hidden('ip saddr @d hold', 'ip saddr @d udp dport 5 pass')).toEqual(['4:1+2']);
    expect(hidden('ip saddr != @d hold', 'ip saddr != @d udp dport 5 pass')).toEqual(['4:1+2']);
    expect(hidden('ip saddr @d hold', 'ip daddr @d pass')).toEqual([]);
    expect(hidden('ip saddr @d hold', 'ip saddr != @d pass')).toEqual([]);
    expect(hidden('ip saddr @d hold', 'ip saddr 10.0.0.1 pass')).toEqual([]);
    expect(hidden('ip saddr 0.0.0.0/0 hold', 'ip saddr @d pass')).toEqual(['4:1+2']);
    expect(
      warned(DYNAMIC, 'outbound {', 'ip saddr @d hold', 'ip saddr != @d hold', 'ip ttl 5 pass', '}'),
    ).toMatchObject([['5:1+2', 'shadowed-rule', expect.any(String)]]);
    expect(warned(DYNAMIC, 'outbound {', 'ip saddr @d ip saddr != @d hold', '}')).toEqual([
      ['3:1+2', 'never-matches', "this rule never matches: 'ip saddr @d' and 'ip saddr != @d' exclude each other"],
    ]);
  });

  it('that are empty for good match nothing', () => {
    const set = 'set none { type inet_service; }';
    const two = 'set nothing { type ipv4_addr . inet_service; }';
    expect(
      warned(set, two, 'outbound {', 'udp dport @none pass', 'ip saddr . udp dport @nothing pass', '}'),
    ).toMatchObject([
      ['4:1+3', 'never-matches', "this rule never matches: no value of 'udp dport' satisfies its match"],
      ['5:1+2', 'never-matches', "this rule never matches: no value of 'ip saddr . udp dport' satisfies its match"],
    ]);
    expect(warned(set, 'outbound {', 'udp dport != @none hold', 'udp dport 5 pass', '}')).toMatchObject([
      ['4:1+3', 'shadowed-rule', expect.any(String)],
    ]);
  });
});

describe('the two blocks', () => {
  it('do not hide each other', () => {
    const text = 'outbound {\n  udp dport 5 hold\n}\ninbound {\n  udp dport 5 pass\n  udp dport 5 drop\n}';
    expect(parseRules(text, 'r').warnings).toMatchObject([{ code: 'conflicting-rule', line: 6, related: { line: 5 } }]);
  });

  it('both use classes', () => {
    const text = 'class data pass\noutbound {\n  default hold\n}\ninbound {\n  udp dport 5 class data\n}';
    expect(parseRules(text, 'r').warnings).toEqual([]);
  });

  it('have no claims about inbound frames', () => {
    const text = '# @holds udp dport 5\noutbound {\n  default hold\n}\ninbound {\n  udp dport 5 pass\n}';
    expect(parseRules(text, 'r').warnings).toEqual([]);
  });
});

describe('warnings', () => {
  it('name a class that no rule uses, at its place', () => {
    expect(parseRules('class spare hold\noutbound {\n  default pass\n}', 'r').warnings).toStrictEqual([
      {
        severity: 'warning',
        code: 'unused-class',
        file: 'r',
        line: 1,
        column: 7,
        length: 5,
        message: "no rule names class 'spare'",
      },
    ]);
  });

  it('point at the rule and at the one that hides it', () => {
    const { warnings } = parseRules('outbound {\n  udp dport 5 hold\n  udp dport 5 pass\n}', 'r');
    expect(warnings).toMatchObject([
      { code: 'conflicting-rule', line: 3, column: 3, length: 3, related: { file: 'r', line: 2, column: 3 } },
    ]);
  });

  it('are not given beside errors', () => {
    const { ruleSet, warnings } = parseRules('class spare hold\noutbound {\n  udp dport 70000 pass\n}', 'r');
    expect([ruleSet, warnings]).toEqual([null, []]);
  });
});
