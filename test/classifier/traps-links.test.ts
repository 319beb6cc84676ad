import { describe } from 'vitest';
import { checkTraps, type Trap } from '../support/traps.ts';

const TAGS: readonly Trap[] = [
  {
    capture: 'arkime__dot1ad.pcap',
    says: 'behind a service tag and a customer tag the rules see the packet: a ping waits, its answer passes',
    fates: { 'hold rules': 1, 'pass rules': 1 },
    frames: {
      1: {
        etherType: 0x0800,
        vlans: [1525, 30],
        src: '47.245.159.156',
        dst: '92.104.109.0',
        l4: 'icmp',
        verdict: 'hold',
      },
      2: {
        etherType: 0x0800,
        vlans: [1535, 40],
        src: '92.104.109.0',
        dst: '47.245.159.156',
        l4: 'icmp',
        verdict: 'pass',
      },
    },
  },
  {
    capture: 'zeek__q-in-q.pcap',
    says: 'two tags of the same type are two tags: session announcements and ARP behind them are held, and so is BACnet, which looks like RTP',
    fates: { 'hold rules': 5 },
    frames: {
      1: { etherType: 0x0800, vlans: [13, 10], src: '172.19.51.37', srcPort: 47808, dstPort: 47808 },
      3: { etherType: 0x0800, vlans: [13, 10], dst: '224.2.127.254', dstPort: 9875, verdict: 'hold' },
      5: { etherType: 0x0806, vlans: [13, 10], ipVersion: null, verdict: 'hold' },
    },
  },
  {
    capture: 'zeek__vlan-qinqinq.pcap',
    says: 'behind three tags TCP has its ports, and is held',
    fates: { 'hold rules': 14 },
    frames: {
      1: { vlans: [30, 20, 10], src: '141.142.228.5', srcPort: 59856, dstPort: 80, tcpFlags: 2, payloadLen: 0 },
      4: { vlans: [30, 20, 10], etherType: 0x0800, tcpFlags: 0x18, payloadLen: 136 },
    },
  },
  {
    capture: 'pcapflowlab__07_legacy_9100_vlan_ipv4_udp.pcap',
    says: 'the tag type 0x9100, which no standard has, is followed because switches send it',
    fates: { 'hold rules': 1 },
    frames: { 1: { etherType: 0x0800, vlans: [300], src: '192.0.2.10', srcPort: 53530, dstPort: 443, payloadLen: 8 } },
  },
  {
    capture: 'tcpdump__rpvstp-trunk-native-vid5.pcap',
    says: 'an 802.3 length behind a tag is one: spanning tree is held, tagged or not, like the loop test of type 0x9000',
    fates: { 'hold unknown-ethertype': 22 },
    frames: {
      1: { vlans: [], etherType: null, ipVersion: null },
      3: { vlans: [1], etherType: null, ipVersion: null },
      22: { vlans: [], etherType: 0x9000 },
    },
  },
];

const WITHOUT_IP: readonly Trap[] = [
  {
    capture: 'tcpdump__802.1w_rapid_STP.pcap',
    says: 'spanning tree has a length, no EtherType, and no network header: held',
    fates: { 'hold unknown-ethertype': 30 },
    frames: { 1: { etherType: null, ipVersion: null, src: null } },
  },
  {
    capture: 'tcpdump__ISIS_level1_adjacency.pcap',
    says: 'IS-IS over LLC with a length of 1500, the longest that is one, is held',
    fates: { 'hold unknown-ethertype': 22 },
    frames: { 1: { len: 1514, etherType: null, ipVersion: null } },
  },
  {
    capture: 'arkime__ospf.pcap',
    says: 'IS-IS and LLDP between IP packets are held for their type, all else as the rules say',
    // By protocol: 67 LLC, 7 LLDP.
    fates: { 'hold unknown-ethertype': 74, 'hold rules': 320 },
  },
  {
    capture: 'tcpdump__LACP.pcap',
    says: 'link aggregation (slow protocols) is held: the other end of the link acts on it',
    fates: { 'hold unknown-ethertype': 20 },
    frames: { 1: { etherType: 0x8809, ipVersion: null } },
  },
  {
    capture: 'tcpdump__LLDP_and_CDP.pcap',
    says: 'SNAP of a manufacturer (CDP) is not taken for SNAP that carries an EtherType',
    fates: { 'hold unknown-ethertype': 12 },
    frames: { 1: { etherType: null, ipVersion: null }, 3: { etherType: 0x88cc, ipVersion: null } },
  },
];

