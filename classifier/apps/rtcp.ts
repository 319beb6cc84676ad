/**
 * `app rtcp`: a UDP datagram that looks like RTCP (RFC 3550 §6), SRTCP included: its first 8 bytes are in clear (RFC 3711
 * §3.4).
 *
 * Evidence from the first packet of the datagram, which needs to be no report (RFC 5506 lets others come first):
 * - both l4Ports ≥ 1024, as for RTP (which it may share them with, RFC 5761 §3);
 * - version 2, and a packet type that IANA lists: 192-195 and 200-213, all between 192 and 223 (RFC 5761 §4), which
 *   `app rtp` never takes;
 * - its length (32-bit words less one) fits into the datagram, and holds what the type needs: the reports' sender
 *   and the blocks they count (§6.4.1, §6.4.2), feedback's two sources (RFC 4585 §6.1), or one word;
 * - what follows it is another such header (version 2, type 192-223), or at least the 8 bytes of SRTCP's index and
 *   shortest tag.
 *
 * False positives: about one in 20,000 datagrams of uniformly random bytes; protocols that start with 0x80-0xBF and
 * such a second byte.
 * False negatives: l4Ports below 1024; RTCP over TCP (RFC 4571) or in a TURN channel; a datagram of several packets of
 * which only the first fragment holds too little for the first header.
 */
import { L4 } from '../parsed.ts';
import { capturedOf, messageLength, tooFew } from './payload.ts';
import { ANSWER, type Recogniser } from './recogniser.ts';

const MIN_PORT = 1024;
const HEADER = 4;
const SENDER_REPORT = 200;
const RECEIVER_REPORT = 201;
const GOODBYE = 203;
const TRANSPORT_FEEDBACK = 205;
const PAYLOAD_FEEDBACK = 206;
const REPORT_BLOCK = 24;
/** SRTCP: an index of 4 bytes and a tag of at least 4 (RFC 3711 §3.4). */
const LEAST_TRAILER = 8;

export const recogniseRtcp: Recogniser = (p, slab) => {
  if (p.l4 !== L4.udp || p.srcPort < MIN_PORT || p.dstPort < MIN_PORT) return ANSWER.no;
  const length = messageLength(p);
  if (length < HEADER) return ANSWER.no;
  const captured = capturedOf(p, length);
  const start = p.payloadOffset;
  if (captured < 1) return tooFew(p, length);
  const first = slab.getUint8(start);
  if (first >> 6 !== 2) return ANSWER.no;
  if (captured < 2) return tooFew(p, length);
  const type = slab.getUint8(start + 1);
  if (!isPacketType(type)) return ANSWER.no;
  if (captured < HEADER) return tooFew(p, length);
  const size = (slab.getUint16(start + 2) + 1) * 4;
  if (size > length || size < leastSize(type, first & 0x1f)) return ANSWER.no;
  const left = length - size;
  if (left === 0 || left >= LEAST_TRAILER) return ANSWER.yes;
  if (left < HEADER) return ANSWER.no;
  if (captured < size + 2) return tooFew(p, length);
  const isNext = slab.getUint8(start + size) >> 6 === 2 && slab.getUint8(start + size + 1) >> 5 === 6;
  return isNext ? ANSWER.yes : ANSWER.no;
};

/** FIR, NACK, SMPTETC, IJ (RFC 2032, 5484, 5450); SR to XR, AVB, RSI, TOKEN, IDMS, RGRS, SNM. */
function isPacketType(type: number): boolean {
  return (type >= 200 && type <= 213) || (type >= 192 && type <= 195);
}

/** @param count the report or source count of the first byte @returns bytes */
function leastSize(type: number, count: number): number {
  switch (type) {
    case SENDER_REPORT:
      return 28 + count * REPORT_BLOCK;
    case RECEIVER_REPORT:
      return 8 + count * REPORT_BLOCK;
    case GOODBYE:
      return HEADER + count * 4;
    case TRANSPORT_FEEDBACK:
    case PAYLOAD_FEEDBACK:
      return 12;
    default:
      return HEADER;
  }
}
