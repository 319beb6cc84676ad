import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../gateway/clock.ts';
import { textOfIp } from '../../gateway/ip-bytes.ts';
import { OwnAddresses } from '../../gateway/own-addresses.ts';
import { frame } from '../../pcaps/build.ts';
import {
  arpFrame,
  batchOf,
  NA,
  NETWORK_MAC,
  ndFrame,
  OTHER_MAC,
  VM_IP4,
  VM_IP6,
  VM_MAC,
} from '../support/neighbour-frames.ts';

function hear(own: OwnAddresses, ...frames: readonly Uint8Array[]): OwnAddresses {
  for (const bytes of frames) own.left(batchOf(bytes), 0);
  return own;
}

function heard(...frames: readonly Uint8Array[]): OwnAddresses {
  return hear(new OwnAddresses(new VirtualClock()), ...frames);
}

/** Each address as text, with its MAC address, tags and flags. */
function list(own: OwnAddresses, configured: readonly string[] = []): string[] {
  return own.toAnnounce(configured).addresses.map(({ ip, mac, tags, pair, isRouter, overrides }) => {
    const macText = [...mac].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
    const more = [
      ...tags.map((tag) => (tag >>> 0).toString(16)),
      pair === 0 ? '' : `pair ${pair}`,
      isRouter ? 'router' : '',
      overrides ? '' : 'shared',
    ];
    return [textOfIp(ip), macText, ...more.filter((word) => word !== '')].join(' ');
  });
}

describe('what the VM says of itself by ARP', () => {
  test.each([
    ['a request for somebody else', {}],
    ['a reply', { operation: 2 }],
    ['a gratuitous request', { targetIp: VM_IP4 }],
    ['a gratuitous reply', { operation: 2, targetIp: VM_IP4 }],
  ])('%s tells its address', (_, spec) => {
    expect(list(heard(arpFrame(spec)))).toEqual([`${VM_IP4} ${VM_MAC}`]);
  });

  test.each([
    ['a probe asks whether an address is free', arpFrame({ senderIp: '0.0.0.0' })],
    ['the sender is another than who sent the frame', arpFrame({ senderMac: OTHER_MAC })],
    ['the sender is a group', arpFrame({ src: '03:00:00:00:00:01' })],
    ['the sender has no address', arpFrame({ src: '00:00:00:00:00:00' })],
    ['the sender is a multicast address', arpFrame({ senderIp: '224.0.0.1' })],
    ['the sender is a loopback address', arpFrame({ senderIp: '127.0.0.1' })],
    ['it is broadcast', arpFrame({ senderIp: '255.255.255.255' })],
    ['it is reverse ARP', arpFrame({ operation: 3 })],
    ['it is cut', arpFrame().subarray(0, 14 + 27)],
    ['it is not for Ethernet', changed(arpFrame(), 15, 6)],
    ['it is not for IPv4', changed(arpFrame(), 16, 9)],
    ['its addresses have other lengths', changed(arpFrame(), 18, 8)],
  ])('nothing is learned where %s', (_, bytes) => {
    expect(list(heard(bytes))).toEqual([]);
  });

  test('a proxy answers for addresses of others itself: they count', () => {
    const own = heard(arpFrame(), arpFrame({ operation: 2, senderIp: '10.0.0.77' }));
    expect(list(own)).toEqual([`${VM_IP4} ${VM_MAC}`, `10.0.0.77 ${VM_MAC}`]);
  });

  test('the addresses of packets that it forwards are never its own', () => {
    const forwarded = frame().eth({ src: VM_MAC }).ip4({ src: '192.0.2.7' }).udp(1, 2).build();
    const forwarded6 = frame().eth({ src: VM_MAC }).ip6({ src: '2001:db8::7' }).icmpv6().build();
    expect(list(heard(arpFrame(), forwarded, forwarded6))).toEqual([`${VM_IP4} ${VM_MAC}`]);
  });
});

