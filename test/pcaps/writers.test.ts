import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as pathJoin } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { frame } from '../../pcaps/build.ts';
import { PcapWriter } from '../../pcaps/pcap-writer.ts';
import { PACKET_DIRECTION, PcapngWriter } from '../../pcaps/pcapng-writer.ts';
import { join, readBytes, sample } from '../support/pcap-bytes.ts';

/** Everything that a writer hands to its sink. */
function collected<W extends { flush(): void }>(
  make: (sink: (chunk: Uint8Array) => void) => W,
  write: (writer: W) => void,
): Uint8Array {
  const chunks: Uint8Array[] = [];
  const writer = make((chunk) => chunks.push(chunk.slice()));
  write(writer);
  writer.flush();
  return join(...chunks);
}

interface Packet {
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly data: Uint8Array;
  readonly wireLength: number;
}

const packets = fc.array(
  fc.record({
    seconds: fc.integer({ min: 0, max: 0xffff_ffff }),
    nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
    data: fc.uint8Array({ maxLength: 200 }),
    wireLength: fc.integer({ min: 0, max: 0xffff_ffff }),
  }),
  { maxLength: 30 },
);

/** The packet as a reader must see it, its time cut to `unitNs`. */
function expected(
  { seconds, nanoseconds, data, wireLength }: Packet,
  linkType: number,
  interfaceId: number,
  unitNs: number,
) {
  const cut = nanoseconds - (nanoseconds % unitNs);
  return {
    time: `${seconds}.${String(cut).padStart(9, '0')}`,
    data: Buffer.from(data).toString('hex'),
    wireLength,
    linkType,
    interfaceId,
    fcsLength: 0,
  };
}

/** Packet bytes somewhere in a larger buffer, as the gateway has them. */
function slabOf(data: Uint8Array): Uint8Array {
  return join(sample(7), data, sample(5));
}

describe('the pcap writer', () => {
  test('what it writes is read back, in both byte orders and both resolutions', () => {
    fc.assert(
      fc.property(packets, fc.boolean(), fc.boolean(), fc.nat(0xffff), (list, nanoseconds, littleEndian, linkType) => {
        const bytes = collected(
          (sink) => new PcapWriter(sink, { nanoseconds, littleEndian, linkType }),
          (writer) => {
            for (const p of list) {
              writer.writePacket(p.seconds, p.nanoseconds, slabOf(p.data), 7, p.data.length, p.wireLength);
            }
          },
        );
        expect(readBytes(bytes)).toEqual({
          seen: list.map((packet) => expected(packet, linkType, 0, nanoseconds ? 1 : 1000)),
          damage: null,
          format: 'pcap',
        });
      }),
    );
  });

  test('the bytes of a file in the order in which they lie on disk', () => {
    const bytes = collected(
      (sink) => new PcapWriter(sink, { littleEndian: false, snapLength: 65_535 }),
      (writer) => writer.writePacket(1, 2999, Uint8Array.of(0xaa, 0xbb), 0, 2, 60),
    );
    expect(Buffer.from(bytes).toString('hex')).toBe(
      'a1b2c3d4000200040000000000000000' + '0000ffff00000001' + '0000000100000002000000020000003caabb',
    );
  });

  test('a frame is cut at the snap length and keeps its length on the wire', () => {
    const bytes = collected(
      (sink) => new PcapWriter(sink, { snapLength: 14 }),
      (writer) => writer.writePacket(1, 0, sample(60), 0, 60, 60),
    );
    expect(readBytes(bytes).seen[0]).toMatchObject({ wireLength: 60, data: Buffer.from(sample(14)).toString('hex') });
  });

  test('a time that the format cannot express becomes the nearest one that it can', () => {
    const bytes = collected(
      (sink) => new PcapWriter(sink),
      (writer) => {
        writer.writePacket(-5, 7000, sample(1), 0, 1, 1);
        writer.writePacket(2 ** 33, 7000, sample(1), 0, 1, 1);
      },
    );
    expect(readBytes(bytes).seen.map(({ time }) => time)).toEqual(['0.000007000', '4294967295.000007000']);
  });
});

