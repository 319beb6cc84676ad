import { describe, expect, test } from 'vitest';
import { CaptureRecord } from '../../pcaps/record.ts';
import { fields, join, pcapHeader, pcapRecord, readBytes, sample } from '../support/pcap-bytes.ts';

const FRAME = sample(60);
const FRAME_HEX = Buffer.from(FRAME).toString('hex');

describe('classic pcap', () => {
  test.each([
    ['little endian', true],
    ['big endian', false],
  ])('microseconds, %s', (_, littleEndian) => {
    const capture = join(
      pcapHeader({ littleEndian }),
      pcapRecord(FRAME, { littleEndian, seconds: 1_700_000_000, fraction: 999_999, lengths: [60, 1514] }),
    );
    expect(readBytes(capture)).toEqual({
      seen: [
        {
          time: '1700000000.999999000',
          data: FRAME_HEX,
          wireLength: 1514,
          linkType: 1,
          interfaceId: 0,
          fcsLength: 0,
        },
      ],
      damage: null,
      format: 'pcap',
    });
  });

  test.each([
    ['little endian', true],
    ['big endian', false],
  ])('nanoseconds, %s', (_, littleEndian) => {
    const capture = join(
      pcapHeader({ magic: 0xa1b23c4d, littleEndian }),
      pcapRecord(FRAME, { littleEndian, seconds: 7, fraction: 123_456_789 }),
    );
    expect(readBytes(capture).seen[0]?.time).toBe('7.123456789');
  });

  test('the bytes of a file in the order in which they lie on disk', () => {
    const capture = Buffer.from(
      'd4c3b2a1020004000000000000000000ffff000001000000' + '0100000040420f0003000000040000000a0b0c',
      'hex',
    );
    expect(readBytes(capture).seen).toEqual([
      { time: '2.000000000', data: '0a0b0c', wireLength: 4, linkType: 1, interfaceId: 0, fcsLength: 0 },
    ]);
  });

  test('a capture without packets is whole', () => {
    expect(readBytes(pcapHeader())).toEqual({ seen: [], damage: null, format: 'pcap' });
  });

  test('a fraction of a second beyond one second is carried into the seconds', () => {
    const micro = join(pcapHeader(), pcapRecord(FRAME, { seconds: 1, fraction: 2_500_000 }));
    expect(readBytes(micro).seen[0]?.time).toBe('3.500000000');
    const nano = join(pcapHeader({ magic: 0xa1b23c4d }), pcapRecord(FRAME, { seconds: 1, fraction: 0xffff_ffff }));
    expect(readBytes(nano).seen[0]?.time).toBe('5.294967295');
  });

  test('seconds are unsigned: a clock beyond 2038 does not turn negative', () => {
    const capture = join(pcapHeader(), pcapRecord(FRAME, { seconds: 0xffff_fff0, fraction: 0 }));
    expect(readBytes(capture).seen[0]?.time).toBe('4294967280.000000000');
  });

  test('more captured than was on the wire is kept as the file tells it', () => {
    const { seen, damage } = readBytes(join(pcapHeader(), pcapRecord(FRAME, { lengths: [60, 40] })));
    expect(seen[0]).toMatchObject({ data: FRAME_HEX, wireLength: 40 });
    expect(damage).toBeNull();
  });

  test('a packet of no bytes is a packet', () => {
    const { seen } = readBytes(
      join(pcapHeader(), pcapRecord(new Uint8Array(0), { lengths: [0, 60] }), pcapRecord(FRAME)),
    );
    expect(seen.map(({ data }) => data)).toEqual(['', FRAME_HEX]);
  });

  test('Ixia captures have four more bytes in the file header', () => {
    const header = join(pcapHeader({ magic: 0x1c0001ac }), fields(true, [4, 76]));
    expect(readBytes(join(header, pcapRecord(FRAME))).seen[0]?.time).toBe('1.000000002');
    const micro = join(pcapHeader({ magic: 0x1c0001ab, littleEndian: false }), fields(false, [4, 76]));
    expect(readBytes(join(micro, pcapRecord(FRAME, { littleEndian: false }))).seen[0]?.time).toBe('1.000002000');
  });
});

describe('the link type word', () => {
  test('upper bits that announce no frame check sequence are ignored', () => {
    for (const upper of [0x3000_0000, 0x2000_0000, 0x0030_0000, 0x0800_0000]) {
      const { seen } = readBytes(join(pcapHeader({ network: upper + 113 }), pcapRecord(FRAME)));
      expect(seen[0]).toMatchObject({ linkType: 113, fcsLength: 0 });
    }
  });

  test('a frame check sequence counts in the lengths and not in the frame', () => {
    const { seen } = readBytes(join(pcapHeader({ network: 0x2400_0001 }), pcapRecord(FRAME)));
    expect(seen[0]).toMatchObject({ linkType: 1, fcsLength: 4, wireLength: 60, data: FRAME_HEX });
  });

  test('only the part of the frame check sequence that was captured is cut off', () => {
    const record = new CaptureRecord();
    Object.assign(record, { fcsLength: 4, wireLength: 64 });
    const lengths = [64, 62, 60, 40].map((capturedLength) => Object.assign(record, { capturedLength }).frameLength);
    expect(lengths).toEqual([60, 60, 60, 40]);
    expect(Object.assign(record, { wireLength: 2, capturedLength: 2 }).frameLength).toBe(0);
  });
});

