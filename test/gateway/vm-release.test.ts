import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../gateway/clock.ts';
import { memoryLink } from '../../gateway/port/memory.ts';
import { Vm } from '../../gateway/vm.ts';
import { makeFrame, SLOT_BYTES } from '../support/frames.ts';
import { generationOf } from '../support/judge.ts';
import { Hand, ROOMY } from '../support/rig.ts';
import { HOLD, PASS } from '../support/scene.ts';

const HELD = 7;
const BATCH = 2;

/** A VM of which `HELD` frames are held, and that releases a few at a time. */
function rig(releaseFrames?: number, pacing: 'burst' | 'paced' = 'burst') {
  const clock = new VirtualClock();
  const [guest, inside] = memoryLink('inside', 16, SLOT_BYTES, clock);
  const [outside, net] = memoryLink('outside', 16, SLOT_BYTES, clock);
  const vm = new Vm(inside, outside, generationOf(0), clock, {
    slotBytes: SLOT_BYTES,
    limits: ROOMY.limits,
    batchFrames: BATCH,
    pacing,
    ...(releaseFrames === undefined ? {} : { releaseFrames }),
  });
  const from = new Hand(guest);
  const to = new Hand(net);
  const names = new Map<string, string>();
  const send = (serial: number, spec: typeof HOLD | typeof PASS) => {
    const frame = makeFrame({ flow: 0, vlan: 0, pad: 0, ...spec }, serial);
    names.set(Buffer.from(frame.bytes).toString('hex'), `${spec === HOLD ? 'held' : 'data'} ${serial}`);
    from.send(frame);
  };
  vm.start();
  for (let serial = 1; serial <= HELD; serial++) send(serial, HOLD);
  vm.seal(1, 1);
  return { vm, clock, send, left: () => to.take().map((bytes) => names.get(bytes)) };
}

describe('released frames', () => {
  test('leave all at once where nobody else has to have a turn', () => {
    const { vm, left } = rig();
    expect(vm.commit(1, 1).releasedFrames).toBe(HELD);
    expect(vm.mayGoOn).toBe(false);
    expect(left()).toHaveLength(HELD);
  });

  test('leave a few at a time, in order, and data that comes meanwhile does not wait for all of them', () => {
    const { vm, send, left } = rig(2);
    expect(vm.commit(1, 1).releasedFrames).toBe(HELD);
    expect(vm.mayGoOn).toBe(true);
    expect(left()).toEqual(['held 1', 'held 2']);
    send(100, PASS);
    vm.turn();
    expect(left()).toEqual(['data 100', 'held 3', 'held 4']);
    for (const expected of [['held 5', 'held 6'], ['held 7']]) {
      expect(vm.mayGoOn).toBe(true);
      vm.pump();
      expect(left()).toEqual(expected);
    }
    expect([vm.mayGoOn, vm.stillHeld]).toEqual([false, 0]);
  });

  test('that are paced stay so, however many of the last commit are left over at the next one', () => {
    const { vm, clock, send, left } = rig(2, 'paced');
    for (const serial of [8, 9, 10, 11]) {
      clock.advanceTo(100 * serial);
      send(serial, HOLD);
      vm.turn();
    }
    vm.seal(1, 2);
    for (const [serial, gap] of [
      [12, 1],
      [13, 10],
    ] as const) {
      clock.advanceTo(clock.nowNs() + gap);
      send(serial, HOLD);
      vm.turn();
    }
    vm.seal(1, 3);
    vm.commit(1, 2);
    vm.commit(1, 3);
    expect(left()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].map((serial) => `held ${serial}`));
    expect(vm.nextDueNs()).toBe(clock.nowNs() + 10);
    clock.advanceTo(clock.nowNs() + 10);
    vm.pump();
    expect(left()).toEqual(['held 13']);
  });

  test('leave twice as fast as others come where that is more than leave at a time', () => {
    const { vm, send, left } = rig(1);
    vm.commit(1, 1);
    expect(left()).toEqual(['held 1']);
    for (const serial of [100, 101]) send(serial, PASS);
    vm.turn();
    expect(left()).toEqual(['data 100', 'data 101', 'held 2', 'held 3', 'held 4', 'held 5']);
    expect(vm.mayGoOn).toBe(true);
    vm.pump();
    expect(left()).toEqual(['held 6']);
  });
});
