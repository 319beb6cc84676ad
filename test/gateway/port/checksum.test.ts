import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { slabOf } from '../../../classifier/slab.ts';
import { FrameBatch } from '../../../gateway/frame-batch.ts';
import { finishSctpChecksum, foldSum, onesSum } from '../../../gateway/port/checksum.ts';
import { copyBytes } from '../../../gateway/port/copy-bytes.ts';
import { GSO, takeVnetHeader, VNET_HEADER_BYTES, writeVnetHeader } from '../../../gateway/port/vnet-header.ts';
import { runs, SEED } from '../../support/runs.ts';
import { segmentsOf } from './hands.ts';
import { checksumsAreRight, tcpPart, unfinishedFrame } from './internet.ts';

const AT = 6;

/** The frame in a slot of a batch, at an offset that is not 0. */
function batchOf(bytes: Uint8Array): FrameBatch {
  const batch = new FrameBatch(slabOf(new Uint8Array(bytes.length + AT + 8).fill(0xa5)), 1);
  batch.slab.bytes.set(bytes, AT);
  batch.offset[0] = AT;
  batch.length[0] = bytes.length;
  batch.wireLength[0] = bytes.length;
  return batch;
}

function header(flags: number, gsoType: number, gsoSize: number, csumStart: number, csumOffset: number): DataView {
  const view = new DataView(new ArrayBuffer(VNET_HEADER_BYTES));
  view.setUint8(0, flags);
  view.setUint8(1, gsoType);
  view.setUint16(4, gsoSize, true);
  view.setUint16(6, csumStart, true);
  view.setUint16(8, csumOffset, true);
  return view;
}

function frameIn(batch: FrameBatch): Uint8Array {
  return batch.slab.bytes.slice(AT, AT + batch.length[0]!);
}

test("the Internet checksum of RFC 1071's example", () => {
  const view = new DataView(Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7).buffer);
  expect(foldSum(onesSum(view, 0, 8, 0))).toBe(~0xddf2 & 0xffff);
});

test('CRC-32C of SCTP is that of the check value in use for it', () => {
  const packet = new Uint8Array(12 + 9);
  packet.set(new TextEncoder().encode('123456789'), 12);
  const view = new DataView(packet.buffer);
  finishSctpChecksum(view, 0, packet.length);
  const whole = view.getUint32(8, true);
  // The same, the slow way: bit by bit over the packet with its field 0.
  packet.fill(0, 8, 12);
  let crc = 0xffffffff;
  for (const byte of packet) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  expect(whole).toBe(~crc >>> 0);
  const check = new Uint8Array(9 + 12);
  check.set(new TextEncoder().encode('123456789'));
  let known = 0xffffffff;
  for (const byte of check.subarray(0, 9)) {
    known ^= byte;
    for (let bit = 0; bit < 8; bit++) known = known & 1 ? (known >>> 1) ^ 0x82f63b78 : known >>> 1;
  }
  expect(~known >>> 0).toBe(0xe3069283);
});

