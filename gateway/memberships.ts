import { ETHERTYPE, IP4, IP6, PROTO } from '../classifier/headers.ts';
import type { Clock } from './clock.ts';
import type { FrameBatch } from './frame-batch.ts';
import { foldSum, onesSum } from './port/checksum.ts';
import { isSame, placeOf, type Reach, tagsOf } from './reach.ts';

/** A multicast group that a machine has joined. */
export interface Membership extends Reach {
  /** 4 or 16 bytes, and so have the others. */
  readonly group: Uint8Array;
  /** Source of the report; all zeros: of a machine that had no address to report it from (RFC 3376 §4.2.13, RFC 3810 §5.2.13). */
  readonly ip: Uint8Array;
  /** Of the protocol that the report was in, and the network's querier therefore speaks: IGMP 1 to 3, MLD 1 or 2. */
  readonly version: number;
  /** Whom alone the machine wants to hear there; empty: anybody. */
  readonly sources: readonly Uint8Array[];
}

export const MAX_MEMBERSHIPS = 256;
/** Of one membership: a machine that names more gets what anybody sends, and takes from that what it wants. */
export const MAX_SOURCES = 8;

/** IGMP (RFC 1112 appendix I, RFC 2236 §2, RFC 3376 §4) and MLD (RFC 2710 §3, RFC 3810 §5.2): types, and where a group is named. */
export const IGMP = { report1: 0x12, report2: 0x16, leave: 0x17, report3: 0x22, group: 4, bytes: 8 } as const;
export const MLD = { report1: 131, done: 132, report2: 143, group: 8, bytes: 24, hopLimit: 1 } as const;
/** Group records, which both protocols write alike: bytes from the message's start, then from the record's, whose lengths are in words. */
export const RECORDS = { count: 6, at: 8, aux: 1, sources: 2, group: 4, word: 4 } as const;
/** RFC 3376 §4.2.12, RFC 3810 §5.2.12. */
export const RECORD = { isInclude: 1, isExclude: 2, toInclude: 3, toExclude: 4, allow: 5, block: 6 } as const;

const IGMP_VERSION: Readonly<Record<number, number>> = { [IGMP.report1]: 1, [IGMP.report2]: 2, [IGMP.report3]: 3 };
const MLD_VERSION: Readonly<Record<number, number>> = { [MLD.report1]: 1, [MLD.report2]: 2 };
/** RFC 791 §3.1: more fragments, and the offset. */
const FRAGMENT = 0x3fff;
const NOBODY: readonly Uint8Array[] = [];
/** Records that are learned in such a time at the most: of the longest report alone they would keep all VMs waiting. */
export const LEARNED = { records: 256, spanNs: 100e6 } as const;

/** What the records of a report have in common. */
interface Report {
  readonly from: Omit<Membership, 'group' | 'sources'>;
  /** How keys begin of what it reports, and of what it reported before it had an address. */
  readonly key: string;
  readonly keyBefore: string;
}

/**
 * Which groups were joined in frames that have left: switches know them by the port that the report came from. A report that was rolled
 * back was never made. A membership lasts until it is taken back: who is asked repeats it, and what is announced needlessly ends when the
 * network's querier asks next. Bounded; the one that was reported longest ago goes first. So is the work: of more than may be learned at a
 * time nothing is, until it is repeated.
 *
 * Allocates nothing for frames that are no reports.
 */
export class Memberships {
  readonly #known = new Map<string, Membership>();
  readonly #clock: Clock;
  #sinceNs = Number.NEGATIVE_INFINITY;
  /** Records that may be learned yet, of those since then. */
  #records = 0;

  /** @param clock asked for each report */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Frame `i` of the batch has left for the network.
   * @param at of its IP header, without options whole: of IPv4 with IGMP, or of IPv6 with a hop-by-hop header
   */
  left(batch: FrameBatch, i: number, at: number): void {
    const { view } = batch.slab;
    const end = batch.offset[i]! + batch.length[i]!;
    const isIp4 = view.getUint16(at - 2) === ETHERTYPE.ip4;
    const message = isIp4 ? igmpAt(view, at, end) : mldAt(view, at, end);
    if (message >= 0) this.#learn(batch, i, at, message);
  }

