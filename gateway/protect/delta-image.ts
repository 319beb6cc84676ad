import { closeSync, openSync, readSync } from 'node:fs';
import type { Checkpoint } from './standby-api.ts';

/*
 * A checkpoint as what has changed in memory since another one (version 1, little endian):
 *
 *   0 magic  4 version  8 pages  16 bytes of RAM  24 bytes of devices  32 term  40 epoch of the checkpoint that it follows, or 0, 0
 *   64 the machine's devices, as QEMU wrote them
 *      numbers of the pages, ascending, 32 bits each
 *      the pages
 *
 * One that follows none is all of memory: pages that are not in it are zero.
 */

/** Of the machine's memory; the same everywhere. */
export const PAGE_BYTES = 4096;
export const DELTA_HEADER_BYTES = 64;
export const PAGE_NUMBER_BYTES = 4;
const MAGIC = 0x4452_4648;
const VERSION = 1;

export interface DeltaHeader {
  /** Of the machine, whole pages. */
  readonly ramBytes: number;
  readonly deviceBytes: number;
  readonly pages: number;
  /** Whose memory it changes; null: it has all that is not zero. */
  readonly follows: Checkpoint | null;
}

export function encodeDeltaHeader({ ramBytes, deviceBytes, pages, follows }: DeltaHeader): Buffer {
  const bytes = Buffer.alloc(DELTA_HEADER_BYTES);
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.writeUInt32LE(VERSION, 4);
  bytes.writeUInt32LE(pages, 8);
  bytes.writeBigUInt64LE(BigInt(ramBytes), 16);
  bytes.writeBigUInt64LE(BigInt(deviceBytes), 24);
  bytes.writeBigUInt64LE(BigInt(follows?.term ?? 0), 32);
  bytes.writeBigUInt64LE(BigInt(follows?.epoch ?? 0), 40);
  return bytes;
}

/** @param fd of an image @returns null where it is none of these, or of another version */
export function deltaHeaderOf(fd: number): DeltaHeader | null {
  const bytes = Buffer.alloc(DELTA_HEADER_BYTES);
  if (readSync(fd, bytes, 0, DELTA_HEADER_BYTES, 0) < DELTA_HEADER_BYTES) return null;
  if (bytes.readUInt32LE(0) !== MAGIC || bytes.readUInt32LE(4) !== VERSION) return null;
  const [ramBytes, deviceBytes, term, epoch] = [16, 24, 32, 40].map((at) => Number(bytes.readBigUInt64LE(at)));
  const follows = term === 0 ? null : { term: term!, epoch: epoch! };
  return { ramBytes: ramBytes!, deviceBytes: deviceBytes!, pages: bytes.readUInt32LE(8), follows };
}

/** @returns whether a file is one of these */
export function isDelta(path: string): boolean {
  const fd = openSync(path, 'r');
  try {
    return deltaHeaderOf(fd) !== null;
  } finally {
    closeSync(fd);
  }
}

/** @returns of the whole image */
export function deltaBytes({ deviceBytes, pages }: DeltaHeader): number {
  return DELTA_HEADER_BYTES + deviceBytes + pages * (PAGE_NUMBER_BYTES + PAGE_BYTES);
}
