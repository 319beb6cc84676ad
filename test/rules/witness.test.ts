import { describe, expect, it } from 'vitest';
import { KEY } from '../../rules/coordinates.ts';
import type { ImaginedFrame } from '../../rules/imagined.ts';
import { imagined } from '../support/imagined-frame.ts';
import { matchesOf } from './rules.ts';

/** All of a frame, values under their coordinates; applications and the like with a leading `states`. */
function wholeOf(frame: ImaginedFrame): Record<string, bigint | number | boolean | null> {
  const { values, stated, ...rest } = frame;
  const statements = [...stated].map(([key, value]) => [`states ${key}`, value] as const);
  return { ...Object.fromEntries(values), ...Object.fromEntries(statements), ...rest };
}

const ETHER = { 'ether.saddr': 0x020000000001n, 'ether.daddr': 0x020000000002n };
const UNTAGGED = { [KEY.tagged]: 0n, ...ETHER };
const NO_IP = { transportOffset: null, hasPayload: false, networkOffset: 14 };
const IP4 = {
  ...UNTAGGED,
  [KEY.l3]: 1n,
  [KEY.chunk]: 0n,
  'ether.type': 0x0800n,
  'ip.saddr': 0xc0000201n,
  'ip.daddr': 0xc6336401n,
  'ip.dscp': 0n,
  'ip.ttl': 64n,
  'ip.frag-off': 0n,
  networkOffset: 14,
  transportOffset: 34,
  hasPayload: false,
};
const IP6 = {
  ...UNTAGGED,
  [KEY.l3]: 2n,
  [KEY.chunk]: 0n,
  'ether.type': 0x86ddn,
  'ip6.saddr': (0x20010db8n << 96n) | 1n,
  'ip6.daddr': (0x20010db8n << 96n) | 2n,
  'ip6.dscp': 0n,
  'ip6.hoplimit': 64n,
  networkOffset: 14,
  transportOffset: 54,
  hasPayload: false,
};
const PORTS = { [KEY.transport]: 1n, 'th.sport': 40_000n, 'th.dport': 40_000n };
const ICMP = { [KEY.transport]: 1n, 'icmp.type': 0n, 'icmp.code': 0n };

function bytes(lengthBytes: number, offset = 14) {
  return { lengthBytes, 'frame.length': BigInt(lengthBytes), 'meta.length': BigInt(lengthBytes - offset) };
}

describe('a frame is imagined that is as short and usual as it can be', () => {
  it.each([
    ['udp dport 5', { ...IP4, ...PORTS, 'th.dport': 5n, 'udp.length': 8n, 'ip.length': 28n, ...bytes(42) }, 17n],
    ['tcp sport 5', { ...IP4, ...PORTS, 'th.sport': 5n, 'tcp.flags': 0n, 'ip.length': 40n, ...bytes(54) }, 6n],
    ['icmp type 8', { ...IP4, ...ICMP, 'icmp.type': 8n, 'ip.length': 28n, ...bytes(42) }, 1n],
    ['igmp type 0x16', { ...IP4, [KEY.transport]: 1n, 'igmp.type': 22n, 'ip.length': 28n, ...bytes(42) }, 2n],
    ['dccp dport 5', { ...IP4, ...PORTS, 'th.dport': 5n, 'ip.length': 36n, ...bytes(50) }, 33n],
    ['udplite dport 5', { ...IP4, ...PORTS, 'th.dport': 5n, 'ip.length': 28n, ...bytes(42) }, 136n],
    ['sctp dport 5', { ...IP4, ...PORTS, 'th.dport': 5n, 'ip.length': 32n, ...bytes(46) }, 132n],
    [
      'sctp chunk 1',
      { ...IP4, ...PORTS, [KEY.chunk]: 1n, 'sctp.chunk': 1n, 'ip.length': 36n, ...bytes(50), hasPayload: true },
      132n,
    ],
    ['ip protocol 47', { ...IP4, [KEY.transport]: 0n, 'ip.length': 20n, ...bytes(34) }, 47n],
  ])('over IPv4: %s', (text, expected, protocol) => {
    expect(wholeOf(imagined(matchesOf(text))!)).toEqual({ ...expected, 'meta.l4proto': protocol });
  });

  it.each([
    ['udp dport 5', { ...PORTS, 'th.dport': 5n, 'udp.length': 8n, 'ip6.length': 8n, ...bytes(62) }, 17n],
    ['tcp flags == 2', { ...PORTS, 'tcp.flags': 2n, 'ip6.length': 20n, ...bytes(74) }, 6n],
    [
      'icmpv6 type 128',
      { [KEY.transport]: 1n, 'icmpv6.type': 128n, 'icmpv6.code': 0n, 'ip6.length': 4n, ...bytes(58) },
      58n,
    ],
    // A length of 0 would say something else.
    ['meta l4proto 47', { [KEY.transport]: 0n, 'ip6.length': 1n, ...bytes(55) }, 47n],
  ])('over IPv6: %s', (text, expected, protocol) => {
    const frame = imagined(matchesOf(`ip6 hoplimit 64 ${text}`))!;
    expect(wholeOf(frame)).toEqual({ ...IP6, ...expected, 'meta.l4proto': protocol, 'ip6.nexthdr': protocol });
  });

  it('of ARP, and of what is not known', () => {
    const arp = { ...UNTAGGED, ...NO_IP, [KEY.l3]: 3n, 'ether.type': 0x0806n, 'arp.operation': 1n, ...bytes(42) };
    expect(wholeOf(imagined(matchesOf('ether type arp'))!)).toEqual(arp);
    const unread = { ...UNTAGGED, ...NO_IP, [KEY.l3]: 0n, 'ether.type': 0x88ccn, ...bytes(14) };
    expect(wholeOf(imagined(matchesOf('ether type 0x88cc'))!)).toEqual(unread);
  });

  it('with a tag', () => {
    const tag = { [KEY.tagged]: 1n, 'vlan.id': 5n, 'vlan.pcp': 0n };
    const link = { ...ETHER, ...tag, networkOffset: 18, transportOffset: null, hasPayload: false };
    const expected = { ...link, [KEY.l3]: 3n, 'ether.type': 0x0806n, 'arp.operation': 1n, ...bytes(46, 18) };
    expect(wholeOf(imagined(matchesOf('vlan id 5 ether type arp'))!)).toEqual(expected);
  });

  it('with nothing asked for: UDP over IPv4', () => {
    const expected = { ...IP4, ...PORTS, 'meta.l4proto': 17n, 'udp.length': 8n, 'ip.length': 28n, ...bytes(42) };
    expect(wholeOf(imagined([])!)).toEqual(expected);
  });
});

