import { describe, expect, test } from 'vitest';
import { VERDICT } from '../../classifier/verdict.ts';
import { BufferRig, FRAME_BYTES } from '../support/buffer.ts';

const NEVER = Number.POSITIVE_INFINITY;
const AT_ONCE = Number.NEGATIVE_INFINITY;

describe('what is stored', () => {
  test('a frame leaves with the bytes and everything that was known of it', () => {
    const rig = new BufferRig();
    const bytes = Uint8Array.from({ length: 20 }, (_, i) => i + 1);
    expect(rig.hold(bytes, { epoch: 3, arrivalNs: 50, flow: 1 })).toBe(0);
    rig.buffer.releaseThrough(3, 60);
    expect(rig.buffer.collect(rig.out, 60)).toBe(1);
    expect(rig.out.count).toBe(1);
    const [place] = rig.out.offset;
    expect(place).toBe(FRAME_BYTES);
    expect(rig.out.slab.bytes.slice(place, place! + 20)).toEqual(bytes);
    expect(rig.out.length[0]).toBe(20);
    expect(rig.out.wireLength[0]).toBe(1020);
    expect(rig.out.linkType[0]).toBe(1);
    expect(rig.out.arrivalNs[0]).toBe(50);
    expect(rig.out.epoch[0]).toBe(3);
    expect(rig.out.rule[0]).toBe(27);
    expect(rig.out.reason[0]).toBe(20 & 15);
    expect(rig.out.verdict[0]).toBe(VERDICT.hold);
  });

  test('a lent frame stays until it is told to have left, and is lent again otherwise', () => {
    const rig = new BufferRig();
    rig.put(1, 10);
    rig.put(2, 10);
    rig.buffer.releaseThrough(1, 0);
    expect(rig.buffer.collect(rig.out, 0)).toBe(2);
    rig.buffer.left(rig.out, 0);
    expect(rig.buffer.frames).toBe(2);
    expect(rig.leaveNames(0, 1)).toEqual([1]);
    expect([rig.buffer.frames, rig.buffer.bytes, rig.buffer.leavingFrames]).toEqual([1, 10, 1]);
    expect(rig.leaveNames()).toEqual([2]);
    expect([rig.buffer.frames, rig.buffer.bytes, rig.buffer.leavingFrames]).toEqual([0, 0, 0]);
    expect(rig.leaveNames()).toEqual([]);
  });

  test('no more is lent than the batch takes', () => {
    const rig = new BufferRig({}, 'burst', 2);
    for (const name of [1, 2, 3, 4, 5]) rig.put(name, 1);
    rig.buffer.releaseThrough(1, 0);
    expect(rig.leaveNames()).toEqual([1, 2]);
    expect(rig.leaveNames()).toEqual([3, 4]);
    expect(rig.leaveNames()).toEqual([5]);
  });

  test('peaks remember the most frames and the most bytes', () => {
    const rig = new BufferRig();
    rig.put(1, 10);
    rig.put(2, 10);
    rig.buffer.releaseThrough(1, 0);
    rig.leave();
    rig.put(3, 30, { epoch: 2 });
    rig.buffer.releaseThrough(2, 0);
    rig.leave();
    rig.put(4, 1, { epoch: 3 });
    expect([rig.buffer.occupancy.peakFrames, rig.buffer.occupancy.peakBytes]).toEqual([2, 30]);
  });

  test('the oldest arrival is that of the frame that has waited longest', () => {
    const rig = new BufferRig();
    expect(rig.buffer.oldestArrivalNs()).toBeNaN();
    rig.put(1, 1, { arrivalNs: 5 });
    rig.put(2, 1, { arrivalNs: 9, epoch: 2 });
    expect(rig.buffer.oldestArrivalNs()).toBe(5);
    rig.buffer.releaseThrough(1, 0);
    rig.leave();
    expect(rig.buffer.oldestArrivalNs()).toBe(9);
    rig.buffer.discardAfter(0);
    expect(rig.buffer.oldestArrivalNs()).toBeNaN();
  });
});

