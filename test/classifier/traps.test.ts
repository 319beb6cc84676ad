import { describe } from 'vitest';
import { checkTraps, type Trap } from '../support/traps.ts';

/** A frame of which nothing but its link header is told. */
const UNREAD = { ipVersion: null, src: null, dst: null, proto: null, l4: null, srcPort: null, dstPort: null };

const FRAGMENTS: readonly Trap[] = [
  {
    capture: 'ndpi__dns_fragmented.pcap',
    says: 'later fragments of DNS answers have no ports and share the verdict of their first fragment, over IPv4 and IPv6',
    // Of 66 packets 14 are fragments: 7 first ones and 7 that follow.
    fates: { 'hold rules': 59, 'hold fragment': 7 },
    frames: {
      2: { src: '193.24.227.238', fragOffset: 0, moreFrags: true, srcPort: 53, dstPort: 56680, payloadLen: 1472 },
      3: { src: '193.24.227.238', fragOffset: 1480, moreFrags: false, proto: 17, l4: null, srcPort: null },
      5: { src: '2001:470:765b::a25:53', fragOffset: 0, moreFrags: true, srcPort: 53, dstPort: 46433 },
      6: { src: '2001:470:765b::a25:53', fragOffset: 1448, moreFrags: false, proto: 17, l4: null, srcPort: null },
    },
  },
  {
    capture: 'zeek__ipv6-fragmented-dns.pcap',
    says: 'a last fragment that comes without its first one is held: nobody knows what it belongs to',
    fates: { 'hold rules': 5, 'hold fragment': 2, 'hold fragment-unknown': 1 },
    frames: {
      4: { fragOffset: 2896, moreFrags: false, l4: null, reason: 'fragment-unknown' },
      6: { fragOffset: 0, moreFrags: true, srcPort: 53, dstPort: 51851 },
      7: { fragOffset: 1432, moreFrags: true, srcPort: null, reason: 'fragment' },
      8: { fragOffset: 2864, moreFrags: false, srcPort: null, reason: 'fragment' },
    },
  },
  {
    capture: 'ndpi__ip_fragmented_garbage.pcap',
    says: 'garbage in fragments of 16 bytes is held: the first ones cannot hold a TCP header, so nothing decides for the rest',
    // 4 packets of 313 fragments each.
    fates: { 'hold fragment-no-l4': 4, 'hold fragment-unknown': 1248 },
    frames: {
      1: { proto: 6, l4: 'tcp', srcPort: 24102, dstPort: 10792, tcpFlags: null, fragOffset: 0, moreFrags: true },
      313: { proto: 6, l4: null, srcPort: null, fragOffset: 4992, moreFrags: false },
    },
  },
  {
    capture: 'snabb__broadcast.pcap',
    says: 'a first fragment that ends off an 8-byte boundary is held with all that follow it; pings with odd headers obey the rules',
    // Packet 2 claims 10,024 bytes in a frame of 55. The only answers to pings are packets 6, 8 and 9.
    fates: {
      'hold rules': 34,
      'hold truncated': 1,
      'hold malformed': 1,
      'hold fragment-unknown': 1,
      'pass rules': 3,
    },
    frames: {
      2: { l4: 'icmp', reason: 'truncated' },
      4: { fragOffset: 0, moreFrags: true, reason: 'malformed' },
      5: { fragOffset: 136, moreFrags: false, reason: 'fragment-unknown' },
      6: { l4: 'icmp', payloadLen: 13, verdict: 'pass' },
      7: { proto: 42, l4: null },
      8: { l4: 'icmp', payloadLen: 7996, verdict: 'pass' },
      9: { l4: 'icmp', payloadLen: 7996, verdict: 'pass' },
    },
  },
  {
    capture: 'suricata__toobig.pcap',
    says: 'an ICMPv6 error that would make its receiver send atomic fragments (RFC 6946) changes what it does, and is held',
    fates: { 'hold rules': 5 },
    // A path of 1200 bytes is less than IPv6 asks for; the echo request quoted in it is not taken for the frame's own.
    frames: { 2: { proto: 58, l4: 'icmpv6', srcPort: null, payloadLen: 1205, fragOffset: null, moreFrags: null } },
  },
];

