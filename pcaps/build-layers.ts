import { concat, internetChecksum, ip4Bytes, ip6Bytes, macBytes, numbers, padTo } from './build-bytes.ts';

/** What a layer has to know of its surroundings to write itself. */
export interface Surroundings {
  /** The layer inside this one, if any. */
  readonly inner: Layer | undefined;
  /** The IP header around this layer; none for a frame without IP. */
  readonly ip: Addresses | undefined;
}

/** One header, and how it wraps what it carries. */
export interface Layer {
  /** The EtherType by which the layer below names this one. */
  readonly etherType?: number;
  /** The IP protocol number by which the layer below names this one. */
  readonly protocol?: number;
  /** True for an 802.2 header, which the layer below announces by a length instead of an EtherType. */
  readonly isLlc?: boolean;
  /** True for an entry of a label stack, which the one below must not end. */
  readonly isLabel?: boolean;
  /** What transport checksums cover of an IP header. */
  readonly addresses?: Addresses;
  wrap(content: Uint8Array, around: Surroundings): Uint8Array;
}

/** Source and destination as raw bytes: 4 each, or 16 each. */
export interface Addresses {
  readonly src: Uint8Array;
  readonly dst: Uint8Array;
}

export interface EthOptions {
  readonly src?: string;
  readonly dst?: string;
  /** In place of what the next layer says; below 0x600 it is an 802.3 length. */
  readonly type?: number;
}

export interface VlanOptions {
  readonly pcp?: number;
  /** Drop eligible indicator. */
  readonly dei?: boolean;
  /** Tag protocol identifier: 0x8100 unless told. */
  readonly tpid?: number;
  /** The type after the tag, in place of what the next layer says. */
  readonly type?: number;
}

/** IEEE Std 802 Local Experimental EtherType 1, for content that names no type. */
const EXPERIMENTAL_TYPE = 0x88b5;

/** The first protocol number for experiments (RFC 3692 §2.1), for content that names none. */
export const EXPERIMENTAL_PROTOCOL = 253;

export const SRC_MAC = '02:00:00:00:00:01';
export const DST_MAC = '02:00:00:00:00:02';
export const SRC_IP4 = '192.0.2.1';
export const DST_IP4 = '198.51.100.2';
export const SRC_IP6 = '2001:db8::1';
export const DST_IP6 = '2001:db8::2';

function typeOf(content: Uint8Array, inner: Layer | undefined, told: number | undefined): number {
  return told ?? (inner?.isLlc ? content.length : (inner?.etherType ?? EXPERIMENTAL_TYPE));
}

export function ethLayer({ src = SRC_MAC, dst = DST_MAC, type }: EthOptions): Layer {
  return {
    wrap: (content, { inner }) =>
      concat(macBytes(dst), macBytes(src), numbers([2, typeOf(content, inner, type)]), content),
  };
}

/** IEEE 802.1Q §9.6. The layer below writes the tag's TPID as its EtherType, as on the wire. */
export function vlanLayer(id: number, { pcp = 0, dei = false, tpid = 0x8100, type }: VlanOptions): Layer {
  const control = (pcp << 13) | (dei ? 0x1000 : 0) | id;
  return {
    etherType: tpid,
    wrap: (content, { inner }) => concat(numbers([2, control], [2, typeOf(content, inner, type)]), content),
  };
}

export interface LlcOptions {
  /** Both 0xaa for SNAP; 0x42 for spanning tree, 0xfe for IS-IS. */
  readonly dsap?: number;
  readonly ssap?: number;
  readonly control?: number;
}

/** IEEE 802.2, unnumbered format. */
export function llcLayer({ dsap = 0x42, ssap = dsap, control = 3 }: LlcOptions): Layer {
  return { isLlc: true, wrap: (content) => concat(Uint8Array.of(dsap, ssap, control), content) };
}

/** LLC with the SNAP header behind it (IEEE 802 §9.5). */
export function snapLayer({ oui = 0, type }: { readonly oui?: number; readonly type?: number }): Layer {
  return {
    isLlc: true,
    wrap: (content, { inner }) =>
      concat(Uint8Array.of(0xaa, 0xaa, 3), numbers([3, oui], [2, typeOf(content, inner, type)]), content),
  };
}