describe('release and discard', () => {
  test('a release takes its own epoch and earlier ones, no later one', () => {
    const rig = new BufferRig();
    for (const epoch of [1, 2, 3]) rig.put(epoch, 10 * epoch, { epoch });
    rig.buffer.releaseThrough(2, 0);
    expect([rig.buffer.changedFrames, rig.buffer.changedBytes]).toEqual([2, 30]);
    expect(rig.leaveNames()).toEqual([1, 2]);
    rig.buffer.releaseThrough(2, 0);
    expect([rig.buffer.changedFrames, rig.buffer.changedBytes]).toEqual([0, 0]);
    expect(rig.leaveNames()).toEqual([]);
  });

  test('a frame that is released twice counts once', () => {
    const rig = new BufferRig();
    rig.put(1, 10);
    rig.buffer.releaseThrough(1, 0);
    rig.put(2, 10);
    rig.buffer.releaseThrough(1, 0);
    expect([rig.buffer.changedFrames, rig.buffer.changedBytes]).toEqual([1, 10]);
    expect(rig.buffer.leavingFrames).toBe(2);
    expect(rig.leaveNames()).toEqual([1, 2]);
  });

  test('a discard takes every later epoch, not its own', () => {
    const rig = new BufferRig();
    for (const epoch of [1, 2, 3, 4]) rig.put(epoch, 10 * epoch, { epoch });
    rig.buffer.discardAfter(2);
    expect([rig.buffer.changedFrames, rig.buffer.changedBytes]).toEqual([2, 70]);
    expect([rig.buffer.frames, rig.buffer.bytes]).toEqual([2, 30]);
    rig.buffer.discardAfter(2);
    expect([rig.buffer.changedFrames, rig.buffer.changedBytes]).toEqual([0, 0]);
    rig.put(9, 5, { epoch: 5 });
    rig.buffer.releaseThrough(5, 0);
    expect(rig.leaveNames()).toEqual([1, 2, 9]);
  });

  test('a discard also takes what may leave and has not', () => {
    const rig = new BufferRig();
    rig.put(1, 1, { epoch: 1, flow: 1 });
    rig.put(2, 1, { epoch: 2, flow: 1, behind: true });
    rig.buffer.releaseThrough(1, 0);
    expect(rig.buffer.leavingFrames).toBe(2);
    rig.buffer.discardAfter(1);
    expect(rig.buffer.changedFrames).toBe(1);
    expect(rig.buffer.leavingFrames).toBe(1);
    expect(rig.leaveNames()).toEqual([1]);
    expect(rig.buffer.nextDueNs()).toBe(NEVER);
  });

  test('a discard passes over what has left from among later frames', () => {
    const rig = new BufferRig();
    rig.put(1, 10, { epoch: 1, flow: 1 });
    rig.put(2, 10, { epoch: 2 });
    rig.put(3, 10, { epoch: 2, flow: 1, behind: true });
    rig.put(4, 10, { epoch: 2 });
    rig.buffer.releaseThrough(1, 0);
    expect(rig.leaveNames()).toEqual([1, 3]);
    rig.buffer.discardAfter(1);
    expect([rig.buffer.changedFrames, rig.buffer.changedBytes, rig.buffer.frames]).toEqual([2, 20, 0]);
    rig.put(5, 10, { epoch: 3 });
    rig.buffer.releaseThrough(3, 0);
    expect(rig.leaveNames()).toEqual([5]);
  });

  test('frames that arrive after a discard of frames that were due are found', () => {
    const rig = new BufferRig();
    rig.put(1, 1, { epoch: 1, flow: 1 });
    rig.put(2, 1, { epoch: 2, flow: 1, behind: true });
    rig.buffer.releaseThrough(1, 0);
    rig.leave(0, 1);
    rig.buffer.discardAfter(1);
    expect(rig.buffer.leavingFrames).toBe(0);
    rig.put(3, 1, { epoch: 3, flow: 1 });
    rig.buffer.releaseThrough(3, 0);
    expect(rig.buffer.nextDueNs()).toBe(AT_ONCE);
    expect(rig.leaveNames()).toEqual([3]);
  });

  test('a new term calls committed frames 0 and all others 1', () => {
    const rig = new BufferRig();
    for (const epoch of [4, 5, 6]) rig.put(epoch, 1, { epoch });
    rig.buffer.relabel(5);
    expect([0, 1].map((e) => rig.buffer.countEpochs(e, e))).toEqual([2, 1]);
    rig.buffer.discardAfter(0);
    rig.buffer.releaseThrough(0, 0);
    expect(rig.leaveNames()).toEqual([4, 5]);
  });

  test('counting by label includes both ends, and not what may leave or has left', () => {
    const rig = new BufferRig();
    for (const epoch of [1, 2, 3, 4, 5]) rig.put(epoch, 1, { epoch });
    expect(rig.buffer.countEpochs(2, 4)).toBe(3);
    expect(rig.buffer.countEpochs(6, 9)).toBe(0);
    rig.buffer.releaseThrough(2, 0);
    expect(rig.buffer.countEpochs(1, 5)).toBe(3);
    rig.leave();
    expect(rig.buffer.countEpochs(1, 5)).toBe(3);
  });

  test('a frame that left from the middle is neither counted, released, nor lent again', () => {
    const rig = new BufferRig();
    rig.put(1, 1, { epoch: 1, flow: 1 });
    rig.put(2, 1, { epoch: 2 });
    rig.put(3, 1, { epoch: 2, flow: 1, behind: true });
    rig.put(4, 1, { epoch: 2 });
    rig.buffer.releaseThrough(1, 0);
    expect(rig.leaveNames()).toEqual([1, 3]);
    expect(rig.buffer.countEpochs(0, 9)).toBe(2);
    rig.buffer.releaseThrough(2, 0);
    expect(rig.buffer.changedFrames).toBe(2);
    expect(rig.leaveNames()).toEqual([2, 4]);
  });
});

