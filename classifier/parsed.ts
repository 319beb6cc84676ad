/** Which transport header follows the outermost IP header. */
export const L4 = {
  none: 0,
  tcp: 1,
  udp: 2,
  udplite: 3,
  sctp: 4,
  dccp: 5,
  icmp: 6,
  icmpv6: 7,
  igmp: 8,
} as const;
export type L4Kind = (typeof L4)[keyof typeof L4];
export const L4_NAMES = [null, 'tcp', 'udp', 'udplite', 'sctp', 'dccp', 'icmp', 'icmpv6', 'igmp'] as const;

/** Which network header follows the link header and its tags. */
export const L3 = {
  /** An EtherType (or LLC payload) that the parser does not read further: rules above layer 2 cannot be answered. */
  unknown: 0,
  ip4: 1,
  ip6: 2,
  arp: 3,
} as const;
export type L3Kind = (typeof L3)[keyof typeof L3];

/** More tags than this are not followed (reason `too-many-headers`). */
export const MAX_VLAN_TAGS = 8;

/**
 * The fields of one frame, filled by `parse` and used again for the next frame. Every field is an int32 (a V8 Smi on
 * 64-bit Node, so storing one allocates nothing): 32-bit values are signed here, `>>> 0` gives them back unsigned.
 * A field that the frame does not have is -1, or 0 where the kind fields above say that it is absent.
 * Offsets count from the slab's start.
 */
export class Parsed {
  /** 0, or the REASON for which the frame cannot be classified and is held. */
  problem = 0;
  offset = 0;
  length = 0;
  /** Bytes the frame had on the wire, without FCS; `length` or more. */
  wireLength = 0;
  /** First 4 bytes and last 2 bytes of each MAC address. */
  dstMacHigh = 0;
  dstMacLow = 0;
  srcMacHigh = 0;
  srcMacLow = 0;
  vlanCount = 0;
  /** Tag control information, outermost first: 3 bits priority, 1 bit drop eligible, 12 bits id. */
  readonly vlanTci = new Int32Array(MAX_VLAN_TAGS);
  /** The 16 bits after the last tag: EtherType, or an 802.3 length up to 1500; -1: the frame is too short. */
  etherType = -1;
  /**
   * Where the network layer starts: behind the type that `etherType` gives, or at the network header where the parser
   * looked through SNAP, MPLS or PPPoE to find it; -1: the frame is too short, or has too many tags, to say.
   */
  networkOffset = -1;
  l3: L3Kind = L3.unknown;
  l3Offset = -1;
  /** IPv4 address in word 0; IPv6 address in words 0-3, network order. ARP: sender and target IPv4 addresses. */
  src0 = 0;
  src1 = 0;
  src2 = 0;
  src3 = 0;
  dst0 = 0;
  dst1 = 0;
  dst2 = 0;
  dst3 = 0;
  /** IPv4 protocol, or the end of the IPv6 header chain; -1 without an IP header. */
  proto = -1;
  /** IPv6: next header of the fixed header; -1 otherwise. */
  nextHeader = -1;
  /** Bytes; 0 when the packet is not a fragment; -1 where no fragment information exists (IPv6 without the header). */
  fragOffset = -1;
  moreFrags = 0;
  /** 1: offset > 0 or more fragments follow (an atomic IPv6 fragment, RFC 6946, is not one). */
  isFragment = 0;
  fragId = 0;
  /** Bytes of fragment payload carried (only for fragments). */
  fragLength = 0;
  arpOperation = -1;
  /** ARP for IPv4 over Ethernet: the sender's hardware address, as above. */
  arpMacHigh = 0;
  arpMacLow = 0;
  l4: L4Kind = L4.none;
  /** Where the IP header (chain) ends, whatever follows it; -1 where that is not known, and in later fragments. */
  l4Offset = -1;
  /** TCP, UDP, UDP-Lite, SCTP, DCCP; -1 otherwise. */
  srcPort = -1;
  dstPort = -1;
  /** 12 bits, accurate ECN's included (RFC 9768 §3); -1 if not TCP. */
  tcpFlags = -1;
  tcpSeq = 0;
  tcpAck = 0;
  /** The UDP header's length field. */
  udpLength = -1;
  /** ICMP, ICMPv6 and IGMP type; ICMP and ICMPv6 code. */
  icmpType = -1;
  icmpCode = -1;
  /** Transport payload: where it starts and how long it is by the IP length; length -1 without a transport header. */
  payloadOffset = -1;
  payloadLength = -1;
  /** How many of those bytes the slab holds (a capture may have cut the frame). */
  payloadCaptured = 0;
}
