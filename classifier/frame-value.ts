import { FIELDS, type FieldName } from '../rules/rule.ts';
import { ANSWER, type Answer } from './apps/recogniser.ts';
import { carries, FIELD_WORDS, isLayer2, WORD } from './field.ts';
import { ETH, IP4, IP6 } from './headers.ts';
import { L3, type Parsed } from './parsed.ts';

/** Does an SCTP packet have a first chunk? `unknown`: it does, but the capture ends before its type. */
export function sctpChunkPresence(p: Parsed): Answer {
  if (p.payloadLength <= 0) return ANSWER.no;
  return p.payloadCaptured > 0 ? ANSWER.yes : ANSWER.unknown;
}

/** Does the frame have the field? `unknown`: its bytes do not tell, or the field is there but was not captured. */
export function presence(p: Parsed, field: FieldName): Answer {
  if (p.l3 === L3.unknown && !isLayer2(field)) return ANSWER.unknown;
  if (!carries(field, p.l3, p.l4, p.vlanCount > 0)) return ANSWER.no;
  return field === 'sctp.chunk' ? sctpChunkPresence(p) : ANSWER.yes;
}

/** DSCP and ECN share a byte, which follows version and header length (RFC 791 §3.1, RFC 2474 §3). */
export function dscpOf(p: Parsed, slab: DataView): number {
  if (p.l3 === L3.ip4) return slab.getUint8(p.l3Offset + 1) >> 2;
  // In IPv6 it is the traffic class, 4 bits after the start (RFC 8200 §3).
  return (slab.getUint16(p.l3Offset) >> 6) & 0x3f;
}

export function hopLimitOf(p: Parsed, slab: DataView): number {
  return slab.getUint8(p.l3Offset + (p.l3 === L3.ip4 ? IP4.ttl : IP6.hopLimit));
}

export function ipLengthOf(p: Parsed, slab: DataView): number {
  return slab.getUint16(p.l3Offset + (p.l3 === L3.ip4 ? IP4.totalLength : IP6.payloadLength));
}

/** nft strips the outermost tag before it counts. */
export function metaLengthOf(p: Parsed): number {
  return p.wireLength - ETH.header - (p.vlanCount > 0 ? ETH.tag : 0);
}

/**
 * @param slab holds the frame
 * @returns one word of the frame as an int32 (`>>> 0` makes it unsigned); without meaning, and possibly out of the slab's
 * bounds, if the frame lacks it
 */
export function readWord(p: Parsed, word: number, slab: DataView): number {
  switch (word) {
    case WORD.etherType:
      return p.etherType;
    case WORD.dstMacHigh:
      return p.dstMacHigh;
    case WORD.dstMacLow:
      return p.dstMacLow;
    case WORD.srcMacHigh:
      return p.srcMacHigh;
    case WORD.srcMacLow:
      return p.srcMacLow;
    case WORD.vlanId:
      return p.vlanTci[0]! & 0xfff;
    case WORD.vlanPcp:
      return (p.vlanTci[0]! >> 13) & 7;
    case WORD.src0:
      return p.src0;
    case WORD.src1:
      return p.src1;
    case WORD.src2:
      return p.src2;
    case WORD.src3:
      return p.src3;
    case WORD.dst0:
      return p.dst0;
    case WORD.dst1:
      return p.dst1;
    case WORD.dst2:
      return p.dst2;
    case WORD.dst3:
      return p.dst3;
    case WORD.proto:
      return p.proto;
    case WORD.nextHeader:
      return p.nextHeader;
    case WORD.arpOperation:
      return p.arpOperation;
    case WORD.srcPort:
      return p.srcPort;
    case WORD.dstPort:
      return p.dstPort;
    case WORD.tcpFlags:
      // nft's flags field is the header's 14th byte; the four bits before it are not part of it.
      return p.tcpFlags & 0xff;
    case WORD.udpLength:
      return p.udpLength;
    case WORD.icmpType:
      return p.icmpType;
    case WORD.icmpCode:
      return p.icmpCode;
    case WORD.dscp:
      return dscpOf(p, slab);
    case WORD.hopLimit:
      return hopLimitOf(p, slab);
    case WORD.ipLength:
      return ipLengthOf(p, slab);
    case WORD.fragOff:
      return slab.getUint16(p.l3Offset + IP4.fragment);
    case WORD.metaLength:
      return metaLengthOf(p);
    case WORD.frameLength:
      return p.wireLength;
    case WORD.sctpChunk:
      return slab.getUint8(p.payloadOffset);
    default:
      throw new RangeError(`no word ${word}`);
  }
}

/** For people: the field's value in a frame, or null if the frame has no such field. Allocates. */
export function fieldValue(p: Parsed, field: FieldName, slab: DataView): bigint | null {
  if (presence(p, field) !== ANSWER.yes) return null;
  const words = FIELD_WORDS[field];
  const lastBits = FIELDS[field].bits - 32 * (words.length - 1);
  return words.reduce((value, word, i) => {
    const bits = i === words.length - 1 ? lastBits : 32;
    return (value << BigInt(bits)) | BigInt.asUintN(bits, BigInt(readWord(p, word, slab)));
  }, 0n);
}
