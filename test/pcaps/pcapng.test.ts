import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CaptureRecord } from '../../pcaps/record.ts';
import { TimeBase } from '../../pcaps/time-base.ts';
import {
  block,
  fields,
  interfaceBlock,
  join,
  option,
  packetBlock,
  readBytes,
  sample,
  sectionHeader,
} from '../support/pcap-bytes.ts';

const FRAME = sample(61);
const FRAME_HEX = Buffer.from(FRAME).toString('hex');
const START = join(sectionHeader(), interfaceBlock());
const END_OF_OPTIONS = new Uint8Array(4);

function withTime(resolution: number | null, offsetSeconds: bigint, ticks: bigint, littleEndian = true): string | null {
  const options = join(
    resolution === null ? new Uint8Array(0) : option(9, Uint8Array.of(resolution), littleEndian),
    option(14, fields(littleEndian, [8, offsetSeconds]), littleEndian),
    END_OF_OPTIONS,
  );
  const capture = join(
    sectionHeader(littleEndian),
    interfaceBlock({ options, littleEndian }),
    packetBlock(FRAME, { ticks, littleEndian }),
  );
  return readBytes(capture).seen[0]?.time ?? null;
}

describe('pcapng blocks', () => {
  test.each([
    ['little endian', true],
    ['big endian', false],
  ])('an enhanced packet, %s', (_, littleEndian) => {
    const capture = join(
      sectionHeader(littleEndian),
      interfaceBlock({ littleEndian, linkType: 113 }),
      packetBlock(FRAME, { littleEndian, ticks: 1_700_000_000_000_001n, wire: 1514 }),
    );
    expect(readBytes(capture)).toEqual({
      seen: [
        {
          time: '1700000000.000001000',
          data: FRAME_HEX,
          wireLength: 1514,
          linkType: 113,
          interfaceId: 0,
          fcsLength: 0,
        },
      ],
      damage: null,
      format: 'pcapng',
    });
  });

  test('a simple packet has no time, and its padding is not data', () => {
    const capture = join(sectionHeader(), interfaceBlock(), block(3, fields(true, [4, 61], FRAME)));
    expect(readBytes(capture).seen).toEqual([
      { time: null, data: FRAME_HEX, wireLength: 61, linkType: 1, interfaceId: 0, fcsLength: 0 },
    ]);
  });

  test('a simple packet is captured up to the snap length of interface 0', () => {
    const body = fields(true, [4, 1514], FRAME);
    const capture = join(sectionHeader(), interfaceBlock({ snapLength: 61 }), block(3, body));
    expect(readBytes(capture).seen[0]).toMatchObject({ data: FRAME_HEX, wireLength: 1514 });
  });

  test('an obsolete packet block names its interface in 16 bits, before a drop count', () => {
    const body = fields(true, [2, 1], [2, 77], [4, 0], [4, 5], [4, 61], [4, 90], FRAME);
    const capture = join(START, interfaceBlock({ linkType: 101 }), block(2, body));
    expect(readBytes(capture).seen).toEqual([
      { time: '0.000005000', data: FRAME_HEX, wireLength: 90, linkType: 101, interfaceId: 1, fcsLength: 0 },
    ]);
  });

  test('each packet has the link type and the clock of its own interface', () => {
    const nanoseconds = join(option(9, Uint8Array.of(9)), END_OF_OPTIONS);
    const capture = join(
      sectionHeader(),
      interfaceBlock(),
      packetBlock(FRAME, { ticks: 1_000_000n }),
      interfaceBlock({ linkType: 113, options: nanoseconds }),
      packetBlock(FRAME, { interfaceId: 1, ticks: 1_000_000n }),
      packetBlock(FRAME, { interfaceId: 0, ticks: 2_000_000n }),
    );
    expect(readBytes(capture).seen.map(({ time, linkType, interfaceId }) => [time, linkType, interfaceId])).toEqual([
      ['1.000000000', 1, 0],
      ['0.001000000', 113, 1],
      ['2.000000000', 1, 0],
    ]);
  });

  test('each section has its own byte order and counts its interfaces from 0', () => {
    const capture = join(
      START,
      packetBlock(FRAME),
      sectionHeader(false),
      interfaceBlock({ littleEndian: false, linkType: 101 }),
      packetBlock(FRAME, { littleEndian: false, ticks: 3_000_000n }),
      sectionHeader(),
      interfaceBlock({ linkType: 113 }),
      packetBlock(FRAME),
    );
    const { seen, damage } = readBytes(capture);
    expect(damage).toBeNull();
    expect(seen.map(({ linkType, time, data }) => [linkType, time, data])).toEqual([
      [1, '0.000000000', FRAME_HEX],
      [101, '3.000000000', FRAME_HEX],
      [113, '0.000000000', FRAME_HEX],
    ]);
  });

  test('an interface of an earlier section is not known in the next', () => {
    const { seen, damage } = readBytes(join(START, packetBlock(FRAME), sectionHeader(), packetBlock(FRAME)));
    expect(seen).toHaveLength(1);
    expect(damage).toEqual({ byteOffset: 172, reason: 'record 2 names interface 0, but the section has 0' });
  });

  test('blocks that carry no packet are skipped: names, statistics, secrets, journal, custom, unknown', () => {
    const types = [4, 5, 10, 9, 0xbad, 0x4000_0bad, 0x7fff_ffff];
    const skipped = types.map((type, i) => block(type, sample(i * 5)));
    const capture = join(START, ...skipped, packetBlock(FRAME), ...skipped);
    for (const sizes of [[capture.length], [1], [13]]) {
      const { seen, damage } = readBytes(capture, sizes);
      expect(damage).toBeNull();
      expect(seen.map(({ data }) => data)).toEqual([FRAME_HEX]);
    }
  });

  test('a skipped block may be longer than what is read as a whole', () => {
    const { seen, damage } = readBytes(
      join(START, block(0xbad, new Uint8Array(17 << 20)), packetBlock(FRAME)),
      [65_536],
    );
    expect(damage).toBeNull();
    expect(seen).toHaveLength(1);
  });

  test('a total length without the padding is understood when the padding is there', () => {
    const whole = packetBlock(FRAME);
    const told = fields(true, [4, whole.length - 3]);
    const odd = join(whole.subarray(0, 4), told, whole.subarray(8, whole.length - 4), told);
    const { seen, damage } = readBytes(join(START, odd, packetBlock(FRAME)));
    expect(damage).toBeNull();
    expect(seen.map(({ data }) => data)).toEqual([FRAME_HEX, FRAME_HEX]);
  });

  test('options of a packet are not its data', () => {
    const options = join(option(1, Buffer.from('a comment')), option(2, fields(true, [4, 1])), END_OF_OPTIONS);
    const { seen, damage } = readBytes(join(START, packetBlock(FRAME, { options })));
    expect(damage).toBeNull();
    expect(seen).toEqual([expect.objectContaining({ data: FRAME_HEX, fcsLength: 0 })]);
  });

  test('options behind the end of options are not looked at', () => {
    const options = join(END_OF_OPTIONS, fields(true, [2, 1], [2, 400]));
    expect(readBytes(join(START, packetBlock(FRAME, { options }))).damage).toBeNull();
  });
});

