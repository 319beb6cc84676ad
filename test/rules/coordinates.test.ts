import { describe, expect, it } from 'vitest';
import type { Box } from '../../rules/box.ts';
import { constraintsOf, fieldOf, matchText, tightened } from '../../rules/coordinates.ts';
import { Region } from '../../rules/region.ts';
import type { Interval, Match } from '../../rules/rule.ts';
import { match } from '../support/arbitrary-rules.ts';
import { matchesOf } from './rules.ts';

function setText(set: readonly Interval[]): string {
  return set.map(({ low, high }) => (low === high ? `${low}` : `${low}-${high}`)).join(' ');
}

/** The constraints of one match, as `coordinate/bits: values`. */
function constraintTexts(one: Match, className: string | null = null): string[] {
  return constraintsOf(one, { id: '3.1', className }).map(({ key, bits, set }) => `${key}/${bits}: ${setText(set)}`);
}

const HAS_IP = ['l3/2: 1-2'];
const SEGMENT = [...HAS_IP, 'transport/1: 1'];
const TCP = [...SEGMENT, 'meta.l4proto/8: 6'];
const UDP = [...SEGMENT, 'meta.l4proto/8: 17'];
const ODD = Array.from({ length: 128 }, (_, i) => 2 * i + 1).join(' ');
const EVEN = Array.from({ length: 128 }, (_, i) => 2 * i).join(' ');

