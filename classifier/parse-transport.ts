import { PROTO } from './headers.ts';
import { L3, L4, type Parsed } from './parsed.ts';
import { REASON } from './verdict.ts';

/** Least bytes of each transport header, indexed by L4 kind: RFC 9293, 768, 3828, 9260, 4340, 792, 4443, 2236. */
const MIN_HEADER = [0, 20, 8, 8, 12, 12, 8, 4, 8] as const;

/**
 * What IPv4 and IPv6 share once the header (chain) is read: fragment sanity, then the transport header.
 * @param l4 where the header chain ends
 * @param carried where the bytes start that a fragment carries
 * @param packetEnd where the IP packet ends by its own length
 * @param end where the captured bytes end
 * @param lengthIsTold false for offload frames whose IP length is 0
 */
export function finishIp(
  out: Parsed,
  slab: DataView,
  l4: number,
  carried: number,
  packetEnd: number,
  end: number,
  lengthIsTold: boolean,
): void {
  if (out.isFragment === 1) {
    out.fragLength = packetEnd - carried;
    // A fragment that is empty, ends past 64 KiB, or is cut off an 8-byte boundary before its end: RFC 8200 §4.5.
    const odd = out.moreFrags === 1 && (out.fragLength & 7) !== 0;
    if (out.problem === 0 && (out.fragLength <= 0 || out.fragOffset + out.fragLength > 65535 || odd)) {
      out.problem = REASON.malformed;
    }
    if (out.fragOffset > 0) return;
  }
  out.l4Offset = l4;
  const isIp4 = out.l3 === L3.ip4;
  switch (out.proto) {
    case PROTO.tcp:
      out.l4 = L4.tcp;
      break;
    case PROTO.udp:
      out.l4 = L4.udp;
      break;
    case PROTO.udplite:
      out.l4 = L4.udplite;
      break;
    case PROTO.sctp:
      out.l4 = L4.sctp;
      break;
    case PROTO.dccp:
      out.l4 = L4.dccp;
      break;
    case PROTO.icmp:
      if (!isIp4) return;
      out.l4 = L4.icmp;
      break;
    case PROTO.igmp:
      if (!isIp4) return;
      out.l4 = L4.igmp;
      break;
    case PROTO.icmpv6:
      if (isIp4) return;
      out.l4 = L4.icmpv6;
      break;
    default:
      return;
  }
  parseTransport(out, slab, l4, packetEnd, end, lengthIsTold);
}

/**
 * Reads the transport header that `out.l4` names.
 * A header that the bytes do not hold whole makes `out.problem`: `fragment-no-l4` in a first fragment, `truncated`
 * where bytes are missing from the frame, `malformed` where the header's own numbers contradict the packet's length.
 * @param l4 where the header starts
 * @param packetEnd where the IP packet ends by its own length
 * @param end where the captured bytes end
 * @param lengthIsTold false for offload frames whose IP length is 0: their UDP length is not judged either
 */
function parseTransport(
  out: Parsed,
  slab: DataView,
  l4: number,
  packetEnd: number,
  end: number,
  lengthIsTold: boolean,
): void {
  const readable = (packetEnd < end ? packetEnd : end) - l4;
  const hasPorts = out.l4 <= L4.dccp;
  if (hasPorts && readable >= 4) {
    out.srcPort = slab.getUint16(l4);
    out.dstPort = slab.getUint16(l4 + 2);
  }
  let header: number = MIN_HEADER[out.l4]!;
  // What there is of a cut TCP header is shown, though the frame is held.
  if (out.l4 === L4.tcp && readable >= 14) readTcp(out, slab, l4);
  if (readable < header) {
    fail(out, packetEnd - l4 < header ? REASON.malformed : REASON.truncated);
    return;
  }
  const length = packetEnd - l4;
  switch (out.l4) {
    case L4.tcp:
      header = (slab.getUint8(l4 + 12) >> 4) * 4;
      if (header < 20) {
        fail(out, REASON.malformed);
        return;
      }
      break;
    case L4.udp:
      out.udpLength = slab.getUint16(l4 + 4);
      if (lengthIsTold && out.isFragment === 0 && (out.udpLength < 8 || out.udpLength > length)) {
        // Length 0 stands for 'as long as the packet' in a jumbogram (RFC 2675 §4).
        if (!(out.udpLength === 0 && length > 65535)) fail(out, REASON.malformed);
      }
      break;
    case L4.dccp:
      header = slab.getUint8(l4 + 4) * 4;
      if (header < 12) {
        fail(out, REASON.malformed);
        return;
      }
      break;
    case L4.icmp:
    case L4.icmpv6:
      out.icmpType = slab.getUint8(l4);
      out.icmpCode = slab.getUint8(l4 + 1);
      break;
    case L4.igmp:
      out.icmpType = slab.getUint8(l4);
      break;
  }
  if (header > length) {
    fail(out, REASON.malformed);
    return;
  }
  out.payloadLength = length - header;
  out.payloadOffset = l4 + header;
  if (header > readable) {
    fail(out, REASON.truncated);
    return;
  }
  out.payloadCaptured = readable - header;
}

/** Sequence numbers and, unless the data offset is impossible, flags. */
function readTcp(out: Parsed, slab: DataView, l4: number): void {
  out.tcpSeq = slab.getInt32(l4 + 4);
  out.tcpAck = slab.getInt32(l4 + 8);
  const word = slab.getUint16(l4 + 12);
  if (word >> 12 >= 5) out.tcpFlags = word & 0xfff;
}

/** The first problem found stands; within a first fragment a missing header has a reason of its own. */
function fail(out: Parsed, reason: number): void {
  if (out.problem !== 0) return;
  out.problem = out.isFragment === 1 ? REASON.fragmentNoL4 : reason;
}
