import { slabOf } from '../../classifier/slab.ts';
import { FrameBatch } from '../../gateway/frame-batch.ts';
import { bytesOfIp } from '../../gateway/ip-bytes.ts';
import { type FrameBuilder, frame } from '../../pcaps/build.ts';

export const VM_MAC = '02:00:00:00:00:0a';
export const OTHER_MAC = '02:00:00:00:00:0b';
export const VM_IP4 = '10.0.0.10';
export const VM_IP6 = 'fe80::a';
export const NETWORK_MAC = '02:00:00:00:00:fe';

export interface Tag {
  readonly id: number;
  readonly tpid?: number;
  readonly pcp?: number;
}

interface Spoken {
  /** Ethernet source. */
  readonly src?: string;
  readonly tags?: readonly Tag[];
}

export interface ArpSpec extends Spoken {
  readonly operation?: number;
  readonly senderMac?: string;
  readonly senderIp?: string;
  readonly targetIp?: string;
}

export interface NdSpec extends Spoken {
  readonly type?: number;
  readonly code?: number;
  /** The word behind the checksum: an advertisement's flags. */
  readonly flags?: number;
  /** IPv6 source and destination. */
  readonly from?: string;
  readonly to?: string;
  readonly target?: string | null;
  /** Option number and link-layer address. */
  readonly option?: readonly [number, string] | null;
  readonly hopLimit?: number;
  readonly more?: Uint8Array;
}

export const NA = { router: 0x8000_0000, solicited: 0x4000_0000, override: 0x2000_0000 } as const;

/** An ARP request of the VM's for somebody else, unless told otherwise. */
export function arpFrame(spec: ArpSpec = {}): Uint8Array {
  const { operation = 1, senderMac = spec.src ?? VM_MAC, senderIp = VM_IP4, targetIp = '10.0.0.1' } = spec;
  return link(spec, 'ff:ff:ff:ff:ff:ff').arp({ operation, senderMac, senderIp, targetIp }).padTo(60).build();
}

/** A neighbour advertisement of the VM's, unless told otherwise. */
export function ndFrame(spec: NdSpec = {}): Uint8Array {
  const { type = 136, code = 0, flags = NA.override, from = VM_IP6, to = 'ff02::1', hopLimit = 255 } = spec;
  const { target = VM_IP6, option = [2, spec.src ?? VM_MAC], more = new Uint8Array(0) } = spec;
  const parts = [
    target === null ? [] : bytesOfIp(target),
    option === null ? [] : [option[0], 1, ...option[1].split(':').map((byte) => Number.parseInt(byte, 16))],
    more,
  ];
  return link(spec, '33:33:00:00:00:01')
    .ip6({ src: from, dst: to, hopLimit })
    .icmpv6({ type, code, rest: flags })
    .payload(Uint8Array.from(parts.flatMap((part) => [...part])))
    .build();
}

function link({ src = VM_MAC, tags = [] }: Spoken, dst: string): FrameBuilder {
  return tags.reduce(
    (builder, { id, tpid = 0x8100, pcp = 0 }) => builder.vlan(id, { tpid, pcp }),
    frame().eth({ src, dst }),
  );
}

/** @returns a batch with this frame in it */
export function batchOf(bytes: Uint8Array, pair = 0): FrameBatch {
  const batch = new FrameBatch(slabOf(new Uint8Array(bytes.length + 5)), 1);
  batch.slab.bytes.set(bytes, 5);
  batch.offset[0] = 5;
  batch.length[0] = bytes.length;
  batch.wireLength[0] = bytes.length;
  batch.pair[0] = pair;
  return batch;
}
