import { concat, crc32c, type Data, dataOf, internetChecksum, numbers, padTo } from './build-bytes.ts';
import type { Addresses, Layer } from './build-layers.ts';

export const TCP_FLAG = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128, ae: 256 } as const;
export type TcpFlag = keyof typeof TCP_FLAG;

/** The pseudo header of RFC 9293 §3.1 and RFC 8200 §8.1. */
function pseudoHeader(ip: Addresses, protocol: number, length: number): Uint8Array {
  const ends = ip.src.length === 4 ? numbers([2, protocol], [2, length]) : numbers([4, length], [4, protocol]);
  return concat(ip.src, ip.dst, ends);
}

/** Writes the checksum of `segment` at `at`; without IP around it there is nothing to compute it with, and it stays 0. */
function seal(
  segment: Uint8Array,
  at: number,
  protocol: number,
  ip: Addresses | undefined,
  told: number | undefined,
  covered = segment.length,
): Uint8Array {
  const computed = () =>
    ip === undefined ? 0 : internetChecksum(pseudoHeader(ip, protocol, segment.length), segment.subarray(0, covered));
  segment.set(numbers([2, told ?? computed()]), at);
  return segment;
}

export interface UdpOptions {
  /** Lies: these go into the header as they are. */
  readonly length?: number;
  readonly checksum?: number;
}

/** RFC 768. A checksum that comes out as 0 is sent as all ones. */
export function udpLayer(sport: number, dport: number, o: UdpOptions): Layer {
  return {
    protocol: 17,
    wrap(content, { ip }) {
      const length = o.length ?? 8 + content.length;
      const datagram = concat(numbers([2, sport], [2, dport], [2, length], [2, 0]), content);
      seal(datagram, 6, 17, ip, o.checksum);
      const isZero = o.checksum === undefined && ip !== undefined && datagram[6] === 0 && datagram[7] === 0;
      if (isZero) datagram.fill(0xff, 6, 8);
      return datagram;
    },
  };
}

export interface UdpLiteOptions {
  /** Bytes that the checksum covers; 0 is all. */
  readonly coverage?: number;
  readonly checksum?: number;
}

/** RFC 3828 §3.1. */
export function udpLiteLayer(sport: number, dport: number, { coverage = 0, checksum }: UdpLiteOptions): Layer {
  return {
    protocol: 136,
    wrap(content, { ip }) {
      const datagram = concat(numbers([2, sport], [2, dport], [2, coverage], [2, 0]), content);
      return seal(datagram, 6, 136, ip, checksum, coverage === 0 ? datagram.length : coverage);
    },
  };
}

export interface TcpOptions {
  /** Names joined by spaces or commas (`'syn ack'`), or the 12 bits. Default: ack. */
  readonly flags?: string | number;
  readonly seq?: number;
  readonly ack?: number;
  readonly window?: number;
  readonly urgent?: number;
  /** Raw options; padded to 32 bits. */
  readonly options?: Uint8Array;
  /** Lies: these go into the header as they are. */
  readonly checksum?: number;
  /** Data offset in 32-bit words. */
  readonly headerLength?: number;
}

function flagBits(flags: string | number): number {
  if (typeof flags === 'number') return flags;
  let bits = 0;
  for (const name of flags.split(/[ ,|]+/).filter((word) => word !== '')) {
    if (!(name in TCP_FLAG)) throw new RangeError(`not a TCP flag: ${name}`);
    bits |= TCP_FLAG[name as TcpFlag];
  }
  return bits;
}

/** RFC 9293 §3.1. */
export function tcpLayer(sport: number, dport: number, o: TcpOptions): Layer {
  return {
    protocol: 6,
    wrap(content, { ip }) {
      const options = padTo(o.options ?? new Uint8Array(0), 4);
      const words = o.headerLength ?? 5 + options.length / 4;
      const segment = concat(
        numbers(
          [2, sport],
          [2, dport],
          [4, o.seq ?? 0],
          [4, o.ack ?? 0],
          [2, (words << 12) | flagBits(o.flags ?? 'ack')],
          [2, o.window ?? 65_535],
          [2, 0],
          [2, o.urgent ?? 0],
        ),
        options,
        content,
      );
      return seal(segment, 16, 6, ip, o.checksum);
    },
  };
}