describe('old versions', () => {
  test('before 2.3 the length on the wire comes first', () => {
    const capture = join(
      pcapHeader({ version: [2, 2] }),
      pcapRecord(FRAME, { lengths: [1514, 60] }),
      pcapRecord(FRAME),
    );
    const { seen, damage } = readBytes(capture);
    expect(seen.map(({ wireLength, data }) => [wireLength, data.length / 2])).toEqual([
      [1514, 60],
      [60, 60],
    ]);
    expect(damage).toBeNull();
  });

  test('in 2.3 the smaller length is what was captured', () => {
    for (const lengths of [
      [1514, 60],
      [60, 1514],
    ] as const) {
      const { seen } = readBytes(join(pcapHeader({ version: [2, 3] }), pcapRecord(FRAME, { lengths })));
      expect(seen[0]).toMatchObject({ wireLength: 1514, data: FRAME_HEX });
    }
  });

  test("DG/UX's 543.0 has the old order", () => {
    const { seen } = readBytes(join(pcapHeader({ version: [543, 0] }), pcapRecord(FRAME, { lengths: [1514, 60] })));
    expect(seen[0]).toMatchObject({ wireLength: 1514, data: FRAME_HEX });
  });

  test('version 1 is recognised and reported', () => {
    const { seen, damage } = readBytes(join(pcapHeader({ version: [1, 2] }), pcapRecord(FRAME)));
    expect(seen).toEqual([]);
    expect(damage).toEqual({ byteOffset: 0, reason: 'pcap version 1.2, expected 2.0 or later' });
  });
});

describe('modified pcap', () => {
  const header = pcapHeader({ magic: 0xa1b2cd34 });

  test.each([
    ['24', 8],
    ['28', 12],
  ])('record headers of %s bytes', (_, extraBytes) => {
    // Interface 3, protocol 0x0800, and the rest is not defined to be zero.
    const extra = join(fields(true, [4, 3], [2, 0x0800], [1, 0]), new Uint8Array(extraBytes - 7).fill(0x5a));
    for (const count of [1, 2, 3, 5]) {
      const records = Array.from({ length: count }, (_, i) => pcapRecord(FRAME, { seconds: 1_700_000_000 + i, extra }));
      const { seen, damage } = readBytes(join(header, ...records), [7]);
      expect(damage).toBeNull();
      expect(seen.map(({ data }) => data)).toEqual(new Array(count).fill(FRAME_HEX));
    }
  });

  test('without packets it is whole', () => {
    expect(readBytes(header)).toEqual({ seen: [], damage: null, format: 'pcap' });
  });
});

describe('damage', () => {
  test('a record header that is cut says how many of its bytes are there', () => {
    const { seen, damage } = readBytes(join(pcapHeader(), pcapRecord(FRAME), pcapRecord(FRAME).subarray(0, 7)));
    expect(seen).toHaveLength(1);
    expect(damage).toEqual({ byteOffset: 100, reason: 'record 2 header cut: 7 of 16 bytes' });
  });

  test('packet bytes that are cut say how many are there', () => {
    const { seen, damage } = readBytes(join(pcapHeader(), pcapRecord(FRAME).subarray(0, 30)));
    expect(seen).toEqual([]);
    expect(damage).toEqual({ byteOffset: 24, reason: 'record 1 cut: 14 of 60 bytes' });
  });

  test('a claim of more than 262,144 bytes ends the capture at that record', () => {
    const lie = pcapRecord(FRAME, { lengths: [4_325_376, 4_325_376] });
    const { seen, damage } = readBytes(join(pcapHeader(), pcapRecord(FRAME), lie, pcapRecord(FRAME)));
    expect(seen).toHaveLength(1);
    expect(damage).toEqual({ byteOffset: 100, reason: 'record 2 claims 4325376 bytes, more than 262144' });
  });

  test('262,144 captured bytes are a packet', () => {
    const { seen, damage } = readBytes(join(pcapHeader(), pcapRecord(sample(262_144))), [5000]);
    expect(seen[0]?.data).toHaveLength(2 * 262_144);
    expect(damage).toBeNull();
  });

  test('a file header that is cut is damage at the beginning', () => {
    expect(readBytes(pcapHeader().subarray(0, 20))).toEqual({
      seen: [],
      damage: { byteOffset: 0, reason: 'file header cut: 20 of 24 bytes' },
      format: 'pcap',
    });
  });
});
