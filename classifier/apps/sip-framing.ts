import { CR, codesOf, compareText, isDigit, LF, SPACE } from './payload.ts';
import { ANSWER } from './recogniser.ts';

const LENGTH_NAMES = ['CONTENT-LENGTH', 'L'].map(codesOf);
const COLON = 0x3a;
const TAB = 0x09;
/** More digits than any segment's length has. */
const MAX_DIGITS = 6;

/** Nothing in the bytes says where the message ends, or it ends beyond them. */
export const NO_NEXT = -1;

/**
 * Where the message behind this one starts, in a stream of SIP messages: the blank line after the header fields, and as
 * many bytes as Content-Length says (RFC 3261 §18.3, §20.14; `l` is its compact form, §7.3.3).
 * @param start where a message starts @param end the byte after the last that may be read
 * @returns NO_NEXT, or an offset that is `end` at most
 */
export function nextMessage(slab: DataView, start: number, end: number): number {
  let length = NO_NEXT;
  let line = lineEnd(slab, start, end);
  while (line < end) {
    const next = lineEnd(slab, line, end);
    if (isBlank(slab, line)) return length === NO_NEXT || next + length > end ? NO_NEXT : next + length;
    const value = contentLength(slab, line, next);
    if (value !== NO_NEXT) length = value;
    line = next;
  }
  return NO_NEXT;
}

/** @returns the byte after the line's LF, or after the last byte */
function lineEnd(slab: DataView, at: number, end: number): number {
  let next = at;
  while (next < end && slab.getUint8(next) !== LF) next++;
  return next < end ? next + 1 : end;
}

/** @param at a line's first byte, which exists */
function isBlank(slab: DataView, at: number): boolean {
  const byte = slab.getUint8(at);
  return byte === LF || byte === CR;
}

/** @returns what the header field says, NO_NEXT if it is another one or no number */
function contentLength(slab: DataView, line: number, end: number): number {
  let at = line;
  for (let i = 0; i < LENGTH_NAMES.length && at === line; i++) {
    const name = LENGTH_NAMES[i]!;
    if (compareText(slab, line, end, name, true) === ANSWER.yes) at += name.length;
  }
  if (at === line) return NO_NEXT;
  at = skipBlanks(slab, at, end);
  if (at >= end || slab.getUint8(at) !== COLON) return NO_NEXT;
  at = skipBlanks(slab, at + 1, end);
  let value = 0;
  const digits = at;
  for (; at < end && at - digits < MAX_DIGITS && isDigit(slab.getUint8(at)); at++) {
    value = value * 10 + slab.getUint8(at) - 0x30;
  }
  return at === digits ? NO_NEXT : value;
}

function skipBlanks(slab: DataView, at: number, end: number): number {
  let next = at;
  while (next < end && (slab.getUint8(next) === SPACE || slab.getUint8(next) === TAB)) next++;
  return next;
}