const CUT: readonly Trap[] = [
  {
    capture: 'libtrace__100_packets.pcap',
    says: 'captured headers without payload still have ports and the payload’s length; where a rule asks for bytes that were cut, the frame is held',
    fates: { hold: 100 },
    frames: {
      1: { len: 827, capLen: 54, l4: 'tcp', srcPort: 1760, dstPort: 25, tcpFlags: 0x18, payloadLen: 769 },
      3: { len: 202, capLen: 34, src: '97.89.18.118', proto: 50, l4: null },
      12: { len: 91, capLen: 42, l4: 'udp', srcPort: 53, dstPort: 53, payloadLen: 45, reason: 'undecided' },
    },
  },
  {
    capture: 'gopacket__le__test008.pcapng',
    says: 'a datagram cut by the interface’s snap length keeps its own lengths',
    fates: { hold: 4 },
    frames: { 1: { len: 314, capLen: 96, payloadLen: 272 }, 2: { len: 342, capLen: 128, payloadLen: 300 } },
  },
  {
    capture: 'gopacket__le__test012.pcapng',
    says: 'a simple packet block ends at the interface’s snap length, without its padding',
    fates: { hold: 4 },
    frames: { 2: { len: 342, capLen: 315, srcPort: 67, dstPort: 68, payloadLen: 300 } },
  },
  {
    capture: 'zeek__smb2_krb.pcap',
    says: 'a super-frame longer than the snap length is judged by its headers',
    fates: { hold: 100 },
    frames: { 43: { len: 12_018, capLen: 10_014, srcPort: 445, dstPort: 56493, payloadLen: 11_964 } },
  },
  {
    capture: 'zeek__ip4-trunc.pcap',
    says: 'six bytes of an IPv4 header tell nothing that may be believed',
    fates: { 'hold truncated': 1 },
    frames: { 1: { len: 46, capLen: 20, etherType: 0x0800, src: null, proto: null } },
  },
  {
    capture: 'tcpdump__pim_header_asan-2.pcap',
    says: 'a record without a byte, and one that has more bytes than the wire had, are too short for Ethernet: held',
    fates: { 'hold rules': 1, 'hold truncated': 2 },
    frames: {
      1: { capLen: 66, ipVersion: 6, proto: 103, dst: '6700:7f:e664:24:2424:2424:2424:25eb' },
      2: { len: 262_144, capLen: 0, srcMac: null, etherType: null },
      3: { len: 0, capLen: 4, srcMac: null, etherType: null },
    },
  },
];

const CONTRADICTIONS: readonly Trap[] = [
  {
    capture: 'suricata__decode-too-small__test.pcap',
    says: 'a packet that by its own length has no room for its transport header contradicts itself, whatever ports are left of it',
    fates: { 'hold malformed': 6, 'hold rules': 2 },
    frames: {
      1: { proto: 6, l4: 'tcp', srcPort: null, reason: 'malformed' },
      3: { proto: 17, srcPort: 33112, dstPort: 53, payloadLen: null, reason: 'malformed' },
      4: { proto: 47, l4: null },
      7: { ipVersion: 6, srcPort: 33112, dstPort: 53, reason: 'malformed' },
      8: { ipVersion: 6, proto: 47, l4: null },
    },
  },
  {
    capture: 'pcpp__ipv4-malformed.pcap',
    says: 'a total length of 11, less than a header, and a version of 5 are not IPv4',
    fates: { 'hold malformed': 2 },
    frames: { 1: { l4: null, srcPort: null }, 2: { proto: null, l4: null, srcPort: null } },
  },
  {
    capture: 'tcpdump__nfs-attr-oobr.pcap',
    says: 'a UDP length of 12,336 in an IP packet of 12,336 bytes leaves no room for the IP header: held, like the types that nobody knows',
    fates: { 'hold unknown-ethertype': 46, 'hold malformed': 2 },
    frames: {
      1: { etherType: 0x3030, len: 262_144, capLen: 96 },
      47: { srcPort: 12_336, dstPort: 2049, payloadLen: 12_308 },
    },
  },
  {
    capture: 'tcpdump__isoclns-oobr.pcap',
    says: 'two bytes that look like an LLC address in place of a type are a type above 1500 that nobody knows',
    fates: { 'hold unknown-ethertype': 1 },
    frames: { 1: { etherType: 0xfefe, capLen: 19 } },
  },
  {
    capture: 'tcpdump__bigtcp-ipv4-vxlan-ipv6.pcap',
    says: 'a total length of 0 is a super-frame before segmentation (BIG TCP): as long as the frame',
    // 80,060 bytes without 14 of Ethernet, 20 of IPv4 and 8 of UDP.
    fates: { 'hold rules': 1 },
    frames: { 1: { src: '10.25.132.11', srcPort: 60879, dstPort: 4789, payloadLen: 80_018 } },
  },
  {
    capture: 'ndpi__webex.pcap',
    says: 'super-frames of 18,020 bytes with a total length that fits are TCP like any other, and held',
    fates: { 'hold rules': 1110 },
    frames: { 126: { len: 18_020, src: '64.68.105.103', srcPort: 443, dstPort: 41348, payloadLen: 17_966 } },
  },
];

