import type { FieldName, SetType } from './rule.ts';

type Names = Readonly<Record<string, number>>;

/** As `nft describe ether type` has them (IEEE 802 numbers). */
const ETHER_TYPES: Names = { ip: 0x0800, arp: 0x0806, ip6: 0x86dd, vlan: 0x8100, '8021q': 0x8100, '8021ad': 0x88a8 };

/** Protocol numbers (IANA), under the names that nft takes from /etc/protocols. */
const PROTOCOLS: Names = {
  icmp: 1,
  igmp: 2,
  ipencap: 4,
  tcp: 6,
  egp: 8,
  igp: 9,
  udp: 17,
  dccp: 33,
  ipv6: 41,
  'ipv6-route': 43,
  'ipv6-frag': 44,
  rsvp: 46,
  gre: 47,
  esp: 50,
  ah: 51,
  'ipv6-icmp': 58,
  icmpv6: 58,
  'ipv6-nonxt': 59,
  'ipv6-opts': 60,
  eigrp: 88,
  ospf: 89,
  ipip: 94,
  etherip: 97,
  pim: 103,
  ipcomp: 108,
  vrrp: 112,
  l2tp: 115,
  isis: 124,
  sctp: 132,
  'mobility-header': 135,
  udplite: 136,
  'mpls-in-ip': 137,
  hip: 139,
  shim6: 140,
};

/** A short list under the names of /etc/services; `sips` is ours besides. Everything else is written as a number. */
const SERVICES: Names = {
  'ftp-data': 20,
  ftp: 21,
  ssh: 22,
  telnet: 23,
  smtp: 25,
  domain: 53,
  bootps: 67,
  bootpc: 68,
  tftp: 69,
  http: 80,
  kerberos: 88,
  pop3: 110,
  sunrpc: 111,
  ntp: 123,
  imap2: 143,
  snmp: 161,
  'snmp-trap': 162,
  bgp: 179,
  ldap: 389,
  https: 443,
  'microsoft-ds': 445,
  isakmp: 500,
  syslog: 514,
  'dhcpv6-client': 546,
  'dhcpv6-server': 547,
  rtsp: 554,
  submission: 587,
  ldaps: 636,
  ldp: 646,
  'domain-s': 853,
  rsync: 873,
  imaps: 993,
  openvpn: 1194,
  l2f: 1701,
  radius: 1812,
  'radius-acct': 1813,
  nfs: 2049,
  'iscsi-target': 3260,
  mysql: 3306,
  'ipsec-nat-t': 4500,
  iax: 4569,
  sip: 5060,
  'sip-tls': 5061,
  sips: 5061,
  mdns: 5353,
  postgresql: 5432,
  amqp: 5672,
  x11: 6000,
  redis: 6379,
  git: 9418,
};

/** RFC 826, RFC 903, RFC 2390. */
const ARP_OPERATIONS: Names = { request: 1, reply: 2, rrequest: 3, rreply: 4, inrequest: 8, inreply: 9, nak: 10 };

/** RFC 792, RFC 950, RFC 1256. */
const ICMP_TYPES: Names = {
  'echo-reply': 0,
  'destination-unreachable': 3,
  'source-quench': 4,
  redirect: 5,
  'echo-request': 8,
  'router-advertisement': 9,
  'router-solicitation': 10,
  'time-exceeded': 11,
  'parameter-problem': 12,
  'timestamp-request': 13,
  'timestamp-reply': 14,
  'info-request': 15,
  'info-reply': 16,
  'address-mask-request': 17,
  'address-mask-reply': 18,
};

/** Codes of destination-unreachable (RFC 792, RFC 1812 §5.2.7.1). */
const ICMP_CODES: Names = {
  'net-unreachable': 0,
  'host-unreachable': 1,
  'prot-unreachable': 2,
  'port-unreachable': 3,
  'frag-needed': 4,
  'net-prohibited': 9,
  'host-prohibited': 10,
  'admin-prohibited': 13,
};

/** RFC 4443, RFC 4861, RFC 2710, RFC 3810, RFC 3122, RFC 2894. */
const ICMPV6_TYPES: Names = {
  'destination-unreachable': 1,
  'packet-too-big': 2,
  'time-exceeded': 3,
  'parameter-problem': 4,
  'echo-request': 128,
  'echo-reply': 129,
  'mld-listener-query': 130,
  'mld-listener-report': 131,
  'mld-listener-done': 132,
  'mld-listener-reduction': 132,
  'nd-router-solicit': 133,
  'nd-router-advert': 134,
  'nd-neighbor-solicit': 135,
  'nd-neighbor-advert': 136,
  'nd-redirect': 137,
  'router-renumbering': 138,
  'ind-neighbor-solicit': 141,
  'ind-neighbor-advert': 142,
  'mld2-listener-report': 143,
};

/** Codes of destination-unreachable (RFC 4443 §3.1). */
const ICMPV6_CODES: Names = {
  'no-route': 0,
  'admin-prohibited': 1,
  'addr-unreachable': 3,
  'port-unreachable': 4,
  'policy-fail': 5,
  'reject-route': 6,
};

/** RFC 9293 §3.1, RFC 3168 §6.1; nft says `ecn` for ECE. */
const TCP_FLAGS: Names = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ecn: 64, cwr: 128 };

