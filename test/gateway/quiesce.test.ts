import { expect, test } from 'vitest';
import { makeFrame } from '../support/frames.ts';
import { answerOf, Scene } from '../support/rig.ts';
import { PASS, started } from '../support/scene.ts';

function fromNet(scene: Scene, count: number): void {
  for (let i = 0; i < count; i++) scene.rig.net.send(makeFrame({ ...PASS, flow: 0, vlan: 0, pad: 0 }, i));
}

function delivered(scene: Scene): number {
  return scene.rig.guest.take().length;
}

test('a quiesced VM gets no packets until it is resumed, and then all that waited', () => {
  const scene = started();
  expect(scene.vm.quiesce(1, 1e9)).toBe(true);
  fromNet(scene, 20);
  scene.vm.turn();
  expect([delivered(scene), scene.vm.counters.get('inbound')]).toEqual([0, 0]);
  expect(scene.vm.resume(1)).toEqual({ deliveredFrames: 20 });
  expect(delivered(scene)).toBe(20);
  fromNet(scene, 1);
  scene.vm.turn();
  expect(delivered(scene)).toBe(1);
});

test('what a quiesced VM sends goes on', () => {
  const scene = started();
  scene.vm.quiesce(1, 1e9);
  scene.send(1, PASS);
  expect(scene.left()).toEqual([1]);
});

test('frames on their way to the VM are delivered first: until then it is not quiescent', () => {
  const scene = started({ insideCapacity: 4 });
  fromNet(scene, 6);
  scene.vm.turn();
  expect(scene.vm.quiesce(1, 1e9)).toBe(false);
  expect(delivered(scene)).toBe(4);
  scene.vm.pump();
  expect(scene.vm.quiescent).toBe(true);
  expect(delivered(scene)).toBe(2);
});

test('it ends by itself at its time, not before', () => {
  const scene = started();
  scene.vm.quiesce(1, 5e6);
  fromNet(scene, 1);
  scene.rig.clock.advanceTo(5e6 - 1);
  scene.vm.turn();
  expect(delivered(scene)).toBe(0);
  scene.rig.clock.advanceTo(5e6);
  scene.vm.turn();
  expect(delivered(scene)).toBe(1);
});

test.each([
  ['a start', (s: Scene) => s.vm.start()],
  ['a rollback', (s: Scene) => s.vm.rollback(1, 0)],
  ['a stop', (s: Scene) => s.vm.stop(1, 'discard')],
  ['a failure', (s: Scene) => s.vm.fail()],
])('it ends with its term: %s', (_, end) => {
  const scene = started();
  scene.vm.quiesce(1, 1e9);
  fromNet(scene, 1);
  end(scene);
  scene.vm.turn();
  expect(delivered(scene)).toBe(1);
});

test('it is refused in another term and without one, and a resume without it delivers nothing', () => {
  const scene = started();
  fromNet(scene, 1);
  expect(scene.vm.resume(1)).toEqual({ deliveredFrames: 0 });
  expect(delivered(scene)).toBe(0);
  for (const what of [() => scene.vm.quiesce(2, 1e9), () => scene.vm.resume(2)]) {
    expect(answerOf<unknown>(what)).toEqual({ code: 'stale-term' });
  }
  scene.vm.stop(1, 'keep');
  for (const what of [() => scene.vm.quiesce(1, 1e9), () => scene.vm.resume(1)]) {
    expect(answerOf<unknown>(what)).toEqual({ code: 'not-replicated' });
  }
});

test('a resume reads so much and no more: a flood does not keep it from answering', () => {
  const scene = new Scene({ outsideCapacity: 1024, insideCapacity: 1024, batchFrames: 8 });
  scene.vm.start();
  scene.vm.quiesce(1, 1e9);
  fromNet(scene, 600);
  expect(scene.vm.resume(1)).toEqual({ deliveredFrames: 512 });
});