const DAMAGED: readonly Trap[] = [
  {
    capture: 'dpkt__truncated_dns_2.pcap',
    says: 'the frame before the damage is judged, and the exit code tells of the damage',
    fates: { hold: 1 },
    frames: { 1: { len: 282, capLen: 200, l4: 'udp', payloadLen: 240 } },
    code: 1,
  },
  {
    capture: 'pcpp__crash-81dba690a3f67ee41a41390a625db732fa1413a1.pcap',
    says: 'a UDP length of 64,381 in a packet of 41 bytes is a contradiction, not a longer frame',
    fates: { 'hold rules': 10, 'hold malformed': 1 },
    frames: { 11: { srcPort: 57487, dstPort: 5355, payloadLen: 33, reason: 'malformed' } },
    code: 1,
  },
  {
    capture: 'suricata__tls_DER-incomplete-header.pcap',
    says: 'six TCP segments before a record that claims 4 MB are judged',
    fates: { 'hold rules': 6 },
    code: 1,
  },
];

const OTHER_LINKS: readonly Trap[] = [
  ...(
    [
      ['brimcap__bad-caplen.pcap', 113, 1],
      ['tracepcap__free5gc.pcap', 113, 250],
      ['zeek__linux_dlt_sll2.pcap', 276, 6],
      ['zeek__radius_localhost.pcap', 0, 19],
      ['zeek__timeout-with-pings.pcap', 228, 15],
      ['zeek__wlanmon.pcap', 105, 3],
      ['tcpdump__mpls-ldp-hello.pcap', 9, 1],
      ['pcpp__clusterfuzz-testcase-minimized-FuzzTarget-5766899836387328.pcap', 101, 1],
    ] as const
  ).map(([capture, linkType, frames]) => ({
    capture,
    says: `what was no Ethernet frame (link type ${linkType}) is dropped: no Ethernet port could send it`,
    fates: { 'drop not-ethernet': frames },
    frames: { 1: { linkType, srcMac: null, etherType: null, ipVersion: null, class: null, direction: 'outbound' } },
  })),
  {
    capture: 'gopacket__le__test202.pcapng',
    says: 'interfaces of one file may differ in their link type: loopback frames are dropped, Ethernet ones judged',
    fates: { hold: 6, 'drop not-ethernet': 2 },
    frames: { 3: { linkType: 0, reason: 'not-ethernet' }, 4: { linkType: 1, len: 314, capLen: 128, payloadLen: 272 } },
  },
  {
    capture: 'libpcap__linktype-reserved-field-not-zero.pcap',
    says: 'a link type field with reserved bits set has a link type in its lower half, and no frames here',
    fates: {},
  },
];

describe('tags', () => checkTraps(TAGS));
describe('frames without IP', () => checkTraps(WITHOUT_IP));
describe('frames that the capture cut', () => checkTraps(CUT));
describe('lengths that contradict one another', () => checkTraps(CONTRADICTIONS));
describe('damaged captures', () => checkTraps(DAMAGED));
describe('other links', () => checkTraps(OTHER_LINKS));
