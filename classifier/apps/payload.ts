import { L4, type Parsed } from '../parsed.ts';
import { ANSWER, type Answer } from './recogniser.ts';

/**
 * @returns bytes of the message that a UDP datagram or TCP segment starts: by the UDP length, because what stands beyond
 * it belongs to nobody. More than this frame has in a first fragment, whose rest comes in later frames; 0 or less: none
 */
export function messageLength(p: Parsed): number {
  if (p.l4 !== L4.udp) return p.payloadLength;
  const told = p.udpLength - 8;
  const isUsable = told > 0 && (told < p.payloadLength || p.isFragment === 1);
  return isUsable ? told : p.payloadLength;
}

/** @returns how many of the message's first `length` bytes were captured */
export function capturedOf(p: Parsed, length: number): number {
  return p.payloadCaptured < length ? p.payloadCaptured : length;
}

/**
 * What to say when all captured bytes of a message agree with the application but are too few to be sure.
 * @param length as `messageLength` gives it
 * @returns `unknown` if the frame had more on the wire; else `no`, be it that the rest comes in another frame
 */
export function tooFew(p: Parsed, length: number): Answer {
  const inFrame = p.payloadLength < length ? p.payloadLength : length;
  return p.payloadCaptured < inFrame ? ANSWER.unknown : ANSWER.no;
}

/**
 * Does `text` stand at `at`?
 * @param end the byte after the last that may be read
 * @param foldCase take a small letter for the capital one that `text` has, and the other way around
 * @returns `unknown`: all bytes before `end` agree, but there are too few
 */
export function compareText(slab: DataView, at: number, end: number, text: Uint8Array, foldCase: boolean): Answer {
  for (let i = 0; i < text.length; i++) {
    if (at + i >= end) return ANSWER.unknown;
    const byte = slab.getUint8(at + i);
    if (byte !== text[i] && !(foldCase && isLetter(byte) && (byte ^ 0x20) === text[i])) return ANSWER.no;
  }
  return ANSWER.yes;
}

/** @param words each in capitals or not, as it has to stand @returns is `[start, end)` one of them, to the letter? */
export function isOneOf(slab: DataView, start: number, end: number, words: readonly Uint8Array[]): boolean {
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word.length === end - start && compareText(slab, start, end, word, false) === ANSWER.yes) return true;
  }
  return false;
}

export function isLetter(byte: number): boolean {
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

export const CR = 0x0d;
export const LF = 0x0a;
export const SPACE = 0x20;

/** @returns the text's bytes; ASCII */
export function codesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}
