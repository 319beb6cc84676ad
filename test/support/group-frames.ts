import { bytesOfIp } from '../../gateway/ip-bytes.ts';
import { frame } from '../../pcaps/build.ts';
import { type Tag, VM_IP4, VM_IP6, VM_MAC } from './neighbour-frames.ts';

/** IGMP and MLD frames of a member of groups: the VM, unless told otherwise. */
export interface GroupSpec {
  readonly src?: string;
  readonly tags?: readonly Tag[];
  /** IP source. */
  readonly from?: string;
  /** In place of what is right. */
  readonly checksum?: number;
  readonly hops?: number;
  /** More of it follows; IGMP only. */
  readonly moreFrags?: boolean;
}

/** RFC 3376 §4.2.12, RFC 3810 §5.2.12. */
export const RECORD = { isInclude: 1, isExclude: 2, toInclude: 3, toExclude: 4, allow: 5, block: 6 } as const;

/** Record type, group, sources, words of auxiliary data. */
export type GroupRecord = readonly [number, string, (readonly string[])?, number?];

/** Versions 1 and 2. @param type 0x12 and 0x16: reports, 0x17: leave */
export function igmpFrame(type: number, group: string, spec: GroupSpec = {}): Uint8Array {
  return igmp(type, word(group), new Uint8Array(0), group, spec);
}

/** Version 3. */
export function igmpRecords(records: readonly GroupRecord[], spec: GroupSpec = {}, count = records.length): Uint8Array {
  return igmp(0x22, count, bytesOf(records), '224.0.0.22', spec);
}

/** Version 1. @param type 131: report, 132: done */
export function mldFrame(type: number, group: string, spec: GroupSpec = {}): Uint8Array {
  return mld(type, 0, bytesOfIp(group), group, spec);
}

/** Version 2. */
export function mldRecords(records: readonly GroupRecord[], spec: GroupSpec = {}, count = records.length): Uint8Array {
  return mld(143, count, bytesOf(records), 'ff02::16', spec);
}

function igmp(type: number, rest: number, payload: Uint8Array, dst: string, spec: GroupSpec): Uint8Array {
  const { from = VM_IP4, hops = 1, moreFrags = false, checksum } = spec;
  return link(spec)
    .ip4({ src: from, dst, ttl: hops, moreFrags, options: Uint8Array.of(0x94, 4, 0, 0) })
    .igmp({ type, rest, ...(checksum === undefined ? {} : { checksum }) })
    .payload(payload)
    .build();
}

function mld(type: number, rest: number, payload: Uint8Array, dst: string, spec: GroupSpec): Uint8Array {
  const { from = VM_IP6, hops = 1, checksum } = spec;
  return link(spec)
    .ip6({ src: from, dst, hopLimit: hops })
    .hopopts({ options: Uint8Array.of(5, 2, 0, 0) })
    .icmpv6({ type, rest, ...(checksum === undefined ? {} : { checksum }) })
    .payload(payload)
    .build();
}

function link({ src = VM_MAC, tags = [] }: GroupSpec) {
  return tags.reduce(
    (builder, { id, tpid = 0x8100, pcp = 0 }) => builder.vlan(id, { tpid, pcp }),
    frame().eth({ src }),
  );
}

function bytesOf(records: readonly GroupRecord[]): Uint8Array {
  return Uint8Array.from(
    records.flatMap(([type, group, sources = [], auxWords = 0]) => [
      ...[type, auxWords, sources.length >> 8, sources.length & 255],
      ...[group, ...sources].flatMap((ip) => [...bytesOfIp(ip)]),
      ...new Uint8Array(4 * auxWords),
    ]),
  );
}

function word(ip: string): number {
  return Buffer.from(bytesOfIp(ip)).readUInt32BE();
}
