import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as pathJoin } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CaptureCursor, readCapture } from '../../pcaps/cursor.ts';
import { CaptureFormatError } from '../../pcaps/record.ts';
import { CaptureUnreadableError } from '../../pcaps/source.ts';
import {
  interfaceBlock,
  join,
  packetBlock,
  pcapHeader,
  pcapRecord,
  type Reading,
  readBytes,
  sample,
  sectionHeader,
  seenOf,
} from '../support/pcap-bytes.ts';

const PCAP = join(pcapHeader(), ...[60, 14, 33].map((length, i) => pcapRecord(sample(length), { seconds: i })));
const PCAPNG = join(sectionHeader(), interfaceBlock(), packetBlock(sample(60)), packetBlock(sample(33)));
const CAPTURES = [
  ['pcap', PCAP],
  ['pcapng', PCAPNG],
] as const;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(pathJoin(tmpdir(), 'holdfast-source-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function fileWith(bytes: Uint8Array, name = 'capture.txt'): string {
  const path = pathJoin(folder, name);
  writeFileSync(path, bytes);
  return path;
}

async function readFile(path: string): Promise<Reading> {
  const seen: Reading['seen'][number][] = [];
  const summary = await readCapture(path, (record, ordinal) => {
    seen.push(seenOf(record));
    expect(ordinal).toBe(seen.length);
  });
  expect(summary.packets).toBe(seen.length);
  return { seen, damage: summary.damage, format: summary.format };
}

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
}

/** Reads what standard input gives in pieces of `size` bytes. */
async function readStdin(bytes: Uint8Array, size: number): Promise<Reading> {
  const cursor = await CaptureCursor.open('-', pieces(bytes, size));
  const seen: Reading['seen'][number][] = [];
  while (await cursor.advance()) seen.push(seenOf(cursor.record));
  await cursor.close();
  return { seen, damage: cursor.damage, format: cursor.format };
}

describe.each(CAPTURES)('%s in a file', (_, capture) => {
  const whole = readBytes(capture);

  test('is recognised by its first bytes, whatever it is called', async () => {
    expect(await readFile(fileWith(capture, 'image.png'))).toEqual(whole);
    expect(await readFile(fileWith(gzipSync(capture), 'plain.pcap'))).toEqual(whole);
  });

  test('gzipped in several members', async () => {
    const half = capture.length >> 1;
    const packed = join(gzipSync(capture.subarray(0, half)), gzipSync(capture.subarray(half)));
    expect(await readFile(fileWith(packed))).toEqual(whole);
  });

  test('gzipped with zeros behind, as tape blocks leave them', async () => {
    expect(await readFile(fileWith(join(gzipSync(capture), new Uint8Array(512))))).toEqual(whole);
  });

  test.each([1, 2, 5, 1000])('on standard input in pieces of %i bytes, plain and gzipped', async (size) => {
    expect(await readStdin(capture, size)).toEqual(whole);
    expect(await readStdin(gzipSync(capture), size)).toEqual(whole);
  });

  test('gzipped and cut at any byte: the packets before the cut, and damage', async () => {
    const packed = new Uint8Array(gzipSync(capture));
    let mostPackets = 0;
    for (let length = 3; length < packed.length; length++) {
      const reading = await readStdin(packed.subarray(0, length), 1000).catch((error: unknown) => {
        expect(error).toBeInstanceOf(CaptureFormatError);
        expect(String(error)).toContain('gzip stream is damaged: unexpected end of file, after ');
        return null;
      });
      if (reading === null) {
        // Less than a magic number can be unpacked from the first bytes.
        expect(mostPackets).toBe(0);
        continue;
      }
      expect(reading.seen).toEqual(whole.seen.slice(0, reading.seen.length));
      expect(reading.damage?.reason).toBe('gzip stream is damaged: unexpected end of file');
      expect(reading.seen.length).toBeGreaterThanOrEqual(mostPackets);
      mostPackets = reading.seen.length;
    }
    expect(mostPackets).toBe(whole.seen.length);
  });

  test('gzipped and changed anywhere: packets or a clear error, never a crash', async () => {
    const packed = new Uint8Array(gzipSync(capture));
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 3, max: packed.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        async (at, x) => {
          const changed = packed.slice();
          changed[at]! ^= x;
          const reading = await readStdin(changed, 64).catch((error: unknown) => {
            expect(error).toBeInstanceOf(CaptureFormatError);
            return null;
          });
          if (reading?.damage === null) expect(reading.seen).toEqual(whole.seen);
        },
      ),
    );
  });
});

