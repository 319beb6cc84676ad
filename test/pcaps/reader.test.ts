import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CaptureReader } from '../../pcaps/reader.ts';
import { CaptureFormatError, CaptureRecord } from '../../pcaps/record.ts';
import {
  block,
  fields,
  interfaceBlock,
  join,
  option,
  packetBlock,
  pcapHeader,
  pcapRecord,
  readBytes,
  sample,
  sectionHeader,
} from '../support/pcap-bytes.ts';

const PCAP = join(
  pcapHeader(),
  ...[0, 1, 60, 14, 33].map((length, i) => pcapRecord(sample(length), { seconds: i, fraction: i * 1000 })),
);

const PCAPNG = join(
  sectionHeader(),
  interfaceBlock({ options: join(option(9, Uint8Array.of(9)), new Uint8Array(4)) }),
  packetBlock(sample(60), { ticks: 1_700_000_000_123_456_789n }),
  block(0xbad, sample(30)),
  packetBlock(sample(1), { options: join(option(1, Buffer.from('hello')), new Uint8Array(4)) }),
  sectionHeader(false),
  interfaceBlock({ littleEndian: false, snapLength: 20 }),
  block(3, fields(false, [4, 60], sample(20)), false),
  packetBlock(sample(33), { littleEndian: false, ticks: 5n }),
);

const CAPTURES = [
  ['pcap', PCAP],
  ['pcapng', PCAPNG],
] as const;

describe('what is no capture', () => {
  test('an empty file', () => {
    expect(() => new CaptureReader().end()).toThrow(
      new CaptureFormatError('the file is empty, expected a pcap or pcapng file, plain or gzipped'),
    );
  });

  test.each([
    ['text', Buffer.from('hello world'), '68 65 6c 6c'],
    ['fewer bytes than a magic number has', Uint8Array.of(0xd4, 0xc3, 0xb2), 'd4 c3 b2'],
    ['zeros', new Uint8Array(100), '00 00 00 00'],
    ['zstd', Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 4), '28 b5 2f fd (zstd)'],
    ['bzip2', Buffer.from('BZh91AY'), '42 5a 68 39 (bzip2)'],
  ])('%s: the error shows the first bytes', (_, bytes, found) => {
    for (const sizes of [[bytes.length], [1]]) {
      const message = `not a capture: it begins with ${found}, expected a pcap or pcapng file, plain or gzipped`;
      expect(() => readBytes(bytes, sizes)).toThrow(new CaptureFormatError(message));
    }
  });

  test('the error has a stable code', () => {
    expect(new CaptureFormatError('…').code).toBe('capture-format');
  });
});

describe.each(CAPTURES)('%s in pieces', (_, capture) => {
  const whole = readBytes(capture);

  test('the capture is whole and has packets', () => {
    expect(whole.damage).toBeNull();
    expect(whole.seen.length).toBeGreaterThan(3);
  });

  test('any division into pieces gives the same packets', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 80 }), { minLength: 1, maxLength: 20 }), (sizes) => {
        expect(readBytes(capture, sizes)).toEqual(whole);
      }),
    );
  });

  test('cut at any byte: the packets before the cut, and damage unless the cut is between two records', () => {
    for (let length = 4; length < capture.length; length++) {
      for (const sizes of [[length], [1]]) {
        const { seen, damage, format } = readBytes(capture.subarray(0, length), sizes);
        expect(format).toBe(whole.format);
        expect(seen).toEqual(whole.seen.slice(0, seen.length));
        if (damage === null) {
          // Then what follows is whole records, which a reader of the rest would find: nothing of a packet is lost.
          expect(readBytes(capture.subarray(0, length + 1)).damage?.byteOffset).toBe(length);
        } else {
          expect(damage.byteOffset).toBeLessThan(length);
          expect(readBytes(capture.subarray(0, Math.max(4, damage.byteOffset))).seen).toEqual(seen);
        }
      }
    }
  });

  test('cut before its fourth byte it is no capture', () => {
    for (let length = 0; length < 4; length++) {
      expect(() => readBytes(capture.subarray(0, length))).toThrow(CaptureFormatError);
    }
  });

  test('any change of bytes ends in packets and damage, never in a crash', () => {
    const change = fc.tuple(fc.integer({ min: 4, max: capture.length - 1 }), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
        const changed = capture.slice();
        for (const [at, value] of changes) changed[at] = value;
        const { seen, damage } = readBytes(changed, [17]);
        expect(seen.length).toBeLessThanOrEqual(capture.length / 12);
        if (damage !== null) expect(damage.byteOffset).toBeLessThanOrEqual(capture.length);
      }),
      { numRuns: 1000 },
    );
  });
});

test('random bytes behind a magic number end in packets and damage, never in a crash', () => {
  const magic = fc.constantFrom(
    'd4c3b2a1',
    'a1b2c3d4',
    '4d3cb2a1',
    'a1b23c4d',
    '34cdb2a1',
    'a1b2cd34',
    'ab01001c',
    '0a0d0d0a1c0000004d3c2b1a',
    '0a0d0d0a0000001c1a2b3c4d',
  );
  fc.assert(
    fc.property(magic, fc.uint8Array({ maxLength: 300 }), (start, rest) => {
      const { seen, format } = readBytes(join(Buffer.from(start, 'hex'), rest), [11]);
      expect(format).not.toBeNull();
      expect(seen.length).toBeLessThan(30);
    }),
    { numRuns: 2000 },
  );
});

