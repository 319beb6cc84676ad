import { L3, type Parsed } from './parsed.ts';

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** @returns a MAC address as six hexadecimal bytes with colons */
export function macText(high: number, low: number): string {
  const a = `${HEX[high >>> 24]}:${HEX[(high >>> 16) & 255]}:${HEX[(high >>> 8) & 255]}:${HEX[high & 255]}`;
  return `${a}:${HEX[(low >>> 8) & 255]}:${HEX[low & 255]}`;
}

/** @returns dotted decimal text of 32 bits */
export function ip4Text(word: number): string {
  return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
}

/** @returns canonical text of an IPv6 address (RFC 5952 §4) */
export function ip6Text(w0: number, w1: number, w2: number, w3: number): string {
  let bestStart = -1;
  let bestLength = 1;
  for (let start = 0; start < 8; start++) {
    let end = start;
    while (end < 8 && group(w0, w1, w2, w3, end) === 0) end++;
    if (end - start > bestLength) {
      bestStart = start;
      bestLength = end - start;
    }
  }
  let text = '';
  for (let i = 0; i < 8; i++) {
    if (i === bestStart) {
      text += '::';
      i += bestLength - 1;
      continue;
    }
    if (i > 0 && i !== bestStart + bestLength) text += ':';
    text += group(w0, w1, w2, w3, i).toString(16);
  }
  return text;
}

function group(w0: number, w1: number, w2: number, w3: number, index: number): number {
  const word = index < 4 ? (index < 2 ? w0 : w1) : index < 6 ? w2 : w3;
  return (index & 1) === 0 ? word >>> 16 : word & 0xffff;
}

/** @returns the source address of the outermost IP header, null without one */
export function sourceText(p: Parsed): string | null {
  if (p.l3 === L3.ip4 && p.proto >= 0) return ip4Text(p.src0);
  if (p.l3 === L3.ip6 && p.proto >= 0) return ip6Text(p.src0, p.src1, p.src2, p.src3);
  return null;
}

/** @returns the destination address of the outermost IP header, null without one */
export function destinationText(p: Parsed): string | null {
  if (p.l3 === L3.ip4 && p.proto >= 0) return ip4Text(p.dst0);
  if (p.l3 === L3.ip6 && p.proto >= 0) return ip6Text(p.dst0, p.dst1, p.dst2, p.dst3);
  return null;
}