describe('a match says of a frame', () => {
  it.each<[string, readonly string[]]>([
    ['ether saddr 02:00:00:00:00:01', ['ether.saddr/48: 2199023255553']],
    ['frame length 60', ['frame.length/32: 60']],
    ['meta length 60', ['meta.length/32: 60']],
    ['vlan id 5', ['tagged/1: 1', 'vlan.id/12: 5']],
    ['ip ttl { 5, 7-9 }', ['l3/2: 1', 'ip.ttl/8: 5 7-9']],
    ['ip ttl != 5', ['l3/2: 1', 'ip.ttl/8: 0-4 6-255']],
    ['ip6 hoplimit 5', ['l3/2: 2', 'ip6.hoplimit/8: 5']],
    ['arp operation 1', ['l3/2: 3', 'arp.operation/16: 1']],
    ['meta l4proto 89', [...HAS_IP, 'meta.l4proto/8: 89']],
    ['ip protocol 89', ['l3/2: 1', 'meta.l4proto/8: 89']],
    ['th sport 5', [...SEGMENT, 'meta.l4proto/8: 6 17 33 132 136', 'th.sport/16: 5']],
    ['tcp dport 5', [...TCP, 'th.dport/16: 5']],
    ['tcp flags == 2', [...TCP, 'tcp.flags/8: 2']],
    ['udp sport 5', [...UDP, 'th.sport/16: 5']],
    // A port that looks like an EtherType.
    ['udp dport 2048', [...UDP, 'th.dport/16: 2048']],
    ['udp length 9', [...UDP, 'udp.length/16: 9']],
    ['udplite sport 5', [...SEGMENT, 'meta.l4proto/8: 136', 'th.sport/16: 5']],
    ['sctp sport 5', [...SEGMENT, 'meta.l4proto/8: 132', 'th.sport/16: 5']],
    ['sctp chunk 1', [...SEGMENT, 'meta.l4proto/8: 132', 'chunk/1: 1', 'sctp.chunk/8: 1']],
    ['dccp dport 5', [...SEGMENT, 'meta.l4proto/8: 33', 'th.dport/16: 5']],
    ['icmp code 3', ['l3/2: 1', 'transport/1: 1', 'meta.l4proto/8: 1', 'icmp.code/8: 3']],
    ['icmpv6 code 3', ['l3/2: 2', 'transport/1: 1', 'meta.l4proto/8: 58', 'icmpv6.code/8: 3']],
    ['igmp type 0x16', ['l3/2: 1', 'transport/1: 1', 'meta.l4proto/8: 2', 'igmp.type/8: 22']],
    ['ether type 0x88cc', ['ether.type/16: 35020']],
    ['ether type ip', ['ether.type/16: 2048', 'l3/2: 1']],
    ['ether type { ip, arp }', ['ether.type/16: 2048 2054', 'l3/2: 1 3']],
    ['ether type { ip, arp, ip6 }', ['ether.type/16: 2048 2054 34525', 'l3/2: 1-3']],
    ['ether type 0x0800-0x0801', ['ether.type/16: 2048-2049']],
    ['ether type 0x07ff-0x0800', ['ether.type/16: 2047-2048']],
    ['ether type { ip, 0x88cc }', ['ether.type/16: 2048 35020']],
    ['ether type != ip', ['ether.type/16: 0-2047 2049-65535']],
    ['ip ttl & 0xf0 == 0x40', ['l3/2: 1', 'ip.ttl/8: 64-79']],
    ['ip ttl & 0xf0 != 0x40', ['l3/2: 1', 'ip.ttl/8: 0-63 80-255']],
    ['ip ttl & 1 == 1', ['l3/2: 1', `ip.ttl/8: ${ODD}`]],
    ['ip ttl & 1 != 1', ['l3/2: 1', `ip.ttl/8: ${EVEN}`]],
    ['ip frag-off 0x2000', ['l3/2: 1', `ip.frag-off/16: ${0x2000}-${0x3fff}`]],
    [
      'ip frag-off & 0x2000 == 0',
      ['l3/2: 1', `ip.frag-off/16: 0-${0x1fff} ${0x4000}-${0x5fff} 32768-40959 49152-57343`],
    ],
    ['ip frag-off & 0x1fff == 0', ['l3/2: 1', 'ip.frag-off/16: 0-65535']],
    ['ip frag-off & 0x1fff != 0', ['l3/2: 1', 'ip.frag-off/16: ']],
    [
      'ip frag-off . ip ttl { 0x2000 . 5 }',
      ['l3/2: 1', 'l3/2: 1', `ip.frag-off/16: ${0x2000}-${0x3fff}`, 'ip.ttl/8: 5'],
    ],
    ['vlan id & 0xff0 == 0x120', ['tagged/1: 1', 'vlan.id/12: 288-303']],
    ['vlan id & 0x00f == 5', ['tagged/1: 1', 'vlan.id & f/12: 5']],
    ['vlan id & 0x00f != 5', ['tagged/1: 1', 'vlan.id & f/12: 0-4 6-4095']],
    ['ip saddr & 255.0.0.255 == 10.0.0.1', ['l3/2: 1', 'ip.saddr & ff0000ff/32: 167772161']],
    ['ether type & 0xfff9 == 0x0800', ['ether.type & fff9/16: 2048']],
    ['@ll,0,16 5', ['@ll,0,16 there/1: 1', '@ll,0,16/16: 5']],
    ['@nh,8,8 & 3 == 2', ['@nh,8,8 there/1: 1', expect.stringMatching(/^@nh,8,8\/8: 2 6 10 .* 254$/)]],
    ['@th,8,9 & 3 == 2', ['l3/2: 1-2', '@th,8,9 there/1: 1', '@th,8,9 & 3/9: 2']],
    ['app sip', ['l3/2: 1-3', 'app sip/5: 1-31']],
    ['app != sip', ['l3/2: 1-3', 'app sip/5: 0']],
    ['app sip type request', ['l3/2: 1-3', 'app sip/5: 1']],
    ['app sip type { request, response }', ['l3/2: 1-3', 'app sip/5: 1-2']],
    ['app sip type != request', ['l3/2: 1-3', 'app sip/5: 2-31']],
    ['declared', ['declared @/1: 1']],
    ['ip ttl . udp dport { 1 . 5 }', ['l3/2: 1', ...UDP, 'ip.ttl/8: 1', 'th.dport/16: 5']],
    [
      'ip ttl . udp dport { 1 . 5, 2 . 4 }',
      ['l3/2: 1', ...UDP, 'ip.ttl/8: 1-2', 'th.dport/16: 4-5', 'tuples ip ttl . udp dport 1-1 . 5-5, 2-2 . 4-4/1: 1'],
    ],
    [
      'ip ttl . udp dport != { 2 . 5-6, 1 . 4 }',
      ['l3/2: 1', ...UDP, 'tuples ip ttl . udp dport 1-1 . 4-4, 2-2 . 5-6/1: 0'],
    ],
  ])('%s', (text, expected) => {
    expect(constraintTexts(matchesOf(text)[0]!)).toEqual(expected);
  });

  it('in which set it looks for which fields', () => {
    const set = { kind: 'set', fields: ['ip.saddr', 'udp.sport'], set: 'rtp' } as const;
    const implied = ['l3/2: 1', ...UDP];
    expect(constraintTexts({ ...set, negated: false })).toEqual([...implied, 'set ip saddr . udp sport @rtp/1: 1']);
    expect(constraintTexts({ ...set, negated: true })).toEqual([...implied, 'set ip saddr . udp sport @rtp/1: 0']);
  });

  it('with which class it is declared', () => {
    expect(constraintTexts({ kind: 'declared' }, 'data')).toEqual(['declared data/1: 1']);
  });

  it('nothing of bits outside its mask, which are never set', () => {
    const masked = (low: number, high: number, mask: bigint) =>
      constraintTexts({ ...match('vlan.id', [low, high]), mask });
    expect(masked(0x111, 0x111, 0xf0fn)).toEqual(['tagged/1: 1', 'vlan.id & f0f/12: ']);
    expect(masked(0x101, 0x101, 0xf0fn)).toEqual(['tagged/1: 1', 'vlan.id & f0f/12: 257']);
    // Of a range not all is impossible.
    expect(masked(0x110, 0x210, 0xf0fn)).toEqual(['tagged/1: 1', 'vlan.id & f0f/12: 272-528']);
    expect(masked(0x115, 0x125, 0xff0n)).toEqual(['tagged/1: 1', 'vlan.id/12: 288-303']);
    expect(masked(0x115, 0x115, 0xff0n)).toEqual(['tagged/1: 1', 'vlan.id/12: ']);
    // A mask of all bits leaves the field as it is, one of none leaves 0.
    expect(masked(0x115, 0x125, 0xfffn)).toEqual(['tagged/1: 1', 'vlan.id/12: 277-293']);
    expect(masked(0, 5, 0n)).toEqual(['tagged/1: 1', 'vlan.id/12: 0-4095']);
    expect(masked(1, 5, 0n)).toEqual(['tagged/1: 1', 'vlan.id/12: ']);
  });

  it('in lists of up to 64 tuples which they are, in longer ones whose they are', () => {
    const keyOf = (count: number) => {
      const tuples = Array.from({ length: count }, (_, i) => [
        { low: BigInt(i), high: BigInt(i) },
        { low: 1n, high: 2n },
      ]);
      const concat: Match = { kind: 'concat', fields: ['th.sport', 'th.dport'], negated: true, tuples };
      return constraintsOf(concat, { id: '3.1', className: null }).at(-1)!.key;
    };
    expect(keyOf(64)).toMatch(/^tuples th sport . th dport 0-0 . 1-2, 1-1 . 1-2, /);
    expect(keyOf(65)).toBe('tuples of 3.1');
  });

  it('whose it is, by the rule and the match', () => {
    const tuples = Array.from({ length: 65 }, (_, i) => [match('ip.ttl', [i, i]), match('th.dport', [5, 5])]);
    const long: Match = {
      kind: 'concat',
      fields: ['ip.ttl', 'th.dport'],
      negated: true,
      tuples: tuples.map((tuple) => tuple.map(({ intervals }) => intervals[0]!)),
    };
    const { box } = new Region({ handle: 7, className: null, matches: [match('ip.dscp', [3, 3]), long, long] });
    expect([...box.keys()].filter((key) => key.startsWith('tuples'))).toEqual(['tuples of 7.1', 'tuples of 7.2']);
  });
});

