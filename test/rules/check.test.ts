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
  ])('%s and %s select the same frames', (first, second) => {
    expect(warningsOf(first, second)).toEqual([
      `5: this rule is never reached: it matches the same frames as line 4, '${first}'`,
    ]);
    expect(warningsOf(second, first)).toHaveLength(1);
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
  ])('%s does not hide %s', (first, second) => {
    expect(warningsOf(first, second)).toEqual([]);
  });

  it('is blamed on the first rule that hides it, which is itself reached', () => {
    expect(warningsOf('udp dport 1-9 hold', 'udp dport 2-8 pass', 'udp dport 3 drop')).toEqual([
      `5: this rule is never reached: ${REACHED(4, 'udp dport 1-9 hold')}`,
      `6: this rule is never reached: ${REACHED(4, 'udp dport 1-9 hold')}`,
    ]);
  });

  it('is found among ten thousand rules', () => {
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
  ])('%s', (matches, why) => {
    expect(warningsOf(`${matches} hold`)).toEqual([`4: this rule never matches: ${why}`]);
  });

  it.each([
    'ip protocol udp udp dport 5',
    'ether type 0x9000 vlan id 5',
    'th dport 5 meta l4proto dccp',
    'ether type != arp ip saddr 192.0.2.1',
  ])('%s may match', (matches) => {
    expect(warningsOf(`${matches} hold`)).toEqual([]);
  });
});

describe('warnings', () => {
  it('name a class that no rule uses, at its place', () => {
    expect(parseRules('class spare hold\noutbound {\n  default pass\n}', 'r').warnings).toEqual([
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
      { code: 'duplicate-rule', line: 3, column: 3, length: 3, related: { file: 'r', line: 2, column: 3 } },
    ]);
  });

  it('are not given beside errors', () => {
    const { ruleSet, warnings } = parseRules('class spare hold\noutbound {\n  udp dport 70000 pass\n}', 'r');
    expect([ruleSet, warnings]).toEqual([null, []]);
  });
});
