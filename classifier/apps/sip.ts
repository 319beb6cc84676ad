/**
 * `app sip`: a frame in which a SIP message (RFC 3261) starts.
 *
 * Evidence, at the start of a UDP or TCP payload, after at most two CRLF (RFC 3261 §7.5 lets them stand before a
 * message; RFC 5626 §3.5.1 sends them alone as keep-alive, which is not a message):
 * - a status line (§7.2): `SIP/2.0`, a space, a code from 100 to 699, a space or the line's end; or
 * - a request line (§7.1): a method, a space, a URI without blanks, a space, `SIP/2.0`, the line's end. Methods are those
 *   of RFC 3261, 3262, 3265, 3311, 3428, 3515, 3903 and 6086, in capitals (§7.1: they are case-sensitive). Another token
 *   (an extension method) counts if the URI's scheme is sip, sips or tel. The scheme and `SIP/2.0` compare without case
 *   (§19.1.4, §7.1). A line may end in a lone CR or LF, as some programs send it.
 * - Over TCP a segment may end inside the request line: what it holds must then be a method and a whole sip:, sips: or
 *   tel: scheme.
 *
 * The type is that of the message at the payload's start. A TCP segment may hold more of them (§18.3 has them framed by
 * Content-Length): `mixed` where one of those is of the other type. Where the capture cut the segment, that is unknown.
 *
 * False positives: any program that sends such a line, for example the SIP message that an ICMP-like debug protocol or a
 * log shipper quotes at its payload's start.
 * False negatives: later TCP segments of a message, and messages that do not start at a segment's start; SIP in TLS,
 * DTLS, WebSocket, SCTP, SigComp (RFC 5049) or a tunnel; a TCP segment that ends before the scheme does.
 */
import { SIP_TYPES } from '../../rules/apps.ts';
import { L4, type Parsed } from '../parsed.ts';
import { CR, codesOf, compareText, isDigit, isLetter, isOneOf, LF, SPACE, tooFew } from './payload.ts';
import { ANSWER, type Answer, type Recogniser } from './recogniser.ts';
import { NO_NEXT, nextMessage } from './sip-framing.ts';

/** No method that a standard defines is longer than SUBSCRIBE; extension methods get some room. */
const MAX_METHOD = 32;

/** Two CRLF, the keep-alive of RFC 5626 §3.5.1, which may be glued to the message that follows. */
const MAX_LEADING = 4;

const METHODS = [
  ['INVITE', 'ACK', 'BYE', 'CANCEL', 'OPTIONS', 'REGISTER'], // RFC 3261
  ['PRACK'], // RFC 3262
  ['SUBSCRIBE', 'NOTIFY'], // RFC 3265
  ['UPDATE'], // RFC 3311
  ['MESSAGE'], // RFC 3428
  ['REFER'], // RFC 3515
  ['PUBLISH'], // RFC 3903
  ['INFO'], // RFC 6086
]
  .flat()
  .map(codesOf);
const SCHEMES = ['sip:', 'sips:', 'tel:'].map(codesOf);
const VERSION = codesOf('SIP/2.0');

export const recogniseSip: Recogniser = (p, slab) => {
  if ((p.l4 !== L4.udp && p.l4 !== L4.tcp) || p.payloadLength <= 0) return ANSWER.no;
  const end = p.payloadOffset + p.payloadCaptured;
  const start = skipLineEnds(slab, p.payloadOffset, end);
  const type = startLine(p, slab, start, end);
  if (p.l4 === L4.udp || type === ANSWER.no || type === ANSWER.unknown) return type;
  if (p.payloadCaptured < p.payloadLength) return ANSWER.unknown;
  for (let at = nextMessage(slab, start, end); at !== NO_NEXT; at = nextMessage(slab, at, end)) {
    at = skipLineEnds(slab, at, end);
    const other = startLine(p, slab, at, end);
    if (at === end) return type;
    // Also where the rest is no start of a message: it may be one that goes on in another segment.
    if (other !== type) return SIP_TYPES.mixed;
  }
  return type;
};

function skipLineEnds(slab: DataView, start: number, end: number): number {
  let at = start;
  for (; at < end && at - start < MAX_LEADING; at++) {
    const byte = slab.getUint8(at);
    if (byte !== CR && byte !== LF) break;
  }
  return at;
}

