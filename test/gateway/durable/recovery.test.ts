import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { REASON_NAMES } from '../../../classifier/verdict.ts';
import { answerOf, ROOMY } from '../../support/rig.ts';
import { type Life, StateFolder } from '../../support/state-folder.ts';
import { summary, threeEpochs } from './three-epochs.ts';

let folder: StateFolder;

beforeEach(() => {
  folder = new StateFolder();
});
afterEach(() => folder.close());

function reasonsOf({ scene }: Life) {
  return scene.vm.counters.reasonsByName();
}

describe('a gateway that comes back', () => {
  test('waits, with its term, its epochs and its frames, and sends none of them', () => {
    threeEpochs(folder);
    const life = folder.live();
    const { recovered } = life.store;
    expect(recovered).toMatchObject({ term: 1, frames: 8, resentFrames: 0, discardedFrames: 0, lostFrames: 0 });
    expect(recovered.setAside).toEqual([]);
    expect(summary(life)).toEqual({
      state: 'waiting',
      term: 1,
      openEpoch: 3,
      sealedEpochs: [1, 2],
      committedEpoch: 0,
      frames: 8,
    });
    life.scene.vm.turn();
    life.scene.vm.pump();
    expect(folder.left(life)).toEqual([]);
  });

  test('goes on when its host asks something in the term that was in force: hello alone, or another term, does not', () => {
    threeEpochs(folder);
    const life = folder.live();
    const { vm } = life.scene;
    expect(answerOf(() => vm.commit(2, 1))).toEqual({ code: 'stale-term' });
    expect(vm.epochs.state).toBe('waiting');
    expect(vm.commit(1, 1)).toMatchObject({ releasedFrames: 3 });
    expect(vm.epochs.state).toBe('on');
    expect(folder.left(life)).toEqual([1, 2, 3]);
    vm.commit(1, 2);
    expect(folder.left(life)).toEqual([4, 5, 6]);
    vm.seal(1, 3);
    vm.commit(1, 3);
    expect(folder.left(life)).toEqual([7, 8]);
  });

  test('holds all that the VM sends before its host is heard, in an epoch that no seal before has closed', () => {
    threeEpochs(folder);
    const life = folder.live();
    const { vm } = life.scene;
    // Frames that the rules let pass.
    folder.hold(life, [9, 10], { colour: 0 });
    expect(vm.txBuffer.frames).toBe(10);
    expect(reasonsOf(life)).toMatchObject({ waiting: 2 });
    vm.commit(1, 2);
    expect(folder.left(life)).toEqual([1, 2, 3, 4, 5, 6]);
    vm.seal(1, 3);
    vm.commit(1, 3);
    expect(folder.left(life)).toEqual([7, 8, 9, 10]);
  });

  test('counts frames that it held as read and held, so that its counters sum', () => {
    threeEpochs(folder);
    const life = folder.live();
    const { vm } = life.scene;
    vm.rollback(1, 1);
    const { counters } = vm;
    const [outbound, held, released, discarded] = (['outbound', 'held', 'released', 'discarded'] as const).map((name) =>
      counters.get(name),
    );
    expect([outbound, held, released, discarded, vm.stillHeld]).toEqual([8, 8, 3, 5, 0]);
    expect(Object.values(counters.reasonsByName()).reduce((a, b) => a + b, 0)).toBe(8);
    expect(REASON_NAMES).toContain(Object.keys(counters.reasonsByName())[0]);
  });

  test('gives the host the lease that it had, from its first request on', () => {
    threeEpochs(folder);
    const { vm } = folder.live().scene;
    expect(vm.lease.deadline[0]).toBe(Number.POSITIVE_INFINITY);
    vm.commit(1, 1);
    expect(vm.lease.deadline[0]).toBe(5e9);
  });

  test.each(['seal', 'abort', 'rollback', 'quiesce'] as const)('%s brings the term back too', (what) => {
    threeEpochs(folder);
    const { vm } = folder.live().scene;
    const ask = {
      seal: () => vm.seal(1, 3),
      abort: () => vm.abort(1, 2),
      rollback: () => vm.rollback(1, 2),
      quiesce: () => vm.quiesce(1, 1),
    };
    ask[what]();
    expect(vm.epochs.state).toBe('on');
  });

  test('refuses a seal that was done already with epoch-sealed, and an aborted epoch as such', () => {
    threeEpochs(folder).scene.vm.abort(1, 1);
    const { vm } = folder.live().scene;
    expect(answerOf(() => vm.seal(1, 2))).toEqual({ code: 'epoch-sealed' });
    expect(answerOf(() => vm.commit(1, 1))).toEqual({ code: 'epoch-aborted' });
    expect(vm.commit(1, 2)).toMatchObject({ releasedFrames: 6 });
  });

  test('starts a new term above the one that was', () => {
    threeEpochs(folder);
    const life = folder.live();
    const { vm } = life.scene;
    expect(vm.start()).toEqual({ term: 2, openEpoch: 1 });
    vm.seal(2, 1);
    vm.commit(2, 1);
    expect(folder.left(life)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test.each([
    ['release', [1, 2, 3, 4, 5, 6, 7, 8]],
    ['discard', []],
    ['keep', []],
  ] as const)('can be told off before its host is heard: %s', (held, left) => {
    threeEpochs(folder);
    const life = folder.live();
    life.scene.vm.stop(1, held);
    expect(folder.left(life)).toEqual([...left]);
    expect(life.scene.vm.epochs.state).toBe(held === 'keep' ? 'waiting' : 'off');
    expect(folder.live().scene.vm.txBuffer.frames).toBe(held === 'keep' ? 8 : 0);
  });

  test('after a second death before anybody asked anything it waits as it did after the first', () => {
    threeEpochs(folder);
    const first = summary(folder.live());
    expect(summary(folder.live())).toEqual(first);
  });

  test('does not let held traffic pass because the term began with output that did', () => {
    const before = folder.live();
    before.scene.vm.start('first-seal');
    const life = folder.live();
    folder.hold(life, [1]);
    expect(folder.left(life)).toEqual([]);
    expect(answerOf(() => life.scene.vm.rollback(1, 0))).toEqual({ code: 'output-already-released' });
  });

  test.each([
    ['off', false, 'off'],
    ['off', true, 'waiting'],
  ] as const)('a VM that was %s, configured as replicated: %s, is %s', (_was, replicated, state) => {
    const { vm } = folder.live().scene;
    vm.start();
    vm.stop(1, 'release');
    const { epochs } = folder.live({ replicated }).scene.vm;
    expect([epochs.state, epochs.term]).toEqual([state, 1]);
  });

  test('what it may send goes out without its host, as far as it had been decided', () => {
    const before = threeEpochs(folder, { outsideCapacity: 2 });
    before.scene.vm.commit(1, 2);
    expect(folder.left(before)).toEqual([1, 2]);
    const life = folder.live();
    expect(life.store.recovered).toMatchObject({ frames: 6, resentFrames: 0 });
    life.scene.vm.pump();
    expect(folder.left(life)).toEqual([3, 4, 5, 6]);
    expect(summary(life)).toMatchObject({ state: 'waiting', committedEpoch: 2, frames: 2 });
  });

  test('frames behind others keep waiting for them, and leave with them', () => {
    const before = folder.live();
    before.scene.vm.start();
    folder.hold(before, [1]);
    folder.hold(before, [2, 3], { colour: 0 });
    const life = folder.live();
    life.scene.vm.pump();
    expect(folder.left(life)).toEqual([]);
    life.scene.vm.seal(1, 1);
    folder.hold(life, [4], { colour: 0 });
    life.scene.vm.commit(1, 1);
    expect(folder.left(life)).toEqual([1, 2, 3, 4]);
  });

  test('frames behind what has left wait for the host, and for their epoch, where they were not committed', () => {
    const before = folder.live({ outsideCapacity: 1 });
    before.scene.vm.start();
    folder.hold(before, [1]);
    before.scene.vm.seal(1, 1);
    folder.hold(before, [2], { colour: 0 });
    before.scene.vm.commit(1, 1);
    expect(before.scene.vm.txBuffer.leavingFrames).toBe(1);
    const life = folder.live();
    life.scene.vm.pump();
    expect(folder.left(life)).toEqual([]);
    life.scene.vm.seal(1, 2);
    folder.hold(life, [3], { colour: 0 });
    life.scene.vm.commit(1, 2);
    expect(folder.left(life)).toEqual([2, 3]);
  });

  test('with other limits frames move to the new buffer, and where they do not fit it says so and changes nothing', () => {
    threeEpochs(folder);
    const tight = { ...ROOMY.limits, limitFrames: 4, sealReserveFrames: 1 };
    expect(() => folder.live({ limits: tight })).toThrow(/8 frames of VM 'vm0' are held .* raise its limits/);
    const life = folder.live({ limits: { ...ROOMY.limits, limitFrames: 500 } });
    life.scene.vm.commit(1, 2);
    expect(folder.left(life)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('with the buffer in memory what it holds is lost with it, counted, and never sent', () => {
    const before = folder.live({}, 'memory');
    before.scene.vm.start();
    folder.hold(before, [1, 2, 3]);
    before.scene.vm.seal(1, 1);
    const life = folder.live({}, 'memory');
    expect(life.store.recovered).toMatchObject({ frames: 0, lostFrames: 3, term: 1 });
    expect(summary(life)).toMatchObject({ state: 'waiting', term: 1, sealedEpochs: [1], frames: 0 });
    life.scene.vm.commit(1, 1);
    expect(folder.left(life)).toEqual([]);
    expect(folder.names).toEqual(['vm0.state']);
  });

  test('frames in a file go on in memory, and from memory to a file nothing comes back', () => {
    threeEpochs(folder);
    const inMemory = folder.live({}, 'memory');
    expect(inMemory.store.recovered).toMatchObject({ frames: 8, lostFrames: 0 });
    expect(folder.names).toEqual(['vm0.state']);
    const life = folder.live();
    expect(life.store.recovered).toMatchObject({ frames: 0, lostFrames: 8, setAside: [] });
  });

  test('a takeover from another gateway keeps what may leave and holds the rest in the open epoch', () => {
    const before = threeEpochs(folder, { outsideCapacity: 1 });
    before.scene.vm.commit(1, 1);
    const life = folder.live();
    expect(life.scene.vm.takeOver(7, 20)).toEqual({ term: 8, openEpoch: 21 });
    expect(folder.live().scene.vm.epochs).toMatchObject({ term: 8, openEpoch: 21, committedEpoch: 20 });
  });
});
