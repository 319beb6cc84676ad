import { ETH, ETHERTYPE, IP4, IP6, PROTO } from '../classifier/headers.ts';
import { MAX_VLAN_TAGS } from '../classifier/parsed.ts';
import { IGMP, MAX_SOURCES, type Membership, MLD, RECORD, RECORDS } from './memberships.ts';
import { foldSum, onesSum } from './port/checksum.ts';

/** Where reports of the newest versions go: all routers that understand them (RFC 3376 §4.2.14, RFC 3810 §5.2.14). */
const ROUTERS4 = Uint8Array.of(224, 0, 0, 22);
const ROUTERS6 = Uint8Array.of(0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x16);
/** An IPv4 header of six words with the option 'router alert' (RFC 2113), and the TOS that RFC 3376 §4 asks for. */
const IP4_START = 0x46c0;
const IP4_BYTES = 24;
const DONT_FRAGMENT = 0x4000;
const IP4_CHECKSUM = 10;
const ROUTER_ALERT4 = 0x9404_0000;
const IP6_VERSION = 0x6000_0000;
/** A hop-by-hop header of eight bytes: ICMPv6 follows, 'router alert' for MLD (RFC 2711 §2.1), PadN. */
const HOP_BY_HOP = { bytes: 8, start: PROTO.icmpv6 * 0x100_0000 + 0x0502, rest: 0x0000_0100 } as const;
/** Reports go no farther than the link. */
const ONE_HOP = 1;
const IP6_BYTES = 16;

/** The longest report. */
export const REPORT_BYTES =
  ETH.header +
  MAX_VLAN_TAGS * ETH.tag +
  IP6.header +
  HOP_BY_HOP.bytes +
  RECORDS.at +
  RECORDS.group +
  (1 + MAX_SOURCES) * IP6_BYTES;

/**
 * Writes a report of this one membership, as the VM would answer a query with (RFC 2236 §3, RFC 3376 §5.2; RFC 2710 §4, RFC 3810 §6.2).
 * @returns bytes that the frame has
 */
export function writeReport(bytes: Uint8Array, view: DataView, start: number, one: Membership): number {
  const isIp4 = one.group.length === 4;
  const records = isIp4 ? 3 : 2;
  const to = one.version < records ? one.group : isIp4 ? ROUTERS4 : ROUTERS6;
  writeGroupMac(bytes, view, start, to);
  bytes.set(one.mac, start + 6);
  let at = start + ETH.type;
  for (const tag of one.tags) {
    view.setUint32(at, tag);
    at += ETH.tag;
  }
  view.setUint16(at, isIp4 ? ETHERTYPE.ip4 : ETHERTYPE.ip6);
  at += 2;
  const message = at + (isIp4 ? IP4_BYTES : IP6.header + HOP_BY_HOP.bytes);
  const end = one.version < records ? writeOld(bytes, message, one) : writeRecord(bytes, view, message, one);
  if (isIp4) finishIgmp(bytes, view, at, message, end, one.ip, to);
  else finishMld(bytes, view, at, message, end, one.ip, to);
  return end - start;
}

/** RFC 1112 §6.4, RFC 2464 §7. */
function writeGroupMac(bytes: Uint8Array, view: DataView, start: number, group: Uint8Array): void {
  if (group.length === 4) {
    view.setUint32(start, 0x0100_5e00 + (group[1]! & 0x7f));
    bytes.set(group.subarray(2), start + 4);
  } else {
    view.setUint16(start, 0x3333);
    bytes.set(group.subarray(12), start + 2);
  }
}

/** A report that names a group. @returns where it ends */
function writeOld(bytes: Uint8Array, at: number, { group, version }: Membership): number {
  const isIp4 = group.length === 4;
  const [end, groupAt] = isIp4 ? [at + IGMP.bytes, at + IGMP.group] : [at + MLD.bytes, at + MLD.group];
  bytes.fill(0, at, end);
  bytes[at] = !isIp4 ? MLD.report1 : version === 1 ? IGMP.report1 : IGMP.report2;
  bytes.set(group, groupAt);
  return end;
}

/** A report with one record. @returns where it ends */
function writeRecord(bytes: Uint8Array, view: DataView, at: number, { group, sources }: Membership): number {
  const record = at + RECORDS.at;
  bytes.fill(0, at, record + RECORDS.group);
  bytes[at] = group.length === 4 ? IGMP.report3 : MLD.report2;
  view.setUint16(at + RECORDS.count, 1);
  bytes[record] = sources.length === 0 ? RECORD.isExclude : RECORD.isInclude;
  view.setUint16(record + RECORDS.sources, sources.length);
  let end = record + RECORDS.group;
  for (const ip of [group, ...sources]) {
    bytes.set(ip, end);
    end += ip.length;
  }
  return end;
}

/** The IPv4 header at `at`, and the checksum of the message. */
function finishIgmp(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  message: number,
  end: number,
  from: Uint8Array,
  to: Uint8Array,
): void {
  bytes.fill(0, at, message);
  view.setUint16(at, IP4_START);
  view.setUint16(at + IP4.totalLength, end - at);
  view.setUint16(at + IP4.fragment, DONT_FRAGMENT);
  bytes[at + IP4.ttl] = ONE_HOP;
  bytes[at + IP4.protocol] = PROTO.igmp;
  bytes.set(from, at + IP4.src);
  bytes.set(to, at + IP4.dst);
  view.setUint32(at + IP4.minHeader, ROUTER_ALERT4);
  view.setUint16(at + IP4_CHECKSUM, foldSum(onesSum(view, at, message - at, 0)));
  view.setUint16(message + 2, foldSum(onesSum(view, message, end - message, 0)));
}

/** The IPv6 headers at `at`, and the checksum of the message with the pseudo-header (RFC 8200 §8.1). */
function finishMld(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  message: number,
  end: number,
  from: Uint8Array,
  to: Uint8Array,
): void {
  view.setUint32(at, IP6_VERSION);
  view.setUint16(at + IP6.payloadLength, end - at - IP6.header);
  bytes[at + IP6.nextHeader] = PROTO.hopByHop;
  bytes[at + IP6.hopLimit] = ONE_HOP;
  bytes.set(from, at + IP6.src);
  bytes.set(to, at + IP6.dst);
  view.setUint32(at + IP6.header, HOP_BY_HOP.start);
  view.setUint32(at + IP6.header + 4, HOP_BY_HOP.rest);
  const sum = onesSum(view, at + IP6.src, 2 * IP6_BYTES, end - message + PROTO.icmpv6);
  view.setUint16(message + 2, foldSum(onesSum(view, message, end - message, sum)));
}