describe('a message names a match', () => {
  it.each([
    ['udp dport 5', 'udp dport'],
    ['@th,16,8 != 5', '@th,16,8'],
    ['app sip', 'app sip'],
    ['app != sip', 'app != sip'],
    ['app sip type request', 'app sip type'],
    ['app sip type != request', 'app sip type'],
    ['ip ttl . udp dport { 1 . 5 }', 'ip ttl . udp dport'],
    ['declared', 'declared'],
  ])('%s: %s', (text, name) => {
    expect(matchText(matchesOf(text)[0]!)).toBe(name);
  });

  it.each([
    [false, 'ip saddr . udp sport @rtp'],
    [true, 'ip saddr . udp sport != @rtp'],
  ])('of a lookup, negated: %s', (negated, name) => {
    expect(matchText({ kind: 'set', fields: ['ip.saddr', 'udp.sport'], set: 'rtp', negated })).toBe(name);
  });
});

it('a coordinate tells the field and the mask that it is of', () => {
  expect(fieldOf('ip.saddr')).toEqual({ field: 'ip.saddr', mask: null });
  expect(fieldOf('vlan.id & f0f')).toEqual({ field: 'vlan.id', mask: 0xf0fn });
  for (const key of ['l3', 'tagged', '@th,0,8', '@th,0,9 & 3', 'app sip', 'declared @'])
    expect(fieldOf(key)).toBeNull();
});

describe('EtherTypes and network headers that do not go together', () => {
  const box = (...sides: readonly (readonly [string, bigint, bigint])[]): Box =>
    new Map(sides.map(([key, low, high]) => [key, { bits: key === 'l3' ? 2 : 16, set: [{ low, high }] }]));

  it('are taken out of a box', () => {
    const tight = tightened(box(['ether.type', 0x0800n, 0x0800n], ['l3', 0n, 2n]));
    expect(tight).toEqual(box(['ether.type', 0x0800n, 0x0800n], ['l3', 1n, 1n]));
    expect(tightened(box(['ether.type', 0x0806n, 0x0806n]))).toEqual(
      box(['ether.type', 0x0806n, 0x0806n], ['l3', 3n, 3n]),
    );
    expect(tightened(box(['ether.type', 0x0806n, 0x0806n], ['l3', 0n, 2n]))).toBeNull();
  });

  it('are not looked for where the EtherType leaves it open', () => {
    for (const open of [box(['l3', 1n, 1n]), box(['ether.type', 0x0800n, 0x0806n], ['l3', 2n, 2n])]) {
      expect(tightened(open)).toBe(open);
    }
  });
});
