import { expect, test } from 'vitest';
import { slabOf } from '../../classifier/slab.ts';
import { FrameBatch } from '../../gateway/frame-batch.ts';
import { HOLD_BUCKETS_SECONDS, HoldTimes } from '../../gateway/hold-times.ts';
import { HOLD, PASS, SYN, started } from '../support/scene.ts';

/** @returns how many frames are in which bucket: its upper bound in seconds */
function filled(times: HoldTimes): Record<string, number> {
  const bounds = [...HOLD_BUCKETS_SECONDS.map(String), 'more'];
  return Object.fromEntries(bounds.map((bound, i) => [bound, times.counts[i]!]).filter(([, count]) => count !== 0));
}

function heldFor(...heldNs: readonly number[]): HoldTimes {
  const batch = new FrameBatch(slabOf(new Uint8Array(16)), heldNs.length);
  const nowNs = 1e15;
  heldNs.forEach((ns, i) => {
    batch.arrivalNs[i] = nowNs - ns;
  });
  const times = new HoldTimes();
  times.add(batch, heldNs.length, nowNs);
  return times;
}

test('a bucket includes its upper bound, and what is longer is in the next', () => {
  expect(filled(heldFor(0, 100_000))).toEqual({ '0.0001': 2 });
  expect(filled(heldFor(100_001))).toEqual({ '0.00025': 1 });
  expect(filled(heldFor(1e9, 1e9 + 1))).toEqual({ '1': 1, '2.5': 1 });
  expect(filled(heldFor(60e9, 60e9 + 1, 1e13))).toEqual({ '60': 1, more: 2 });
});

test('the sum is in seconds, and an arrival ahead of the clock counts as none', () => {
  const times = heldFor(2e9, 5e8, -7e9);
  expect(times.sumSeconds).toBe(2.5);
  expect(filled(times)).toEqual({ '0.0001': 1, '0.5': 1, '2.5': 1 });
});

test('frames of which the batch holds more than left are not counted', () => {
  const batch = new FrameBatch(slabOf(new Uint8Array(16)), 4);
  const times = new HoldTimes();
  times.add(batch, 0, 1e9);
  times.add(batch, 1, 1e9);
  expect(filled(times)).toEqual({ '1': 1 });
});

test('of a VM: released frames count from their arrival, also those behind held ones; passed and discarded ones do not', () => {
  const scene = started();
  const { vm, rig } = scene;
  const { holdTimes } = vm.forwarder;
  scene.send(1, PASS);
  scene.send(2, SYN);
  rig.clock.advanceTo(30e6);
  scene.send(3, { ...SYN, colour: 0 });
  rig.clock.advanceTo(40e6);
  vm.seal(1, 1);
  scene.send(4, HOLD);
  vm.commit(1, 1);
  expect(scene.left()).toEqual([1, 2, 3]);
  expect(filled(holdTimes)).toEqual({ '0.01': 1, '0.05': 1 });
  expect(holdTimes.sumSeconds).toBeCloseTo(0.05);
  vm.rollback(1, 1);
  expect(vm.counters.get('discarded')).toBe(1);
  expect(holdTimes.counts.reduce((sum, count) => sum + count)).toBe(vm.counters.get('released'));
});
