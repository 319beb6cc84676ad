/**
 * `app rtp`: a UDP datagram that looks like an RTP packet (RFC 3550 §5.1), SRTP included (RFC 3711 §3.1 leaves the
 * header in clear).
 *
 * RTP has no magic number, so this is a sum of weak evidence from one datagram:
 * - both l4Ports ≥ 1024 (§11 has them chosen dynamically; RFC 5761 lets media and RTCP share an odd or even one);
 * - version 2, which also is the range 128-191 that RFC 7983 §7 gives to RTP and RTCP beside STUN, DTLS and TURN; QUIC
 *   starts so only where its fixed bit is greased (RFC 9287);
 * - a payload type that RFC 3551 §6 assigns (0-34 without its gaps) or leaves to be agreed (96-127); 64-95 is where
 *   RTCP's packet types fall once the marker bit is set apart (RFC 5761 §4);
 * - 12 bytes, the CSRC list, the extension and the padding that the header announces fit into the datagram, the padding
 *   count is not 0, and something follows the header: payload or padding.
 *
 * False positives: about one in twenty datagrams of uniformly random bytes passes (version 1/4, payload type 2/5,
 * extension and padding seldom fit); so do protocols that encrypt from the
 * first byte, and fixed headers that happen to start with 0x80-0xBF and a fitting byte: seen were QUIC with a
 * greased fixed bit (RFC 9287) and BACnet/IP (0x81 0x0B). Pair it with ports or addresses
 * wherever those are known, and do not let it alone pass what must not be lost.
 * False negatives: RTP over TCP (RFC 4571), TURN channels, payload types 35-63 that RFC 5761 §4 allows where 96-127 are
 * used up, unassigned ones below 35, ports below 1024, empty packets as keep-alive (RFC 6263 §4.1 names them), RTCP
 * (`app rtcp`); a first fragment of a packet whose padding count comes in a later one.
 */
import { L4 } from '../parsed.ts';
import { capturedOf, messageLength, tooFew } from './payload.ts';
import { ANSWER, type Recogniser } from './recogniser.ts';

const MIN_PORT = 1024;
const HEADER = 12;
const FIRST_DYNAMIC = 96;
/** Bit n: payload type n, 0-31, is assigned by RFC 3551 §6. Not 1, 2, 19-24, 27, 29, 30. */
const ASSIGNED_LOW = bits([0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 25, 26, 28, 31]);
/** The last assigned one: 32 MPV, 33 MP2T, 34 H263. */
const LAST_ASSIGNED = 34;

export const recogniseRtp: Recogniser = (p, slab) => {
  if (p.l4 !== L4.udp || p.srcPort < MIN_PORT || p.dstPort < MIN_PORT) return ANSWER.no;
  const length = messageLength(p);
  if (length <= HEADER) return ANSWER.no;
  const captured = capturedOf(p, length);
  const start = p.payloadOffset;
  if (captured < 1) return tooFew(p, length);
  const first = slab.getUint8(start);
  if (first >> 6 !== 2) return ANSWER.no;
  if (captured < 2) return tooFew(p, length);
  if (!isPayloadType(slab.getUint8(start + 1) & 0x7f)) return ANSWER.no;
  let header = HEADER + (first & 0x0f) * 4;
  if ((first & 0x10) !== 0) {
    if (header + 4 > length) return ANSWER.no;
    if (header + 4 > captured) return tooFew(p, length);
    header += 4 + slab.getUint16(start + header + 2) * 4;
  }
  if (header >= length) return ANSWER.no;
  if ((first & 0x20) !== 0) {
    if (captured < length) return tooFew(p, length);
    const padding = slab.getUint8(start + length - 1);
    if (padding === 0 || header + padding > length) return ANSWER.no;
  }
  return ANSWER.yes;
};

function isPayloadType(type: number): boolean {
  if (type >= FIRST_DYNAMIC) return true;
  if (type > LAST_ASSIGNED) return false;
  return type > 31 || ((ASSIGNED_LOW >>> type) & 1) === 1;
}

function bits(positions: readonly number[]): number {
  return positions.reduce((set, position) => set | (1 << position), 0);
}
