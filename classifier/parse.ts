import { ETH, ETHERTYPE, MIN_ETHERTYPE, SNAP } from './headers.ts';
import { parseArp } from './parse-arp.ts';
import { parseIp4 } from './parse-ip4.ts';
import { parseIp6 } from './parse-ip6.ts';
import { parseMpls } from './parse-mpls.ts';
import { parsePppoe } from './parse-pppoe.ts';
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
  if (wireLength > length) out.wireLength = wireLength;
  const end = offset + length;
  const wireEnd = offset + out.wireLength;
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
  out.networkOffset = at;
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
  else if (type === ETHERTYPE.mpls || type === ETHERTYPE.mplsUpstream) parseMpls(out, slab, at, end, wireEnd);
  else if (type === ETHERTYPE.pppoe) parsePppoe(out, slab, at, end, wireEnd);
  if (out.l3Offset >= 0) out.networkOffset = out.l3Offset;
}

function reset(out: Parsed, offset: number, length: number): void {
  out.problem = 0;
  out.offset = offset;
  out.length = length;
  out.wireLength = length;
  out.dstMacHigh = 0;
  out.dstMacLow = 0;
  out.srcMacHigh = 0;
  out.srcMacLow = 0;
  out.vlanCount = 0;
  out.etherType = -1;
  out.networkOffset = -1;
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