describe('order within a flow', () => {
  test('a pass frame behind a held one leaves with it, also from a later epoch', () => {
    const rig = new BufferRig();
    rig.put(1, 1, { epoch: 1, flow: 1 });
    rig.put(2, 1, { epoch: 1, flow: 1, behind: true });
    rig.put(3, 1, { epoch: 2, flow: 1, behind: true });
    rig.put(4, 1, { epoch: 2, flow: 1 });
    rig.put(5, 1, { epoch: 2, flow: 1, behind: true });
    rig.buffer.releaseThrough(1, 0);
    expect(rig.buffer.changedFrames).toBe(3);
    expect(rig.leaveNames()).toEqual([1, 2, 3]);
    rig.buffer.releaseThrough(2, 0);
    expect(rig.leaveNames()).toEqual([4, 5]);
  });

  test('a pass frame behind a held frame of a later epoch waits for that one', () => {
    const rig = new BufferRig();
    rig.put(1, 1, { epoch: 1, flow: 1 });
    rig.put(2, 1, { epoch: 2, flow: 1 });
    rig.put(3, 1, { epoch: 3, flow: 1, behind: true });
    rig.buffer.releaseThrough(1, 0);
    expect(rig.leaveNames()).toEqual([1]);
    rig.buffer.releaseThrough(2, 0);
    expect(rig.leaveNames()).toEqual([2, 3]);
  });

  test('flows do not wait for each other', () => {
    const rig = new BufferRig();
    rig.put(1, 1, { epoch: 1, flow: 1 });
    rig.put(2, 1, { epoch: 2, flow: 2 });
    rig.put(3, 1, { epoch: 3 });
    rig.put(4, 1, { epoch: 3, flow: 1, behind: true });
    rig.put(5, 1, { epoch: 3, flow: 2, behind: true });
    rig.buffer.releaseThrough(1, 0);
    expect(rig.leaveNames()).toEqual([1, 4]);
    rig.buffer.releaseThrough(2, 0);
    expect(rig.leaveNames()).toEqual([2, 5]);
    expect(rig.buffer.frames).toBe(1);
  });

  test('a frame behind one that may leave already may leave too', () => {
    const rig = new BufferRig();
    rig.put(1, 1, { epoch: 1, flow: 1 });
    rig.buffer.releaseThrough(1, 0);
    rig.put(2, 1, { epoch: 2, flow: 1, behind: true });
    expect(rig.buffer.leavingFrames).toBe(2);
    expect(rig.leaveNames()).toEqual([1, 2]);
    expect(rig.buffer.leavingFrames).toBe(0);
  });

  test('a held frame behind one that may leave waits for its own epoch and holds up what follows', () => {
    const rig = new BufferRig();
    rig.put(1, 1, { epoch: 1, flow: 1 });
    rig.buffer.releaseThrough(1, 0);
    rig.put(2, 1, { epoch: 2, flow: 1 });
    rig.put(3, 1, { epoch: 2, flow: 1, behind: true });
    expect(rig.leaveNames()).toEqual([1]);
    rig.buffer.releaseThrough(2, 0);
    expect(rig.leaveNames()).toEqual([2, 3]);
  });

  test('a discarded held frame blocks its flow no longer', () => {
    const rig = new BufferRig();
    rig.put(1, 1, { epoch: 1, flow: 1 });
    rig.put(2, 1, { epoch: 2, flow: 1 });
    rig.put(3, 1, { epoch: 2, flow: 1, behind: true });
    rig.buffer.discardAfter(1);
    rig.buffer.releaseThrough(1, 0);
    rig.put(4, 1, { epoch: 3, flow: 1, behind: true });
    expect(rig.leaveNames()).toEqual([1, 4]);
    expect(rig.buffer.frames).toBe(0);
  });
});

