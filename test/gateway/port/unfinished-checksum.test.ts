import fc from 'fast-check';
import { expect, test } from 'vitest';
import { slabOf } from '../../../classifier/slab.ts';
import { FrameBatch } from '../../../gateway/frame-batch.ts';
import { finishUnfinishedChecksum } from '../../../gateway/port/unfinished-checksum.ts';
import { runs, SEED } from '../../support/runs.ts';
import { frameOf } from './hands.ts';
import { checksumsAreRight, unfinishedFrame } from './internet.ts';

const TAGS = [
  [],
  [[0x8100, 0x0123]],
  [
    [0x88a8, 0x6065],
    [0x8100, 0x0007],
  ],
] as const;

/** @returns the frame as a port that has no virtio headers would hand it on */
function finished(frame: Uint8Array, wireLength = frame.length): Uint8Array {
  const bytes = new Uint8Array(frame.length + 64);
  bytes.set(frame, 32);
  const batch = new FrameBatch(slabOf(bytes), 1);
  batch.offset[0] = 32;
  batch.length[0] = frame.length;
  batch.wireLength[0] = wireLength;
  finishUnfinishedChecksum(batch, 0);
  expect(bytes.subarray(0, 32).every((byte) => byte === 0)).toBe(true);
  return bytes.slice(32, 32 + frame.length);
}

const frames = fc.record({
  version: fc.constantFrom(4 as const, 6 as const),
  protocol: fc.constantFrom('tcp' as const, 'udp' as const),
  payloadBytes: fc.integer({ min: 0, max: 1400 }),
  tags: fc.constantFrom(...TAGS),
});

test('a checksum that a stack left unfinished becomes right, and a right one stays as it is', () => {
  fc.assert(
    fc.property(frames, (shape) => {
      const { bytes } = unfinishedFrame(shape);
      const once = finished(bytes);
      expect(checksumsAreRight(once)).toBe(true);
      expect(finished(once)).toEqual(once);
    }),
    { numRuns: runs(200), ...SEED },
  );
});

test('a wrong checksum stays wrong', () => {
  const { bytes } = unfinishedFrame({ version: 4, protocol: 'udp', payloadBytes: 100 });
  const wrong = finished(bytes);
  wrong[80]! ^= 0xff;
  expect(finished(wrong)).toEqual(wrong);
  expect(checksumsAreRight(wrong)).toBe(false);
});

test('a frame that is not whole, or a fragment, is left alone', () => {
  const { bytes } = unfinishedFrame({ version: 4, protocol: 'tcp', payloadBytes: 300 });
  expect(finished(bytes, bytes.length + 1)).toEqual(bytes);
  const cut = bytes.slice(0, 100);
  expect(finished(cut)).toEqual(cut);
  const fragment = bytes.slice();
  fragment[20]! |= 0x20;
  expect(finished(fragment)).toEqual(fragment);
});

test('any bytes at all are read within their bounds', () => {
  const bytes = fc.uint8Array({ minLength: 14, maxLength: 120 });
  const types = fc.constantFrom([0x08, 0x00, 0x45], [0x86, 0xdd, 0x60], [0x81, 0x00, 0x00]);
  fc.assert(
    fc.property(bytes, types, (frame, start) => {
      frame.set(start.slice(0, frame.length - 12), 12);
      expect(finished(frame)).toHaveLength(frame.length);
    }),
    { numRuns: runs(300), ...SEED },
  );
  expect(finished(frameOf(60, 1))).toEqual(frameOf(60, 1));
});