describe('an unfinished checksum', () => {
  const specs = fc.record({
    version: fc.constantFrom(4 as const, 6 as const),
    protocol: fc.constantFrom('tcp' as const, 'udp' as const),
    payloadBytes: fc.integer({ min: 0, max: 1473 }),
    tags: fc.constantFrom(
      [],
      [[0x8100, 5]] as const,
      [
        [0x88a8, 5],
        [0x8100, 9],
      ] as const,
    ),
  });

  test('is right after it was taken, whatever the frame', () => {
    fc.assert(
      fc.property(specs, (spec) => {
        const { bytes, l4Start } = unfinishedFrame(spec);
        const batch = batchOf(bytes);
        const tagBytes = spec.tags.length * 4;
        takeVnetHeader(batch, 0, header(1, 0, 0, l4Start - tagBytes, spec.protocol === 'tcp' ? 16 : 6), 0, tagBytes);
        expect(checksumsAreRight(frameIn(batch))).toBe(true);
        expect([batch.slab.bytes[AT - 1], batch.slab.bytes[AT + bytes.length]]).toEqual([0xa5, 0xa5]);
      }),
      { numRuns: runs(300), ...SEED },
    );
  });

  test('that would be 0 is its other form, which does not say that there is none', () => {
    const { bytes, l4Start } = unfinishedFrame({ version: 4, protocol: 'udp', payloadBytes: 2 });
    // Payload that makes the sum 0xffff.
    bytes[l4Start + 8] = 0;
    bytes[l4Start + 9] = 0;
    const missing = foldSum(onesSum(new DataView(bytes.buffer), l4Start, 10, 0));
    bytes[l4Start + 8] = missing >> 8;
    bytes[l4Start + 9] = missing & 255;
    const batch = batchOf(bytes);
    takeVnetHeader(batch, 0, header(1, 0, 0, l4Start, 6), 0, 0);
    expect(frameIn(batch).slice(l4Start + 6, l4Start + 8)).toEqual(Uint8Array.of(0xff, 0xff));
  });

  test('of a frame that was cut, or that lies outside of it, is left alone', () => {
    const { bytes, l4Start } = unfinishedFrame({ version: 4, protocol: 'udp', payloadBytes: 100 });
    const cut = batchOf(bytes);
    cut.wireLength[0] = bytes.length + 1;
    takeVnetHeader(cut, 0, header(1, 0, 0, l4Start, 6), 0, 0);
    expect(frameIn(cut)).toEqual(bytes);
    for (const start of [bytes.length - 7, bytes.length, 65535]) {
      const outside = batchOf(bytes);
      takeVnetHeader(outside, 0, header(1, 0, 0, start, 6), 0, 0);
      takeVnetHeader(outside, 0, header(1, 0, 0, start, 8), 0, 0);
      expect(frameIn(outside)).toEqual(bytes);
      expect(outside.slab.bytes.subarray(AT + bytes.length).every((byte) => byte === 0xa5)).toBe(true);
    }
  });

  test('that was finished already is left alone', () => {
    const { bytes, l4Start } = unfinishedFrame({ version: 4, protocol: 'udp', payloadBytes: 100 });
    const batch = batchOf(bytes);
    // Flag 2: the kernel has checked it.
    takeVnetHeader(batch, 0, header(2, 0, 0, l4Start, 6), 0, 0);
    expect(frameIn(batch)).toEqual(bytes);
  });
});

