/**
 * `app dns`: a DNS message (RFC 1035 §4.1) in a UDP datagram or, after its two-byte length (§4.2.2), at a TCP segment's
 * start. mDNS (RFC 6762 §18) and LLMNR (RFC 4795 §2.1.1) have the same format and are taken too; name them by l4Port where
 * they have to be told apart. No l4Port is asked for.
 *
 * Evidence:
 * - opcode query, notify or update (RFC 1035, 1996, 2136), the Z bit clear (RFC 1035 §4.1.1, RFC 4035 §3.1.6), no error code
 *   in a query (mDNS: RFC 6762 §18.11);
 * - at least one question or record, and room for as many as the four counts say (5 and 11 bytes at least, §4.1.2, §4.1.3);
 * - the first question, or without any (mDNS answers) the first record: a name of labels up to 63 bytes and 255 in all
 *   (§2.3.4) without control characters, not compressed because nothing stands before it; a type that is not 0; class IN,
 *   CH, HS, NONE or ANY, with or without the top bit that mDNS uses (RFC 6762 §5.4, §10.2); a record's data fits;
 * - over TCP, each further message that starts in the segment has such flags.
 *
 * NetBIOS names (RFC 1002 §4.2) travel in the same format on l4Port 137; they are told by their encoding, 32 letters A to P
 * in one label (RFC 1001 §14.1) with type 32 or 33, and refused.
 *
 * The type is by the QR bit; `mixed` where a TCP segment holds both.
 *
 * False positives: protocols that borrow the format; random bytes less than once in a million, since all counts must be small.
 * False negatives: TCP segments that start inside a message, or end before its first question does; messages without
 * question and record (bare error answers, DSO of RFC 8490), status and inverse queries; binary labels; a first record
 * of class above 255 (OPT alone); DNS in TLS, HTTPS or QUIC.
 */
import { DNS_TYPES } from '../../rules/apps.ts';
import { L4, type Parsed } from '../parsed.ts';
import { capturedOf, messageLength, SPACE, tooFew } from './payload.ts';
import { ANSWER, type Answer, type Recogniser } from './recogniser.ts';

const HEADER = 12;
/** A root name, type and class. */
const LEAST_QUESTION = 5;
/** The same, then time to live and data length. */
const LEAST_RECORD = 11;
/** Bit n: opcode n, of query 0, notify 4, update 5. */
const OPCODES = 0b110001;
const Z = 0x40;
const RCODE = 0x0f;
const MAX_LABEL = 63;
const MAX_NAME = 255;
const PREFIX = 2;

const NETBIOS_LABEL = 32;
const NETBIOS_NAME = 32;
const NETBIOS_STATUS = 33;

export const recogniseDns: Recogniser = (p, slab) => {
  if (p.l4 === L4.udp) return message(p, slab, 0, messageLength(p));
  return p.l4 === L4.tcp ? stream(p, slab) : ANSWER.no;
};

/** Every message that starts in the segment: the first in full, of the others what the flags say. */
function stream(p: Parsed, slab: DataView): number {
  const { payloadLength, payloadCaptured, payloadOffset } = p;
  if (payloadLength < PREFIX + HEADER + LEAST_QUESTION) return ANSWER.no;
  if (payloadCaptured < PREFIX) return ANSWER.unknown;
  const first = slab.getUint16(payloadOffset);
  let type = message(p, slab, PREFIX, PREFIX + first);
  if (type === ANSWER.no || type === ANSWER.unknown) return type;
  let at = PREFIX + first;
  while (at + PREFIX + HEADER <= payloadLength) {
    if (payloadCaptured < at + PREFIX + HEADER) return ANSWER.unknown;
    const flags = slab.getUint16(payloadOffset + at + PREFIX + 2);
    const length = slab.getUint16(payloadOffset + at);
    if (length < HEADER || !areFlags(flags)) return ANSWER.no;
    if (typeOf(flags) !== type) type = DNS_TYPES.mixed;
    at += PREFIX + length;
  }
  // A further message begins here, and its flags follow in another segment.
  return at < payloadLength ? DNS_TYPES.mixed : type;
}

/** @param at where the message starts @param end where it ends, both from the payload's start; it may end in another frame */
function message(p: Parsed, slab: DataView, at: number, end: number): number {
  if (end - at < HEADER + LEAST_QUESTION) return ANSWER.no;
  const captured = capturedOf(p, end);
  const start = p.payloadOffset + at;
  if (captured < at + 4) return tooFew(p, end);
  const flags = slab.getUint16(start + 2);
  if (!areFlags(flags)) return ANSWER.no;
  if (captured < at + HEADER) return tooFew(p, end);
  const questions = slab.getUint16(start + 4);
  const records = slab.getUint16(start + 6) + slab.getUint16(start + 8) + slab.getUint16(start + 10);
  const least = HEADER + questions * LEAST_QUESTION + records * LEAST_RECORD;
  if (questions + records === 0 || least > end - at) return ANSWER.no;
  const one = questions > 0 ? entry(p, slab, at, end, LEAST_QUESTION) : entry(p, slab, at, end, LEAST_RECORD);
  return one === ANSWER.yes ? typeOf(flags) : one;
}

function areFlags(flags: number): boolean {
  if (((OPCODES >> ((flags >> 11) & 0x0f)) & 1) === 0 || (flags & Z) !== 0) return false;
  return typeOf(flags) === DNS_TYPES.response || (flags & RCODE) === 0;
}

function typeOf(flags: number): number {
  return flags >> 15 === 0 ? DNS_TYPES.query : DNS_TYPES.response;
}

/**
 * The first question or record of the message `[message, end)`.
 * @param least the bytes it has beside its name's labels
 */
function entry(p: Parsed, slab: DataView, message: number, end: number, least: number): Answer {
  const captured = capturedOf(p, end);
  const first = message + HEADER;
  let at = first;
  for (;;) {
    if (at + least > end || at - first >= MAX_NAME) return ANSWER.no;
    if (at >= captured) return tooFew(p, end);
    const label = slab.getUint8(p.payloadOffset + at);
    at++;
    if (label === 0) break;
    if (label > MAX_LABEL) return ANSWER.no;
    const readable = at + label < captured ? at + label : captured;
    for (let i = at; i < readable; i++) {
      const byte = slab.getUint8(p.payloadOffset + i);
      if (byte < SPACE || byte === 0x7f) return ANSWER.no;
    }
    at += label;
  }
  const left = least - 1;
  if (at + left > captured) return tooFew(p, end);
  const type = slab.getUint16(p.payloadOffset + at);
  if (type === 0 || !isClass(slab.getUint16(p.payloadOffset + at + 2) & 0x7fff)) return ANSWER.no;
  if (least === LEAST_RECORD && at + left + slab.getUint16(p.payloadOffset + at + 8) > end) return ANSWER.no;
  return isNetbios(slab, p.payloadOffset + first, type) ? ANSWER.no : ANSWER.yes;
}

/** IN, CH, HS, NONE, ANY (RFC 1035 §3.2.4, RFC 2136 §2.4). */
function isClass(value: number): boolean {
  return value === 1 || value === 3 || value === 4 || value === 254 || value === 255;
}

/** @param name where a name that was read already starts */
function isNetbios(slab: DataView, name: number, type: number): boolean {
  if ((type !== NETBIOS_NAME && type !== NETBIOS_STATUS) || slab.getUint8(name) !== NETBIOS_LABEL) return false;
  for (let i = 1; i <= NETBIOS_LABEL; i++) {
    const letter = slab.getUint8(name + i);
    if (letter < 0x41 || letter > 0x50) return false;
  }
  return true;
}
