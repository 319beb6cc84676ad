import { type FrameBuilder, frame } from '../../pcaps/build.ts';
import { formatIp4, formatIp6, formatMac } from '../../rules/addresses.ts';
import type { ImaginedFrame } from '../../rules/imagined.ts';
import { Region } from '../../rules/region.ts';
import type { Match } from '../../rules/rule.ts';
import { imagineFrame } from '../../rules/witness.ts';

const HEADER_BYTES: Readonly<Record<number, number>> = { 1: 8, 2: 8, 6: 20, 17: 8, 33: 16, 58: 4, 132: 12, 136: 8 };

/** A frame that the matches select; null if none is found. */
export function imagined(matches: readonly Match[], className: string | null = null): ImaginedFrame | null {
  return imagineFrame(new Region({ handle: 1, className, matches }).box);
}

/** The bytes of a frame that the checker imagined; payload is zeros, unless it is given. */
export function bytesOf(imagined: ImaginedFrame, payload?: string): Uint8Array {
  const value = (key: string) => imagined.values.get(key) ?? 0n;
  const number = (key: string) => Number(value(key));
  const builder = frame().eth({
    src: formatMac(value('ether.saddr')),
    dst: formatMac(value('ether.daddr')),
    ...(number('tagged') === 0 ? { type: number('ether.type') } : {}),
  });
  if (number('tagged') === 1) builder.vlan(number('vlan.id'), { pcp: number('vlan.pcp'), type: number('ether.type') });
  const isIp4 = number('l3') === 1;
  if (isIp4) {
    builder.ip4({
      src: formatIp4(value('ip.saddr')),
      dst: formatIp4(value('ip.daddr')),
      proto: number('meta.l4proto'),
      ttl: number('ip.ttl'),
      tos: number('ip.dscp') << 2,
      totalLength: number('ip.length'),
    });
  } else if (number('l3') === 2) {
    builder.ip6({
      src: formatIp6(value('ip6.saddr')),
      dst: formatIp6(value('ip6.daddr')),
      next: number('ip6.nexthdr'),
      hopLimit: number('ip6.hoplimit'),
      trafficClass: number('ip6.dscp') << 2,
      payloadLength: number('ip6.length'),
    });
  } else if (number('l3') === 3) {
    builder.arp({ operation: number('arp.operation') });
  }
  if (imagined.transportOffset !== null) {
    const protocol = number('meta.l4proto');
    addTransport(builder, protocol, value);
    const behind = isIp4 ? number('ip.length') - 20 : number('ip6.length');
    builder.payload(payload ?? payloadOf(behind - (HEADER_BYTES[protocol] ?? 0), number('sctp.chunk')));
  }
  const bytes = builder.padTo(imagined.lengthBytes).build();
  if (isIp4) new DataView(bytes.buffer).setUint16(imagined.networkOffset + 6, number('ip.frag-off'));
  return bytes;
}

function payloadOf(bytes: number, first: number): Uint8Array {
  const payload = new Uint8Array(bytes);
  if (bytes > 0) payload[0] = first;
  return payload;
}

function addTransport(builder: FrameBuilder, protocol: number, value: (key: string) => bigint): void {
  const number = (key: string) => Number(value(key));
  const [sport, dport] = [number('th.sport'), number('th.dport')];
  switch (protocol) {
    case 1:
      builder.icmp({ type: number('icmp.type'), code: number('icmp.code') });
      break;
    case 2:
      builder.igmp({ type: number('igmp.type') });
      break;
    case 6:
      builder.tcp(sport, dport, { flags: number('tcp.flags') });
      break;
    case 17:
      builder.udp(sport, dport, { length: number('udp.length') });
      break;
    case 33:
      builder.dccp(sport, dport);
      break;
    case 58:
      // Type, code and checksum: the builder's has four bytes more.
      builder.payload(Uint8Array.of(number('icmpv6.type'), number('icmpv6.code'), 0, 0));
      break;
    case 132:
      builder.sctp(sport, dport);
      break;
    case 136:
      builder.udplite(sport, dport);
      break;
  }
}
