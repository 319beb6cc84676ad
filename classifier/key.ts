import { ANSWER } from './apps/recogniser.ts';
import { WORD, WORD_COUNT } from './field.ts';
import { dscpOf, hopLimitOf, ipLengthOf, metaLengthOf, sctpChunkPresence } from './frame-value.ts';
import { IP4 } from './headers.ts';
import type { Parsed } from './parsed.ts';

/** The word of a missing chunk, and of one that the capture has cut off. */
export const CHUNK = { missing: -1, notCaptured: -2 } as const;

const MAC_WORDS = bitsOf(WORD.dstMacHigh, WORD.srcMacLow);
const VLAN_WORDS = bitsOf(WORD.vlanId, WORD.vlanPcp);
const IP6_WORDS =
  bitsOf(WORD.src1, WORD.src3) | bitsOf(WORD.dst1, WORD.dst3) | bitsOf(WORD.nextHeader, WORD.nextHeader);
const PARSED_WORDS = bitsOf(WORD.arpOperation, WORD.arpOperation) | bitsOf(WORD.tcpFlags, WORD.icmpCode);
const IP_WORDS = bitsOf(WORD.dscp, WORD.fragOff);
const LENGTH_WORDS = bitsOf(WORD.metaLength, WORD.frameLength);
const CHUNK_WORD = bitsOf(WORD.sctpChunk, WORD.sctpChunk);
const BYTE_WORDS = IP_WORDS | LENGTH_WORDS | CHUNK_WORD;
/** The bit of `used` that no word has. */
export const USES_APPS = 1 << WORD_COUNT;
/** All but the words that nearly all rule sets compare. */
export const RARELY_USED = MAC_WORDS | VLAN_WORDS | IP6_WORDS | PARSED_WORDS | BYTE_WORDS | USES_APPS;

/** The bits of the words from `first` to `last`. */
function bitsOf(first: number, last: number): number {
  return (2 ** (last + 1) - 2 ** first) | 0;
}

/**
 * Of the words that few rule sets compare, those that some rule of the frame's kind does; what the others hold is no matter.
 * @param used bit n for word n: no words that frames of this kind lack
 */
export function readRareWords(key: Int32Array, p: Parsed, slab: DataView, used: number): void {
  if ((used & MAC_WORDS) !== 0) {
    key[WORD.dstMacHigh] = p.dstMacHigh;
    key[WORD.dstMacLow] = p.dstMacLow;
    key[WORD.srcMacHigh] = p.srcMacHigh;
    key[WORD.srcMacLow] = p.srcMacLow;
  }
  if ((used & VLAN_WORDS) !== 0) {
    const tci = p.vlanTci[0]!;
    key[WORD.vlanId] = tci & 0xfff;
    key[WORD.vlanPcp] = (tci >> 13) & 7;
  }
  if ((used & IP6_WORDS) !== 0) {
    key[WORD.src1] = p.src1;
    key[WORD.src2] = p.src2;
    key[WORD.src3] = p.src3;
    key[WORD.dst1] = p.dst1;
    key[WORD.dst2] = p.dst2;
    key[WORD.dst3] = p.dst3;
    key[WORD.nextHeader] = p.nextHeader;
  }
  if ((used & PARSED_WORDS) !== 0) {
    key[WORD.arpOperation] = p.arpOperation;
    key[WORD.tcpFlags] = p.tcpFlags & 0xff;
    key[WORD.udpLength] = p.udpLength;
    key[WORD.icmpType] = p.icmpType;
    key[WORD.icmpCode] = p.icmpCode;
  }
  if ((used & BYTE_WORDS) !== 0) readByteWords(key, p, slab, used);
}

/** The words that `Parsed` does not have. */
function readByteWords(key: Int32Array, p: Parsed, slab: DataView, used: number): void {
  if ((used & IP_WORDS) !== 0) {
    key[WORD.dscp] = dscpOf(p, slab);
    key[WORD.hopLimit] = hopLimitOf(p, slab);
    key[WORD.ipLength] = ipLengthOf(p, slab);
    // Of IPv6 the last byte of the length and the next header: no rule compares them with it.
    key[WORD.fragOff] = slab.getUint16(p.l3Offset + IP4.fragment);
  }
  if ((used & LENGTH_WORDS) !== 0) {
    key[WORD.metaLength] = metaLengthOf(p);
    key[WORD.frameLength] = p.wireLength;
  }
  if ((used & CHUNK_WORD) !== 0) {
    const there = sctpChunkPresence(p);
    if (there === ANSWER.yes) key[WORD.sctpChunk] = slab.getUint8(p.payloadOffset);
    else key[WORD.sctpChunk] = there === ANSWER.no ? CHUNK.missing : CHUNK.notCaptured;
  }
}
