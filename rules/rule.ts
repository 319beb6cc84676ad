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
  'ip6.saddr': { bits: 128, layer: 'l3' },
  'ip6.daddr': { bits: 128, layer: 'l3' },
  /** The next header field of the fixed IPv6 header (RFC 8200 §3), as nft reads it, not the last one of the chain. */
  'ip6.nexthdr': { bits: 8, layer: 'l3' },
  /** The transport protocol: IPv4 protocol, or the end of the IPv6 header chain. */
  'meta.l4proto': { bits: 8, layer: 'l3' },
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

/** Applications that a recogniser can tell; `app NAME` in a rule. */
export const APPS = ['sip', 'rtp'] as const;
export type AppName = (typeof APPS)[number];

/** Both ends included, `low <= high`. */
export interface Interval {
  readonly low: bigint;
  readonly high: bigint;
}

/**
 * One condition. It is true when the frame has the field and `(value & mask)` lies in one of the intervals
 * (`negated`: in none of them). A frame of another protocol makes it false, negated or not, as in nft.
 * Intervals are sorted, disjoint and not adjacent.
 */
export interface FieldMatch {
  readonly kind: 'field';
  readonly field: FieldName;
  /** null: the whole value. */
  readonly mask: bigint | null;
  readonly negated: boolean;
  readonly intervals: readonly Interval[];
}

export interface AppMatch {
  readonly kind: 'app';
  readonly app: AppName;
  readonly negated: boolean;
}

export type Match = FieldMatch | AppMatch;

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
  readonly comment: string | null;
}

export interface TrafficClass {
  readonly name: string;
  readonly verdict: VerdictName;
  readonly place: Place;
}

/** Immutable. Rules are tried in order; the first that matches decides; `default`, if there is one, stands last. */
export interface RuleSet {
  readonly file: string;
  readonly classes: readonly TrafficClass[];
  readonly outbound: readonly Rule[];
}
