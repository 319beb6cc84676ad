/** Numbers on the wire, with the document that assigns them. */

/** EtherTypes (IEEE 802 registry). */
export const ETHERTYPE = {
  ip4: 0x0800,
  arp: 0x0806,
  ip6: 0x86dd,
  /** IEEE 802.1Q customer tag. */
  vlan: 0x8100,
  /** IEEE 802.1ad service tag. */
  serviceVlan: 0x88a8,
  /** The pre-standard outer tag that many switches still send. */
  legacyVlan: 0x9100,
  /** MPLS (RFC 3032 §5), and with labels that the upstream router assigned (RFC 5332 §3). */
  mpls: 0x8847,
  mplsUpstream: 0x8848,
  /** PPPoE session stage (RFC 2516 §6); its discovery stage has a type of its own, 0x8863, and carries no packets. */
  pppoe: 0x8864,
} as const;

/**
 * Values below this in the type field are 802.3 lengths, which end at 1500 (IEEE 802.3 §3.2.6). 1501 to 1535 are neither
 * length nor EtherType by the standard; they count as EtherTypes that nobody knows.
 */
export const MIN_ETHERTYPE = 1501;

export const ETH = { header: 14, type: 12, tag: 4 } as const;

/** IEEE 802.2 SNAP with the zero OUI: LLC AA-AA-03, then 00-00-00 and an EtherType (RFC 1042). */
export const SNAP = { header: 8, first: 0xaaaa0300 | 0, second: 0x0000 } as const;

/**
 * MPLS label stack entry (RFC 3032 §2.1): 20 bits label, 3 bits traffic class, bottom of stack, 8 bits time to live.
 * At the bottom of the stack the two explicit null labels say what lies beneath.
 */
export const MPLS = { entry: 4, labelShift: 12, bottom: 0x100, ip4Null: 0, ip6Null: 2 } as const;

/**
 * More labels than this are not followed (reason `too-many-headers`). Segment routing (RFC 8660) pushes the longest
 * stacks, and routers that impose more than about a dozen labels are rare.
 */
export const MAX_MPLS_LABELS = 16;

/** PPPoE (RFC 2516 §4): bytes from the header's start; `session` is version 1, type 1, code 0. */
export const PPPOE = { header: 6, session: 0x1100, length: 4, protocol: 6, payload: 8 } as const;

/** PPP protocol numbers (IANA) of packets that are read further: RFC 1332 §2.1, RFC 5072 §3. */
export const PPP = { ip4: 0x0021, ip6: 0x0057 } as const;

/** IP protocol numbers (IANA). */
export const PROTO = {
  hopByHop: 0,
  icmp: 1,
  igmp: 2,
  tcp: 6,
  udp: 17,
  dccp: 33,
  routing: 43,
  fragment: 44,
  ah: 51,
  icmpv6: 58,
  destinationOptions: 60,
  sctp: 132,
  udplite: 136,
} as const;

/** IPv4 (RFC 791 §3.1): bytes from the header's start. */
export const IP4 = {
  minHeader: 20,
  totalLength: 2,
  id: 4,
  fragment: 6,
  ttl: 8,
  protocol: 9,
  src: 12,
  dst: 16,
} as const;

/** IPv6 (RFC 8200 §3). */
export const IP6 = { header: 40, payloadLength: 4, nextHeader: 6, hopLimit: 7, src: 8, dst: 24 } as const;

/** Hop-by-hop option 'jumbo payload' (RFC 2675 §2) and the one-byte padding option (RFC 8200 §4.2). */
export const JUMBO_OPTION = 0xc2;
export const PAD1_OPTION = 0;

/**
 * More extension headers than this are not followed (reason `too-many-headers`). Chains that mean something have six at
 * most (RFC 8200 §4.1); a frame of 1514 bytes has room for 182.
 */
export const MAX_EXTENSION_HEADERS = 128;

/** ARP (RFC 826): bytes from the header's start; `lengths` is what the length fields say for IPv4 over Ethernet. */
export const ARP = {
  fixed: 8,
  full: 28,
  lengths: 0x0604,
  protocol: 2,
  operation: 6,
  senderMac: 8,
  senderIp: 14,
  targetIp: 24,
} as const;