test('random bytes are no capture', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(() => readBytes(bytes)).toThrow(CaptureFormatError);
    }),
  );
});

describe('the reader', () => {
  test('gives nothing more after damage, whatever is fed', () => {
    const reader = new CaptureReader();
    const record = new CaptureRecord();
    reader.feed(join(pcapHeader(), pcapRecord(sample(4), { lengths: [0x7fff_ffff, 4] })));
    expect(reader.next(record)).toBe(false);
    expect(reader.finished).toBe(true);
    const { damage } = reader;
    reader.feed(pcapRecord(sample(60)));
    expect(reader.next(record)).toBe(false);
    expect(reader.damage).toBe(damage);
  });

  test('is not finished while more bytes may come', () => {
    const reader = new CaptureReader();
    reader.feed(pcapHeader());
    expect(reader.next(new CaptureRecord())).toBe(false);
    expect([reader.finished, reader.damage]).toEqual([false, null]);
    reader.end();
    expect(reader.next(new CaptureRecord())).toBe(false);
    expect([reader.finished, reader.damage]).toEqual([true, null]);
  });

  test('leaves the fed bytes to the caller', () => {
    const reader = new CaptureReader();
    const record = new CaptureRecord();
    const chunk = join(pcapHeader(), pcapRecord(Uint8Array.of(1, 2, 3)));
    reader.feed(chunk);
    chunk.fill(0xff);
    expect(reader.next(record)).toBe(true);
    expect([...record.bytes.subarray(record.offset, record.offset + record.capturedLength)]).toEqual([1, 2, 3]);
  });
});

describe('memory', () => {
  /** Bytes of array buffers that reading `capture`, fed in small pieces, keeps alive at most. */
  function peakBytes(capture: Uint8Array): number {
    const reader = new CaptureReader();
    const record = new CaptureRecord();
    const before = process.memoryUsage().arrayBuffers;
    let peak = 0;
    for (let at = 0; at < capture.length; at += 4096) {
      reader.feed(capture.subarray(at, at + 4096));
      while (reader.next(record));
      peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
    }
    reader.end();
    while (reader.next(record));
    return Math.max(peak, process.memoryUsage().arrayBuffers - before);
  }

  test.each([
    ['a record that claims 262,144 bytes', join(pcapHeader(), pcapRecord(sample(60), { lengths: [262_144, 262_144] }))],
    ['a record that claims 4 GB', join(pcapHeader(), pcapRecord(sample(60), { lengths: [0xffff_fff0, 60] }))],
    ['a packet block that claims 16 MiB', join(PCAPNG.subarray(0, 28), fields(true, [4, 6], [4, 1 << 24], [4, 0]))],
    [
      'an unknown block that claims 4 GB',
      join(PCAPNG.subarray(0, 28), fields(true, [4, 99], [4, 0xffff_fff0], [4, 0])),
    ],
  ])('%s takes no more than the file has', (_, capture) => {
    expect(peakBytes(capture)).toBeLessThan(256 * 1024);
  });

  test('a long capture does not grow the buffer', () => {
    const many = join(pcapHeader(), Buffer.alloc(76 * 200_000, pcapRecord(sample(60))));
    expect(peakBytes(many)).toBeLessThan(256 * 1024);
  });

  test('a skipped block of 32 MiB does not grow the buffer', () => {
    expect(peakBytes(join(sectionHeader(), block(0xbad, new Uint8Array(32 << 20))))).toBeLessThan(1024 * 1024);
  });

  const CALLS = 50_000;

  /**
   * Bytes of heap per call, the least of several rounds; a round in which the collector ran does not count.
   * @param most rounds
   * @param enough no further round is tried below so many bytes
   * @param prepare what a round needs, not measured
   */
  function heapBytesPerCall(call: () => void, most: number, enough: number, prepare: () => void = () => {}): number {
    let least = Number.POSITIVE_INFINITY;
    for (let round = 0; round < most && least >= enough; round++) {
      prepare();
      globalThis.gc!();
      const before = process.memoryUsage().heapUsed;
      for (let i = 0; i < CALLS; i++) call();
      const grown = process.memoryUsage().heapUsed - before;
      if (grown >= 0) least = Math.min(least, grown / CALLS);
    }
    return least;
  }

  const kept: unknown[] = [];

  test.each([
    ['pcap', pcapHeader(), pcapRecord(sample(60), { seconds: 1_700_000_000, fraction: 999_999 })],
    [
      'pcapng',
      PCAPNG.subarray(0, 28 + 32),
      // The lower half of the time does not fit in 31 bits.
      packetBlock(sample(60), { ticks: 1_700_000_002_123_456_789n }),
    ],
  ])('a %s record allocates nothing', (_, start, packet) => {
    const reader = new CaptureReader();
    const record = new CaptureRecord();
    reader.feed(start);
    const packets = Buffer.alloc(packet.length * CALLS, packet);
    const next = () => {
      if (!reader.next(record)) throw new Error('too few packets for this test');
    };
    // As many rounds as V8 may need to optimise: on a busy machine its compiler thread waits for a processor.
    expect(heapBytesPerCall(next, 60, 1, () => reader.feed(packets))).toBeLessThan(1);
    // The control: what allocates is seen to. It is kept, or a collection in between would hide it.
    const keep = () => {
      kept.push([record]);
    };
    expect(heapBytesPerCall(keep, 8, 0)).toBeGreaterThan(8);
    kept.length = 0;
  });
});