export interface ArpOptions {
  /** 1 request, 2 reply. */
  readonly operation?: number;
  readonly senderMac?: string;
  readonly senderIp?: string;
  readonly targetMac?: string;
  readonly targetIp?: string;
}

/** RFC 826, for IPv4 over Ethernet. */
export function arpLayer(options: ArpOptions): Layer {
  const { operation = 1, senderMac = SRC_MAC, senderIp = SRC_IP4 } = options;
  const { targetMac = '00:00:00:00:00:00', targetIp = DST_IP4 } = options;
  return {
    etherType: 0x0806,
    wrap: (content) =>
      concat(
        numbers([2, 1], [2, 0x0800], [1, 6], [1, 4], [2, operation]),
        macBytes(senderMac),
        ip4Bytes(senderIp),
        macBytes(targetMac),
        ip4Bytes(targetIp),
        content,
      ),
  };
}

export interface Ip4Options {
  readonly src?: string;
  readonly dst?: string;
  /** In place of the next layer's protocol number. */
  readonly proto?: number;
  readonly ttl?: number;
  readonly id?: number;
  /** The whole former TOS byte: DSCP and ECN. */
  readonly tos?: number;
  /** Raw options; padded to 32 bits. */
  readonly options?: Uint8Array;
  /** In bytes, a multiple of 8. */
  readonly fragOffset?: number;
  readonly moreFrags?: boolean;
  readonly dontFragment?: boolean;
  /** Lies: these go into the header as they are. */
  readonly version?: number;
  /** Header length in 32-bit words. */
  readonly headerLength?: number;
  readonly totalLength?: number;
  readonly checksum?: number;
}

/** RFC 791 §3.1. */
export function ip4Layer(o: Ip4Options): Layer {
  const addresses = { src: ip4Bytes(o.src ?? SRC_IP4), dst: ip4Bytes(o.dst ?? DST_IP4) };
  return {
    etherType: 0x0800,
    protocol: 4,
    addresses,
    wrap(content, { inner }) {
      const options = padTo(o.options ?? new Uint8Array(0), 4);
      const words = o.headerLength ?? 5 + options.length / 4;
      const flags = (o.dontFragment ? 0x4000 : 0) | (o.moreFrags ? 0x2000 : 0);
      const header = concat(
        numbers(
          [1, ((o.version ?? 4) << 4) | words],
          [1, o.tos ?? 0],
          [2, o.totalLength ?? 20 + options.length + content.length],
          [2, o.id ?? 0],
          [2, flags | ((o.fragOffset ?? 0) >>> 3)],
          [1, o.ttl ?? 64],
          [1, o.proto ?? inner?.protocol ?? EXPERIMENTAL_PROTOCOL],
          [2, 0],
        ),
        addresses.src,
        addresses.dst,
        options,
      );
      header.set(numbers([2, o.checksum ?? internetChecksum(header)]), 10);
      return concat(header, content);
    },
  };
}

export interface Ip6Options {
  readonly src?: string;
  readonly dst?: string;
  readonly hopLimit?: number;
  readonly trafficClass?: number;
  readonly flowLabel?: number;
  /** In place of the next layer's protocol number. */
  readonly next?: number;
  /** Lies: these go into the header as they are. */
  readonly version?: number;
  readonly payloadLength?: number;
}

/** RFC 8200 §3. */
export function ip6Layer(o: Ip6Options): Layer {
  const addresses = { src: ip6Bytes(o.src ?? SRC_IP6), dst: ip6Bytes(o.dst ?? DST_IP6) };
  return {
    etherType: 0x86dd,
    protocol: 41,
    addresses,
    wrap: (content, { inner }) =>
      concat(
        numbers(
          [4, (o.version ?? 6) * 0x1000_0000 + (o.trafficClass ?? 0) * 0x10_0000 + (o.flowLabel ?? 0)],
          [2, o.payloadLength ?? content.length],
          [1, nextHeader(inner, o.next)],
          [1, o.hopLimit ?? 64],
        ),
        addresses.src,
        addresses.dst,
        content,
      ),
  };
}

/** The next header field: as told, or by the next layer, or an experimental one for bare content. */
export function nextHeader(inner: Layer | undefined, told: number | undefined): number {
  return told ?? inner?.protocol ?? EXPERIMENTAL_PROTOCOL;
}