  /**
   * @param addresses the VM's own
   * @returns what the VM itself has joined: a report that it forwarded for somebody else came from another address. MLD reports come from a
   * link-local address that the VM need never have spoken of: there its MAC address tells, and so it does where there was no address yet
   */
  of(addresses: readonly (Reach & { readonly ip: Uint8Array })[]): Membership[] {
    const own = new Set<string>();
    const sources = new Map<string, Uint8Array>();
    for (const address of addresses) {
      const speaker = speakerOf(address);
      own.add(speaker).add(`${placeOf(address)} ${address.ip}`);
      if (address.ip.length === 4 || isLinkLocal(address.ip))
        sources.set(`${speaker} ${address.ip.length}`, address.ip);
    }
    return [...this.#known.values()].flatMap((one) => {
      if (own.has(`${placeOf(one)} ${one.ip}`)) return [one];
      if (!own.has(speakerOf(one))) return [];
      if (isLinkLocal(one.ip)) return [one];
      return isNobody(one.ip) ? [{ ...one, ip: sources.get(`${speakerOf(one)} ${one.ip.length}`) ?? one.ip }] : [];
    });
  }

  /** What another gateway learned. What was heard here counts more. */
  adopt(memberships: readonly Membership[]): void {
    for (const one of memberships) {
      const key = keyOf(one);
      if (!this.#known.has(key)) this.#add(key, one);
    }
  }

  #learn(batch: FrameBatch, i: number, at: number, message: number): void {
    const { bytes, view } = batch.slab;
    const isIp4 = view.getUint16(at - 2) === ETHERTYPE.ip4;
    const type = view.getUint8(message);
    const version = (isIp4 ? IGMP_VERSION : MLD_VERSION)[type];
    const isLeave = type === (isIp4 ? IGMP.leave : MLD.done);
    if (version === undefined && !isLeave) return;
    this.#keepTime();
    if (!this.#mayLearn()) return;
    const start = batch.offset[i]!;
    const size = isIp4 ? 4 : 16;
    const ipAt = at + (isIp4 ? IP4.src : IP6.src);
    const ip = bytes.slice(ipAt, ipAt + size);
    const mac = bytes.slice(start + 6, start + 12);
    if ((mac[0]! & 1) !== 0 || !mayReport(ip)) return;
    const from = { pair: batch.pair[i]!, tags: tagsOf(view, start, at), mac, ip, version: version ?? 0 };
    const report = { from, key: reporterOf(from), keyBefore: reporterOf({ ...from, ip: new Uint8Array(size) }) };
    const end =
      at + (isIp4 ? view.getUint16(at + IP4.totalLength) : IP6.header + view.getUint16(at + IP6.payloadLength));
    if (type === (isIp4 ? IGMP.report3 : MLD.report2)) {
      this.#learnRecords(batch, message, end, report);
      return;
    }
    if (!isIp4 && message + MLD.bytes > end) return;
    const groupAt = message + (isIp4 ? IGMP.group : MLD.group);
    // RFC 3376 §7.3.2, RFC 3810 §8.3.2: what older messages mean.
    const meaning = isLeave ? RECORD.toInclude : RECORD.isExclude;
    this.#learnRecord(report, bytes.subarray(groupAt, groupAt + size), meaning, NOBODY, 0);
  }

  /** As many of the records as are whole, and may be learned. */
  #learnRecords({ slab: { bytes, view } }: FrameBatch, message: number, end: number, report: Report): void {
    const size = report.from.ip.length;
    const count = view.getUint16(message + RECORDS.count);
    let at = message + RECORDS.at;
    for (let k = 0; k < count && (k === 0 || this.#mayLearn()); k++) {
      const sourcesAt = at + RECORDS.group + size;
      if (sourcesAt > end) return;
      const sources = view.getUint16(at + RECORDS.sources);
      const next = sourcesAt + sources * size + view.getUint8(at + RECORDS.aux) * RECORDS.word;
      if (next > end) return;
      const group = bytes.subarray(at + RECORDS.group, sourcesAt);
      this.#learnRecord(report, group, view.getUint8(at), sendersAt(bytes, sourcesAt, sources, size), sources);
      at = next;
    }
  }

  /** @param count of addresses in the record, of which `named` are senders' */
  #learnRecord(
    { from, key: by, keyBefore }: Report,
    group: Uint8Array,
    type: number,
    named: readonly Uint8Array[],
    count: number,
  ): void {
    if (!isGroup(group)) return;
    const text = ` ${group}`;
    const key = by + text;
    const before = this.#known.get(key) ?? this.#known.get(keyBefore + text);
    const wanted = wantedAfter(type, before?.sources ?? null, named, count);
    this.#known.delete(keyBefore + text);
    this.#known.delete(key);
    if (wanted === null) return;
    const sources = wanted.length > MAX_SOURCES ? NOBODY : wanted;
    const isTheSame = before !== undefined && isSameReport(before, from) && isSameList(before.sources, sources);
    this.#add(key, isTheSame ? before : { ...from, group: group.slice(), sources });
  }

  #keepTime(): void {
    const nowNs = this.#clock.nowNs();
    if (nowNs - this.#sinceNs < LEARNED.spanNs) return;
    this.#sinceNs = nowNs;
    this.#records = LEARNED.records;
  }

  /** @returns whether one record more may be learned; a report without any counts as one */
  #mayLearn(): boolean {
    if (this.#records === 0) return false;
    this.#records--;
    return true;
  }

  #add(key: string, one: Membership): void {
    if (this.#known.size === MAX_MEMBERSHIPS) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(key, one);
  }
}