describe('a super-frame', () => {
  const specs = fc.record({
    version: fc.constantFrom(4 as const, 6 as const),
    protocol: fc.constantFrom('tcp' as const, 'udp' as const),
    payloadBytes: fc.integer({ min: 1, max: 65_000 }),
    flags: fc.integer({ min: 0, max: 255 }),
    tags: fc.constantFrom(
      [],
      [[0x8100, 5]] as const,
      [
        [0x88a8, 5],
        [0x8100, 9],
      ] as const,
    ),
  });

  test('is given back with the header that it came with, its frame unchanged', () => {
    fc.assert(
      fc.property(specs, fc.integer({ min: 1, max: 9000 }), (spec, size) => {
        const { bytes, l4Start } = unfinishedFrame(spec);
        const batch = batchOf(bytes);
        const type = spec.protocol === 'udp' ? GSO.udp : spec.version === 4 ? GSO.tcp4 | GSO.ecn : GSO.tcp6;
        const field = spec.protocol === 'tcp' ? 16 : 6;
        takeVnetHeader(batch, 0, header(1, type, size, l4Start, field), 0, 0);
        const out = new DataView(new ArrayBuffer(16));
        writeVnetHeader(batch, 0, out, 3);
        const expected = header(1, type, size, l4Start, field);
        expected.setUint16(2, l4Start + (spec.protocol === 'tcp' ? 20 : 8), true);
        expect(new Uint8Array(out.buffer, 3, VNET_HEADER_BYTES)).toEqual(new Uint8Array(expected.buffer));
        expect(frameIn(batch)).toEqual(bytes);
      }),
      { numRuns: runs(200), ...SEED },
    );
  });

  test('becomes segments that are right, and together carry what it carried', () => {
    fc.assert(
      fc.property(specs, fc.integer({ min: 500, max: 9000 }), (spec, size) => {
        const { bytes, l4Start } = unfinishedFrame(spec);
        const batch = batchOf(bytes);
        batch.gsoType[0] = spec.protocol === 'udp' ? GSO.udp : spec.version === 4 ? GSO.tcp4 : GSO.tcp6;
        batch.gsoSize[0] = size;
        batch.l4Start[0] = l4Start;
        const segments = segmentsOf(batch, 0);
        const headerBytes = l4Start + (spec.protocol === 'tcp' ? 20 : 8);
        expect(segments).toHaveLength(Math.ceil(spec.payloadBytes / size));
        expect(segments.every(checksumsAreRight)).toBe(true);
        const payload = Buffer.concat(segments.map((segment) => segment.subarray(headerBytes)));
        expect(payload.equals(bytes.subarray(headerBytes))).toBe(true);
        if (spec.protocol === 'tcp') {
          segments.forEach((segment, n) => {
            const { sequence, flags } = tcpPart(segment, l4Start);
            expect(sequence).toBe((tcpPart(bytes, l4Start).sequence + n * size) >>> 0);
            const last = n === segments.length - 1 ? 0 : 0x09;
            const first = n === 0 ? 0 : 0x80;
            expect(flags).toBe(spec.flags & ~last & ~first);
          });
        }
        if (spec.version === 4) {
          const ids = segments.map((segment) => segment[l4Start - 16]! * 256 + segment[l4Start - 15]!);
          expect(ids).toEqual(segments.map((_, n) => 0x1234 + n));
        }
      }),
      { numRuns: runs(100), ...SEED },
    );
  });

  test('whose transport header is not known, or that would become fragments, is not cut', () => {
    const { bytes, l4Start } = unfinishedFrame({ version: 4, protocol: 'udp', payloadBytes: 3000 });
    const batch = batchOf(bytes);
    batch.gsoSize[0] = 1000;
    for (const [type, start] of [
      [GSO.udp, 0],
      [GSO.udpFragments, l4Start],
      [GSO.tcp4, bytes.length - 12],
    ] as const) {
      batch.gsoType[0] = type;
      batch.l4Start[0] = start;
      expect(segmentsOf(batch, 0)).toEqual([]);
    }
  });

  test('without an unfinished checksum keeps that it has none', () => {
    const batch = batchOf(unfinishedFrame({ version: 4, protocol: 'tcp', payloadBytes: 3000 }).bytes);
    takeVnetHeader(batch, 0, header(0, GSO.tcp4, 1000, 0, 0), 0, 4);
    expect([batch.gsoType[0], batch.gsoSize[0], batch.l4Start[0]]).toEqual([GSO.tcp4, 1000, 0]);
    const out = new DataView(new ArrayBuffer(VNET_HEADER_BYTES));
    writeVnetHeader(batch, 0, out, 0);
    expect([out.getUint8(0), out.getUint16(6, true), out.getUint16(8, true)]).toEqual([0, 0, 0]);
  });
});

test('an ordinary frame goes out with a header of zeros', () => {
  const out = new DataView(Uint8Array.from({ length: 12 }, () => 0xff).buffer);
  writeVnetHeader(batchOf(new Uint8Array(60)), 0, out, 1);
  expect([...new Uint8Array(out.buffer)]).toEqual([0xff, ...Array(10).fill(0), 0xff]);
});

test('bytes are copied from anywhere to anywhere, and none beside them', () => {
  fc.assert(
    fc.property(fc.nat(40), fc.nat(9), fc.nat(9), (length, from, to) => {
      const source = Uint8Array.from({ length: 60 }, (_, i) => i + 1);
      const target = new Uint8Array(60);
      copyBytes(new DataView(source.buffer), from, new DataView(target.buffer), to, length);
      const expected = new Uint8Array(60);
      expected.set(source.subarray(from, from + length), to);
      expect(target).toEqual(expected);
    }),
    { numRuns: runs(200), ...SEED },
  );
});