/** @returns the type of the message that starts at `at`, `no` or `unknown` */
function startLine(p: Parsed, slab: DataView, at: number, end: number): number {
  if (at === end) return tooFew(p, p.payloadLength);
  const version = compareText(slab, at, end, VERSION, true);
  if (version === ANSWER.yes) return statusLine(p, slab, at + VERSION.length, end);
  if (version === ANSWER.unknown && tooFew(p, p.payloadLength) === ANSWER.unknown) return ANSWER.unknown;
  return requestLine(p, slab, at, end);
}

function statusLine(p: Parsed, slab: DataView, at: number, end: number): number {
  if (at < end && slab.getUint8(at) !== SPACE) return ANSWER.no;
  for (let digit = 1; digit <= 3; digit++) {
    if (at + digit >= end) return tooFew(p, p.payloadLength);
    const value = slab.getUint8(at + digit) - 0x30;
    if (value < (digit === 1 ? 1 : 0) || value > (digit === 1 ? 6 : 9)) return ANSWER.no;
  }
  if (at + 4 >= end) return tooFew(p, p.payloadLength);
  const after = slab.getUint8(at + 4);
  return after === SPACE || after === CR || after === LF ? SIP_TYPES.response : ANSWER.no;
}

function requestLine(p: Parsed, slab: DataView, start: number, end: number): number {
  let at = start;
  while (at < end && at - start < MAX_METHOD && isTokenChar(slab.getUint8(at))) at++;
  if (at === end) return tooFew(p, p.payloadLength);
  if (at === start || slab.getUint8(at) !== SPACE) return ANSWER.no;
  const methodIsKnown = isOneOf(slab, start, at, METHODS);
  const uri = at + 1;
  const scheme = schemeOf(slab, uri, end);
  if (scheme === ANSWER.unknown) return tooFew(p, p.payloadLength);
  if (scheme === ANSWER.no && !methodIsKnown) return ANSWER.no;
  for (at = uri; at < end; at++) {
    const byte = slab.getUint8(at);
    if (byte === SPACE) return at === uri ? ANSWER.no : versionAtEnd(p, slab, at + 1, end, scheme);
    if (byte < SPACE || byte === 0x7f) return ANSWER.no;
  }
  return lineGoesOn(p, scheme);
}

/** The bytes end inside a request line that is right so far. */
function lineGoesOn(p: Parsed, scheme: Answer): number {
  if (p.payloadCaptured < p.payloadLength) return ANSWER.unknown;
  return p.l4 === L4.tcp && scheme === ANSWER.yes ? SIP_TYPES.request : ANSWER.no;
}

function versionAtEnd(p: Parsed, slab: DataView, at: number, end: number, scheme: Answer): number {
  const version = compareText(slab, at, end, VERSION, true);
  if (version === ANSWER.no) return ANSWER.no;
  const after = at + VERSION.length;
  if (version === ANSWER.unknown || after === end) return lineGoesOn(p, scheme);
  const byte = slab.getUint8(after);
  return byte === CR || byte === LF ? SIP_TYPES.request : ANSWER.no;
}

/** Is the URI's scheme one of SIP's own? `unknown`: the bytes end before that is decided. */
function schemeOf(slab: DataView, at: number, end: number): Answer {
  let answer: Answer = ANSWER.no;
  for (let i = 0; i < SCHEMES.length; i++) {
    const one = compareText(slab, at, end, SCHEMES[i]!, true);
    if (one === ANSWER.yes) return ANSWER.yes;
    if (one === ANSWER.unknown) answer = ANSWER.unknown;
  }
  return answer;
}

/** A character of a `token` (RFC 3261 §25.1). */
function isTokenChar(byte: number): boolean {
  if (isLetter(byte) || isDigit(byte)) return true;
  switch (byte) {
    case 0x2d: // -
    case 0x2e: // .
    case 0x21: // !
    case 0x25: // %
    case 0x2a: // *
    case 0x5f: // _
    case 0x2b: // +
    case 0x60: // `
    case 0x27: // '
    case 0x7e: // ~
      return true;
    default:
      return false;
  }
}