describe('an imagined frame has', () => {
  it.each<[string, Readonly<Record<string, bigint | number | boolean>>]>([
    ['ip ttl 1-9', { 'ip.ttl': 1n }],
    ['ip ttl 60-70', { 'ip.ttl': 64n }],
    ['ip ttl { 3, 64 }', { 'ip.ttl': 64n }],
    ['ip ttl 70-80', { 'ip.ttl': 70n }],
    ['udp length >= 10', { 'udp.length': 10n, 'ip.length': 30n, lengthBytes: 44, hasPayload: true }],
    ['udp length < 100', { 'udp.length': 8n }],
    ['udp length 8 ip length 30', { 'ip.length': 30n, lengthBytes: 44, hasPayload: true }],
    ['udp dport 5 ip6 length >= 10', { 'udp.length': 8n, 'ip6.length': 10n, lengthBytes: 64, hasPayload: true }],
    ['ip protocol 89 ip length 30', { lengthBytes: 44, hasPayload: false }],
    ['frame length 65553', { lengthBytes: 65_553, 'meta.length': 65_539n, hasPayload: false }],
    ['frame length >= 60 meta length { 40, 50-55 }', { 'frame.length': 64n, 'meta.length': 50n }],
    ['vlan id 1 meta length 50', { 'frame.length': 68n, networkOffset: 18, transportOffset: 38 }],
    ['vlan pcp 3 ip6 hoplimit 5', { 'vlan.pcp': 3n, transportOffset: 58 }],
    ['ip frag-off & 0x2000 == 0 ip frag-off != 0x4000', { 'ip.frag-off': 0n }],
    ['ip frag-off 0xc000', { 'ip.frag-off': 0xc000n }],
    ['ip frag-off { 0x8000, 0xc000 }', { 'ip.frag-off': 0x8000n }],
    ['tcp flags & 3 == 1 tcp flags & 0x10 != 0', { 'tcp.flags': 0x11n }],
    ['meta l4proto 100-200', { 'meta.l4proto': 132n, [KEY.transport]: 1n }],
    ['meta l4proto 150-200', { 'meta.l4proto': 150n, [KEY.transport]: 0n }],
    ['meta l4proto { 41-50, 150 }', { 'meta.l4proto': 41n }],
    ['meta l4proto { 1, 58 } ip6 hoplimit 5', { 'meta.l4proto': 58n }],
    ['meta l4proto { 0, 2, 43, 103 } ip6 hoplimit 5', { 'meta.l4proto': 103n }],
    ['meta l4proto { 44, 51, 60, 103 } ip6 hoplimit 5', { 'meta.l4proto': 103n }],
    ['ip6 nexthdr { 6, 58 }', { 'ip6.nexthdr': 6n, 'meta.l4proto': 6n }],
  ])('%s', (text, expected) => {
    const whole = wholeOf(imagined(matchesOf(text))!);
    expect(Object.fromEntries(Object.keys(expected).map((key) => [key, whole[key]]))).toEqual(expected);
  });
});

