import { describe, expect, it } from 'vitest';
import { parse } from '../../classifier/parse.ts';
import { Parsed } from '../../classifier/parsed.ts';
import { VmAddresses } from '../../gateway/vm-addresses.ts';
import { type FrameBuilder, frame } from '../../pcaps/build.ts';

const MAC = '02:00:00:00:00:aa';

function isOutbound(texts: string[], built: FrameBuilder): boolean {
  const bytes = built.build();
  const parsed = new Parsed();
  parse(parsed, new DataView(bytes.buffer), 0, bytes.length, bytes.length);
  return new VmAddresses(texts).isOutbound(parsed);
}

const ip4 = (src: string) => frame().eth().ip4({ src }).udp(1, 2);
const ip6 = (src: string) => frame().eth().ip6({ src }).udp(1, 2);

describe('which frames a VM sent', () => {
  it.each<[string, string[], FrameBuilder, boolean]>([
    ['all, if nobody is named', [], frame().eth(), true],
    ['by source MAC', [MAC], frame().eth({ src: MAC }), true],
    ['not by destination MAC', [MAC], frame().eth({ dst: MAC }), false],
    ['by the last bit of the MAC', ['02:00:00:00:00:ab'], frame().eth({ src: MAC }), false],
    ['by the first bit of the MAC', ['82:00:00:00:00:aa'], frame().eth({ src: MAC }), false],
    ['a MAC in capitals', ['02:00:00:00:00:AA'], frame().eth({ src: MAC }), true],
    ['by source IP', ['192.0.2.10'], ip4('192.0.2.10'), true],
    [
      'not by destination IP',
      ['192.0.2.10'],
      frame().eth().ip4({ dst: '192.0.2.10', src: '192.0.2.1' }).udp(1, 2),
      false,
    ],
    ['the address next to it', ['192.0.2.10'], ip4('192.0.2.11'), false],
    ['a prefix', ['192.0.2.0/25'], ip4('192.0.2.127'), true],
    ['just beyond the prefix', ['192.0.2.0/25'], ip4('192.0.2.128'), false],
    ['a prefix that names a host in it', ['192.0.2.77/25'], ip4('192.0.2.1'), true],
    ['addresses above half of all', ['240.0.0.0/4'], ip4('255.1.2.3'), true],
    ['everything of IPv4', ['0.0.0.0/0'], ip4('203.0.113.9'), true],
    ['everything of IPv4 is nothing of IPv6', ['0.0.0.0/0'], ip6('2001:db8::1'), false],
    ['an IPv6 address', ['2001:db8::10'], ip6('2001:db8::10'), true],
    ['another in its last word', ['2001:db8::10'], ip6('2001:db8::11'), false],
    ['another in its third word', ['2001:db8::10'], ip6('2001:db8::1:0:10'), false],
    ['an IPv6 prefix within a word', ['2001:db8:8000::/33'], ip6('2001:db8:ffff::1'), true],
    ['beyond it', ['2001:db8:8000::/33'], ip6('2001:db8:7fff::1'), false],
    ['everything of IPv6', ['::/0'], ip6('2001:db8::1'), true],
    ['by the ARP sender IP', ['192.0.2.10'], frame().eth().arp({ senderIp: '192.0.2.10' }), true],
    [
      'not by the ARP target',
      ['192.0.2.10'],
      frame().eth().arp({ senderIp: '192.0.2.1', targetIp: '192.0.2.10' }),
      false,
    ],
    ['by the ARP sender MAC', [MAC], frame().eth().arp({ senderMac: MAC }), true],
    ['any of several', ['192.0.2.1', '2001:db8::1', MAC], frame().eth({ src: MAC }).ip4({ src: '192.0.2.7' }), true],
    ['an EtherType that nobody reads, by IP', ['0.0.0.0/0'], frame().eth({ type: 0x88b5 }), false],
  ])('%s', (_, texts, built, outbound) => {
    expect(isOutbound(texts, built)).toBe(outbound);
  });

  it.each([
    '',
    'vm0',
    '192.0.2',
    '192.0.2.1/33',
    '2001:db8::/129',
    '192.0.2.1/',
    '192.0.2.1/8/8',
    '02:00:00:00:00',
    '::1/-1',
  ])('%j is refused', (text) => {
    expect(() => new VmAddresses([text])).toThrow(RangeError);
  });
});
