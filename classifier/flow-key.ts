import { wordsOf } from './field.ts';
import { ETHERTYPE, MIN_ETHERTYPE, PROTO } from './headers.ts';
import { L3, Parsed } from './parsed.ts';

/** A flow key is this many int32 words. */
export const FLOW_KEY_WORDS = 11;

/** Set in word 0 for a fragment's key, so that it never equals a conversation's. */
const FRAGMENT_MARK = 1 << 16;

/**
 * Writes the key of the frame's flow (DESIGN section 1): 5-tuple and VLANs of a transport conversation; addresses,
 * protocol and VLANs without ports; addresses, protocol (IPv4), identification and VLANs for a fragment; MAC
 * addresses, EtherType and VLANs without IP. Keys of different flows differ, but for stacks of three tags and more, where a
 * shared key only makes two flows wait for each other.
 * @param key receives FLOW_KEY_WORDS words
 */
export function flowKey(key: Int32Array, p: Parsed): void {
  if (p.l3 === L3.ip4 || p.l3 === L3.ip6) {
    conversationKey(key, p);
    if (p.isFragment === 0) return;
    // An IPv6 packet is put together by addresses and identification alone (RFC 8200 §4.5): its later fragments do not
    // tell the protocol where destination options come first.
    key[0] = (p.l3 << 8) | (p.l3 === L3.ip4 ? p.proto : PROTO.fragment) | FRAGMENT_MARK;
    key[10] = p.fragId;
    return;
  }
  const type = p.etherType < MIN_ETHERTYPE ? 0 : p.etherType;
  key[0] = p.l3 << 8;
  key[1] = vlansOf(p);
  key[2] = p.srcMacHigh;
  key[3] = p.srcMacLow;
  key[4] = p.dstMacHigh;
  key[5] = p.dstMacLow;
  key[6] = p.l3 === L3.arp ? ETHERTYPE.arp : type;
  key[7] = 0;
  key[8] = 0;
  key[9] = 0;
  key[10] = 0;
}

/** Writes the key of the conversation that an IP frame tells, also where it is a first fragment and tells it for the others. */
export function conversationKey(key: Int32Array, p: Parsed): void {
  key[0] = (p.l3 << 8) | (p.proto & 0xff);
  key[1] = vlansOf(p);
  key[2] = p.src0;
  key[3] = p.src1;
  key[4] = p.src2;
  key[5] = p.src3;
  key[6] = p.dst0;
  key[7] = p.dst1;
  key[8] = p.dst2;
  key[9] = p.dst3;
  key[10] = (p.srcPort << 16) | (p.dstPort & 0xffff);
}

function vlansOf(p: Parsed): number {
  let vlans = p.vlanCount;
  for (let i = 0; i < p.vlanCount; i++) vlans = ((vlans << 12) | (vlans >>> 20)) ^ (p.vlanTci[i]! & 0xfff);
  return vlans;
}

/** A flow as a person or the host names it. */
export interface Flow {
  readonly ipVersion: 4 | 6;
  readonly src: bigint;
  readonly dst: bigint;
  /** Transport protocol number; for IPv6 the end of the header chain. */
  readonly protocol: number;
  /** 0 where the protocol has none. */
  readonly srcPort: number;
  readonly dstPort: number;
  /** Null: the frames have no tag. */
  readonly vlanId: number | null;
}

const WITH_PORTS: readonly number[] = [PROTO.tcp, PROTO.udp, PROTO.udplite, PROTO.sctp, PROTO.dccp];

/** @returns the key that `conversationKey` writes for the flow's frames */
export function keyOfFlow(flow: Flow): Int32Array {
  const p = new Parsed();
  p.l3 = flow.ipVersion === 4 ? L3.ip4 : L3.ip6;
  p.proto = flow.protocol;
  const field = flow.ipVersion === 4 ? 'ip.saddr' : 'ip6.saddr';
  [p.src0 = 0, p.src1 = 0, p.src2 = 0, p.src3 = 0] = wordsOf(field, flow.src);
  [p.dst0 = 0, p.dst1 = 0, p.dst2 = 0, p.dst3 = 0] = wordsOf(field, flow.dst);
  if (WITH_PORTS.includes(flow.protocol)) {
    p.srcPort = flow.srcPort;
    p.dstPort = flow.dstPort;
  }
  if (flow.vlanId !== null) {
    p.vlanCount = 1;
    p.vlanTci[0] = flow.vlanId;
  }
  const key = new Int32Array(FLOW_KEY_WORDS);
  conversationKey(key, p);
  return key;
}

const SEED = 0x9e3779b9 | 0;

/**
 * @param seed any int32: hashes of different seeds tell nothing of each other
 * @returns a well mixed hash of the key, any int32
 */
export function hashFlowKey(key: Int32Array, seed = SEED): number {
  let h = seed;
  for (let i = 0; i < FLOW_KEY_WORDS; i++) {
    h = Math.imul(h ^ key[i]!, 0x85ebca6b);
    h ^= h >>> 15;
  }
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/**
 * @returns whether frames of the flow must never overtake each other: TCP, SCTP and everything that is not IP; IPv6
 * fragments too, because a later one may not tell its protocol
 */
export function isOrdered(p: Parsed): boolean {
  if (p.l3 !== L3.ip4 && (p.l3 !== L3.ip6 || p.isFragment === 1)) return true;
  return p.proto === PROTO.tcp || p.proto === PROTO.sctp;
}