/** RFC 2474 §4.2.2, RFC 2597 §6, RFC 3246, RFC 5865, RFC 8622, under nft's names. */
const DSCPS: Names = {
  ...{ cs0: 0, cs1: 8, cs2: 16, cs3: 24, cs4: 32, cs5: 40, cs6: 48, cs7: 56, be: 0, df: 0, lephb: 1 },
  ...{
    af11: 10,
    af12: 12,
    af13: 14,
    af21: 18,
    af22: 20,
    af23: 22,
    af31: 26,
    af32: 28,
    af33: 30,
    af41: 34,
    af42: 36,
    af43: 38,
  },
  ...{ va: 44, ef: 46 },
};

/** RFC 9260 §3.2, RFC 5061 §4.1 (asconf), RFC 3758 §3.2 (forward-tsn), under nft's names; others are written as numbers. */
const SCTP_CHUNKS: Names = {
  data: 0,
  init: 1,
  'init-ack': 2,
  sack: 3,
  heartbeat: 4,
  'heartbeat-ack': 5,
  abort: 6,
  shutdown: 7,
  'shutdown-ack': 8,
  error: 9,
  'cookie-echo': 10,
  'cookie-ack': 11,
  ecne: 12,
  cwr: 13,
  'shutdown-complete': 14,
  'asconf-ack': 128,
  'forward-tsn': 192,
  asconf: 193,
};

/** RFC 2236 §2.1, RFC 3376 §4. */
const IGMP_TYPES: Names = {
  'membership-query': 17,
  'membership-report-v1': 18,
  'membership-report-v2': 22,
  'leave-group': 23,
  'membership-report-v3': 34,
};

/** How the values of a field are written. */
export interface ValueSyntax {
  readonly kind: 'mac' | 'ip4' | 'ip6' | 'number';
  /** What a value is called in messages, with its article. */
  readonly noun: string;
  readonly names: Names;
}

const MAC: ValueSyntax = { kind: 'mac', noun: 'a MAC address', names: {} };
const IP4: ValueSyntax = { kind: 'ip4', noun: 'an IPv4 address', names: {} };
const IP6: ValueSyntax = { kind: 'ip6', noun: 'an IPv6 address', names: {} };
const PORT: ValueSyntax = { kind: 'number', noun: 'a port', names: SERVICES };
const PROTOCOL: ValueSyntax = { kind: 'number', noun: 'a protocol', names: PROTOCOLS };
export const NUMBER: ValueSyntax = { kind: 'number', noun: 'a number', names: {} };

export const VALUE_SYNTAX: Readonly<Record<FieldName, ValueSyntax>> = {
  'ether.saddr': MAC,
  'ether.daddr': MAC,
  'ether.type': { kind: 'number', noun: 'an EtherType', names: ETHER_TYPES },
  'vlan.id': NUMBER,
  'vlan.pcp': NUMBER,
  'ip.saddr': IP4,
  'ip.daddr': IP4,
  'ip.protocol': PROTOCOL,
  'ip.dscp': { kind: 'number', noun: 'a DSCP', names: DSCPS },
  'ip.ttl': NUMBER,
  'ip.length': NUMBER,
  'ip.frag-off': NUMBER,
  'ip6.saddr': IP6,
  'ip6.daddr': IP6,
  'ip6.nexthdr': PROTOCOL,
  'ip6.dscp': { kind: 'number', noun: 'a DSCP', names: DSCPS },
  'ip6.hoplimit': NUMBER,
  'ip6.length': NUMBER,
  'meta.l4proto': PROTOCOL,
  'meta.length': NUMBER,
  'frame.length': NUMBER,
  'arp.operation': { kind: 'number', noun: 'an ARP operation', names: ARP_OPERATIONS },
  'tcp.sport': PORT,
  'tcp.dport': PORT,
  'tcp.flags': { kind: 'number', noun: 'a TCP flag', names: TCP_FLAGS },
  'udp.sport': PORT,
  'udp.dport': PORT,
  'udp.length': NUMBER,
  'sctp.sport': PORT,
  'sctp.dport': PORT,
  'sctp.chunk': { kind: 'number', noun: 'an SCTP chunk type', names: SCTP_CHUNKS },
  'udplite.sport': PORT,
  'udplite.dport': PORT,
  'dccp.sport': PORT,
  'dccp.dport': PORT,
  'igmp.type': { kind: 'number', noun: 'an IGMP type', names: IGMP_TYPES },
  'th.sport': PORT,
  'th.dport': PORT,
  'icmp.type': { kind: 'number', noun: 'an ICMP type', names: ICMP_TYPES },
  'icmp.code': { kind: 'number', noun: 'an ICMP code', names: ICMP_CODES },
  'icmpv6.type': { kind: 'number', noun: 'an ICMPv6 type', names: ICMPV6_TYPES },
  'icmpv6.code': { kind: 'number', noun: 'an ICMPv6 code', names: ICMPV6_CODES },
};

/** How the elements of a named set are written, by their type. */
export const SET_TYPE_SYNTAX: Readonly<Record<SetType, ValueSyntax>> = {
  ipv4_addr: IP4,
  ipv6_addr: IP6,
  ether_addr: MAC,
  inet_service: PORT,
  inet_proto: PROTOCOL,
};