describe('the pcapng writer', () => {
  test('what it writes is read back, with any interfaces and comments', () => {
    const comments = fc.option(fc.string({ unit: 'binary', maxLength: 50 }), { nil: undefined });
    const interfaces = fc.array(fc.tuple(fc.string(), fc.nat(0xffff)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(packets, interfaces, fc.infiniteStream(comments), (list, named, comment) => {
        const bytes = collected(
          (sink) => new PcapngWriter(sink),
          (writer) => {
            expect(named.map(([name, linkType]) => writer.addInterface({ name, linkType }))).toEqual([...named.keys()]);
            for (const [i, p] of list.entries()) {
              const id = i % named.length;
              const { value } = comment.next();
              writer.writePacket(id, p.seconds, p.nanoseconds, slabOf(p.data), 7, p.data.length, p.wireLength, value);
            }
          },
        );
        expect(readBytes(bytes)).toEqual({
          seen: list.map((packet, i) => expected(packet, named[i % named.length]![1], i % named.length, 1)),
          damage: null,
          format: 'pcapng',
        });
      }),
    );
  });

  test('says who wrote it and nothing of when or where', () => {
    const write = () =>
      collected(
        (sink) => new PcapngWriter(sink),
        () => {},
      );
    expect(Buffer.from(write()).toString('hex')).toBe(
      '0a0d0d0a2c0000004d3c2b1a01000000ffffffffffffffff' + '04000800686f6c6466617374' + '000000002c000000',
    );
    expect(write()).toEqual(write());
  });

  test('times up to the year 2554 are exact, others become the nearest second', () => {
    const times = [0, 1_700_000_000, 2 ** 32, 18_446_744_072, 18_446_744_073, 2 ** 40, -1];
    const bytes = collected(
      (sink) => new PcapngWriter(sink),
      (writer) => {
        const id = writer.addInterface({ name: 'eth0' });
        for (const seconds of times) writer.writePacket(id, seconds, 999_999_999, sample(1), 0, 1, 1);
      },
    );
    expect(readBytes(bytes).seen.map(({ time }) => time)).toEqual(
      [0, 1_700_000_000, 2 ** 32, 18_446_744_072, 18_446_744_072, 18_446_744_072, 0].map((s) => `${s}.999999999`),
    );
  });

  test('an interface that was not added is a mistake of the program', () => {
    const writer = new PcapngWriter(() => {});
    expect(() => writer.writePacket(0, 0, 0, sample(1), 0, 1, 1)).toThrow('interface 0 has not been added');
  });

  test('a comment longer than an option can be is cut', () => {
    const bytes = collected(
      (sink) => new PcapngWriter(sink),
      (writer) => {
        writer.addInterface({ name: 'eth0' });
        writer.writePacket(0, 1, 0, sample(60), 0, 60, 60, '語'.repeat(70_000));
      },
    );
    expect(readBytes(bytes)).toMatchObject({ seen: [{ wireLength: 60 }], damage: null });
    expect(bytes.length).toBeLessThan(66_000);
  });
});

test('frames longer than the buffer, and many frames, arrive whole and in large pieces', () => {
  const chunks: Uint8Array[] = [];
  const writer = new PcapWriter((chunk) => chunks.push(chunk.slice()), { snapLength: 1 << 20 });
  for (let i = 0; i < 10_000; i++) writer.writePacket(i, 0, sample(200), 0, 200, 200);
  writer.writePacket(10_000, 0, new Uint8Array(262_144).fill(7), 0, 262_144, 262_144);
  writer.flush();
  writer.flush();
  const { seen, damage } = readBytes(join(...chunks));
  expect(damage).toBeNull();
  expect(seen).toHaveLength(10_001);
  expect(seen.at(-1)?.data).toBe('07'.repeat(262_144));
  expect(chunks.length).toBeLessThan(20);
});

const noTshark = spawnSync('tshark', ['--version']).status !== 0;

describe('tshark', () => {
  beforeEach(({ skip }) => skip(noTshark, 'tshark is not installed'));

  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(pathJoin(tmpdir(), 'holdfast-writers-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const datagram = frame().eth().ip4().udp(5060, 5060).payload('hello').build();

  /** Runs tshark with an empty profile, without the settings of whoever runs the tests. */
  function tshark(bytes: Uint8Array, ...names: readonly string[]): string[][] {
    const file = pathJoin(folder, 'written');
    writeFileSync(file, bytes);
    const out = execFileSync('tshark', ['-n', '-r', file, '-T', 'fields', ...names.flatMap((name) => ['-e', name])], {
      encoding: 'utf8',
      env: { ...process.env, HOME: folder },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return out
      .split('\n')
      .slice(0, -1)
      .map((line) => line.split('\t'));
  }

  test('reads times, lengths, interface names and comments of our pcapng', () => {
    const bytes = collected(
      (sink) => new PcapngWriter(sink),
      (writer) => {
        writer.addInterface({ name: 'inside' });
        writer.addInterface({ name: 'outside' });
        writer.writePacket(0, 1_700_000_000, 123_456_789, datagram, 0, datagram.length, 100, 'rule 3: hold, epoch 7');
        writer.writePacket(1, 1_700_000_001, 1, datagram, 0, datagram.length, datagram.length);
        writer.writePacket(1, 1_700_000_002, 0, datagram, 0, datagram.length, datagram.length, 'größer 語 🎈');
      },
    );
    const length = String(datagram.length);
    const names = [
      'frame.time_epoch',
      'frame.cap_len',
      'frame.len',
      'frame.interface_name',
      'frame.comment',
      'udp.port',
    ];
    expect(tshark(bytes, ...names)).toEqual([
      ['1700000000.123456789', length, '100', 'inside', 'rule 3: hold, epoch 7', '5060,5060'],
      ['1700000001.000000001', length, length, 'outside', '', '5060,5060'],
      ['1700000002.000000000', length, length, 'outside', 'größer 語 🎈', '5060,5060'],
    ]);
  });

  test('reads whether a packet was received or sent, also where it has no comment', () => {
    const bytes = collected(
      (sink) => new PcapngWriter(sink),
      (writer) => {
        writer.addInterface({ name: 'inside' });
        const { length } = datagram;
        writer.writePacket(0, 1, 0, datagram, 0, length, length, 'came in', PACKET_DIRECTION.received);
        writer.writePacket(0, 2, 0, datagram, 0, length, length, undefined, PACKET_DIRECTION.sent);
        writer.writePacket(0, 3, 0, datagram, 0, length, length);
        writer.writeStatistics(0, 4, 5, { received: 2 ** 40, accepted: 4, dropped: 1, written: 3 });
      },
    );
    expect(
      tshark(bytes, 'frame.packet_flags_direction', 'frame.comment', 'udp.dstport').map(([flag, ...rest]) => [
        Number(flag),
        ...rest,
      ]),
    ).toEqual([
      [1, 'came in', '5060'],
      [2, '', '5060'],
      [0, '', '5060'],
    ]);
  });

  test.each([
    [true, true],
    [true, false],
    [false, true],
    [false, false],
  ])('reads our pcap (nanoseconds %s, little endian %s)', (nanoseconds, littleEndian) => {
    const bytes = collected(
      (sink) => new PcapWriter(sink, { nanoseconds, littleEndian }),
      (writer) => writer.writePacket(1_700_000_000, 123_456_789, datagram, 0, datagram.length, 100),
    );
    const time = nanoseconds ? '1700000000.123456789' : '1700000000.123456000';
    expect(tshark(bytes, 'frame.time_epoch', 'frame.len', 'udp.dstport')).toEqual([[time, '100', '5060']]);
  });
});