export interface SctpOptions {
  readonly tag?: number;
  readonly checksum?: number;
}

/** The common header of RFC 9260 §3.1; chunks are layers of their own. */
export function sctpLayer(sport: number, dport: number, { tag = 1, checksum }: SctpOptions): Layer {
  return {
    protocol: 132,
    wrap(content) {
      const packet = concat(numbers([2, sport], [2, dport], [4, tag], [4, 0]), content);
      packet.set(checksum === undefined ? crc32c(packet) : numbers([4, checksum]), 8);
      return packet;
    },
  };
}

export interface SctpChunkOptions {
  readonly flags?: number;
  /** What stands behind the chunk's 4 bytes of header. */
  readonly value?: Data;
  /** A lie: header and value, without padding. */
  readonly length?: number;
}

/** RFC 9260 §3.2: 0 DATA, 1 INIT, 3 SACK, 6 ABORT, …; padded to 4 bytes, which its length does not tell. */
export function sctpChunkLayer(type: number, { flags = 0, value = '', length }: SctpChunkOptions): Layer {
  return {
    wrap(content) {
      const bytes = dataOf(value);
      return concat(numbers([1, type], [1, flags], [2, length ?? 4 + bytes.length]), padTo(bytes, 4), content);
    },
  };
}

export interface DccpOptions {
  /** Packet type: 0 request, 2 data, … (RFC 4340 §5.1). */
  readonly type?: number;
  readonly sequence?: number;
  readonly checksum?: number;
}

/** The generic header of RFC 4340 §5.1 with 48-bit sequence numbers; what follows it for a type is the payload. */
export function dccpLayer(sport: number, dport: number, { type = 2, sequence = 1, checksum }: DccpOptions): Layer {
  return {
    protocol: 33,
    wrap(content, { ip }) {
      const packet = concat(
        numbers([2, sport], [2, dport], [1, 4], [1, 0], [2, 0], [1, (type << 1) | 1], [1, 0], [6, sequence]),
        content,
      );
      return seal(packet, 6, 33, ip, checksum);
    },
  };
}

export interface IcmpOptions {
  /** Default: echo request. */
  readonly type?: number;
  readonly code?: number;
  /** The four bytes behind the checksum. */
  readonly rest?: number;
  readonly checksum?: number;
}

/** RFC 792. */
export function icmpLayer({ type = 8, code = 0, rest = 0, checksum }: IcmpOptions): Layer {
  return {
    protocol: 1,
    wrap(content) {
      const message = concat(numbers([1, type], [1, code], [2, 0], [4, rest]), content);
      message.set(numbers([2, checksum ?? internetChecksum(message)]), 2);
      return message;
    },
  };
}

/** RFC 4443 §2.1. */
export function icmpv6Layer({ type = 128, code = 0, rest = 0, checksum }: IcmpOptions): Layer {
  return {
    protocol: 58,
    wrap: (content, { ip }) =>
      seal(concat(numbers([1, type], [1, code], [2, 0], [4, rest]), content), 2, 58, ip, checksum),
  };
}

/** IGMP version 2 (RFC 2236 §2); `rest` is the group address. */
export function igmpLayer({ type = 0x16, code = 0, rest = 0, checksum }: IcmpOptions): Layer {
  return { ...icmpLayer({ type, code, rest, ...(checksum === undefined ? {} : { checksum }) }), protocol: 2 };
}

/** Encapsulating Security Payload (RFC 4303 §2); what it encrypts is the payload. */
export function espLayer({ spi = 1, sequence = 1 }: { readonly spi?: number; readonly sequence?: number }): Layer {
  return { protocol: 50, wrap: (content) => concat(numbers([4, spi], [4, sequence]), content) };
}
