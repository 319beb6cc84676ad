import fs, { unlinkSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Vm } from '../../../gateway/vm.ts';
import { type Snap, StateFolder } from '../../support/state-folder.ts';
import { summary, threeEpochs } from './three-epochs.ts';

let folder: StateFolder;

beforeEach(() => {
  folder = new StateFolder();
});
afterEach(() => folder.close());

function takenOver(vm: Vm): void {
  vm.stop(1, 'keep');
  vm.takeOver(7, 20);
}

describe('a death between two steps', () => {
  test.each([
    ['a rollback', (vm: Vm) => vm.rollback(1, 1), { term: 2, frames: 3, discardedFrames: 5 }, [1, 2, 3]],
    ['a failure', (vm: Vm) => vm.fail(), { term: 2, frames: 0, discardedFrames: 8 }, []],
    ['a stop that discards', (vm: Vm) => vm.stop(1, 'discard'), { term: 1, frames: 0, discardedFrames: 8 }, []],
    ['a stop that releases', (vm: Vm) => vm.stop(1, 'release'), { term: 1, frames: 8 }, [1, 2, 3, 4, 5, 6, 7, 8]],
    ['a stop that keeps', (vm: Vm) => vm.stop(1, 'keep'), { term: 1, frames: 8, discardedFrames: 0 }, []],
    ['a commit', (vm: Vm) => vm.commit(1, 2), { term: 1, frames: 8 }, [1, 2, 3, 4, 5, 6]],
    ['a takeover', takenOver, { term: 8, frames: 8 }, []],
  ] as const)('of %s: what was stored is done by the next gateway', (_name, ask, found, left) => {
    const life = threeEpochs(folder);
    const publish = life.store.publish.bind(life.store);
    let then: Snap | null = null;
    life.store.publish = (...state) => {
      publish(...state);
      then?.forget();
      then = folder.snap();
    };
    ask(life.scene.vm);
    folder.restore(then!, 'vm0.state', 'vm0.buffer');
    then!.forget();
    const next = folder.live();
    expect(next.store.recovered).toMatchObject({ ...found, resentFrames: 0 });
    next.scene.vm.pump();
    expect(folder.left(next)).toEqual([...left]);
    expect(next.scene.vm.counters.get('discarded')).toBe(next.store.recovered.discardedFrames);
    // What was discarded is gone for good.
    expect(folder.live().store.recovered.discardedFrames).toBe(0);
  });

  test('of a recovery: the buffer has taken the place of the old one, the state has not', () => {
    const before = threeEpochs(folder, { outsideCapacity: 2 });
    before.scene.vm.commit(1, 1);
    folder.die();
    const old = folder.snap();
    folder.live();
    folder.restore(old, 'vm0.state');
    old.forget();
    const life = folder.live();
    expect(life.store.recovered).toMatchObject({ frames: 6, lostFrames: 0, setAside: [] });
    expect(summary(life)).toMatchObject({ state: 'waiting', term: 1, sealedEpochs: [2], committedEpoch: 1 });
    life.scene.vm.pump();
    expect(folder.left(life)).toEqual([3]);
  });

  test('of the first start: a state without its buffer has lost nothing', () => {
    folder.live();
    folder.die();
    unlinkSync(folder.file('vm0.buffer'));
    expect(folder.live().store.recovered).toMatchObject({ frames: 0, lostFrames: 0, setAside: [] });
  });

  test.each([
    ['the first start', false],
    ['a recovery', true],
  ])('of %s: one of its two files is in its place, the other not', (_name, isRecovery) => {
    if (isRecovery) {
      const before = threeEpochs(folder, { outsideCapacity: 1 });
      before.scene.vm.commit(1, 1);
      folder.die();
    }
    const { renameSync: rename } = fs;
    let renames = 0;
    fs.renameSync = (...names) => {
      if (++renames === 2) throw new Error('killed');
      rename(...names);
    };
    syncBuiltinESMExports();
    try {
      expect(() => folder.live()).toThrow('killed');
    } finally {
      fs.renameSync = rename;
      syncBuiltinESMExports();
    }
    const life = folder.live();
    expect(life.store.recovered).toMatchObject({ frames: isRecovery ? 7 : 0, lostFrames: 0, setAside: [] });
    life.scene.vm.pump();
    expect(folder.left(life)).toEqual(isRecovery ? [2, 3] : []);
  });

  test('of a start: what it had made is swept up', () => {
    threeEpochs(folder);
    folder.die();
    writeFileSync(folder.file('vm0.buffer.new'), 'half');
    writeFileSync(folder.file('vm0.state.new'), 'half');
    expect(folder.live().store.recovered.frames).toBe(8);
    expect(folder.names).toEqual(['vm0.buffer', 'vm0.state']);
  });
});
