/**
 * `app http`: a TCP segment that starts with an HTTP/1.x message (RFC 9112 §2.1).
 *
 * Evidence:
 * - a status line (§4): `HTTP/1.`, a digit, a space, a code from 100 to 599 (RFC 9110 §15), a space or the line's end; or
 * - a request line (§3): a method (a token of RFC 9110 §5.6.2), a space, a target without blanks, a space, `HTTP/1.`, a
 *   digit, the line's end. Version and known methods compare with case (§2.3, RFC 9110 §9.1).
 * - A segment may end inside the request line, because targets are long: what it holds must then be a method of RFC 9110
 *   §9.3, RFC 5789 or WebDAV (RFC 4918 §9, RFC 3253, RFC 5323) and a target that starts with `/` or with `http`; CONNECT and
 *   OPTIONS * are short enough to be whole.
 *
 * HTTP/2 is not taken, its preface (`PRI * HTTP/2.0`, RFC 9113 §3.4) included: the frames after it are binary and could
 * not be told, so that a rule would seem to cover a protocol of which it sees the first segment. An upgrade by `Upgrade: h2c`
 * starts as an HTTP/1.1 request and is one. HTTP/3 is QUIC. SSDP and other HTTP over UDP is not taken either.
 *
 * The type is that of the message at the segment's start; pipelined ones behind it go the same way and are of the same type.
 *
 * False positives: what speaks HTTP's first line but is no web traffic to its user: WebSocket handshakes, proxies,
 * RTSP in HTTP tunnels, UPnP's eventing.
 * False negatives: segments that start inside a message (nearly all of a long response); HTTP/0.9; HTTP in TLS; a first
 * segment that ends before target or version tells; blank lines before a request (RFC 9112 §2.2 has servers skip them).
 */
import { HTTP_TYPES } from '../../rules/apps.ts';
import { L4, type Parsed } from '../parsed.ts';
import { CR, codesOf, compareText, isDigit, isLetter, isOneOf, LF, SPACE, tooFew } from './payload.ts';
import { ANSWER, type Answer, type Recogniser } from './recogniser.ts';

/** `VERSION-CONTROL` has 15 characters; extension methods get some room. */
const MAX_METHOD = 32;
const METHODS = [
  ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE'], // RFC 9110
  ['PATCH'], // RFC 5789
  ['PROPFIND', 'PROPPATCH', 'MKCOL', 'COPY', 'MOVE', 'LOCK', 'UNLOCK'], // RFC 4918
  ['REPORT', 'CHECKOUT', 'CHECKIN', 'MERGE', 'MKACTIVITY', 'VERSION-CONTROL'], // RFC 3253
  ['SEARCH'], // RFC 5323
]
  .flat()
  .map(codesOf);
const VERSION = codesOf('HTTP/1.');
const SCHEME = codesOf('http');
const SLASH = 0x2f;

export const recogniseHttp: Recogniser = (p, slab) => {
  if (p.l4 !== L4.tcp || p.payloadLength <= 0) return ANSWER.no;
  const start = p.payloadOffset;
  const end = start + p.payloadCaptured;
  const version = compareText(slab, start, end, VERSION, false);
  if (version === ANSWER.yes) return statusLine(p, slab, start + VERSION.length, end);
  if (version === ANSWER.unknown) return tooFew(p, p.payloadLength);
  return requestLine(p, slab, start, end);
};

/** @param at the minor version's digit */
function statusLine(p: Parsed, slab: DataView, at: number, end: number): number {
  if (at >= end) return tooFew(p, p.payloadLength);
  if (!isDigit(slab.getUint8(at))) return ANSWER.no;
  if (at + 1 >= end) return tooFew(p, p.payloadLength);
  if (slab.getUint8(at + 1) !== SPACE) return ANSWER.no;
  for (let digit = 0; digit < 3; digit++) {
    if (at + 2 + digit >= end) return tooFew(p, p.payloadLength);
    const value = slab.getUint8(at + 2 + digit) - 0x30;
    if (value < (digit === 0 ? 1 : 0) || value > (digit === 0 ? 5 : 9)) return ANSWER.no;
  }
  if (at + 5 >= end) return tooFew(p, p.payloadLength);
  const after = slab.getUint8(at + 5);
  return after === SPACE || after === CR || after === LF ? HTTP_TYPES.response : ANSWER.no;
}

function requestLine(p: Parsed, slab: DataView, start: number, end: number): number {
  let at = start;
  while (at < end && at - start < MAX_METHOD && isMethodChar(slab.getUint8(at))) at++;
  if (at === end) return tooFew(p, p.payloadLength);
  if (at === start || slab.getUint8(at) !== SPACE) return ANSWER.no;
  const target = at + 1;
  for (at = target; at < end; at++) {
    const byte = slab.getUint8(at);
    if (byte === SPACE) return at === target ? ANSWER.no : versionAtEnd(p, slab, start, target, at + 1, end);
    if (byte < SPACE || byte === 0x7f) return ANSWER.no;
  }
  return lineGoesOn(p, slab, start, target, end);
}

function versionAtEnd(p: Parsed, slab: DataView, start: number, target: number, at: number, end: number): number {
  const version = compareText(slab, at, end, VERSION, false);
  if (version === ANSWER.no) return ANSWER.no;
  const minor = at + VERSION.length;
  if (version === ANSWER.unknown || minor >= end) return lineGoesOn(p, slab, start, target, end);
  if (!isDigit(slab.getUint8(minor))) return ANSWER.no;
  if (minor + 1 >= end) return lineGoesOn(p, slab, start, target, end);
  const after = slab.getUint8(minor + 1);
  return after === CR || after === LF ? HTTP_TYPES.request : ANSWER.no;
}

/** The bytes end inside a request line that is right so far. */
function lineGoesOn(p: Parsed, slab: DataView, start: number, target: number, end: number): number {
  if (p.payloadCaptured < p.payloadLength) return ANSWER.unknown;
  const isKnown = isOneOf(slab, start, target - 1, METHODS);
  return isKnown && targetStart(slab, target, end) === ANSWER.yes ? HTTP_TYPES.request : ANSWER.no;
}

function targetStart(slab: DataView, at: number, end: number): Answer {
  if (at < end && slab.getUint8(at) === SLASH) return ANSWER.yes;
  return compareText(slab, at, end, SCHEME, true);
}

/** Of a method's characters those that occur: letters, digits, `-`, `_`. */
function isMethodChar(byte: number): boolean {
  return isLetter(byte) || isDigit(byte) || byte === 0x2d || byte === 0x5f;
}
