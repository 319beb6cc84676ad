import { CaptureReader } from '../../pcaps/reader.ts';
import { type CaptureDamage, CaptureRecord } from '../../pcaps/record.ts';

/** Bytes of a capture written by hand: `[4, 7]` is the number 7 in four bytes, in the order that `fields` is told. */
export type Field = readonly [bytes: number, value: number | bigint] | Uint8Array;

export function fields(littleEndian: boolean, ...parts: readonly Field[]): Uint8Array {
  const out: number[] = [];
  for (const part of parts) {
    if (part instanceof Uint8Array) {
      for (const byte of part) out.push(byte);
      continue;
    }
    const [bytes, value] = part;
    for (let i = 0; i < bytes; i++) {
      const shift = 8 * (littleEndian ? i : bytes - 1 - i);
      out.push(Number((BigInt(value) >> BigInt(shift)) & 0xffn));
    }
  }
  return Uint8Array.from(out);
}

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** Bytes that differ from one another and from zeros. */
export function sample(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 37 + 11) & 0xff);
}

export interface FileHeader {
  readonly magic?: number;
  readonly littleEndian?: boolean;
  readonly version?: readonly [major: number, minor: number];
  readonly network?: number;
}

export function pcapHeader({
  magic = 0xa1b2c3d4,
  littleEndian = true,
  version = [2, 4],
  network = 1,
}: FileHeader = {}) {
  return fields(littleEndian, [4, magic], [2, version[0]], [2, version[1]], [4, 0], [4, 0], [4, 262_144], [4, network]);
}

export interface PcapRecord {
  readonly littleEndian?: boolean;
  readonly seconds?: number;
  readonly fraction?: number;
  /** In place of the data's length, in the order in which the header has the two lengths. */
  readonly lengths?: readonly [first: number, second: number];
  /** Bytes between the usual header and the data. */
  readonly extra?: Uint8Array;
}

export function pcapRecord(data: Uint8Array, record: PcapRecord = {}): Uint8Array {
  const { littleEndian = true, seconds = 1, fraction = 2, extra = new Uint8Array(0) } = record;
  const [first, second] = record.lengths ?? [data.length, data.length];
  return join(fields(littleEndian, [4, seconds], [4, fraction], [4, first], [4, second]), extra, data);
}

/** A pcapng block around `body`, which is padded to 32 bits. */
export function block(type: number, body: Uint8Array, littleEndian = true): Uint8Array {
  const padding = new Uint8Array(-body.length & 3);
  const length = 12 + body.length + padding.length;
  return fields(littleEndian, [4, type], [4, length], body, padding, [4, length]);
}

export function option(code: number, value: Uint8Array, littleEndian = true): Uint8Array {
  return fields(littleEndian, [2, code], [2, value.length], value, new Uint8Array(-value.length & 3));
}

export function sectionHeader(littleEndian = true, major = 1): Uint8Array {
  return block(0x0a0d0d0a, fields(littleEndian, [4, 0x1a2b3c4d], [2, major], [2, 0], [8, -1n]), littleEndian);
}

export interface InterfaceBlock {
  readonly littleEndian?: boolean;
  readonly linkType?: number;
  readonly snapLength?: number;
  readonly options?: Uint8Array;
}

export function interfaceBlock(description: InterfaceBlock = {}): Uint8Array {
  const { littleEndian = true, linkType = 1, snapLength = 0, options = new Uint8Array(0) } = description;
  return block(1, fields(littleEndian, [2, linkType], [2, 0], [4, snapLength], options), littleEndian);
}

export interface PacketBlock {
  readonly littleEndian?: boolean;
  readonly interfaceId?: number;
  readonly ticks?: bigint;
  readonly captured?: number;
  readonly wire?: number;
  readonly options?: Uint8Array;
}

export function packetBlock(data: Uint8Array, packet: PacketBlock = {}): Uint8Array {
  const { littleEndian = true, interfaceId = 0, ticks = 0n, options = new Uint8Array(0) } = packet;
  const body = fields(
    littleEndian,
    [4, interfaceId],
    [4, ticks >> 32n],
    [4, ticks & 0xffff_ffffn],
    [4, packet.captured ?? data.length],
    [4, packet.wire ?? data.length],
    data,
    new Uint8Array(-data.length & 3),
    options,
  );
  return block(6, body, littleEndian);
}

/** What a reader said of one packet, in values that compare. */
export interface Seen {
  /** Seconds with nine decimals, or null for a packet without time. */
  readonly time: string | null;
  readonly data: string;
  readonly wireLength: number;
  readonly linkType: number;
  readonly interfaceId: number;
  readonly fcsLength: number;
}

export interface Reading {
  readonly seen: readonly Seen[];
  readonly damage: CaptureDamage | null;
  readonly format: string | null;
}

export function seenOf(record: CaptureRecord): Seen {
  const { bytes, offset, capturedLength, seconds, nanoseconds, hasTime } = record;
  return {
    time: hasTime ? `${seconds}.${String(nanoseconds).padStart(9, '0')}` : null,
    data: Buffer.from(bytes.buffer, bytes.byteOffset + offset, capturedLength).toString('hex'),
    wireLength: record.wireLength,
    linkType: record.linkType,
    interfaceId: record.interfaceId,
    fcsLength: record.fcsLength,
  };
}

/** Reads a whole capture, fed in pieces of the given sizes (repeated in turn), or in one. */
export function readBytes(capture: Uint8Array, sizes: readonly number[] = [Math.max(1, capture.length)]): Reading {
  const reader = new CaptureReader();
  const record = new CaptureRecord();
  const seen: Seen[] = [];
  for (let at = 0, piece = 0; at < capture.length; piece++) {
    const size = sizes[piece % sizes.length]!;
    reader.feed(capture.slice(at, at + size));
    at += size;
    while (reader.next(record)) seen.push(seenOf(record));
  }
  reader.end();
  while (reader.next(record)) seen.push(seenOf(record));
  if (!reader.finished) throw new Error('the reader neither finished nor gave a packet');
  return { seen, damage: reader.damage, format: reader.format };
}
