import type { FieldName, Match } from '../rules/rule.ts';
import { FIELDS } from '../rules/rule.ts';
import { L3, type L3Kind, L4, type L4Kind } from './parsed.ts';

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
  /** From here on, words that `Parsed` does not have: they are read from the frame's bytes. */
  dscp: 24,
  hopLimit: 25,
  ipLength: 26,
  fragOff: 27,
  metaLength: 28,
  frameLength: 29,
  sctpChunk: 30,
} as const;
export const WORD_COUNT = 31;

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
  'ip.dscp': [WORD.dscp],
  'ip.ttl': [WORD.hopLimit],
  'ip.length': [WORD.ipLength],
  'ip.frag-off': [WORD.fragOff],
  'ip6.saddr': [WORD.src0, WORD.src1, WORD.src2, WORD.src3],
  'ip6.daddr': [WORD.dst0, WORD.dst1, WORD.dst2, WORD.dst3],
  'ip6.nexthdr': [WORD.nextHeader],
  'ip6.dscp': [WORD.dscp],
  'ip6.hoplimit': [WORD.hopLimit],
  'ip6.length': [WORD.ipLength],
  'meta.l4proto': [WORD.proto],
  'meta.length': [WORD.metaLength],
  'frame.length': [WORD.frameLength],
  'arp.operation': [WORD.arpOperation],
  'tcp.sport': [WORD.srcPort],
  'tcp.dport': [WORD.dstPort],
  'tcp.flags': [WORD.tcpFlags],
  'udp.sport': [WORD.srcPort],
  'udp.dport': [WORD.dstPort],
  'udp.length': [WORD.udpLength],
  'sctp.sport': [WORD.srcPort],
  'sctp.dport': [WORD.dstPort],
  'sctp.chunk': [WORD.sctpChunk],
  'udplite.sport': [WORD.srcPort],
  'udplite.dport': [WORD.dstPort],
  'dccp.sport': [WORD.srcPort],
  'dccp.dport': [WORD.dstPort],
  'igmp.type': [WORD.icmpType],
  'th.sport': [WORD.srcPort],
  'th.dport': [WORD.dstPort],
  'icmp.type': [WORD.icmpType],
  'icmp.code': [WORD.icmpCode],
  'icmpv6.type': [WORD.icmpType],
  'icmpv6.code': [WORD.icmpCode],
};

/** Can it be read whatever the EtherType? */
export function isLayer2(field: FieldName): boolean {
  return FIELDS[field].layer === 'l2';
}

/** Does the match, or a part of it, ask for something that lies behind a network header? */
export function needsNetwork(match: Match): boolean {
  switch (match.kind) {
    case 'field':
      return !isLayer2(match.field);
    case 'concat':
    case 'set':
      return !match.fields.every(isLayer2);
    case 'raw':
      return match.base === 'th';
    case 'app':
    case 'declared':
      return true;
  }
}

/**
 * Does a frame of this kind have the field? Holds for frames that `parse` found no problem in; but for `sctp.chunk`, which
 * not every SCTP packet has, the answer never depends on anything but these three. That is what lets a compiled matcher
 * sort rules by kind beforehand.
 */
export function carries(field: FieldName, l3: L3Kind, l4: L4Kind, isTagged: boolean): boolean {
  switch (field) {
    case 'ether.saddr':
    case 'ether.daddr':
    case 'ether.type':
    case 'meta.length':
    case 'frame.length':
      return true;
    case 'vlan.id':
    case 'vlan.pcp':
      return isTagged;
    case 'ip.saddr':
    case 'ip.daddr':
    case 'ip.protocol':
    case 'ip.dscp':
    case 'ip.ttl':
    case 'ip.length':
    case 'ip.frag-off':
      return l3 === L3.ip4;
    case 'ip6.saddr':
    case 'ip6.daddr':
    case 'ip6.nexthdr':
    case 'ip6.dscp':
    case 'ip6.hoplimit':
    case 'ip6.length':
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
    case 'sctp.chunk':
      return l4 === L4.sctp;
    case 'udplite.sport':
    case 'udplite.dport':
      return l4 === L4.udplite;
    case 'dccp.sport':
    case 'dccp.dport':
      return l4 === L4.dccp;
    case 'igmp.type':
      return l4 === L4.igmp;
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

/** Splits a field's value into its words, most significant first, as int32. */
export function wordsOf(field: FieldName, value: bigint): Int32Array {
  return splitWords(FIELDS[field].bits, value);
}

/** Splits a value into words of 32 bits, most significant first, as int32; the last holds the bits that are left over. */
export function splitWords(bits: number, value: bigint): Int32Array {
  const count = Math.ceil(bits / 32);
  const words = new Int32Array(count);
  let rest = value;
  for (let i = count - 1; i >= 0; i--) {
    const ofWord = i === count - 1 ? bits - 32 * (count - 1) : 32;
    words[i] = Number(BigInt.asIntN(32, BigInt.asUintN(ofWord, rest)));
    rest >>= BigInt(ofWord);
  }
  return words;
}