describe('what the VM says of itself by neighbour discovery', () => {
  test.each([
    ['an unsolicited advertisement', {}, ''],
    ['an advertisement that answers', { flags: NA.solicited | NA.override, to: 'fe80::1' }, ''],
    ['an advertisement without a link-layer address: the Ethernet source', { option: null }, ''],
    ["a router's advertisement of itself", { flags: NA.router | NA.override }, ' router'],
    ['an advertisement that does not override: an anycast address', { flags: 0 }, ' shared'],
    ['an advertisement with options that nobody knows', { more: Uint8Array.of(14, 1, 0, 0, 0, 0, 0, 0) }, ''],
  ])('%s tells its target', (_, spec, more) => {
    expect(list(heard(ndFrame({ target: 'fe80::b', ...spec })))).toEqual([`fe80::b ${VM_MAC}${more}`]);
  });

  test('the link-layer address of the advertisement counts, not who sent it', () => {
    expect(list(heard(ndFrame({ option: [2, OTHER_MAC] })))).toEqual([`${VM_IP6} ${OTHER_MAC}`]);
  });

  test.each([
    ['a solicitation', { type: 135, flags: 0, target: 'fe80::1', option: [1, VM_MAC] as const }, ''],
    ['a router solicitation', { type: 133, flags: 0, target: null, option: [1, VM_MAC] as const }, ''],
    [
      'a router advertisement',
      { type: 134, flags: 0x40000708, target: null, option: null, more: sourceOption(new Uint8Array(8), VM_MAC) },
      ' router',
    ],
  ])('%s tells its sender', (_, spec, more) => {
    expect(list(heard(ndFrame(spec)))).toEqual([`${VM_IP6} ${VM_MAC}${more}`]);
  });

  test.each([
    ['it came from farther than the link', ndFrame({ hopLimit: 254 })],
    ['its code is not 0', ndFrame({ code: 1 })],
    ['it is another ICMPv6 message', ndFrame({ type: 137 })],
    ['its target is a group', ndFrame({ target: 'ff02::5' })],
    ['its target is nobody', ndFrame({ target: '::' })],
    ['its target is the VM itself', ndFrame({ target: '::1' })],
    ['it answers everybody', ndFrame({ flags: NA.solicited })],
    ['an option has no length', ndFrame({ more: Uint8Array.of(14, 0, 0, 0, 0, 0, 0, 0) })],
    ['an option is longer than the packet', ndFrame({ more: Uint8Array.of(14, 2, 0, 0, 0, 0, 0, 0) })],
    ['half an option is left', ndFrame({ more: Uint8Array.of(14) })],
    ['it is cut', ndFrame().subarray(0, 14 + 40 + 23)],
    ['its header is cut', ndFrame().subarray(0, 14 + 39)],
    ['its link-layer address is a group', ndFrame({ option: [2, '33:33:00:00:00:01'] })],
    ['a solicitation looks for duplicates', ndFrame({ type: 135, flags: 0, from: '::', option: null })],
    [
      'one that looks for duplicates names a link-layer address',
      ndFrame({ type: 135, from: '::', option: [1, VM_MAC] }),
    ],
    ['a solicitation does not say who asks', ndFrame({ type: 135, flags: 0, option: null })],
  ])('nothing is learned where %s', (_, bytes) => {
    expect(list(heard(bytes))).toEqual([]);
  });

  test('padding behind the packet is no option', () => {
    expect(list(heard(Uint8Array.from([...ndFrame(), 0, 0, 0])))).toEqual([`${VM_IP6} ${VM_MAC}`]);
  });

  test('an answer that does not override takes nothing back from an announcement that does', () => {
    expect(list(heard(ndFrame(), ndFrame({ flags: NA.solicited, to: 'fe80::1' })))).toEqual([`${VM_IP6} ${VM_MAC}`]);
  });

  test('only an advertisement takes back that the VM is a router', () => {
    const solicitation = ndFrame({ type: 135, flags: 0, target: 'fe80::1', option: [1, VM_MAC] });
    const own = heard(ndFrame({ flags: NA.router | NA.override }), solicitation);
    expect(list(own)).toEqual([`${VM_IP6} ${VM_MAC} router`]);
    expect(list(hear(own, ndFrame()))).toEqual([`${VM_IP6} ${VM_MAC}`]);
  });
});

describe('VLANs and pairs of ports', () => {
  test.each([
    [[{ id: 5 }], '81000005'],
    [[{ id: 5, pcp: 6 }], '8100c005'],
    [[{ id: 7, tpid: 0x88a8 }, { id: 5 }], '88a80007 81000005'],
    [[{ id: 7, tpid: 0x9100 }, { id: 5 }], '91000007 81000005'],
  ])('an address is known with its tags %j', (tags, text) => {
    expect(list(heard(arpFrame({ tags })))).toEqual([`${VM_IP4} ${VM_MAC} ${text}`]);
    expect(list(heard(ndFrame({ tags })))).toEqual([`${VM_IP6} ${VM_MAC} ${text}`]);
  });

  test('eight tags are followed, not nine', () => {
    const tags = Array.from({ length: 9 }, (_, id) => ({ id }));
    expect(heard(arpFrame({ tags: tags.slice(1) })).size).toBe(1);
    expect(heard(arpFrame({ tags })).size).toBe(0);
  });

  test('the same address in two VLANs, or behind two pairs of ports, is two; with two priorities it is one', () => {
    const own = heard(arpFrame({ tags: [{ id: 5 }] }), arpFrame({ tags: [{ id: 6 }] }));
    hear(own, arpFrame({ tags: [{ id: 6, pcp: 3 }] }));
    own.left(batchOf(arpFrame({ tags: [{ id: 5 }] }), 2), 0);
    expect(list(own)).toEqual([
      `${VM_IP4} ${VM_MAC} 81000005`,
      `${VM_IP4} ${VM_MAC} 81006006`,
      `${VM_IP4} ${VM_MAC} 81000005 pair 2`,
    ]);
  });

  test.each([1, 12, 13, 15, 17])('a frame of %i bytes is not read beyond its end', (length) => {
    expect(heard(arpFrame({ tags: [{ id: 5 }] }).subarray(0, length)).size).toBe(0);
  });
});

