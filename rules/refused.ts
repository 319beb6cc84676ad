import type { Cursor } from './cursor.ts';
import { quote, type Span } from './errors.ts';

/** Words that are understood and not taken, each with what to write instead. */
export type Refusals = Readonly<Record<string, string>>;

/** Reports `text` if it is one of the refused words. */
export function refuse(cursor: Cursor, at: Span, text: string, word: string, refusals: Refusals): boolean {
  if (!Object.hasOwn(refusals, word)) return false;
  const hint = refusals[word]!;
  cursor.reports.error('not-supported', at, `${quote(text)} is not part of the language`, { hint });
  return true;
}

const NO_CHAINS = 'leave it out: there are no chains, the first rule that matches decides';
export const NO_MAPS = "write one rule for each value, or one for each verdict with a set: '{ a, b }'";
const NO_PORTS = "leave it out: a rule set serves one VM, and 'outbound' is what comes from it";
export const NO_REWRITING = 'leave it out: nothing rewrites frames here';
const NO_MARKS = 'match what the host can set in the frame: ip dscp or vlan pcp';
const NO_ROUTES = 'routes are not known here: match addresses';
const NO_CHANCE = 'leave it out: the same frame always gets the same verdict';
const NO_CLOCK = 'leave it out: rules know no clock';
const NO_UPDATES = 'the host adds elements to sets, rules do not';
const NO_SOCKETS = 'the frame does not say it, and the process runs inside the VM: match addresses and ports';
const NO_PACKET_TYPE =
  "match the address: 'ether daddr & 01:00:00:00:00:00 != 00:00:00:00:00:00' is multicast and broadcast";
const NO_COMMANDS = "commands are no rules: write the rule alone, inside 'outbound { … }'";

/**
 * Words of nft and of other firewalls that people will try. Nothing that the parser accepts in the same place may stand here.
 */
export const REFUSED_IN_RULE: Refusals = {
  accept: "write 'pass'",
  allow: "write 'pass'",
  permit: "write 'pass'",
  deny: "write 'drop'",
  block: "write 'drop' or 'hold'",
  buffer: "write 'hold'",
  reject: "write 'drop': nothing is ever sent back",
  queue: "write 'hold'",
  counter: 'leave it out: every rule counts its frames and bytes',
  log: "leave it out: 'holdfast explain' tells which rule a frame hits",
  trace: "leave it out: 'holdfast explain' tells which rule a frame hits",
  limit: 'leave it out: rules read one frame at a time and keep no rate',
  quota: 'leave it out: rules read one frame at a time and keep no count',
  meter: 'leave it out: rules read one frame at a time and keep no rate',
  jump: NO_CHAINS,
  goto: NO_CHAINS,
  return: NO_CHAINS,
  type: NO_CHAINS,
  hook: NO_CHAINS,
  policy: "write 'default' and a verdict as the last line of the block",
  continue: 'leave it out: the first rule that matches decides',
  vmap: NO_MAPS,
  map: NO_MAPS,
  ct: 'rules read one frame at a time; for TCP connection state match tcp flags',
  iif: NO_PORTS,
  oif: NO_PORTS,
  iifname: NO_PORTS,
  oifname: NO_PORTS,
  mark: NO_MARKS,
  socket: NO_SOCKETS,
  skuid: NO_SOCKETS,
  dnat: NO_REWRITING,
  snat: NO_REWRITING,
  masquerade: NO_REWRITING,
  redirect: NO_REWRITING,
  tproxy: NO_REWRITING,
  notrack: NO_REWRITING,
  dup: NO_REWRITING,
  fwd: NO_REWRITING,
  l4proto: "write 'meta l4proto'",
  nexthdr: "write 'ip6 nexthdr'",
  protocol: "write 'ip protocol', or 'meta l4proto' for IPv4 and IPv6",
  saddr: "write 'ip saddr', 'ip6 saddr' or 'ether saddr'",
  daddr: "write 'ip daddr', 'ip6 daddr' or 'ether daddr'",
  sport: "write 'udp sport', 'tcp sport', or 'th sport' for either",
  dport: "write 'udp dport', 'tcp dport', or 'th dport' for either",
  port: "write 'th sport' or 'th dport'; 'or' takes two rules",
  src: "write 'ip saddr', 'ip6 saddr' or 'ether saddr'",
  dst: "write 'ip daddr', 'ip6 daddr' or 'ether daddr'",
  host: "write 'ip saddr' or 'ip daddr'; 'or' takes two rules",
  proto: "write 'meta l4proto'",
  and: 'leave it out: all matches of a rule must be true',
  or: "write two rules, or a set: '{ a, b }'",
  not: "write '!=' behind the field",
  flags: "write 'tcp flags'",
  dscp: "write 'ip dscp' or 'ip6 dscp'",
  ttl: "write 'ip ttl'",
  hoplimit: "write 'ip6 hoplimit'",
  length: "write 'frame length', 'meta length' or 'udp length'",
  vlanid: "write 'vlan id'",
  esp: "write 'meta l4proto esp'; '@th,0,32' is the SPI",
  ah: "write 'meta l4proto ah'; '@th,32,32' is the SPI",
  comp: "write 'meta l4proto ipcomp'",
  exthdr: "extension headers are looked through: match 'meta l4proto' or 'ip6 nexthdr'",
  frag: 'fragments take the verdict of their first one; for IPv4 match ip frag-off',
  pkttype: NO_PACKET_TYPE,
  fib: NO_ROUTES,
  rt: NO_ROUTES,
  numgen: NO_CHANCE,
  jhash: NO_CHANCE,
  hour: NO_CLOCK,
  day: NO_CLOCK,
  time: NO_CLOCK,
  update: NO_UPDATES,
  add: NO_UPDATES,
  delete: NO_UPDATES,
  if: 'leave it out: a rule is its matches, then a class or a verdict',
  icmp6: "write 'icmpv6'",
  ipv6: "write 'ip6'",
  ipv4: "write 'ip'",
  eth: "write 'ether'",
  mac: "write 'ether saddr' or 'ether daddr'",
};

