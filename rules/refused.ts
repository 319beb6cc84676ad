import type { Cursor } from './cursor.ts';
import { quote, type Span } from './errors.ts';

/** A word that is understood and not taken: for good, or until a later version. */
export interface Refusal {
  readonly later: boolean;
  /** What to write instead. */
  readonly advice: string;
}

export type Refusals = Readonly<Record<string, Refusal>>;

function never(advice: string): Refusal {
  return { later: false, advice };
}

function later(advice: string): Refusal {
  return { later: true, advice };
}

/** Reports `text` if it is one of the refused words. */
export function refuse(cursor: Cursor, at: Span, text: string, word: string, refusals: Refusals): boolean {
  if (!Object.hasOwn(refusals, word)) return false;
  const refusal = refusals[word]!;
  const message = `${quote(text)} is ${refusal.later ? 'not supported yet' : 'not part of the language'}`;
  cursor.reports.error('not-supported', at, message, { hint: refusal.advice });
  return true;
}

/**
 * Words of nft and of later versions that people will try, each with what to write here. Nothing that the parser accepts in
 * the same place may stand here.
 */
export const REFUSED_IN_RULE: Refusals = {
  accept: never("write 'pass'"),
  allow: never("write 'pass'"),
  permit: never("write 'pass'"),
  deny: never("write 'drop'"),
  block: never("write 'drop' or 'hold'"),
  buffer: never("write 'hold'"),
  reject: never("write 'drop': nothing is ever sent back"),
  queue: never("write 'hold'"),
  counter: never('leave it out: every rule counts its frames and bytes'),
  log: never("leave it out: 'holdfast explain' tells which rule a frame hits"),
  limit: never('leave it out: rules read one frame at a time and keep no rate'),
  quota: never('leave it out: rules read one frame at a time and keep no count'),
  jump: never('leave it out: there are no chains, the first rule that matches decides'),
  goto: never('leave it out: there are no chains, the first rule that matches decides'),
  return: never('leave it out: there are no chains, the first rule that matches decides'),
  continue: never('leave it out: the first rule that matches decides'),
  vmap: never("write one rule for each value, or one for each verdict with a set: '{ a, b }'"),
  map: never("write one rule for each value, or one for each verdict with a set: '{ a, b }'"),
  ct: never('rules read one frame at a time; for TCP connection state match tcp flags'),
  iif: never("leave it out: a rule set serves one VM, and 'outbound' is what comes from it"),
  oif: never("leave it out: a rule set serves one VM, and 'outbound' is what comes from it"),
  iifname: never("leave it out: a rule set serves one VM, and 'outbound' is what comes from it"),
  oifname: never("leave it out: a rule set serves one VM, and 'outbound' is what comes from it"),
  mark: never('match what the host can set in the frame: the VLAN priority (vlan pcp)'),
  dnat: never('nothing rewrites frames here'),
  snat: never('nothing rewrites frames here'),
  masquerade: never('nothing rewrites frames here'),
  l4proto: never("write 'meta l4proto'"),
  nexthdr: never("write 'ip6 nexthdr'"),
  protocol: never("write 'ip protocol', or 'meta l4proto' for IPv4 and IPv6"),
  saddr: never("write 'ip saddr', 'ip6 saddr' or 'ether saddr'"),
  daddr: never("write 'ip daddr', 'ip6 daddr' or 'ether daddr'"),
  sport: never("write 'udp sport', 'tcp sport', or 'th sport' for either"),
  dport: never("write 'udp dport', 'tcp dport', or 'th dport' for either"),
  flags: never("write 'tcp flags'"),
  vlanid: never("write 'vlan id'"),
  guard: later("without 'guard' this traffic must be held"),
  ordered: later('leave it out'),
  declared: later('leave the rule out, its frames fall to the rules below'),
  frame: later('for UDP match udp length'),
  udplite: later("write 'meta l4proto udplite', and 'th sport' and 'th dport' for its ports"),
  dccp: later("write 'meta l4proto dccp', and 'th sport' and 'th dport' for its ports"),
  igmp: later("write 'ip protocol igmp'"),
  esp: later("write 'meta l4proto esp'"),
  ah: later("write 'ip protocol ah'"),
  icmp6: never("write 'icmpv6'"),
  ipv6: never("write 'ip6'"),
  ipv4: never("write 'ip'"),
};

/** The same after `meta`. */
export const REFUSED_META: Refusals = {
  protocol: never("write 'ether type'"),
  nfproto: never("write 'ether type ip' or 'ether type ip6'"),
  length: later('for UDP match udp length'),
  mark: never('match what the host can set in the frame: the VLAN priority (vlan pcp)'),
  iif: never("leave it out: a rule set serves one VM, and 'outbound' is what comes from it"),
  iifname: never("leave it out: a rule set serves one VM, and 'outbound' is what comes from it"),
};

/** Fields that nft has and this version does not. */
export const REFUSED_FIELDS: Readonly<Record<string, readonly string[]>> = {
  ether: [],
  vlan: ['cfp', 'dei', 'type'],
  ip: ['version', 'hdrlength', 'dscp', 'ecn', 'length', 'id', 'frag-off', 'ttl', 'checksum', 'option'],
  ip6: ['version', 'dscp', 'ecn', 'flowlabel', 'length', 'hoplimit'],
  meta: [],
  arp: ['htype', 'ptype', 'hlen', 'plen', 'saddr', 'daddr'],
  tcp: ['sequence', 'ackseq', 'doff', 'reserved', 'window', 'checksum', 'urgptr', 'option'],
  udp: ['checksum'],
  sctp: ['vtag', 'checksum', 'chunk'],
  th: [],
  icmp: ['checksum', 'id', 'sequence', 'mtu', 'gateway'],
  icmpv6: ['checksum', 'id', 'sequence', 'mtu', 'max-delay', 'parameter-problem'],
};

/** Words at the start of a line outside any block. */
export const REFUSED_AT_TOP: Refusals = {
  set: later("write the values where they are used, '{ a, b-c }'"),
  define: later('write the value where it is used'),
  redefine: later('write the value where it is used'),
  include: later('put the rules into this file'),
  inbound: later('inbound frames pass'),
  table: never("there are no tables: write 'outbound { … }'"),
  chain: never("there are no chains: write 'outbound { … }'"),
  map: never("write one rule for each value, or one for each verdict with a set: '{ a, b }'"),
  flush: never('a rule file always replaces the whole rule set: leave this out'),
  add: never("commands are no rules: write the rule alone, inside 'outbound { … }'"),
  insert: never("commands are no rules: write the rule alone, inside 'outbound { … }'"),
  delete: never('commands are no rules: a rule file always replaces the whole rule set'),
};