const HEADER_CHAINS: readonly Trap[] = [
  {
    capture: 'libpcap__ipv6_ext_headers.pcap',
    says: 'a chain of 100 extension headers, 33 atomic fragment headers among them, is walked to its UDP ports',
    // 872 bytes are 14 + 40 + 8 (hop-by-hop) + 33 * 3 * 8 + 18 of UDP.
    fates: { 'hold rules': 1 },
    frames: {
      1: {
        src: '2001:db8::1',
        proto: 17,
        fragOffset: 0,
        moreFrags: false,
        srcPort: 12345,
        dstPort: 54321,
        payloadLen: 10,
      },
    },
  },
  {
    capture: 'tcpdump__ipv6-srh-ext-header.pcap',
    says: 'behind a segment routing header lies another IPv6 packet: addresses are the outer ones, and it is held as what it is',
    fates: { 'hold rules': 1 },
    frames: { 1: { src: 'a:b:c:12::1', dst: 'a:b:c:2::f1:0', proto: 41, l4: null } },
  },
  {
    capture: 'tcpdump__OSPFv3_with_AH.pcap',
    says: 'OSPFv3 behind an authentication header is known as OSPF and held: neighbours act on it',
    fates: { 'hold rules': 61 },
    frames: { 1: { src: 'fe80::1', dst: 'ff02::5', proto: 89, l4: null } },
  },
  {
    capture: 'zeek__ip6-ext-trunc.pcap',
    says: 'a packet that ends where hop-by-hop options should begin is held: its protocol is not known',
    fates: { 'hold truncated': 1 },
    frames: { 1: { dst: '2001:4f8:4:7:2e0:81ff:fe52:9a6b', proto: 0, l4: null } },
  },
  {
    capture: 'tcpdump__ipv6_jumbogram_1.pcap',
    says: 'a jumbogram is as long as its hop-by-hop option says (RFC 2675)',
    // Option 0xc2 says 0x10000: without 8 bytes of options and 4 of ICMPv6 that leaves 65,524.
    fates: { 'hold rules': 1 },
    frames: { 1: { src: '2200::244:212:3fff:feae:22f7', proto: 58, l4: 'icmpv6', payloadLen: 65_524 } },
  },
  {
    capture: 'tcpdump__ipv6-bad-version.pcap',
    says: 'an IPv6 EtherType above another version is held, and none of its fields are believed',
    fates: { 'hold rules': 2, 'hold malformed': 2 },
    frames: {
      2: { ...UNREAD, ipVersion: 6, reason: 'malformed' },
      4: { ...UNREAD, ipVersion: 6, reason: 'malformed' },
    },
  },
  {
    capture: 'tcpdump__ipv6_39_byte_header.pcap',
    says: 'an IPv6 header of which the capture has 25 bytes is held, and half an address is no address',
    fates: { 'hold truncated': 1 },
    frames: { 1: { ...UNREAD, len: 118, capLen: 39, ipVersion: 6 } },
  },
];

