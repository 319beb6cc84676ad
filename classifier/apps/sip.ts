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
 * False positives: any program that sends such a line, for example the SIP message that an ICMP-like debug protocol or a
 * log shipper quotes at its payload's start.
 * False negatives: later TCP segments of a message, and messages that do not start at a segment's start; SIP in TLS,
 * DTLS, WebSocket, SCTP, SigComp (RFC 5049) or a tunnel; a TCP segment that ends before the scheme does.
 */
import { L4, type Parsed } from '../parsed.ts';
import { ANSWER, type Answer, type Recogniser } from './recogniser.ts';

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;

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
  let at = p.payloadOffset;
  for (let skipped = 0; skipped < MAX_LEADING && at < end; skipped++, at++) {
    const byte = slab.getUint8(at);
    if (byte !== CR && byte !== LF) break;
  }
  if (at === end) return cutShort(p);
  const version = compare(slab, at, end, VERSION, true);
  if (version === ANSWER.yes) return statusLine(p, slab, at + VERSION.length, end);
  if (version === ANSWER.unknown && cutShort(p) === ANSWER.unknown) return ANSWER.unknown;
  return requestLine(p, slab, at, end);
};

/** More bytes of the line are needed than were captured: were there any? */
function cutShort(p: Parsed): Answer {
  return p.payloadCaptured < p.payloadLength ? ANSWER.unknown : ANSWER.no;
}

function statusLine(p: Parsed, slab: DataView, at: number, end: number): Answer {
  if (at < end && slab.getUint8(at) !== SPACE) return ANSWER.no;
  for (let digit = 1; digit <= 3; digit++) {
    if (at + digit >= end) return cutShort(p);
    const value = slab.getUint8(at + digit) - 0x30;
    if (value < (digit === 1 ? 1 : 0) || value > (digit === 1 ? 6 : 9)) return ANSWER.no;
  }
  if (at + 4 >= end) return cutShort(p);
  const after = slab.getUint8(at + 4);
  return after === SPACE || after === CR || after === LF ? ANSWER.yes : ANSWER.no;
}

function requestLine(p: Parsed, slab: DataView, start: number, end: number): Answer {
  let at = start;
  while (at < end && at - start <= MAX_METHOD && isTokenChar(slab.getUint8(at))) at++;
  if (at === end) return cutShort(p);
  if (at === start || slab.getUint8(at) !== SPACE) return ANSWER.no;
  const methodIsKnown = isKnownMethod(slab, start, at);
  const uri = at + 1;
  const scheme = schemeOf(slab, uri, end);
  if (scheme === ANSWER.unknown) return cutShort(p);
  if (scheme === ANSWER.no && !methodIsKnown) return ANSWER.no;
  for (at = uri; at < end; at++) {
    const byte = slab.getUint8(at);
    if (byte === SPACE) return at === uri ? ANSWER.no : versionAtEnd(p, slab, at + 1, end, scheme);
    if (byte < SPACE || byte === 0x7f) return ANSWER.no;
  }
  return lineGoesOn(p, scheme);
}

/** The bytes end inside a request line that is right so far. */
function lineGoesOn(p: Parsed, scheme: Answer): Answer {
  if (p.payloadCaptured < p.payloadLength) return ANSWER.unknown;
  return p.l4 === L4.tcp && scheme === ANSWER.yes ? ANSWER.yes : ANSWER.no;
}

function versionAtEnd(p: Parsed, slab: DataView, at: number, end: number, scheme: Answer): Answer {
  const version = compare(slab, at, end, VERSION, true);
  if (version === ANSWER.no) return ANSWER.no;
  const after = at + VERSION.length;
  if (version === ANSWER.unknown || after === end) return lineGoesOn(p, scheme);
  const byte = slab.getUint8(after);
  return byte === CR || byte === LF ? ANSWER.yes : ANSWER.no;
}

function isKnownMethod(slab: DataView, start: number, end: number): boolean {
  for (let i = 0; i < METHODS.length; i++) {
    const method = METHODS[i]!;
    if (method.length === end - start && compare(slab, start, end, method, false) === ANSWER.yes) return true;
  }
  return false;
}

/** Is the URI's scheme one of SIP's own? `unknown`: the bytes end before that is decided. */
function schemeOf(slab: DataView, at: number, end: number): Answer {
  let answer: Answer = ANSWER.no;
  for (let i = 0; i < SCHEMES.length; i++) {
    const one = compare(slab, at, end, SCHEMES[i]!, true);
    if (one === ANSWER.yes) return ANSWER.yes;
    if (one === ANSWER.unknown) answer = ANSWER.unknown;
  }
  return answer;
}

/** Does `text` stand at `at`? `unknown`: all bytes before `end` agree, but there are too few. */
function compare(slab: DataView, at: number, end: number, text: Uint8Array, foldCase: boolean): Answer {
  for (let i = 0; i < text.length; i++) {
    if (at + i >= end) return ANSWER.unknown;
    const byte = slab.getUint8(at + i);
    if (byte !== text[i] && !(foldCase && isLetter(byte) && (byte ^ 0x20) === text[i])) return ANSWER.no;
  }
  return ANSWER.yes;
}

function isLetter(byte: number): boolean {
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

/** A character of a `token` (RFC 3261 §25.1). */
function isTokenChar(byte: number): boolean {
  if (isLetter(byte) || (byte >= 0x30 && byte <= 0x39)) return true;
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

function codesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}