/**
 * @param before whom it wanted to hear; empty: anybody, null: it was no member
 * @param named sources in the record
 * @param count of what it names as sources, though it may be none
 * @returns the same as it is now. Whom it excludes is not kept: it gets what they send, and drops it
 */
function wantedAfter(
  record: number,
  before: readonly Uint8Array[] | null,
  named: readonly Uint8Array[],
  count: number,
): readonly Uint8Array[] | null {
  const isAny = before !== null && before.length === 0;
  switch (record) {
    case RECORD.isExclude:
    case RECORD.toExclude:
      return NOBODY;
    case RECORD.isInclude:
    case RECORD.toInclude:
      if (named.length > 0) return named;
      return count === 0 ? null : before;
    case RECORD.allow: {
      if (isAny) return before;
      const more = named.filter((source) => before?.every((one) => !isSame(one, source)) ?? true);
      const all = [...(before ?? NOBODY), ...more];
      return all.length === 0 ? null : all;
    }
    case RECORD.block: {
      if (before === null || isAny) return before;
      const rest = before.filter((source) => named.every((one) => !isSame(one, source)));
      return rest.length === 0 ? null : rest;
    }
    default:
      // RFC 3376 §4.2.12: a type that nobody knows is ignored.
      return before;
  }
}

/** @returns where the IGMP message begins, -1 where it is cut, a fragment, or not what was sent */
function igmpAt(view: DataView, at: number, end: number): number {
  const message = at + (view.getUint8(at) & 15) * 4;
  const packetEnd = at + view.getUint16(at + IP4.totalLength);
  if (view.getUint8(at) >> 4 !== 4 || message < at + IP4.minHeader || packetEnd > end) return -1;
  if (message + IGMP.bytes > packetEnd || (view.getUint16(at + IP4.fragment) & FRAGMENT) !== 0) return -1;
  return foldSum(onesSum(view, message, packetEnd - message, 0)) === 0 ? message : -1;
}

/** The same of an ICMPv6 message behind a hop-by-hop header, as MLD has one, from a machine on the link (RFC 3810 §5). */
function mldAt(view: DataView, at: number, end: number): number {
  const extension = at + IP6.header;
  const packetEnd = extension + view.getUint16(at + IP6.payloadLength);
  if (view.getUint8(at + IP6.hopLimit) !== MLD.hopLimit || packetEnd > end || extension + 8 > packetEnd) return -1;
  const message = extension + (view.getUint8(extension + 1) + 1) * 8;
  if (view.getUint8(extension) !== PROTO.icmpv6 || message + RECORDS.at > packetEnd) return -1;
  const bytes = packetEnd - message;
  const sum = onesSum(view, at + IP6.src, 32, bytes + PROTO.icmpv6);
  return foldSum(onesSum(view, message, bytes, sum)) === 0 ? message : -1;
}

/** A machine, or one without an address yet; MLD knows link-local addresses only. */
function mayReport(ip: Uint8Array): boolean {
  return isNobody(ip) || (ip.length === 4 ? ip[0]! < 224 && ip[0]! !== 127 : isLinkLocal(ip));
}

/** @returns whether it is an address of a group, of 4 or 16 bytes */
export function isGroup(ip: Uint8Array): boolean {
  return isGroupOf(ip[0]!, ip.length);
}

/** @param first byte of an address of `size` bytes */
function isGroupOf(first: number, size: number): boolean {
  return size === 4 ? first >> 4 === 0xe : first === 0xff;
}

/** @returns those of the addresses that can send, as no group can; no more than show that they are too many */
function sendersAt(bytes: Uint8Array, at: number, count: number, size: number): Uint8Array[] {
  const senders: Uint8Array[] = [];
  const end = at + count * size;
  for (let one = at; one < end && senders.length <= MAX_SOURCES; one += size) {
    if (!isGroupOf(bytes[one]!, size)) senders.push(bytes.slice(one, one + size));
  }
  return senders;
}

function isLinkLocal(ip: Uint8Array): boolean {
  return ip.length === 16 && ip[0]! === 0xfe && ip[1]! >> 6 === 2;
}

function isNobody(ip: Uint8Array): boolean {
  return ip.every((byte) => byte === 0);
}

function speakerOf(one: Reach): string {
  return `${placeOf(one)} from ${one.mac}`;
}

/** Two sources of reports, of which one may be somebody else's, are two. */
function reporterOf(one: Reach & { readonly ip: Uint8Array }): string {
  return `${speakerOf(one)} ${one.ip}`;
}

function keyOf(one: Membership): string {
  return `${reporterOf(one)} ${one.group}`;
}

/** Of reports with one key. Priorities are no part of it. */
function isSameReport(a: Report['from'], b: Report['from']): boolean {
  return a.version === b.version && isSame(a.ip, b.ip) && a.tags.every((tag, k) => tag === b.tags[k]);
}

function isSameList(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a === b || (a.length === b.length && a.every((one, k) => isSame(one, b[k]!)));
}
