/** Requests that a gateway reads late, after it was not let run: what they were a sign of is over. */
import { expect, test } from 'vitest';
import { VirtualClock } from '../../gateway/clock.ts';
import { memoryLink } from '../../gateway/port/memory.ts';
import { Vm } from '../../gateway/vm.ts';
import { type FrameSpec, makeFrame, SLOT_BYTES } from '../support/frames.ts';
import { generationOf } from '../support/judge.ts';
import { Hand, hex, ROOMY } from '../support/rig.ts';
import { ACK, HOLD, PASS, SYN } from '../support/scene.ts';

const MS = 1e6;
const LEASE_MS = 5;

/** A VM with a lease that reads one frame at a time; `sentAt` says when its host sent the requests that come, null: when they come. */
function rig() {
  const clock = new VirtualClock();
  const [guest, inside] = memoryLink('inside', 16, SLOT_BYTES, clock);
  const [outside, net] = memoryLink('outside', 16, SLOT_BYTES, clock);
  let sentNs: number | null = null;
  const vm = new Vm(inside, outside, generationOf(0), clock, {
    slotBytes: SLOT_BYTES,
    limits: ROOMY.limits,
    batchFrames: 1,
    sentNs: () => sentNs ?? clock.nowNs(),
  });
  vm.start('now', LEASE_MS * MS);
  const from = new Hand(guest);
  const to = new Hand(net);
  const names = new Map<string, number>();
  return {
    vm,
    clock,
    put: (serial: number, spec: Partial<FrameSpec>) => {
      const frame = makeFrame({ kind: 'udp', flow: 0, colour: 0, vlan: 0, pad: 0, ...spec }, serial);
      names.set(hex(frame.bytes), serial);
      from.send(frame);
    },
    sentAt: (ms: number | null) => {
      sentNs = ms === null ? null : ms * MS;
    },
    left: () => to.take().map((bytes) => names.get(bytes)),
  };
}

test('a seal that comes too late to renew the lease reads what the VM has sent, and holds the data among it', () => {
  const { vm, clock, put, sentAt, left } = rig();
  put(1, PASS);
  put(2, HOLD);
  clock.advanceTo(6 * MS);
  sentAt(1);
  expect(vm.seal(1, 1)).toMatchObject({ drained: true, heldFrames: 2 });
  expect(left()).toEqual([]);
  expect(vm.forwarder.hostSilent).toBe(true);
  expect(vm.counters.reasonsByName()).toEqual({ lease: 1, default: 1 });
});

test('a lease that lapses while a seal still reads holds the data that is read from then on', () => {
  const { vm, clock, put, left } = rig();
  put(1, PASS);
  put(2, PASS);
  // As if the first frame took so long.
  vm.forwarder.onJudged = { judged: () => clock.advanceTo(LEASE_MS * MS) };
  expect(vm.seal(1, 1)).toMatchObject({ drained: true, heldFrames: 1 });
  expect(left()).toEqual([1]);
  expect(vm.counters.reasonsByName()).toEqual({ rule: 1, lease: 1 });
});

test('a commit that comes too late to renew the lease releases what it commits, and no data that waited behind it', () => {
  const { vm, clock, put, sentAt, left } = rig();
  put(1, SYN);
  vm.seal(1, 1);
  put(2, ACK);
  vm.turn();
  expect(vm.counters.reasonsByName()).toMatchObject({ 'behind-held': 1 });
  vm.seal(1, 2);
  clock.advanceTo(6 * MS);
  sentAt(1);
  expect(vm.commit(1, 1)).toMatchObject({ releasedFrames: 1 });
  expect(left()).toEqual([1]);
  put(3, ACK);
  vm.turn();
  sentAt(null);
  vm.commit(1, 2);
  expect(left()).toEqual([2]);
  vm.seal(1, 3);
  vm.commit(1, 3);
  expect(left()).toEqual([3]);
});