describe('the frame check sequence', () => {
  test.each([
    [4, 4],
    [2, 2],
    [32, 4],
    [16, 2],
    [0, 0],
  ])('if_fcslen %i means %i bytes', (told, bytes) => {
    const options = join(option(13, Uint8Array.of(told)), END_OF_OPTIONS);
    const simple = block(3, fields(true, [4, 61], FRAME));
    const { seen } = readBytes(join(sectionHeader(), interfaceBlock({ options }), packetBlock(FRAME), simple));
    expect(seen.map(({ fcsLength, wireLength }) => [fcsLength, wireLength])).toEqual([
      [bytes, 61],
      [bytes, 61],
    ]);
  });

  test("a packet's flags overrule the interface, for that packet", () => {
    const options = join(option(2, fields(true, [4, 4 << 5])), END_OF_OPTIONS);
    const { seen } = readBytes(join(START, packetBlock(FRAME, { options }), packetBlock(FRAME)));
    expect(seen.map(({ fcsLength }) => fcsLength)).toEqual([4, 0]);
  });
});

describe('pcapng time', () => {
  test.each([
    [null, 1_700_000_000_123_456n, '1700000000.123456000'],
    [6, 1_700_000_000_123_456n, '1700000000.123456000'],
    [9, 1_700_000_000_123_456_789n, '1700000000.123456789'],
    [9, 0xffff_ffff_ffff_ffffn, '18446744073.709551615'],
    [0, 5n, '5.000000000'],
    [3, 1_700_000_000_123n, '1700000000.123000000'],
    [12, 1_700_000_123_456_789_999n, '1700000.123456789'],
    [19, 0xffff_ffff_ffff_ffffn, '1.844674407'],
    [0x80 | 10, 1025n, '1.000976562'],
    [0x80 | 20, (1_700_000_000n << 20n) | 1n, '1700000000.000000953'],
    [0x80 | 63, (1n << 63n) | (1n << 62n), '1.500000000'],
    [0x80, 12n, '12.000000000'],
    [0x80 | 127, 0xffff_ffff_ffff_ffffn, '0.000000000'],
  ])('if_tsresol %s, %s ticks: %s', (resolution, ticks, time) => {
    expect(withTime(resolution, 0n, ticks)).toBe(time);
    expect(withTime(resolution, 0n, ticks, false)).toBe(time);
  });

  test('if_tsoffset is a signed number of seconds', () => {
    expect(withTime(9, 1_000_000_000n, 5n)).toBe('1000000000.000000005');
    expect(withTime(9, -10n, 5n)).toBe('-10.000000005');
    expect(withTime(6, -10n, 12_500_000n, false)).toBe('2.500000000');
  });

  test('any 64-bit time in any power of ten equals exact arithmetic', () => {
    const record = new CaptureRecord();
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 9 }), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (exponent, ticks) => {
        const perSecond = 10n ** BigInt(exponent);
        const halves = new DataView(new ArrayBuffer(8));
        halves.setBigUint64(0, ticks);
        new TimeBase(exponent, 0).apply(record, halves, 0, false);
        // Beyond 2^53 seconds a double cannot hold every second; the nanoseconds stay exact.
        expect(record.seconds).toBe(Number(ticks / perSecond));
        expect(BigInt(record.nanoseconds)).toBe(((ticks % perSecond) * 1_000_000_000n) / perSecond);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('pcapng damage', () => {
  const good = join(START, packetBlock(FRAME));

  test.each<[string, Uint8Array, string]>([
    ['a block whose two lengths differ', mismatched(), 'block 4 has length 96 at its start and 104 at its end'],
    [
      'a skipped block whose two lengths differ',
      skippedMismatch(),
      'block 4 has length 20 at its start and 24 at its end',
    ],
    ['a block shorter than a block', fields(true, [4, 0], [4, 0], [4, 0]), 'block 4 has length 0, less than 12'],
    ['a packet block shorter than its fields', block(6, new Uint8Array(16)), 'block 4 has length 28, less than 32'],
    [
      'an unknown interface',
      packetBlock(FRAME, { interfaceId: 3 }),
      'record 2 names interface 3, but the section has 1',
    ],
    [
      'more packet than block',
      packetBlock(FRAME, { captured: 200 }),
      'record 2 claims 200 bytes, but its block has 64',
    ],
    ['a giant packet', packetBlock(sample(262_145)), 'record 2 claims 262145 bytes, more than 262144'],
    [
      'a giant block',
      fields(true, [4, 6], [4, 0x0100_0004], [4, 0]),
      'block 4 claims 16777220 bytes, more than 16777216',
    ],
    ['a packet option longer than its block', overlongOption(), 'record 2 has an option longer than the block'],
    ['a simple packet longer than its block', simpleTooLong(), 'record 2 claims 640 bytes, but its block has 64'],
    ['a block that is cut', packetBlock(FRAME).subarray(0, 50), 'block 4 cut: 50 of 96 bytes'],
    ['a block header that is cut', packetBlock(FRAME).subarray(0, 5), 'block 4 cut: 5 of at least 12 bytes'],
    ['a skipped block that is cut', block(0xbad, sample(64)).subarray(0, 30), 'block 4 cut: 30 of 76 bytes'],
    ['a skipped block cut in its last bytes', block(0xbad, sample(64)).subarray(0, 74), 'block 4 cut: 74 of 76 bytes'],
    [
      'a section in no byte order',
      badByteOrder(),
      'section header has byte-order magic 0x4e3c2b1a, expected 0x1a2b3c4d',
    ],
    ['a section of version 2', sectionHeader(true, 2), 'pcapng version 2.0, expected 1.x'],
    ['an interface option longer than its block', badInterface(), 'block 4 has an option longer than the block'],
  ])('%s ends the capture there', (_, bad, reason) => {
    const capture = join(good, bad, packetBlock(FRAME));
    const cut = reason.includes(' cut');
    for (const sizes of [[capture.length], [1]]) {
      const { seen, damage } = readBytes(cut ? join(good, bad) : capture, sizes);
      expect(seen.map(({ data }) => data)).toEqual([FRAME_HEX]);
      expect(damage).toEqual({ byteOffset: good.length, reason });
    }
  });

  test('a simple packet before any interface', () => {
    const capture = join(sectionHeader(), block(3, fields(true, [4, 61], FRAME)));
    expect(readBytes(capture).damage?.reason).toBe('record 1 names interface 0, but the section has 0');
  });

  test('the 65,537th interface of a section', () => {
    const many = Buffer.alloc(20 * 65_537, interfaceBlock());
    expect(readBytes(join(sectionHeader(), many)).damage).toEqual({
      byteOffset: 28 + 20 * 65_536,
      reason: 'more than 65536 interfaces',
    });
  });

  function mismatched(): Uint8Array {
    const bad = packetBlock(FRAME);
    bad[bad.length - 4]! ^= 8;
    return bad;
  }

  function skippedMismatch(): Uint8Array {
    const bad = block(0xbad, sample(8));
    bad[bad.length - 4] = 24;
    return bad;
  }

  function overlongOption(): Uint8Array {
    return packetBlock(FRAME, { options: fields(true, [2, 1], [2, 400], [4, 0]) });
  }

  function badInterface(): Uint8Array {
    return interfaceBlock({ options: fields(true, [2, 2], [2, 400], [4, 0]) });
  }

  function simpleTooLong(): Uint8Array {
    return block(3, fields(true, [4, 640], FRAME));
  }

  function badByteOrder(): Uint8Array {
    const bad = sectionHeader();
    bad[8]! ^= 3;
    return bad;
  }
});