describe('the last word', () => {
  test('is the VM’s own new MAC address for an address', () => {
    expect(list(heard(arpFrame(), arpFrame({ src: OTHER_MAC })))).toEqual([`${VM_IP4} ${OTHER_MAC}`]);
  });

  test.each([
    ['ARP', arpFrame({ src: NETWORK_MAC, targetIp: VM_IP4 })],
    ['neighbour discovery', ndFrame({ src: NETWORK_MAC })],
  ])('is that of another machine which announced the address since, by %s', (_, bytes) => {
    const own = heard(arpFrame(), ndFrame(), arpFrame({ senderIp: '10.0.0.11' }));
    own.came(batchOf(bytes), 0);
    expect(own.size).toBe(2);
    hear(own, arpFrame(), ndFrame());
    expect(own.size).toBe(3);
  });

  test.each([
    ['the VM’s own words come back', arpFrame(), 0],
    ['somebody probes for the address', arpFrame({ src: NETWORK_MAC, senderIp: '0.0.0.0', targetIp: VM_IP4 }), 0],
    ['another address is announced', arpFrame({ src: NETWORK_MAC, senderIp: '10.0.0.1' }), 0],
    ['it is announced in another VLAN', arpFrame({ src: NETWORK_MAC, tags: [{ id: 5 }] }), 0],
    ['it is announced behind another pair of ports', arpFrame({ src: NETWORK_MAC }), 1],
    ['a frame is no announcement', frame().eth({ src: NETWORK_MAC }).ip4({ src: VM_IP4 }).udp(1, 2).build(), 0],
  ])('stays the VM’s where %s', (_, bytes, pair) => {
    const own = heard(arpFrame());
    own.came(batchOf(bytes, pair), 0);
    expect(list(own)).toEqual([`${VM_IP4} ${VM_MAC}`]);
  });
});

test('of more than 1,024 addresses the one that was announced longest ago goes', () => {
  const own = new OwnAddresses(new VirtualClock());
  const address = (n: number) => `10.1.${n >> 8}.${n & 255}`;
  for (let n = 0; n < 1024; n++) hear(own, arpFrame({ senderIp: address(n) }));
  hear(own, arpFrame({ senderIp: address(0) }), arpFrame({ senderIp: '10.2.0.1' }));
  expect(own.size).toBe(1024);
  const texts = list(own).map((row) => row.split(' ')[0]);
  expect(texts).not.toContain(address(1));
  expect(texts.slice(-2)).toEqual([address(0), '10.2.0.1']);
});

describe('configured addresses', () => {
  test('are announced by the MAC address, tags and pair that the VM used last', () => {
    const own = heard(arpFrame({ src: OTHER_MAC }), arpFrame({ senderIp: '10.0.0.11', tags: [{ id: 5 }] }));
    expect(list(own, ['10.0.0.99', '2001:DB8::0:9'])).toEqual([
      `${VM_IP4} ${OTHER_MAC}`,
      `10.0.0.11 ${VM_MAC} 81000005`,
      `10.0.0.99 ${VM_MAC} 81000005`,
      `2001:db8::9 ${VM_MAC} 81000005`,
    ]);
  });

  test('are announced once where the VM announced them itself', () => {
    expect(list(heard(ndFrame()), ['fe80:0::a', VM_IP6])).toEqual([`${VM_IP6} ${VM_MAC}`]);
    expect(list(heard(arpFrame()), ['10.0.0.99', '10.0.0.99'])).toHaveLength(2);
  });

  test('are a router’s where the VM is one', () => {
    const own = heard(ndFrame({ flags: NA.router | NA.override }), arpFrame());
    expect(list(own, ['fe80::99']).at(-1)).toBe(`fe80::99 ${VM_MAC} router`);
  });

  test('need no more than a probe to know the MAC address by', () => {
    expect(list(heard(arpFrame({ senderIp: '0.0.0.0' })), [VM_IP4])).toEqual([`${VM_IP4} ${VM_MAC}`]);
  });

  test('cannot be announced by a VM that has never said a word', () => {
    expect(new OwnAddresses(new VirtualClock()).toAnnounce([VM_IP4, VM_IP6])).toEqual({
      addresses: [],
      memberships: [],
      unknown: [VM_IP4, VM_IP6],
    });
  });
});

/** @returns a copy with another byte */
function changed(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = value;
  return copy;
}

/** @returns bytes with an option for the sender's link-layer address behind them */
function sourceOption(before: Uint8Array, mac: string): Uint8Array {
  return Uint8Array.from([...before, 1, 1, ...mac.split(':').map((byte) => Number.parseInt(byte, 16))]);
}