const TUNNELS: readonly Trap[] = [
  {
    capture: 'tcpdump__geneve.pcap',
    says: 'GENEVE is the UDP that carries it: what another network runs inside is not looked into',
    fates: { 'hold rules': 39 },
    frames: { 1: { src: '20.0.0.1', dst: '20.0.0.2', l4: 'udp', srcPort: 12618, dstPort: 6081, payloadLen: 114 } },
  },
  {
    capture: 'suricata__vxlan-decoder-03__vxlan.pcap',
    says: 'VXLAN is the UDP that carries it',
    fates: { 'hold rules': 100 },
    frames: { 1: { src: '172.31.0.238', l4: 'udp', srcPort: 65445, dstPort: 4789, payloadLen: 98 } },
  },
  {
    capture: 'packetnet__gre_all_options.pcap',
    says: 'GRE is protocol 47 without ports, whichever of its options it has: an echo reply inside does not pass',
    fates: { 'hold rules': 10 },
    frames: { 1: { src: '203.0.113.1', dst: '192.0.2.2', proto: 47, l4: null, srcPort: null } },
  },
  {
    capture: 'suricata__ip_in_ip.pcap',
    says: 'IP in IP has the outer addresses and protocol 4: an echo reply inside does not pass',
    fates: { 'hold rules': 6 },
    frames: { 1: { src: '10.0.0.94', dst: '10.1.0.237', proto: 4, l4: null } },
  },
  {
    capture: 'zeek__pdp_ctx_messages.pcapng',
    says: 'GTP is the UDP that carries it, whether it signals or carries a ping',
    fates: { 'hold rules': 14 },
    frames: { 5: { src: '127.0.0.2', dst: '127.0.0.1', proto: 17, srcPort: 2123, dstPort: 2123, payloadLen: 12 } },
  },
  {
    capture: 'libtrace__ip-in-mpls.pcap',
    says: 'IPv4 beneath a label stack obeys the rules for what it is: only the 11 answers to pings pass',
    fates: { 'hold rules': 10_496, 'pass rules': 11 },
    frames: {
      1: { etherType: 0x8847, src: '172.16.10.10', dst: '172.16.20.20', l4: 'icmp', payloadLen: 56, verdict: 'hold' },
      2: { etherType: 0x8847, src: '172.16.20.20', dst: '172.16.10.10', l4: 'icmp', payloadLen: 56, verdict: 'pass' },
      30: { etherType: 0x8847, len: 1514, capLen: 256, l4: 'tcp', payloadLen: 1444 },
    },
  },
  {
    capture: 'ndpi__syslog.pcap',
    says: 'IPv4 in a PPPoE session and behind tags has its ports; IPv6 in IPv4 has the outer addresses only',
    fates: { 'hold rules': 94 },
    frames: {
      1: { etherType: 0x8864, vlans: [], src: '95.136.242.54', dst: '93.20.126.110', srcPort: 514, dstPort: 514 },
      20: { etherType: 0x0800, vlans: [121], src: '192.168.121.10', srcPort: 50080, dstPort: 514 },
      26: { src: '193.24.227.10', dst: '216.66.86.114', proto: 41, l4: null, srcPort: null },
      85: { etherType: 0x8864, vlans: [], src: '195.120.165.134', dst: '83.235.169.221', srcPort: 514, dstPort: 11000 },
    },
  },
  {
    capture: 'tcpdump__nsh.pcap',
    says: 'a service header (NSH) is not looked through, so what it carries is held',
    fates: { 'hold unknown-ethertype': 1 },
    frames: { 1: { ...UNREAD, etherType: 0x894f } },
  },
  {
    capture: 'tcpdump__macsec-encrypted.pcap',
    says: 'MACsec hides what it carries, so it is held',
    fates: { 'hold unknown-ethertype': 1 },
    frames: { 1: { ...UNREAD, etherType: 0x88e5 } },
  },
  {
    capture: 'zeek__pbb.pcap',
    says: 'a provider backbone’s frames (802.1ah) have their outer tag; the customer’s frame inside is not looked into',
    fates: { 'hold unknown-ethertype': 12 },
    frames: {
      1: { ...UNREAD, etherType: 0x88e7, vlans: [4051] },
      3: { ...UNREAD, etherType: 0x88e7, vlans: [4052] },
    },
  },
  {
    capture: 'zeek__vntag.pcap',
    says: 'a VN-Tag is not looked through, nor is the VLAN tag behind it taken for the frame’s own',
    fates: { 'hold unknown-ethertype': 3 },
    frames: { 1: { ...UNREAD, etherType: 0x8926, vlans: [] } },
  },
];

describe('fragments', () => checkTraps(FRAGMENTS));
describe('IPv6 header chains', () => checkTraps(HEADER_CHAINS));
describe('tunnels', () => checkTraps(TUNNELS));
