import { ARP, ETH, ETHERTYPE, IP4, MIN_ETHERTYPE, SNAP } from './headers.ts';
import { parseIp6 } from './parse-ip6.ts';
import { finishIp } from './parse-transport.ts';
import { L3, L4, MAX_VLAN_TAGS, type Parsed } from './parsed.ts';
import { REASON } from './verdict.ts';

/**
 * Fills `out` from one Ethernet frame. Never throws, never allocates, never reads past `offset + length`.
 * What can be read is filled in even where `out.problem` says that the frame cannot be classified.
 * @param slab memory that holds the frame
 * @param offset bytes from the slab's start
 * @param length bytes that are there, without FCS
 * @param wireLength bytes the frame had on the wire, without FCS (`length` or more: captures may cut frames)
 */
export function parse(out: Parsed, slab: DataView, offset: number, length: number, wireLength: number): void {
  reset(out, offset, length);
  const end = offset + length;
  const wireEnd = offset + (wireLength > length ? wireLength : length);
  if (length < ETH.header) {
    out.problem = REASON.truncated;
    return;
  }
  out.dstMacHigh = slab.getInt32(offset);
  out.dstMacLow = slab.getUint16(offset + 4);
  out.srcMacHigh = slab.getInt32(offset + 6);
  out.srcMacLow = slab.getUint16(offset + 10);
  let at = offset + ETH.type;
  let type = slab.getUint16(at);
  at += 2;
  while (type === ETHERTYPE.vlan || type === ETHERTYPE.serviceVlan || type === ETHERTYPE.legacyVlan) {
    if (at + ETH.tag > end) {
      out.problem = REASON.truncated;
      return;
    }
    if (out.vlanCount === MAX_VLAN_TAGS) {
      out.problem = REASON.tooManyHeaders;
      return;
    }
    out.vlanTci[out.vlanCount] = slab.getUint16(at);
    out.vlanCount++;
    type = slab.getUint16(at + 2);
    at += ETH.tag;
  }
  out.etherType = type;
  if (type < MIN_ETHERTYPE) {
    if (
      at + SNAP.header > end ||
      slab.getInt32(at) !== SNAP.first ||
      slab.getUint16(at + 4) !== SNAP.second ||
      type < SNAP.header
    )
      return;
    type = slab.getUint16(at + 6);
    at += SNAP.header;
  }
  if (type === ETHERTYPE.ip4) parseIp4(out, slab, at, end, wireEnd);
  else if (type === ETHERTYPE.ip6) parseIp6(out, slab, at, end, wireEnd);
  else if (type === ETHERTYPE.arp) parseArp(out, slab, at, end);
}

function reset(out: Parsed, offset: number, length: number): void {
  out.problem = 0;
  out.offset = offset;
  out.length = length;
  out.dstMacHigh = 0;
  out.dstMacLow = 0;
  out.srcMacHigh = 0;
  out.srcMacLow = 0;
  out.vlanCount = 0;
  out.etherType = -1;
  out.l3 = L3.unknown;
  out.l3Offset = -1;
  out.src0 = 0;
  out.src1 = 0;
  out.src2 = 0;
  out.src3 = 0;
  out.dst0 = 0;
  out.dst1 = 0;
  out.dst2 = 0;
  out.dst3 = 0;
  out.proto = -1;
  out.nextHeader = -1;
  out.fragOffset = -1;
  out.moreFrags = 0;
  out.isFragment = 0;
  out.fragId = 0;
  out.fragLength = 0;
  out.arpOperation = -1;
  out.arpMacHigh = 0;
  out.arpMacLow = 0;
  out.l4 = L4.none;
  out.l4Offset = -1;
  out.srcPort = -1;
  out.dstPort = -1;
  out.tcpFlags = -1;
  out.tcpSeq = 0;
  out.tcpAck = 0;
  out.udpLength = -1;
  out.icmpType = -1;
  out.icmpCode = -1;
  out.payloadOffset = -1;
  out.payloadLength = -1;
  out.payloadCaptured = 0;
}

/** ARP (RFC 826). Addresses are read only where it speaks of IPv4 over Ethernet. */
function parseArp(out: Parsed, slab: DataView, at: number, end: number): void {
  out.l3 = L3.arp;
  out.l3Offset = at;
  if (at + ARP.fixed > end) {
    out.problem = REASON.truncated;
    return;
  }
  out.arpOperation = slab.getUint16(at + ARP.operation);
  const lengths = slab.getUint16(at + 4);
  if (lengths !== ARP.lengths || slab.getUint16(at + ARP.protocol) !== ETHERTYPE.ip4) {
    if (at + ARP.fixed + 2 * ((lengths >> 8) + (lengths & 0xff)) > end) out.problem = REASON.truncated;
    return;
  }
  if (at + ARP.full > end) {
    out.problem = REASON.truncated;
    return;
  }
  out.arpMacHigh = slab.getInt32(at + ARP.senderMac);
  out.arpMacLow = slab.getUint16(at + ARP.senderMac + 4);
  out.src0 = slab.getInt32(at + ARP.senderIp);
  out.dst0 = slab.getInt32(at + ARP.targetIp);
}

/** IPv4 (RFC 791 §3.1). Total length 0 is a segmentation-offload frame: as long as the frame. */
function parseIp4(out: Parsed, slab: DataView, at: number, end: number, wireEnd: number): void {
  out.l3 = L3.ip4;
  out.l3Offset = at;
  if (at + IP4.minHeader > end) {
    out.problem = REASON.truncated;
    return;
  }
  const first = slab.getUint8(at);
  out.src0 = slab.getInt32(at + IP4.src);
  out.dst0 = slab.getInt32(at + IP4.dst);
  const headerLength = (first & 0xf) * 4;
  if (first >> 4 !== 4 || headerLength < IP4.minHeader) {
    out.problem = REASON.malformed;
    return;
  }
  out.proto = slab.getUint8(at + IP4.protocol);
  const fragment = slab.getUint16(at + IP4.fragment);
  out.fragOffset = (fragment & 0x1fff) * 8;
  out.moreFrags = (fragment >> 13) & 1;
  out.isFragment = out.fragOffset > 0 || out.moreFrags === 1 ? 1 : 0;
  out.fragId = slab.getUint16(at + IP4.id);
  const totalLength = slab.getUint16(at + IP4.totalLength);
  const packetEnd = totalLength === 0 ? wireEnd : at + totalLength;
  if (totalLength !== 0 && totalLength < headerLength) {
    out.problem = REASON.malformed;
    return;
  }
  const l4 = at + headerLength;
  if (l4 > end || packetEnd > wireEnd) out.problem = REASON.truncated;
  if (l4 > end) return;
  finishIp(out, slab, l4, l4, packetEnd, end, totalLength !== 0);
}
