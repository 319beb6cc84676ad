import type { RawBase } from '../rules/rule.ts';
import { ANSWER, type Answer } from './apps/recogniser.ts';
import { L3, type Parsed } from './parsed.ts';

/*
 * Raw payload: bits that a rule names by their place. They count from the destination MAC address (`ll`), from the network
 * layer (`nh`) or from where the IP header chain ends (`th`).
 */

/** A number for each base. */
export const RAW_BASE = { ll: 0, nh: 1, th: 2 } as const satisfies Record<RawBase, number>;

/**
 * Are the bits there?
 * @param base one of RAW_BASE
 * @returns `no`: the frame has no such header, or ended on the wire before them; `unknown`: they were not captured, or they
 * lie behind a header that was not read
 */
export function rawPresence(p: Parsed, base: number, offsetBits: number, lengthBits: number): Answer {
  if (base === RAW_BASE.th && p.l3 === L3.unknown) return ANSWER.unknown;
  const start = rawStart(p, base);
  if (start < 0) return ANSWER.no;
  const end = start + ((offsetBits + lengthBits + 7) >> 3);
  if (end > p.offset + p.wireLength) return ANSWER.no;
  return end > p.offset + p.length ? ANSWER.unknown : ANSWER.yes;
}

/** @param base one of RAW_BASE @returns where it lies in the slab, -1: nowhere */
export function rawStart(p: Parsed, base: number): number {
  if (base === RAW_BASE.ll) return p.offset;
  return base === RAW_BASE.nh ? p.networkOffset : p.l4Offset;
}

/**
 * Reads bits that are there, the first one as the most significant.
 * @param start in the slab, bytes
 * @param offsetBits counts from there
 * @param lengthBits 1 to 32
 * @returns an int32 (`>>> 0` makes it unsigned)
 */
export function readBits(slab: DataView, start: number, offsetBits: number, lengthBits: number): number {
  let at = start + (offsetBits >> 3);
  const before = offsetBits & 7;
  let left = lengthBits + before - 8;
  let value = slab.getUint8(at) & (0xff >> before);
  for (; left >= 8; left -= 8) value = (value << 8) | slab.getUint8(++at);
  if (left > 0) return (value << left) | (slab.getUint8(at + 1) >> (8 - left));
  return value >> -left;
}
