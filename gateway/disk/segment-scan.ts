import { crc32 } from 'node:zlib';
import { DiskError } from './disk-error.ts';
import { readFully } from './file-io.ts';
import { decodeHeader, HEADER_BYTES, type RedoRecord } from './record.ts';
import type { Segment } from './segment.ts';

const WINDOW_BYTES = 2 ** 20;

export type OnRecord = (record: RedoRecord, address: number, at: number) => void;

/** Reads a file piece by piece. */
class Window {
  readonly #segment: Segment;
  #bytes = Buffer.alloc(0);
  #start = 0;

  constructor(segment: Segment) {
    this.#segment = segment;
  }

  /** @returns `length` bytes at `position`, fewer at the file's end; valid until the next call */
  async at(position: number, length: number): Promise<Buffer> {
    if (position < this.#start || position + length > this.#start + this.#bytes.length) {
      const bytes = Math.max(0, Math.min(WINDOW_BYTES, this.#segment.size - position));
      this.#bytes = Buffer.alloc(bytes);
      this.#start = position;
      await readFully(this.#segment.file, this.#bytes, position);
    }
    return this.#bytes.subarray(position - this.#start, position - this.#start + length);
  }
}

/**
 * Reads the records of a segment up to its end, or to the first bytes that are no whole record.
 * @param last sequence of the last record before
 * @returns the sequence of the last good record, and where it ends in the file
 */
export async function scan(segment: Segment, last: number, each: OnRecord): Promise<{ sequence: number; end: number }> {
  const window = new Window(segment);
  const tag = Buffer.from(segment.description.tag, 'hex');
  let sequence = last;
  let end = segment.headBytes;
  for (;;) {
    const record = decodeHeader(tag, await window.at(end, HEADER_BYTES));
    if (record === null || record.sequence !== sequence + 1) break;
    if ((await checksum(window, end + HEADER_BYTES, record.payloadBytes)) !== record.payloadCrc) break;
    each(record, segment.address + end, segment.address + end + HEADER_BYTES);
    sequence = record.sequence;
    end += HEADER_BYTES + record.payloadBytes;
  }
  return { sequence, end };
}

/**
 * A process that dies, and even more a machine, leaves a torn end behind: that is in order. But where a later record tells that something
 * behind `sequence` was durable before it, the log is damaged.
 * @param end where the last good record ends
 */
export async function checkTorn(segment: Segment, sequence: number, end: number): Promise<void> {
  const window = new Window(segment);
  const tag = Buffer.from(segment.description.tag, 'hex');
  for (let position = end; position < segment.size; position += WINDOW_BYTES / 2) {
    const bytes = await window.at(position, Math.min(WINDOW_BYTES, segment.size - position));
    for (let found = bytes.indexOf(tag); found >= 0; found = bytes.indexOf(tag, found + 1)) {
      const record = decodeHeader(tag, bytes, found);
      if (record === null || record.synced <= sequence) continue;
      const place = `${segment.path}, byte ${end}`;
      throw new DiskError('log-damaged', `${place}: no whole record stands here, but was durable once; later ones do`);
    }
  }
}

async function checksum(window: Window, from: number, length: number): Promise<number> {
  let crc = 0;
  let done = 0;
  while (done < length) {
    const bytes = await window.at(from + done, Math.min(WINDOW_BYTES, length - done));
    if (bytes.length === 0) return -1;
    crc = crc32(bytes, crc);
    done += bytes.length;
  }
  return crc;
}
