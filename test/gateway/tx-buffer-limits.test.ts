import { describe, expect, test } from 'vitest';
import { slabOf } from '../../classifier/slab.ts';
import { REASON } from '../../classifier/verdict.ts';
import { DEFAULT_LIMITS } from '../../gateway/occupancy.ts';
import { TxBuffer } from '../../gateway/tx-buffer.ts';
import { BufferRig, FRAME_BYTES } from '../support/buffer.ts';

describe('limits', () => {
  test('as many frames as the limit says fit, and not one more', () => {
    const rig = new BufferRig({ limitFrames: 3 });
    for (const name of [1, 2, 3]) expect(rig.put(name, 1)).toBe(0);
    expect(rig.put(4, 1)).toBe(REASON.bufferFull);
    expect([rig.buffer.frames, rig.buffer.bytes]).toEqual([3, 3]);
    rig.buffer.releaseThrough(1, 0);
    expect(rig.put(4, 1)).toBe(REASON.bufferFull);
    rig.leave(0, 1);
    expect(rig.put(5, 1, { epoch: 2 })).toBe(0);
    rig.buffer.releaseThrough(2, 0);
    expect(rig.leaveNames()).toEqual([2, 3, 5]);
  });

  test('as many bytes as the limit says fit, and not one more', () => {
    const rig = new BufferRig({ limitBytes: 100 });
    expect(rig.put(1, 60)).toBe(0);
    expect(rig.put(2, 41)).toBe(REASON.bufferFull);
    expect(rig.put(3, 40)).toBe(0);
    expect(rig.put(4, 1)).toBe(REASON.bufferFull);
    expect(rig.put(5, 0)).toBe(0);
    expect(rig.buffer.bytes).toBe(100);
  });

  test('a limit of one frame takes frames without a byte one after the other', () => {
    const rig = new BufferRig({ limitFrames: 1, limitBytes: FRAME_BYTES });
    for (let i = 0; i < 300; i++) {
      expect(rig.put(0, 0, { epoch: i })).toBe(0);
      expect(rig.put(0, 0, { epoch: i })).toBe(REASON.bufferFull);
      rig.buffer.releaseThrough(i, 0);
      expect(rig.leave()).toHaveLength(1);
    }
  });

  test('what cannot be classified has a share of the frames, which others do not use up', () => {
    const rig = new BufferRig({ limitFrames: 8, unclassifiedShare: 0.25 });
    expect(rig.put(1, 1)).toBe(0);
    expect(rig.put(2, 1, { unclassified: true })).toBe(0);
    expect(rig.put(3, 1, { unclassified: true })).toBe(0);
    expect(rig.put(4, 1, { unclassified: true })).toBe(REASON.unclassifiedFull);
    expect(rig.put(5, 1)).toBe(0);
    rig.buffer.releaseThrough(1, 0);
    rig.leave(0, 2);
    expect(rig.put(6, 1, { unclassified: true })).toBe(0);
    expect(rig.put(7, 1, { unclassified: true })).toBe(REASON.unclassifiedFull);
  });

  test('frames that leave give back only the share that they took', () => {
    const rig = new BufferRig({ limitFrames: 8, limitBytes: 400, behindShare: 0.25, unclassifiedShare: 0.25 });
    for (const name of [1, 2, 3]) rig.put(name, 60, { flow: 1 });
    rig.put(4, 50, { flow: 1, behind: true });
    rig.put(5, 50, { unclassified: true });
    rig.buffer.releaseThrough(1, 0);
    expect(rig.leaveNames(0, 3)).toEqual([1, 2, 3]);
    for (const how of [{ flow: 1, behind: true }, { unclassified: true }]) {
      const full = 'behind' in how ? REASON.behindFull : REASON.unclassifiedFull;
      expect(rig.put(6, 51, how)).toBe(full);
      expect(rig.put(6, 50, how)).toBe(0);
      expect(rig.put(7, 0, how)).toBe(full);
    }
  });

  test('what cannot be classified has a share of the bytes', () => {
    const rig = new BufferRig({ limitBytes: 200, unclassifiedShare: 0.25 });
    expect(rig.put(1, 40)).toBe(0);
    expect(rig.put(2, 51, { unclassified: true })).toBe(REASON.unclassifiedFull);
    expect(rig.put(3, 30, { unclassified: true })).toBe(0);
    expect(rig.put(4, 21, { unclassified: true })).toBe(REASON.unclassifiedFull);
    expect(rig.put(5, 20, { unclassified: true, epoch: 2 })).toBe(0);
    rig.buffer.discardAfter(1);
    expect(rig.put(6, 21, { unclassified: true })).toBe(REASON.unclassifiedFull);
    expect(rig.put(7, 20, { unclassified: true })).toBe(0);
  });

  test('what only waits behind others has a share of the frames', () => {
    const rig = new BufferRig({ limitFrames: 8, behindShare: 0.25 });
    rig.put(1, 1, { flow: 1 });
    rig.put(2, 1, { flow: 1 });
    for (const name of [3, 4]) expect(rig.put(name, 1, { flow: 1, behind: true })).toBe(0);
    expect(rig.put(5, 1, { flow: 1, behind: true })).toBe(REASON.behindFull);
    expect(rig.put(6, 1, { flow: 1 })).toBe(0);
    rig.buffer.releaseThrough(1, 0);
    expect(rig.put(7, 1, { flow: 1, behind: true })).toBe(REASON.behindFull);
    rig.leave(0, 3);
    expect(rig.put(8, 1, { flow: 1, behind: true })).toBe(0);
    expect(rig.put(9, 1, { flow: 1, behind: true })).toBe(REASON.behindFull);
  });

  test('what only waits behind others has a share of the bytes', () => {
    const rig = new BufferRig({ limitBytes: 200, behindShare: 0.25 });
    rig.put(1, 40, { flow: 1 });
    expect(rig.put(2, 51, { flow: 1, behind: true })).toBe(REASON.behindFull);
    expect(rig.put(3, 30, { flow: 1, behind: true })).toBe(0);
    expect(rig.put(4, 21, { flow: 1, behind: true })).toBe(REASON.behindFull);
    expect(rig.put(5, 20, { flow: 1, behind: true, epoch: 2 })).toBe(0);
    rig.buffer.discardAfter(1);
    expect(rig.put(6, 21, { flow: 1, behind: true })).toBe(REASON.behindFull);
    expect(rig.put(7, 20, { flow: 1, behind: true })).toBe(0);
  });

  test('a share is asked before the whole, and the share of the unclassified first', () => {
    const rig = new BufferRig({ limitFrames: 2, behindShare: 0.5, unclassifiedShare: 0.5 });
    rig.put(1, 1, { flow: 1 });
    rig.put(2, 1, { flow: 1, behind: true, unclassified: true });
    expect(rig.put(3, 1, { flow: 1, behind: true, unclassified: true })).toBe(REASON.unclassifiedFull);
    expect(rig.put(3, 1, { flow: 1, behind: true })).toBe(REASON.behindFull);
    expect(rig.put(3, 1, { flow: 1 })).toBe(REASON.bufferFull);
  });

  test('a seal that drains may use the reserve of frames, and no more', () => {
    const rig = new BufferRig({ limitFrames: 2, sealReserveFrames: 2, sealReserveBytes: 100 });
    for (const name of [1, 2]) expect(rig.put(name, 1)).toBe(0);
    expect(rig.put(3, 1)).toBe(REASON.bufferFull);
    for (const name of [4, 5]) expect(rig.put(name, 1, { draining: true })).toBe(0);
    expect(rig.put(6, 1, { draining: true })).toBe(REASON.sealOverflow);
    expect(rig.put(7, 1)).toBe(REASON.bufferFull);
    rig.buffer.releaseThrough(1, 0);
    expect(rig.leaveNames()).toEqual([1, 2, 4, 5]);
  });

  test('a seal that drains may use the reserve of bytes, and no more', () => {
    const rig = new BufferRig({ limitBytes: 64, sealReserveFrames: 9, sealReserveBytes: 36 });
    expect(rig.put(1, 64)).toBe(0);
    expect(rig.put(2, 1)).toBe(REASON.bufferFull);
    expect(rig.put(3, 37, { draining: true })).toBe(REASON.sealOverflow);
    expect(rig.put(4, 36, { draining: true })).toBe(0);
    expect(rig.put(5, 1, { draining: true })).toBe(REASON.sealOverflow);
    expect(rig.put(6, 0, { draining: true })).toBe(0);
  });

  test('room is promised only for what is certain to fit', () => {
    const roomFor = (limits: ConstructorParameters<typeof BufferRig>[0], draining = false) => {
      const rig = new BufferRig(limits);
      rig.put(1, 10, { flow: 1 });
      rig.put(2, 20, { flow: 1, behind: true });
      return rig.buffer.occupancy.roomFor(FRAME_BYTES, draining);
    };
    const plenty = { limitFrames: 100, limitBytes: 100 * FRAME_BYTES };
    expect(roomFor({ ...plenty, limitFrames: 7 })).toBe(5);
    expect(roomFor({ ...plenty, limitBytes: 30 + 4 * FRAME_BYTES })).toBe(4);
    expect(roomFor({ ...plenty, limitBytes: 29 + 4 * FRAME_BYTES })).toBe(3);
    expect(roomFor({ ...plenty, behindShare: 0.039 })).toBe(2);
    expect(roomFor({ limitFrames: 100, limitBytes: 2 * (20 + 3 * FRAME_BYTES), behindShare: 0.5 })).toBe(3);
    expect(roomFor({ limitFrames: 100, limitBytes: 2 * (19 + 3 * FRAME_BYTES), behindShare: 0.5 })).toBe(2);
    expect(roomFor({ ...plenty, limitFrames: 2, sealReserveFrames: 3, sealReserveBytes: 999 })).toBe(0);
    expect(roomFor({ ...plenty, limitBytes: FRAME_BYTES, sealReserveFrames: 9, sealReserveBytes: 99 }, true)).toBe(0);
    const reserved = { ...plenty, limitFrames: 3, sealReserveFrames: 2, sealReserveBytes: 99 };
    expect(roomFor(reserved)).toBe(1);
    expect(roomFor(reserved, true)).toBe(2);
    const reservedBytes = { limitBytes: 30 + 2 * FRAME_BYTES, sealReserveFrames: 9, sealReserveBytes: FRAME_BYTES };
    expect(roomFor(reservedBytes)).toBe(2);
    expect(roomFor({ ...reservedBytes, limitFrames: 3 }, true)).toBe(2);
    expect(roomFor({ ...plenty, behindShare: 0 })).toBe(0);
  });

  test('a buffer that cannot take one frame is refused, one that can is not', () => {
    const make = (limitFrames: number, limitBytes: number, slabBytes?: number, start = 0) => {
      const limits = { ...DEFAULT_LIMITS, limitFrames, limitBytes, sealReserveFrames: 0, sealReserveBytes: 0 };
      const size = slabBytes ?? TxBuffer.bytesFor(limits, FRAME_BYTES) + start;
      return new TxBuffer(slabOf(new Uint8Array(size)), start, FRAME_BYTES, limits, 'burst');
    };
    const words = `the transmit buffer must take at least one frame of ${FRAME_BYTES} bytes`;
    expect(() => make(0, FRAME_BYTES)).toThrow(new RangeError(words));
    expect(() => make(1, FRAME_BYTES - 1)).toThrow(new RangeError(words));
    expect(make(1, FRAME_BYTES).frames).toBe(0);
    const size = TxBuffer.bytesFor(
      { ...DEFAULT_LIMITS, limitFrames: 1, limitBytes: 64, sealReserveFrames: 0, sealReserveBytes: 0 },
      FRAME_BYTES,
    );
    const small = 'the slab is too small for the transmit buffer';
    expect(() => make(1, FRAME_BYTES, size - 1)).toThrow(new RangeError(small));
    expect(() => make(1, FRAME_BYTES, size + 8, 9)).toThrow(new RangeError(small));
    expect(make(1, FRAME_BYTES, size + 9, 9).frames).toBe(0);
  });

  test('the memory that is asked for covers limits, reserve, empty frames, the wrap and slack', () => {
    const limits = { ...DEFAULT_LIMITS, limitFrames: 10, limitBytes: 320, sealReserveFrames: 3, sealReserveBytes: 65 };
    expect(TxBuffer.bytesFor(limits, 50)).toBe(320 + 65 + 10 + 3 + 150 + 7);
  });
});