/** The same after `meta`. */
export const REFUSED_META: Refusals = {
  protocol: "write 'ether type'",
  nfproto: "write 'ether type ip' or 'ether type ip6'",
  mark: NO_MARKS,
  priority: NO_MARKS,
  iif: NO_PORTS,
  iifname: NO_PORTS,
  oif: NO_PORTS,
  oifname: NO_PORTS,
  skuid: NO_SOCKETS,
  skgid: NO_SOCKETS,
  cgroup: NO_SOCKETS,
  pkttype: NO_PACKET_TYPE,
};

/** Advice for a field that has no word of its own: its bits. */
function bits(header: string, raw: string): string {
  return `write its bits: '${header} ${raw} VALUE'`;
}

/** Fields of nft that have no word here, and those of other protocols that people mix up. */
export const REFUSED_FIELDS: Readonly<Record<string, Refusals>> = {
  ether: {
    src: "write 'ether saddr'",
    dst: "write 'ether daddr'",
    proto: "write 'ether type'",
  },
  vlan: {
    cfp: bits('vlan id 0-4095', '@ll,115,1'),
    dei: bits('vlan id 0-4095', '@ll,115,1'),
    type: "write 'ether type': it is the type behind the last tag",
  },
  ip: {
    src: "write 'ip saddr'",
    dst: "write 'ip daddr'",
    proto: "write 'ip protocol'",
    len: "write 'ip length'",
    version: "leave it out, or write 'ether type ip'",
    hdrlength: bits('ether type ip', '@nh,4,4'),
    tos: "write 'ip dscp'",
    ecn: bits('ether type ip', '@nh,14,2'),
    id: bits('ether type ip', '@nh,32,16'),
    checksum: bits('ether type ip', '@nh,80,16'),
    option: 'IPv4 options are not read',
    hoplimit: "write 'ip ttl'",
    nexthdr: "write 'ip protocol'",
  },
  ip6: {
    src: "write 'ip6 saddr'",
    dst: "write 'ip6 daddr'",
    proto: "write 'meta l4proto'",
    version: "leave it out, or write 'ether type ip6'",
    ecn: bits('ether type ip6', '@nh,10,2'),
    flowlabel: bits('ether type ip6', '@nh,12,20'),
    ttl: "write 'ip6 hoplimit'",
    protocol: "write 'meta l4proto', or 'ip6 nexthdr' for the fixed header's field",
  },
  arp: {
    op: "write 'arp operation'",
    opcode: "write 'arp operation'",
    htype: bits('ether type arp', '@nh,0,16'),
    ptype: bits('ether type arp', '@nh,16,16'),
    hlen: bits('ether type arp', '@nh,32,8'),
    plen: bits('ether type arp', '@nh,40,8'),
    saddr: "write its bits: '@nh,112,32' behind 'ether type arp' is the sender's IPv4 address, '@nh,64,48' its MAC",
    daddr: "write its bits: '@nh,192,32' behind 'ether type arp' is the target's IPv4 address, '@nh,144,48' its MAC",
  },
  tcp: {
    port: "write 'tcp dport' or 'tcp sport'; 'or' takes two rules",
    sequence: bits('meta l4proto tcp', '@th,32,32'),
    ackseq: bits('meta l4proto tcp', '@th,64,32'),
    doff: bits('meta l4proto tcp', '@th,96,4'),
    reserved: bits('meta l4proto tcp', '@th,100,4'),
    window: bits('meta l4proto tcp', '@th,112,16'),
    checksum: bits('meta l4proto tcp', '@th,128,16'),
    urgptr: bits('meta l4proto tcp', '@th,144,16'),
    option: 'TCP options are not read',
    length: "write 'ip length' or 'frame length': TCP has no length of its own",
  },
  udp: {
    port: "write 'udp dport' or 'udp sport'; 'or' takes two rules",
    checksum: bits('meta l4proto udp', '@th,48,16'),
    flags: "UDP has no flags; for TCP's write 'tcp flags'",
  },
  udplite: {
    csumcov: bits('meta l4proto udplite', '@th,32,16'),
    checksum: bits('meta l4proto udplite', '@th,48,16'),
  },
  dccp: { type: bits('meta l4proto dccp', '@th,67,4') },
  sctp: {
    vtag: bits('meta l4proto sctp', '@th,32,32'),
    checksum: bits('meta l4proto sctp', '@th,64,32'),
  },
  igmp: {
    mrt: bits('ip protocol igmp', '@th,8,8'),
    checksum: bits('ip protocol igmp', '@th,16,16'),
    group: bits('ip protocol igmp', '@th,32,32'),
  },
  icmp: {
    checksum: bits('ip protocol icmp', '@th,16,16'),
    id: bits('ip protocol icmp', '@th,32,16'),
    sequence: bits('ip protocol icmp', '@th,48,16'),
    mtu: bits('ip protocol icmp', '@th,48,16'),
    gateway: bits('ip protocol icmp', '@th,32,32'),
  },
  icmpv6: {
    checksum: bits('meta l4proto icmpv6', '@th,16,16'),
    id: bits('meta l4proto icmpv6', '@th,32,16'),
    sequence: bits('meta l4proto icmpv6', '@th,48,16'),
    mtu: bits('meta l4proto icmpv6', '@th,32,32'),
    'max-delay': bits('meta l4proto icmpv6', '@th,32,16'),
    'parameter-problem': bits('meta l4proto icmpv6', '@th,32,32'),
  },
};

/** Words at the start of a line outside any block. */
export const REFUSED_AT_TOP: Refusals = {
  table: "there are no tables: write 'outbound { … }'",
  chain: "there are no chains: write 'outbound { … }'",
  map: NO_MAPS,
  output: "write 'outbound { … }': what comes from the VM",
  egress: "write 'outbound { … }': what comes from the VM",
  postrouting: "write 'outbound { … }': what comes from the VM",
  input: "write 'inbound { … }': what goes to the VM",
  ingress: "write 'inbound { … }': what goes to the VM",
  prerouting: "write 'inbound { … }': what goes to the VM",
  forward: "write 'outbound { … }' for what comes from the VM, 'inbound { … }' for what goes to it",
  flush: 'a rule file always replaces the whole rule set: leave this out',
  add: NO_COMMANDS,
  insert: NO_COMMANDS,
  nft: NO_COMMANDS,
  delete: 'commands are no rules: a rule file always replaces the whole rule set',
};
