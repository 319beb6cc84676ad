import { describe, expect, it } from 'vitest';
import { parseRules } from '../../rules/parse.ts';
import type { ConcatMatch } from '../../rules/rule.ts';
import { fileOf, matchesOf } from './rules.ts';

/** `10.0.0.0-10.255.255.255 . 53` and so on with the values as numbers, `!` before it where negated. */
function tuplesOf(match: string): string {
  const [only, ...others] = matchesOf(match);
  expect(others).toEqual([]);
  const { kind, fields, negated, tuples } = only as ConcatMatch;
  expect(kind).toBe('concat');
  const shown = tuples.map((tuple) => {
    expect(tuple).toHaveLength(fields.length);
    return tuple.map(({ low, high }) => (low === high ? `${low}` : `${low}-${high}`)).join('.');
  });
  return `${negated ? '!' : ''}${fields.join('+')} ${shown.join(' ')}`;
}

describe('a concatenation', () => {
  it.each([
    ['ip ttl . udp dport { 1 . 53, 2-5 . 1000-2000 }', 'ip.ttl+udp.dport 1.53 2-5.1000-2000'],
    ['ip saddr . udp dport { 10.0.0.0/8 . sip }', `ip.saddr+udp.dport ${0x0a000000}-${0x0affffff}.5060`],
    ['ip ttl . udp dport != { 1 . 53 }', '!ip.ttl+udp.dport 1.53'],
    ['ip ttl . udp dport == { 1 . 53, }', 'ip.ttl+udp.dport 1.53'],
    ['ip ttl . udp dport {\n 1 . 53, # one\n 2 . 54\n}', 'ip.ttl+udp.dport 1.53 2.54'],
    ['ip ttl . udp dport 1 . 53', 'ip.ttl+udp.dport 1.53'],
    ['ip ttl . udp dport != 1-2 . 53-54', '!ip.ttl+udp.dport 1-2.53-54'],
    ['vlan id . vlan pcp . ether type { 5 . 1 . arp }', 'vlan.id+vlan.pcp+ether.type 5.1.2054'],
    ['icmp type . icmp code { echo-request . 0 }', 'icmp.type+icmp.code 8.0'],
    ['ip ttl . th dport . meta l4proto { 1 . 5 . tcp }', 'ip.ttl+th.dport+meta.l4proto 1.5.6'],
    ['th sport . udp dport { 5 . 6 }', 'th.sport+udp.dport 5.6'],
    ['ip ttl . igmp type { 1 . membership-query }', 'ip.ttl+igmp.type 1.17'],
    ['frame length . ip6 hoplimit { 60-100 . 255 }', 'frame.length+ip6.hoplimit 60-100.255'],
    ['sctp sport . sctp chunk { 5 . init, 5 . abort }', 'sctp.sport+sctp.chunk 5.1 5.6'],
  ])('%s', (match, tuples) => {
    expect(tuplesOf(match)).toBe(tuples);
  });

  it.each([
    'ip saddr . ip6 daddr { 10.0.0.1 . ::1 }',
    'ip6 saddr . ip protocol { ::1 . tcp }',
    'udp sport . tcp dport { 1 . 2 }',
    'icmp type . icmpv6 type { echo-request . 0 }',
    'icmpv6 type . ip ttl { 1 . 2 }',
    'igmp type . ip6 hoplimit { 17 . 5 }',
    'arp operation . ip ttl { request . 1 }',
    'arp operation . tcp dport { 1 . 5 }',
    'tcp dport . arp operation { 1 . 5 }',
    'th sport . icmp type { 5 . 5 }',
  ])('of fields that no frame has together is an error: %s', (match) => {
    const { errors } = parseRules(fileOf(`${match} pass`), 'x');
    expect(errors.map(({ code }) => code)).toEqual(['conflicting-protocols']);
  });

  it('reports each of its wrong values', () => {
    const { errors } = parseRules(fileOf('ip saddr . udp dport { 10.0.0.1/8 . 70000, 1.1.1.1, 5 . 5 } pass'), 'x');
    expect(errors.map(({ code, column }) => [code, column])).toEqual([
      ['host-bits', 24],
      ['out-of-range', 37],
      ['bad-value', 44],
      ['bad-value', 53],
    ]);
  });
});
