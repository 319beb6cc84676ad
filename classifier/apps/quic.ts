/**
 * `app quic`: a UDP datagram that starts with a QUIC long header packet (RFC 8999 §5.1).
 *
 * Evidence: the top bit of the first byte, and a version we know:
 * - 1 (RFC 9000 §15), 2 (0x6b3343cf, RFC 9369 §3.1), or 0xff000000 + n, the drafts 22 to 34 (from 22 on the lengths of
 *   connection ids have a byte each): then ids of at most 20 bytes (RFC 9000 §17.2), and by the packet
 *   type a token and a length that fit into the datagram (§17.2.2-§17.2.4; the length is at least the packet number
 *   and the sample that header protection takes, RFC 9001 §5.4.2: 20), or Retry's tag of 16 bytes (§17.2.5);
 * - 0, version negotiation (RFC 8999 §6): after two ids a list of versions, at least one, that ends with the datagram.
 *
 * Short header packets cannot be told: nothing in them is fixed but one bit, and what a datagram holds after a first long
 * header packet is not looked at. So all of a connection after its handshake is not recognised; hold it by l4Port.
 *
 * False positives: a random datagram hits a version once in 2^28. RTP of payload type 0 whose sequence number and upper timestamp bits are 0
 * would need two ids and a length, or a list of versions, that fit.
 * False negatives: short headers; other versions: Google's Q0xx, those of one program (0xfaceb00x), those that are sent
 * to force negotiation (0x?a?a?a?a); QUIC in a first fragment
 * that ends before the length field.
 */
import { L4, type Parsed } from '../parsed.ts';
import { capturedOf, messageLength, tooFew } from './payload.ts';
import { ANSWER, type Answer, type Recogniser } from './recogniser.ts';

const LONG = 0x80;
const VERSION_1 = 1;
const VERSION_2 = 0x6b3343cf;
/** As int32: 0xff000000 + n. */
const DRAFT = 0xff000000 | 0;
const FIRST_DRAFT = 22;
const LAST_DRAFT = 34;
/** The first byte and the version. */
const IDS_AT = 5;
const MAX_ID = 20;
const LEAST_LENGTH = 20;
const RETRY_TAG = 16;
const INITIAL = 0;
const RETRY = 3;

export const recogniseQuic: Recogniser = (p, slab) => {
  if (p.l4 !== L4.udp) return ANSWER.no;
  const length = messageLength(p);
  if (length <= IDS_AT) return ANSWER.no;
  const captured = capturedOf(p, length);
  const start = p.payloadOffset;
  if (captured < 1) return tooFew(p, length);
  const first = slab.getUint8(start);
  if ((first & LONG) === 0) return ANSWER.no;
  if (captured < IDS_AT) return tooFew(p, length);
  const version = slab.getInt32(start + 1);
  const isNegotiation = version === 0;
  // The fixed bit is no evidence: RFC 9287 lets it be cleared, and programs do.
  if (!isNegotiation && !isVersion(version)) return ANSWER.no;
  // Version negotiation may have longer ids one day (RFC 8999 §5.1); today's answer repeats today's.
  let at = IDS_AT;
  for (let id = 0; id < 2; id++) {
    if (at >= length) return ANSWER.no;
    if (at >= captured) return tooFew(p, length);
    const idLength = slab.getUint8(start + at);
    if (idLength > MAX_ID) return ANSWER.no;
    at += 1 + idLength;
  }
  if (isNegotiation) return at < length && ((length - at) & 3) === 0 ? ANSWER.yes : ANSWER.no;
  return body(p, slab, at, length, typeOf(first, version));
};

function isVersion(version: number): boolean {
  if (version === VERSION_1 || version === VERSION_2) return true;
  const draft = version - DRAFT;
  return draft >= FIRST_DRAFT && draft <= LAST_DRAFT;
}

/** @returns the type by version 1's numbers (RFC 9000 §17.2); version 2 counts from Retry (RFC 9369 §3.2) */
function typeOf(first: number, version: number): number {
  const type = (first >> 4) & 3;
  return version === VERSION_2 ? (type + 3) & 3 : type;
}

/** @param at where the ids end, from the payload's start */
function body(p: Parsed, slab: DataView, at: number, length: number, type: number): Answer {
  if (type === RETRY) return at + RETRY_TAG <= length ? ANSWER.yes : ANSWER.no;
  let next = at;
  for (let field = type === INITIAL ? 0 : 1; field < 2; field++) {
    if (next >= length) return ANSWER.no;
    const captured = capturedOf(p, length);
    if (next >= captured) return tooFew(p, length);
    const size = 1 << (slab.getUint8(p.payloadOffset + next) >> 6);
    if (next + size > length) return ANSWER.no;
    if (next + size > captured) return tooFew(p, length);
    const value = varint(slab, p.payloadOffset + next, size);
    next += size;
    // The first is a token's length; the second counts all that follows of the packet.
    if (value > length - next || (field === 1 && value < LEAST_LENGTH)) return ANSWER.no;
    next += value;
  }
  return ANSWER.yes;
}

/** @param size 1, 2, 4 or 8 bytes @returns the value of a variable-length integer (RFC 9000 §16), at most 2^30 of it */
function varint(slab: DataView, at: number, size: number): number {
  if (size === 1) return slab.getUint8(at) & 0x3f;
  if (size === 2) return slab.getUint16(at) & 0x3fff;
  if (size === 4) return slab.getInt32(at) & 0x3fffffff;
  const low = slab.getInt32(at + 4);
  // No datagram has 2^30 bytes: anything above is too much.
  const isLarge = (slab.getInt32(at) & 0x3fffffff) !== 0 || low >>> 30 !== 0;
  return isLarge ? 0x3fffffff : low;
}
