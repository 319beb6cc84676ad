import { wordsOf } from '../../classifier/field.ts';
import { L3, type L3Kind, L4, type L4Kind, type Parsed } from '../../classifier/parsed.ts';
import type { FieldName } from '../../rules/rule.ts';
import { FIELD_NAMES } from './arbitrary-rules.ts';

/** Fields that `Parsed` does not have: a frame needs bytes, and offsets that lead to them, before they are set. */
const BYTE_FIELDS: readonly FieldName[] = [
  'ip.dscp',
  'ip.ttl',
  'ip.length',
  'ip.frag-off',
  'ip6.dscp',
  'ip6.hoplimit',
  'ip6.length',
  'sctp.chunk',
];
const LENGTH_FIELDS: readonly FieldName[] = ['meta.length', 'frame.length'];
export const PARSED_FIELDS = FIELD_NAMES.filter(
  (field) => !BYTE_FIELDS.includes(field) && !LENGTH_FIELDS.includes(field),
);

/** Writes a field's value into a frame's fields, or bytes where these have it. The frame must be of a kind that has it. */
export function setField(p: Parsed, field: FieldName, value: bigint, slab?: DataView): void {
  if (BYTE_FIELDS.includes(field)) {
    setBytes(p, field, Number(value), slab!);
    return;
  }
  const words = wordsOf(field, value);
  const word = words[0]!;
  switch (field) {
    case 'ether.saddr':
      p.srcMacHigh = word;
      p.srcMacLow = words[1]!;
      break;
    case 'ether.daddr':
      p.dstMacHigh = word;
      p.dstMacLow = words[1]!;
      break;
    case 'ether.type':
      p.etherType = word;
      break;
    case 'vlan.id':
      p.vlanTci[0] = (p.vlanTci[0]! & 0xf000) | word;
      break;
    case 'vlan.pcp':
      p.vlanTci[0] = (p.vlanTci[0]! & 0x1fff) | (word << 13);
      break;
    case 'ip.saddr':
      p.src0 = word;
      break;
    case 'ip.daddr':
      p.dst0 = word;
      break;
    case 'ip6.saddr':
      [p.src0, p.src1, p.src2, p.src3] = [word, words[1]!, words[2]!, words[3]!];
      break;
    case 'ip6.daddr':
      [p.dst0, p.dst1, p.dst2, p.dst3] = [word, words[1]!, words[2]!, words[3]!];
      break;
    case 'ip.protocol':
    case 'meta.l4proto':
      p.proto = word;
      break;
    case 'ip6.nexthdr':
      p.nextHeader = word;
      break;
    case 'arp.operation':
      p.arpOperation = word;
      break;
    case 'tcp.flags':
      // The four bits above the field must not matter.
      p.tcpFlags = word | 0x500;
      break;
    case 'udp.length':
      p.udpLength = word;
      break;
    case 'icmp.type':
    case 'icmpv6.type':
    case 'igmp.type':
      p.icmpType = word;
      break;
    case 'icmp.code':
    case 'icmpv6.code':
      p.icmpCode = word;
      break;
    case 'meta.length':
      p.wireLength = Math.max(p.length, Number(value) + (p.vlanCount > 0 ? 18 : 14));
      break;
    case 'frame.length':
      p.wireLength = Math.max(p.length, Number(value));
      break;
    default:
      if (field.endsWith('sport')) p.srcPort = word;
      else p.dstPort = word;
  }
}

function setBytes(p: Parsed, field: FieldName, value: number, slab: DataView): void {
  const at = p.l3Offset;
  switch (field) {
    case 'ip.dscp':
      // The two bits below belong to ECN and must not matter.
      slab.setUint8(at + 1, (value << 2) | 2);
      break;
    case 'ip.ttl':
      slab.setUint8(at + 8, value);
      break;
    case 'ip.length':
      slab.setUint16(at + 2, value);
      break;
    case 'ip.frag-off':
      slab.setUint16(at + 6, value);
      break;
    case 'ip6.dscp':
      slab.setUint16(at, 0x602a | (value << 6));
      break;
    case 'ip6.hoplimit':
      slab.setUint8(at + 7, value);
      break;
    case 'ip6.length':
      slab.setUint16(at + 4, value);
      break;
    case 'sctp.chunk':
      slab.setUint8(p.payloadOffset, value);
      break;
  }
}

/** Writes bits anywhere in a slab, the first as the most significant. */
export function setBits(slab: DataView, offsetBits: number, lengthBits: number, value: bigint): void {
  for (let i = 0; i < lengthBits; i++) {
    const bit = offsetBits + lengthBits - 1 - i;
    const mask = 0x80 >> (bit & 7);
    const byte = slab.getUint8(bit >> 3);
    slab.setUint8(bit >> 3, ((value >> BigInt(i)) & 1n) === 1n ? byte | mask : byte & ~mask);
  }
}

export const FRAME_START = 3;
const IP_HEADER = [0, 20, 40, 0] as const;
const L4_HEADER = [0, 20, 8, 8, 12, 12, 8, 4, 8] as const;

/**
 * Sets where the headers lie, as `parse` would for a frame of this kind from FRAME_START to the slab's end.
 * @param carrier bytes of MPLS, PPPoE or SNAP headers before the network header
 */
export function layOut(p: Parsed, slab: DataView, carrier = 0): void {
  p.offset = FRAME_START;
  p.length = slab.byteLength - FRAME_START;
  p.wireLength = p.length;
  p.networkOffset = FRAME_START + 14 + 4 * p.vlanCount;
  if (p.l3 === L3.unknown) return;
  p.networkOffset += carrier;
  p.l3Offset = p.networkOffset;
  if (p.l3 === L3.arp) return;
  p.l4Offset = p.l3Offset + IP_HEADER[p.l3];
  if (p.l4 === L4.none) return;
  p.payloadOffset = p.l4Offset + L4_HEADER[p.l4];
  p.payloadLength = FRAME_START + p.length - p.payloadOffset;
  p.payloadCaptured = p.payloadLength;
}

/** Which frames have which protocol's fields, said a second time and in another way than the matchers say it. */
export function isCarried(field: FieldName, l3: L3Kind, l4: L4Kind): boolean {
  const [protocol] = field.split('.') as [string];
  const isIp = l3 === L3.ip4 || l3 === L3.ip6;
  const ports: readonly L4Kind[] = [L4.tcp, L4.udp, L4.udplite, L4.sctp, L4.dccp];
  const carriers: Record<string, boolean> = {
    ether: true,
    frame: true,
    vlan: true,
    ip: l3 === L3.ip4,
    ip6: l3 === L3.ip6,
    arp: l3 === L3.arp,
    meta: field === 'meta.length' || isIp,
    th: ports.includes(l4),
    tcp: l4 === L4.tcp,
    udp: l4 === L4.udp,
    sctp: l4 === L4.sctp,
    udplite: l4 === L4.udplite,
    dccp: l4 === L4.dccp,
    igmp: l4 === L4.igmp,
    icmp: l4 === L4.icmp,
    icmpv6: l4 === L4.icmpv6,
  };
  return carriers[protocol]!;
}