describe('pacing', () => {
  test('a burst leaves at once', () => {
    const rig = new BufferRig();
    for (const name of [1, 2]) rig.put(name, 1, { arrivalNs: 10 * name });
    expect(rig.buffer.nextDueNs()).toBe(NEVER);
    rig.buffer.releaseThrough(1, 100);
    expect(rig.buffer.nextDueNs()).toBe(AT_ONCE);
    expect(rig.leaveNames(0)).toEqual([1, 2]);
    expect(rig.buffer.nextDueNs()).toBe(NEVER);
  });

  test('paced frames keep the gaps they arrived with', () => {
    const rig = new BufferRig({}, 'paced');
    for (const name of [1, 2, 3]) rig.put(name, 1, { arrivalNs: 10 * name ** 2 });
    rig.buffer.releaseThrough(1, 200);
    expect(rig.buffer.nextDueNs()).toBe(200);
    expect(rig.leaveNames(199)).toEqual([]);
    expect(rig.leaveNames(200)).toEqual([1]);
    expect(rig.buffer.nextDueNs()).toBe(230);
    expect(rig.leaveNames(229.5)).toEqual([]);
    expect(rig.leaveNames(230)).toEqual([2]);
    expect(rig.buffer.nextDueNs()).toBe(280);
    expect(rig.leaveNames(1000)).toEqual([3]);
  });

  test('what follows its flow joins the train, and what is in a hurry leaves it', () => {
    const rig = new BufferRig({}, 'paced');
    rig.put(1, 1, { arrivalNs: 10, flow: 1 });
    rig.put(2, 1, { arrivalNs: 40, flow: 1 });
    rig.buffer.releaseThrough(1, 100);
    expect(rig.leaveNames(100)).toEqual([1]);
    rig.put(3, 1, { arrivalNs: 105, epoch: 2, flow: 1, behind: true });
    expect(rig.leaveNames(130)).toEqual([2]);
    expect(rig.buffer.nextDueNs()).toBe(195);
    rig.buffer.hurry();
    expect(rig.buffer.nextDueNs()).toBe(AT_ONCE);
    expect(rig.leaveNames(130)).toEqual([3]);
  });

  test('what still waits at the next release takes the new frames along at once', () => {
    const rig = new BufferRig({}, 'paced');
    rig.put(1, 1, { arrivalNs: 10 });
    rig.put(2, 1, { arrivalNs: 90 });
    rig.buffer.releaseThrough(1, 100);
    expect(rig.leaveNames(100)).toEqual([1]);
    rig.put(3, 1, { arrivalNs: 110, epoch: 2 });
    rig.put(4, 1, { arrivalNs: 119, epoch: 2 });
    rig.buffer.releaseThrough(2, 120);
    expect(rig.leaveNames(120)).toEqual([2, 3, 4]);
  });

  test('the next time is that of the first frame that may leave, not of one that stays before it', () => {
    const rig = new BufferRig({}, 'paced');
    rig.put(1, 1, { arrivalNs: 10, flow: 1 });
    rig.put(2, 1, { arrivalNs: 20, epoch: 2 });
    rig.put(3, 1, { arrivalNs: 25, epoch: 2 });
    rig.put(4, 1, { arrivalNs: 40, epoch: 2, flow: 1, behind: true });
    rig.buffer.releaseThrough(1, 100);
    expect(rig.leaveNames(100)).toEqual([1]);
    expect(rig.buffer.nextDueNs()).toBe(130);
    expect(rig.leaveNames(130)).toEqual([4]);
  });

  test('a release of nothing leaves a train as it is', () => {
    const rig = new BufferRig({}, 'paced');
    rig.put(1, 1, { arrivalNs: 10, flow: 1 });
    rig.buffer.releaseThrough(1, 100);
    expect(rig.leaveNames(100)).toEqual([1]);
    rig.buffer.releaseThrough(1, 500);
    rig.put(2, 1, { arrivalNs: 510, epoch: 2 });
    rig.buffer.releaseThrough(2, 600);
    expect(rig.buffer.nextDueNs()).toBe(600);
  });
});