describe('a damaged gzip stream', () => {
  // Long enough for zlib to be given many pieces; random, so that it stays long when packed.
  const records = Array.from({ length: 3000 }, (_, i) => {
    const data = sample(60);
    new DataView(data.buffer).setUint32(0, Math.imul(i, 0x9e37_79b1) >>> 0);
    new DataView(data.buffer).setUint32(8, Math.imul(i, 0x85eb_ca6b) >>> 0);
    return pcapRecord(data, { seconds: i });
  });
  const capture = join(pcapHeader(), ...records);
  const packed = new Uint8Array(gzipSync(capture));

  test('keeps the packets before the damage', async () => {
    const changed = packed.slice();
    const middle = packed.length >> 1;
    changed.fill(0xff, middle, middle + 200);
    const { seen, damage } = await readFile(fileWith(changed));
    // zlib may unpack some nonsense before it notices; then the reader notices first. The packets before it are right.
    expect(damage).not.toBeNull();
    expect(seen.length).toBeGreaterThan(1000);
    expect(seen.length).toBeLessThan(2000);
    expect(seen.slice(0, 1000)).toEqual(readBytes(capture).seen.slice(0, 1000));
  });

  test('with a wrong checksum loses no more than the piece of packed bytes that ends with it', async () => {
    const changed = packed.slice();
    changed[packed.length - 6]! ^= 1;
    const { seen, damage } = await readFile(fileWith(changed));
    expect(damage?.reason).toBe('gzip stream is damaged: incorrect data check');
    expect(seen).toEqual(readBytes(capture).seen.slice(0, seen.length));
    expect(24 + seen.length * 76).toBeLessThanOrEqual(damage!.byteOffset);
    expect(24 + (seen.length + 1) * 76).toBeGreaterThan(damage!.byteOffset);
    const lost = capture.length - damage!.byteOffset;
    expect(lost).toBeLessThan((2 * 4096 * capture.length) / packed.length);
  });
});

describe('a cursor', () => {
  test('answers at once while it has bytes, so that several captures merge without waiting', async () => {
    const cursor = await CaptureCursor.open(fileWith(PCAP));
    const answers: unknown[] = [];
    let more = cursor.advance();
    expect(more).toBeInstanceOf(Promise);
    while (await more) {
      more = cursor.advance();
      answers.push(typeof more);
    }
    expect(answers).toEqual(['boolean', 'boolean', 'object']);
    expect([cursor.damage, cursor.format, cursor.bytesRead, cursor.totalBytes]).toEqual([
      null,
      'pcap',
      PCAP.length,
      PCAP.length,
    ]);
    expect(cursor.advance()).toBe(false);
    await cursor.close();
  });

  test('does not know the size of standard input', async () => {
    const cursor = await CaptureCursor.open('-', pieces(PCAP, 10));
    expect(cursor.totalBytes).toBeNull();
    await cursor.close();
  });

  test('reports its progress in bytes of the file', async () => {
    const packed = gzipSync(join(pcapHeader(), Buffer.alloc(76 * 50_000, pcapRecord(sample(60)))));
    const steps: number[] = [];
    const summary = await readCapture(
      fileWith(packed),
      () => {},
      (bytesRead, totalBytes) => {
        steps.push(bytesRead);
        expect(totalBytes).toBe(packed.length);
      },
    );
    expect(summary).toEqual({ packets: 50_000, damage: null, format: 'pcap' });
    expect(steps.at(-1)).toBe(packed.length);
    expect(steps).toEqual(steps.toSorted((a, b) => a - b));
  });
});

describe('what cannot be read', () => {
  async function errorOf(path: string): Promise<unknown> {
    return readCapture(path, () => {}).then(
      () => null,
      (error: unknown) => error,
    );
  }

  test('a missing file, a folder, a path through a file', async () => {
    const file = fileWith(PCAP);
    mkdirSync(pathJoin(folder, 'folder.pcap'));
    for (const [path, reason] of [
      [pathJoin(folder, 'none.pcap'), 'no such file'],
      [pathJoin(file, 'below.pcap'), 'no such file'],
      [pathJoin(folder, 'folder.pcap'), 'it is a directory'],
    ] as const) {
      const error = await errorOf(path);
      expect(error).toBeInstanceOf(CaptureUnreadableError);
      expect(error).toMatchObject({ code: 'capture-unreadable', message: `cannot read ${path}: ${reason}` });
    }
  });

  test('a file without permission', async ({ skip }) => {
    skip(process.getuid?.() === 0, 'root may read any file');
    const path = fileWith(PCAP, 'secret.pcap');
    chmodSync(path, 0);
    expect(await errorOf(path)).toMatchObject({ message: `cannot read ${path}: permission denied` });
  });

  test('an empty file and a file that is no capture name the path', async () => {
    const empty = fileWith(new Uint8Array(0), 'empty.pcap');
    expect(await errorOf(empty)).toMatchObject({
      code: 'capture-format',
      message: `${empty}: the file is empty, expected a pcap or pcapng file, plain or gzipped`,
    });
    const text = fileWith(gzipSync('hello world'), 'text.gz');
    expect(await errorOf(text)).toMatchObject({
      code: 'capture-format',
      message: `${text}: not a capture: it begins with 68 65 6c 6c, expected a pcap or pcapng file, plain or gzipped`,
    });
    expect(await errorOf(fileWith(gzipSync('')))).toMatchObject({ code: 'capture-format' });
  });

  test('standard input that is no capture', async () => {
    await expect(readStdin(Buffer.from('hi'), 1)).rejects.toThrow(
      'standard input: not a capture: it begins with 68 69,',
    );
  });
});

test('a named pipe is read like a file', async () => {
  const path = pathJoin(folder, 'pipe');
  execFileSync('sh', ['-c', `mkfifo '${path}'`]);
  const writer = spawn('sh', ['-c', `cat '${fileWith(PCAP)}' > '${path}'`]);
  expect(await readFile(path)).toEqual(readBytes(PCAP));
  writer.kill();
});
