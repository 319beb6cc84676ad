import type { AppName } from './apps.ts';

export { APPS, type AppName } from './apps.ts';

/** A verdict as rule text spells it. */
export type VerdictName = 'pass' | 'hold' | 'drop';

/**
 * What a match reads from a frame. Numbers compare unsigned. `ip6.*` and `ether.*addr` values are wider than 32 bits,
 * which is why every value in a rule is a bigint; a matcher narrows them once, when it is compiled.
 */
export const FIELDS = {
  'ether.saddr': { bits: 48, layer: 'l2' },
  'ether.daddr': { bits: 48, layer: 'l2' },
  /** The 16 bits after the last VLAN tag: an EtherType, or up to 1500 an 802.3 length (IEEE 802.3 §3.2.6). */
  'ether.type': { bits: 16, layer: 'l2' },
  /** Outermost tag's id (IEEE 802.1Q §9.6); a frame without a tag has none and no comparison with it is true. */
  'vlan.id': { bits: 12, layer: 'l2' },
  'vlan.pcp': { bits: 3, layer: 'l2' },
  'ip.saddr': { bits: 32, layer: 'l3' },
  'ip.daddr': { bits: 32, layer: 'l3' },
  'ip.protocol': { bits: 8, layer: 'l3' },
  /** Differentiated services codepoint (RFC 2474 §3). */
  'ip.dscp': { bits: 6, layer: 'l3' },
  'ip.ttl': { bits: 8, layer: 'l3' },
  /** The header's total length, bytes; 0 in segmentation-offload frames. */
  'ip.length': { bits: 16, layer: 'l3' },
  /** The 16 bits that hold the flags and the offset: DF 0x4000, MF 0x2000, offset in units of 8 bytes 0x1fff. */
  'ip.frag-off': { bits: 16, layer: 'l3' },
  'ip6.saddr': { bits: 128, layer: 'l3' },
  'ip6.daddr': { bits: 128, layer: 'l3' },
  /** The next header field of the fixed IPv6 header (RFC 8200 §3), as nft reads it, not the last one of the chain. */
  'ip6.nexthdr': { bits: 8, layer: 'l3' },
  'ip6.dscp': { bits: 6, layer: 'l3' },
  'ip6.hoplimit': { bits: 8, layer: 'l3' },
  /** The header's payload length, bytes; 0 in jumbograms and segmentation-offload frames. */
  'ip6.length': { bits: 16, layer: 'l3' },
  /** The transport protocol: IPv4 protocol, or the end of the IPv6 header chain. */
  'meta.l4proto': { bits: 8, layer: 'l3' },
  /** nft's value on a netdev hook: bytes on the wire behind the Ethernet header and the outermost tag. */
  'meta.length': { bits: 32, layer: 'l2' },
  /** Bytes of the whole frame on the wire, without FCS. */
  'frame.length': { bits: 32, layer: 'l2' },
  'arp.operation': { bits: 16, layer: 'l3' },
  'tcp.sport': { bits: 16, layer: 'l4' },
  'tcp.dport': { bits: 16, layer: 'l4' },
  /** The low 8 of the 12 flag bits, as in nft: without accurate ECN's. */
  'tcp.flags': { bits: 8, layer: 'l4' },
  'udp.sport': { bits: 16, layer: 'l4' },
  'udp.dport': { bits: 16, layer: 'l4' },
  'udp.length': { bits: 16, layer: 'l4' },
  'sctp.sport': { bits: 16, layer: 'l4' },
  'sctp.dport': { bits: 16, layer: 'l4' },
  /** Type of the packet's first chunk (RFC 9260 §3.2); a packet without one, or that is cut before it, has none. */
  'sctp.chunk': { bits: 8, layer: 'l4' },
  'udplite.sport': { bits: 16, layer: 'l4' },
  'udplite.dport': { bits: 16, layer: 'l4' },
  'dccp.sport': { bits: 16, layer: 'l4' },
  'dccp.dport': { bits: 16, layer: 'l4' },
  'igmp.type': { bits: 8, layer: 'l4' },
  /** Either transport's port, TCP, UDP, UDP-Lite, SCTP or DCCP. */
  'th.sport': { bits: 16, layer: 'l4' },
  'th.dport': { bits: 16, layer: 'l4' },
  /** ICMP is IPv4's and ICMPv6 is IPv6's, as in nft: protocol 1 over IPv6 has neither field. */
  'icmp.type': { bits: 8, layer: 'l4' },
  'icmp.code': { bits: 8, layer: 'l4' },
  'icmpv6.type': { bits: 8, layer: 'l4' },
  'icmpv6.code': { bits: 8, layer: 'l4' },
} as const satisfies Record<string, { readonly bits: number; readonly layer: 'l2' | 'l3' | 'l4' }>;

export type FieldName = keyof typeof FIELDS;

/** Both ends included, `low <= high`. */
export interface Interval {
  readonly low: bigint;
  readonly high: bigint;
}

/**
 * One condition. It is true when the frame has the field and `(value & mask)` lies in one of the intervals
 * (`negated`: in none of them). A frame of another protocol makes it false, negated or not, as in nft.
 * Intervals are sorted, disjoint and not adjacent; there are none only where an empty set was written out.
 */
