import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { EpochState } from './disk-epochs.ts';
import { DiskError } from './disk-error.ts';
import { readFully, syncFolder, writeFully } from './file-io.ts';

/** A segment begins with this, the length of its description (u32, big-endian), that one's CRC-32, and the description. */
const MAGIC = Buffer.from('HFREDO1\n');
const PREFIX_BYTES = MAGIC.length + 8;
const MAX_DESCRIPTION_BYTES = 1 << 20;

/** What a segment says of itself; JSON. */
export interface SegmentDescription {
  /** The log's own, hexadecimal; every record begins with it. */
  readonly tag: string;
  /** Grows by one from segment to segment. */
  readonly number: number;
  /** Address in the log of the segment's first byte. Addresses grow on from segment to segment. */
  readonly address: number;
  /** Of its first record. */
  readonly firstSequence: number;
  /** Real path of the image that the log belongs to. */
  readonly image: string;
  readonly sizeBytes: number;
  /** As they were when the segment began. */
  readonly epochs: EpochState;
}

const NAME = /^(\d{10})\.redo$/;

export function segmentName(number: number): string {
  return `${String(number).padStart(10, '0')}.redo`;
}

/** @returns the number of the segment that a file of this name is; null where it is none */
export function segmentNumber(name: string): number | null {
  const [, digits] = NAME.exec(name) ?? [];
  return digits === undefined ? null : Number(digits);
}

/** A file of the redo log. Stays readable while it is in use, also when it is removed meanwhile. */
export class Segment {
  readonly path: string;
  readonly file: FileHandle;
  readonly description: SegmentDescription;
  /** Where records begin. */
  readonly headBytes: number;
  /** Bytes in use. */
  size: number;
  #users = 1;

  private constructor(
    path: string,
    file: FileHandle,
    description: SegmentDescription,
    headBytes: number,
    size: number,
  ) {
    this.path = path;
    this.file = file;
    this.description = description;
    this.headBytes = headBytes;
    this.size = size;
  }

  /** Address of its first byte. */
  get address(): number {
    return this.description.address;
  }

  /** Address behind its last byte in use. */
  get end(): number {
    return this.address + this.size;
  }

  /** A segment without records, durable under its name. */
  static async create(folder: string, description: SegmentDescription): Promise<Segment> {
    const path = join(folder, segmentName(description.number));
    const unfinished = `${path}.new`;
    const file = await open(unfinished, 'w+', 0o600);
    try {
      const text = Buffer.from(`${JSON.stringify(description)}\n`);
      const prefix = Buffer.alloc(PREFIX_BYTES);
      prefix.set(MAGIC);
      prefix.writeUInt32BE(text.length, MAGIC.length);
      prefix.writeUInt32BE(crc32(text), MAGIC.length + 4);
      await writeFully(file, [prefix, text], 0);
      await file.sync();
      await rename(unfinished, path);
      await syncFolder(folder);
      const headBytes = PREFIX_BYTES + text.length;
      return new Segment(path, file, description, headBytes, headBytes);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** @throws DiskError `log-foreign` or `log-damaged` */
  static async open(path: string): Promise<Segment> {
    const file = await open(path, 'r+');
    try {
      const { size } = await file.stat();
      const prefix = Buffer.alloc(PREFIX_BYTES);
      if (size < PREFIX_BYTES) throw new DiskError('log-damaged', `${path} is too short for a segment of a redo log`);
      await readFully(file, prefix, 0);
      if (prefix.compare(MAGIC, 0, MAGIC.length, 0, MAGIC.length) !== 0) {
        throw new DiskError('log-foreign', `${path} is no segment of a redo log of this version`);
      }
      const length = prefix.readUInt32BE(MAGIC.length);
      if (length > MAX_DESCRIPTION_BYTES || PREFIX_BYTES + length > size) {
        throw new DiskError('log-damaged', `${path} says of its description that it has ${length} bytes`);
      }
      const text = Buffer.alloc(length);
      await readFully(file, text, PREFIX_BYTES);
      if (crc32(text) !== prefix.readUInt32BE(MAGIC.length + 4)) {
        throw new DiskError('log-damaged', `the description of ${path} has another checksum than was written`);
      }
      return new Segment(path, file, JSON.parse(text.toString()), PREFIX_BYTES + length, size);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Keeps the file open until `release`. */
  use(): void {
    this.#users++;
  }

  async release(): Promise<void> {
    if (--this.#users === 0) await this.file.close();
  }

  /** Its records are not needed any more: its name goes, also where that has gone already. */
  async unlink(): Promise<void> {
    try {
      await unlink(this.path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}
