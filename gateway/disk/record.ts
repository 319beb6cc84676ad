import { crc32 } from 'node:zlib';

/** What a record of the redo log says. `write` and `zero` are of the client, the others of whoever makes checkpoints. */
export const RECORD = {
  write: 1,
  zero: 2,
  start: 3,
  seal: 4,
  commit: 5,
  abort: 6,
  rollback: 7,
  stop: 8,
} as const;

export type RecordType = (typeof RECORD)[keyof typeof RECORD];

/** Of `zero`: the image must not have a hole there. */
export const KEEP_BLOCKS = 1;

export const HEADER_BYTES = 56;
export const TAG_BYTES = 8;
/** A client's greatest request (NBD: what a client may expect of any server). */
export const MAX_PAYLOAD_BYTES = 32 * 2 ** 20;

/**
 * ```
 *  0 tag        8 bytes, the log's own random ones: no guest can write what looks like a record
 *  8 type       u8
 *  9 flags      u8
 * 10 (zero)     u16
 * 12 header CRC u32, over this header with zero in its place
 * 16 sequence   f64, one more than that of the record before
 * 24 synced     f64, sequence of a record that was durable when this one was written
 * 32 a          f64: `write`, `zero`: first byte. Others: term
 * 40 b          f64: `write`, `zero`: bytes. Others: epoch
 * 48 payload    u32, bytes that follow: as many as `b` for `write`, none for the others
 * 52 payload CRC u32
 * ```
 * Big-endian. Numbers of 53 bits are doubles.
 */
export interface RedoRecord {
  readonly type: RecordType;
  readonly flags: number;
  readonly sequence: number;
  readonly synced: number;
  readonly a: number;
  readonly b: number;
  readonly payloadBytes: number;
  readonly payloadCrc: number;
}

/** @returns the header, followed by `payload` in the log */
export function encodeHeader(
  tag: Uint8Array,
  record: Omit<RedoRecord, 'payloadBytes' | 'payloadCrc'>,
  payload: readonly Uint8Array[],
): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  let bytes = 0;
  let crc = 0;
  for (const chunk of payload) {
    bytes += chunk.length;
    crc = crc32(chunk, crc);
  }
  header.set(tag, 0);
  header[8] = record.type;
  header[9] = record.flags;
  header.writeDoubleBE(record.sequence, 16);
  header.writeDoubleBE(record.synced, 24);
  header.writeDoubleBE(record.a, 32);
  header.writeDoubleBE(record.b, 40);
  header.writeUInt32BE(bytes, 48);
  header.writeUInt32BE(crc, 52);
  header.writeUInt32BE(crc32(header), 12);
  return header;
}

/** @returns null where these bytes are no header of this log */
export function decodeHeader(tag: Uint8Array, bytes: Uint8Array, offset = 0): RedoRecord | null {
  if (bytes.length - offset < HEADER_BYTES) return null;
  const header = Buffer.from(bytes.subarray(offset, offset + HEADER_BYTES));
  if (header.compare(tag, 0, TAG_BYTES, 0, TAG_BYTES) !== 0) return null;
  const crc = header.readUInt32BE(12);
  header.writeUInt32BE(0, 12);
  if (crc32(header) !== crc) return null;
  const type = header[8] as RecordType;
  const payloadBytes = header.readUInt32BE(48);
  const b = header.readDoubleBE(40);
  if (type < RECORD.write || type > RECORD.stop || payloadBytes > MAX_PAYLOAD_BYTES) return null;
  if (payloadBytes !== (type === RECORD.write ? b : 0)) return null;
  return {
    type,
    flags: header[9]!,
    sequence: header.readDoubleBE(16),
    synced: header.readDoubleBE(24),
    a: header.readDoubleBE(32),
    b,
    payloadBytes,
    payloadCrc: header.readUInt32BE(52),
  };
}