export interface FieldMatch {
  readonly kind: 'field';
  readonly field: FieldName;
  /** null: the whole value. */
  readonly mask: bigint | null;
  readonly negated: boolean;
  readonly intervals: readonly Interval[];
}

/** `app NAME`, or `app NAME type { … }`: what a recogniser says about the payload. */
export interface AppMatch {
  readonly kind: 'app';
  readonly app: AppName;
  /** Message types in the application's numbering (apps.ts), 1 to 31; null: any. */
  readonly types: readonly number[] | null;
  /** With types: it is the application, and of none of these types. */
  readonly negated: boolean;
}

/** Where raw payload counts from: the Ethernet header, the network header, the transport header. */
export const RAW_BASES = ['ll', 'nh', 'th'] as const;
export type RawBase = (typeof RAW_BASES)[number];

/**
 * `@th,64,32`: bits of the frame, most significant first. False, negated or not, if the frame on the wire has no such header or
 * ends before these bits do.
 */
export interface RawMatch {
  readonly kind: 'raw';
  readonly base: RawBase;
  /** From 0. */
  readonly offsetBits: number;
  /** From 1 to MAX_RAW_BITS. */
  readonly lengthBits: number;
  readonly mask: bigint | null;
  readonly negated: boolean;
  readonly intervals: readonly Interval[];
}
export const MAX_RAW_BITS = 128;

/**
 * `ip saddr . udp sport { 192.0.2.0/24 . 5060, … }`. True when the frame has all the fields and in one tuple each value lies in
 * the interval of its field (`negated`: in no tuple). False, negated or not, when it lacks one.
 */
export interface ConcatMatch {
  readonly kind: 'concat';
  /** At least two. */
  readonly fields: readonly FieldName[];
  readonly negated: boolean;
  /** Each has as many intervals as there are fields. None only where an empty set was written out: no value is in it. */
  readonly tuples: readonly (readonly Interval[])[];
}

/**
 * A lookup in a dynamic set, whose elements come and go while the rules stay: `ip saddr . udp sport @rtp`. Static sets are
 * written out into the matches that use them. False, negated or not, when the frame lacks a field.
 */
export interface SetMatch {
  readonly kind: 'set';
  /** As many as the set's types. */
  readonly fields: readonly FieldName[];
  /** One of the rule set's `sets`, with `isDynamic`. */
  readonly set: string;
  readonly negated: boolean;
}

/** `declared`: the host has declared the frame's flow, with the rule's class or without naming one. */
export interface DeclaredMatch {
  readonly kind: 'declared';
}

export type Match = FieldMatch | AppMatch | RawMatch | ConcatMatch | SetMatch | DeclaredMatch;

/** Where a thing stands in a rule file. Lines and columns count from 1, columns in UTF-16 units. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface Rule {
  /** Names the rule as long as it lives; from 1 in the order of the file. */
  readonly handle: number;
  readonly place: Place;
  /** The rule's source, comment included, blanks folded to one. */
  readonly text: string;
  /** All must be true. Empty only for `default`. */
  readonly matches: readonly Match[];
  /** null when the rule names a verdict directly. */
  readonly className: string | null;
  /** The class's verdict, or the one named. */
  readonly verdict: VerdictName;
  readonly isDefault: boolean;
  /** Passes TCP only as far as the TCP guard can keep its byte stream consistent; without a guard it is held. */
  readonly guard: boolean;
  /** Frames of UDP flows, too, must not overtake each other. */
  readonly ordered: boolean;
  readonly comment: string | null;
}

export interface TrafficClass {
  readonly name: string;
  readonly verdict: VerdictName;
  readonly place: Place;
}

/** Types of set elements, as nft names them. */
export const SET_TYPES = ['ipv4_addr', 'ipv6_addr', 'ether_addr', 'inet_service', 'inet_proto'] as const;
export type SetType = (typeof SET_TYPES)[number];
export const SET_TYPE_BITS: Readonly<Record<SetType, number>> = {
  ipv4_addr: 32,
  ipv6_addr: 128,
  ether_addr: 48,
  inet_service: 16,
  inet_proto: 8,
};

export interface SetElement {
  /** One for each of the set's types. */
  readonly intervals: readonly Interval[];
  /** How long the element stays from when the rules take force; null: as long as the set. */
  readonly timeoutMs: number | null;
}

export interface NamedSet {
  readonly name: string;
  readonly place: Place;
  /** More than one: elements are tuples (a concatenation). */
  readonly types: readonly SetType[];
  /** Elements may be added while the rules are in force (`flags timeout` or `flags dynamic`). */
  readonly isDynamic: boolean;
  /** For elements that are added without one; null: they stay. */
  readonly timeoutMs: number | null;
  /** Most elements that a dynamic set holds at once. */
  readonly maxElements: number;
  readonly elements: readonly SetElement[];
}

/** Immutable. Rules are tried in order; the first that matches decides; `default`, if there is one, stands last. */
export interface RuleSet {
  readonly file: string;
  readonly classes: readonly TrafficClass[];
  readonly sets: readonly NamedSet[];
  /** Names of sets that no match refers to; the matches do not show it, as static sets are written out into them. */
  readonly unusedSets: readonly string[];
  /** Handles are unique over both blocks. */
  readonly outbound: readonly Rule[];
  /** null: no `inbound` block, everything passes to the VM. Its rules pass or drop, never hold; without a `default` it passes. */
  readonly inbound: readonly Rule[] | null;
}