describe('states of a frame', () => {
  it.each<[string, Readonly<Record<string, bigint | number | boolean>>]>([
    ['app sip', { 'meta.l4proto': 17n, 'udp.length': 72n, hasPayload: true, 'states app sip': 1n }],
    ['app sip tcp dport 5', { 'meta.l4proto': 6n, 'ip.length': 104n, 'states app sip': 1n }],
    ['app sip type response', { 'states app sip': 2n }],
    ['app != sip', { 'udp.length': 8n, 'states app sip': 0n }],
    ['app sip app != rtp', { 'states app sip': 1n, 'states app rtp': 0n }],
    ['app http', { 'meta.l4proto': 6n, 'ip.length': 104n, 'states app http': 1n }],
    ['app ssh ip6 hoplimit 1', { 'meta.l4proto': 6n, 'ip6.length': 84n, 'states app ssh': 1n }],
    ['app rtp', { 'th.sport': 40_000n, 'th.dport': 40_000n, 'udp.length': 180n, 'states app rtp': 1n }],
    ['app rtp udp dport 1000-2000 udp sport < 1025', { 'th.sport': 1024n, 'th.dport': 1024n, 'states app rtp': 1n }],
    ['declared', { 'meta.l4proto': 17n, 'states declared @': 1n }],
  ])('%s', (text, expected) => {
    const whole = wholeOf(imagined(matchesOf(text))!);
    const states = Object.keys(whole).filter((key) => key.startsWith('states'));
    expect(states).toEqual(states.filter((key) => key in expected));
    expect(Object.fromEntries(Object.keys(expected).map((key) => [key, whole[key]]))).toEqual(expected);
  });

  it('that an element is in a set, not that it is not', () => {
    const lookup = { kind: 'set', fields: ['ip.saddr'], set: 's', negated: false } as const;
    expect(imagined([lookup])?.stated).toEqual(new Map([['set ip saddr @s', 1n]]));
    expect(imagined([{ ...lookup, negated: true }])).toBeNull();
  });
});

describe('no frame is imagined', () => {
  it.each([
    '@th,0,8 5',
    'udp dport 5 @ll,0,8 & 0x81 == 1',
    'app sip app ssh',
    // What would follow the header is a chunk.
    'sctp dport 5 ip length 60',
    'udp length 65516 ip ttl 5',
    // Four are tried.
    'meta l4proto { 0, 2, 43-44, 51, 103 } ip6 hoplimit 5',
    'udp dport { 1, 3, 5, 7, 10 } udp dport & 0x8001 == 0',
    'app dns',
    'app sip type mixed',
    'app sip sctp dport 5',
    'app http udp dport 5',
    'app rtp udp dport < 1024',
    'app sip udp length < 72',
    'app sip arp operation 1',
    'udp length < 8',
    'udp length 100 ip length < 120',
    'ip length 100 frame length < 114',
    'ip length < 20',
    'ip6 length 0 meta l4proto 47',
    'frame length < 14',
    'frame length > 65553',
    'vlan id 5 frame length 60 meta length 46',
    'vlan id 5 frame length 60 meta length 41',
    'ip frag-off & 0x2000 != 0',
    'ip6 nexthdr { 0, 1, 2, 43, 44, 51, 60 }',
    'ip protocol icmpv6 ip ttl 5',
    'ip6 nexthdr tcp meta l4proto udp',
    'ether type 0x8847',
    'ether type 0x0500',
    'ether type { 0x8100, 0x88a8, 0x9100, 0x8848, 0x8864 }',
    'ether type 0x8847 ip ttl 5',
  ])('%s', (text) => {
    expect(imagined(matchesOf(text))).toBeNull();
  });

  it('unless it can be', () => {
    const texts = [
      'udp length 65515 ip ttl 5',
      'udp dport { 1, 3, 5, 10 } udp dport & 0x8001 == 0',
      'frame length 14',
      'vlan id 5 frame length 60 meta length 42',
      'ether type 0x0600',
      'udp length 8',
    ];
    for (const text of texts) expect(imagined(matchesOf(text)), text).not.toBeNull();
  });
});
