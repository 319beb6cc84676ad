import type { FieldName } from '../rules/rule.ts';
import { FIELDS } from '../rules/rule.ts';
import { L3, type L3Kind, L4, type L4Kind, type Parsed } from './parsed.ts';

/**
 * The 32-bit words that fields are made of. Several fields share a word where no frame has both of them (`tcp.sport`,
 * `udp.sport`), or where they are the same (`tcp.sport`, `th.sport`). The words of a wide field follow one another.
 */
export const WORD = {
  etherType: 0,
  dstMacHigh: 1,
  dstMacLow: 2,
  srcMacHigh: 3,
  srcMacLow: 4,
  vlanId: 5,
  vlanPcp: 6,
  src0: 7,
  src1: 8,
  src2: 9,
  src3: 10,
  dst0: 11,
  dst1: 12,
  dst2: 13,
  dst3: 14,
  proto: 15,
  nextHeader: 16,
  arpOperation: 17,
  srcPort: 18,
  dstPort: 19,
  tcpFlags: 20,
  udpLength: 21,
  icmpType: 22,
  icmpCode: 23,
} as const;
export const WORD_COUNT = 24;

/** The words of each field, most significant first. Of an `ether.*addr` the first holds 32 bits and the second 16. */
export const FIELD_WORDS: Readonly<Record<FieldName, readonly number[]>> = {
  'ether.saddr': [WORD.srcMacHigh, WORD.srcMacLow],
  'ether.daddr': [WORD.dstMacHigh, WORD.dstMacLow],
  'ether.type': [WORD.etherType],
  'vlan.id': [WORD.vlanId],
  'vlan.pcp': [WORD.vlanPcp],
  'ip.saddr': [WORD.src0],
  'ip.daddr': [WORD.dst0],
  'ip.protocol': [WORD.proto],
  'ip6.saddr': [WORD.src0, WORD.src1, WORD.src2, WORD.src3],
  'ip6.daddr': [WORD.dst0, WORD.dst1, WORD.dst2, WORD.dst3],
  'ip6.nexthdr': [WORD.nextHeader],
  'meta.l4proto': [WORD.proto],
  'arp.operation': [WORD.arpOperation],
  'tcp.sport': [WORD.srcPort],
  'tcp.dport': [WORD.dstPort],
  'tcp.flags': [WORD.tcpFlags],
  'udp.sport': [WORD.srcPort],
  'udp.dport': [WORD.dstPort],
  'udp.length': [WORD.udpLength],
  'sctp.sport': [WORD.srcPort],
  'sctp.dport': [WORD.dstPort],
  'th.sport': [WORD.srcPort],
  'th.dport': [WORD.dstPort],
  'icmp.type': [WORD.icmpType],
  'icmp.code': [WORD.icmpCode],
  'icmpv6.type': [WORD.icmpType],
  'icmpv6.code': [WORD.icmpCode],
};

/**
 * Does a frame of this kind have the field? Holds for frames that `parse` found no problem in; the answer never depends
 * on anything but these three, which is what lets a compiled matcher sort rules by kind beforehand.
 */
export function carries(field: FieldName, l3: L3Kind, l4: L4Kind, isTagged: boolean): boolean {
  switch (field) {
    case 'ether.saddr':
    case 'ether.daddr':
    case 'ether.type':
      return true;
    case 'vlan.id':
    case 'vlan.pcp':
      return isTagged;
    case 'ip.saddr':
    case 'ip.daddr':
    case 'ip.protocol':
      return l3 === L3.ip4;
    case 'ip6.saddr':
    case 'ip6.daddr':
    case 'ip6.nexthdr':
      return l3 === L3.ip6;
    case 'meta.l4proto':
      return l3 === L3.ip4 || l3 === L3.ip6;
    case 'arp.operation':
      return l3 === L3.arp;
    case 'tcp.sport':
    case 'tcp.dport':
    case 'tcp.flags':
      return l4 === L4.tcp;
    case 'udp.sport':
    case 'udp.dport':
    case 'udp.length':
      return l4 === L4.udp;
    case 'sctp.sport':
    case 'sctp.dport':
      return l4 === L4.sctp;
    case 'th.sport':
    case 'th.dport':
      return l4 >= L4.tcp && l4 <= L4.dccp;
    case 'icmp.type':
    case 'icmp.code':
      return l4 === L4.icmp;
    case 'icmpv6.type':
    case 'icmpv6.code':
      return l4 === L4.icmpv6;
  }
}

/** @returns one word of the frame as an int32 (`>>> 0` makes it unsigned); without meaning if the frame lacks it */
export function readWord(p: Parsed, word: number): number {
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
    default:
      throw new RangeError(`no word ${word}`);
  }
}

/** Splits a field's value into its words, most significant first, as int32. */
export function wordsOf(field: FieldName, value: bigint): Int32Array {
  const count = FIELD_WORDS[field].length;
  const words = new Int32Array(count);
  const lastBits = FIELDS[field].bits - 32 * (count - 1);
  let rest = value;
  for (let i = count - 1; i >= 0; i--) {
    const bits = i === count - 1 ? lastBits : 32;
    words[i] = Number(BigInt.asIntN(32, BigInt.asUintN(bits, rest)));
    rest >>= BigInt(bits);
  }
  return words;
}

/** For people: the field's value in a frame, or null if the frame has no such field. Allocates. */
export function fieldValue(p: Parsed, field: FieldName): bigint | null {
  if (!carries(field, p.l3, p.l4, p.vlanCount > 0)) return null;
  const words = FIELD_WORDS[field];
  const lastBits = FIELDS[field].bits - 32 * (words.length - 1);
  return words.reduce((value, word, i) => {
    const bits = i === words.length - 1 ? lastBits : 32;
    return (value << BigInt(bits)) | BigInt.asUintN(bits, BigInt(readWord(p, word)));
  }, 0n);
}
