import fs, {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { REASON_NAMES } from '../../../classifier/verdict.ts';
import { FrameTable } from '../../../gateway/durable/frame-table.ts';
import { StateDir } from '../../../gateway/durable/state-dir.ts';
import { TABLE_AT } from '../../../gateway/durable/stored-frames.ts';
import { TxBuffer } from '../../../gateway/tx-buffer.ts';
import type { Vm } from '../../../gateway/vm.ts';
import { answerOf, ROOMY } from '../../support/rig.ts';
import { type Life, type Snap, StateFolder } from '../../support/state-folder.ts';

let folder: StateFolder;

beforeEach(() => {
  folder = new StateFolder();
});
afterEach(() => folder.close());

function reasonsOf({ scene }: Life) {
  return scene.vm.counters.reasonsByName();
}

/** A life in term 1: frames 1 to 3 in epoch 1, sealed; 4 to 6 in epoch 2, sealed; 7 and 8 in epoch 3, open. */
function threeEpochs(options: Parameters<StateFolder['live']>[0] = {}): Life {
  const life = folder.live(options);
  life.scene.vm.start('now', 5e9);
  folder.hold(life, [1, 2, 3]);
  life.scene.vm.seal(1, 1);
  folder.hold(life, [4, 5, 6]);
  life.scene.vm.seal(1, 2);
  folder.hold(life, [7, 8]);
  return life;
}

function takenOver(vm: Vm): void {
  vm.stop(1, 'keep');
  vm.takeOver(7, 20);
}

function summary({ scene: { vm } }: Life) {
  const { state, term, openEpoch, sealedEpochs, committedEpoch } = vm.epochs;
  return { state, term, openEpoch, sealedEpochs, committedEpoch, frames: vm.txBuffer.frames };
}

describe('a gateway that comes back', () => {
  test('waits, with its term, its epochs and its frames, and sends none of them', () => {
    threeEpochs();
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
    threeEpochs();
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
    threeEpochs();
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
    threeEpochs();
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
    threeEpochs();
    const { vm } = folder.live().scene;
    expect(vm.lease.deadline[0]).toBe(Number.POSITIVE_INFINITY);
    vm.commit(1, 1);
    expect(vm.lease.deadline[0]).toBe(5e9);
  });

  test.each(['seal', 'abort', 'rollback', 'quiesce'] as const)('%s brings the term back too', (what) => {
    threeEpochs();
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
    threeEpochs().scene.vm.abort(1, 1);
    const { vm } = folder.live().scene;
    expect(answerOf(() => vm.seal(1, 2))).toEqual({ code: 'epoch-sealed' });
    expect(answerOf(() => vm.commit(1, 1))).toEqual({ code: 'epoch-aborted' });
    expect(vm.commit(1, 2)).toMatchObject({ releasedFrames: 6 });
  });

  test('starts a new term above the one that was', () => {
    threeEpochs();
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
    threeEpochs();
    const life = folder.live();
    life.scene.vm.stop(1, held);
    expect(folder.left(life)).toEqual([...left]);
    expect(life.scene.vm.epochs.state).toBe(held === 'keep' ? 'waiting' : 'off');
    expect(folder.live().scene.vm.txBuffer.frames).toBe(held === 'keep' ? 8 : 0);
  });

  test('after a second death before anybody asked anything it waits as it did after the first', () => {
    threeEpochs();
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
    const before = threeEpochs({ outsideCapacity: 2 });
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

  test('with other limits frames move to the new buffer, and where they do not fit it says so and changes nothing', () => {
    threeEpochs();
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
    threeEpochs();
    const inMemory = folder.live({}, 'memory');
    expect(inMemory.store.recovered).toMatchObject({ frames: 8, lostFrames: 0 });
    expect(folder.names).toEqual(['vm0.state']);
    const life = folder.live();
    expect(life.store.recovered).toMatchObject({ frames: 0, lostFrames: 8, setAside: [] });
  });

  test('a takeover from another gateway keeps what may leave and holds the rest in the open epoch', () => {
    const before = threeEpochs({ outsideCapacity: 1 });
    before.scene.vm.commit(1, 1);
    const life = folder.live();
    expect(life.scene.vm.takeOver(7, 20)).toEqual({ term: 8, openEpoch: 21 });
    expect(folder.live().scene.vm.epochs).toMatchObject({ term: 8, openEpoch: 21, committedEpoch: 20 });
  });
});

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
    const life = threeEpochs();
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
    const before = threeEpochs({ outsideCapacity: 2 });
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
      const before = threeEpochs({ outsideCapacity: 1 });
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
    threeEpochs();
    folder.die();
    writeFileSync(folder.file('vm0.buffer.new'), 'half');
    writeFileSync(folder.file('vm0.state.new'), 'half');
    expect(folder.live().store.recovered.frames).toBe(8);
    expect(folder.names).toEqual(['vm0.buffer', 'vm0.state']);
  });
});

describe('a file that is not believed', () => {
  const refusal = (life: Life) => life.store.recovered.setAside.map(({ why }) => why);

  test('is kept aside with a reason, and the VM waits in a term that nobody has seen', () => {
    threeEpochs();
    folder.die();
    const bytes = readFileSync(folder.file('vm0.state'));
    // In the copy that is in force, whichever of the two that is.
    for (const at of [600, 736]) bytes[at]! ^= 1;
    writeFileSync(folder.file('vm0.state'), bytes);
    const life = folder.live();
    expect(refusal(life)).toEqual([
      'what it says of terms and epochs is damaged',
      'what its frames wait for is not known: there is no state file to believe',
    ]);
    expect(life.scene.vm.epochs.state).toBe('waiting');
    expect(life.scene.vm.start().term).toBe(3);
    for (const { file } of life.store.recovered.setAside) expect(existsSync(file)).toBe(true);
    expect(folder.names).toEqual([
      'vm0.buffer',
      'vm0.buffer.bad-20260101T000002000Z',
      'vm0.state',
      'vm0.state.bad-20260101T000002000Z',
    ]);
    // Once only.
    expect(folder.live().store.recovered.setAside).toEqual([]);
  });

  test('terms still grow where nothing tells what they were', () => {
    threeEpochs();
    folder.die();
    unlinkSync(folder.file('vm0.buffer'));
    writeFileSync(folder.file('vm0.state'), 'nothing');
    const life = folder.live();
    expect(life.scene.vm.epochs.state).toBe('waiting');
    expect(life.store.recovered.lostFrames).toBe(null);
    expect(life.scene.vm.epochs.term).toBeGreaterThan(1e9);
  });

  test('terms still grow where only the buffer tells what they were', () => {
    threeEpochs();
    folder.die();
    unlinkSync(folder.file('vm0.state'));
    const life = folder.live();
    expect(life.scene.vm.epochs.state).toBe('waiting');
    expect(life.scene.vm.start().term).toBe(3);
  });

  test('a state that is older than the buffer is none', () => {
    const life = threeEpochs();
    const old = folder.snap();
    life.scene.vm.rollback(1, 1);
    folder.restore(old, 'vm0.state');
    old.forget();
    const next = folder.live();
    expect(refusal(next)[0]).toBe("it knows term 1 as the last, the buffer's file knows 2");
    expect(next.scene.vm.epochs.term).toBeGreaterThan(2);
    next.scene.vm.pump();
    expect(folder.left(next)).toEqual([]);
  });

  test('a buffer of an earlier life is none', () => {
    const life = threeEpochs();
    const old = folder.snap();
    life.scene.vm.commit(1, 2);
    folder.live();
    folder.restore(old, 'vm0.buffer');
    old.forget();
    expect(refusal(folder.live())).toEqual(['it is not the one that this VM used last: its frames may be old']);
  });

  test('a buffer of the same life that is older than its state is none', () => {
    const life = threeEpochs();
    const old = folder.snap();
    life.scene.vm.commit(1, 1);
    folder.restore(old, 'vm0.buffer');
    old.forget();
    const next = folder.live();
    expect(refusal(next)).toEqual(['a frame in it is damaged']);
    expect(next.store.recovered.lostFrames).toBe(5);
  });

  test('one that lacks a frame is none', () => {
    threeEpochs();
    folder.die();
    const bytes = new Uint8Array(readFileSync(folder.file('vm0.buffer')));
    const records = TxBuffer.recordsFor(ROOMY.limits);
    const table = new FrameTable(records, bytes.buffer, TABLE_AT, new DataView(bytes.buffer), 0);
    table.check[3] = 0;
    writeFileSync(folder.file('vm0.buffer'), bytes);
    const life = folder.live();
    expect(refusal(life)).toEqual(['8 frames were stored and 7 are in it']);
    expect(life.store.recovered).toMatchObject({ frames: 0, lostFrames: 8 });
  });

  test.each([
    ['others than its owner may use it', (path: string) => chmodSync(path, 0o640)],
    [
      'it is a symbolic link',
      (path: string) => {
        renameSync(path, `${path}-elsewhere`);
        symlinkSync(`${path}-elsewhere`, path);
      },
    ],
    [
      'it is no regular file',
      (path: string) => {
        rmSync(path);
        mkdirSync(path);
      },
    ],
  ])('%s', (why, spoil) => {
    threeEpochs();
    folder.die();
    spoil(folder.file('vm0.buffer'));
    const life = folder.live();
    expect(refusal(life)).toEqual([why]);
    expect(life.store.recovered).toMatchObject({ term: 1, frames: 0, lostFrames: 8 });
    expect(summary(life)).toMatchObject({ state: 'waiting', sealedEpochs: [1, 2] });
  });

  test("another VM's, and one of another version, are none", () => {
    threeEpochs();
    folder.die();
    const dir = new StateDir(folder.path, () => 0);
    renameSync(folder.file('vm0.state'), folder.file('vm1.state'));
    expect(dir.openVm('vm1', 'memory').recovered.setAside[0]!.why).toBe("it is another VM's");
    const bytes = readFileSync(folder.file('vm1.state'));
    bytes[12]!++;
    writeFileSync(folder.file('vm1.state'), bytes);
    expect(dir.openVm('vm1', 'memory').recovered.setAside[0]!.why).toBe("its format is version 2, this gateway's is 1");
    dir.close();
  });

  test('the last three are kept', () => {
    for (let n = 0; n < 5; n++) {
      folder.live();
      folder.die();
      writeFileSync(folder.file('vm0.state'), 'nothing');
    }
    folder.live();
    expect(folder.names.filter((name) => name.startsWith('vm0.state.bad-'))).toEqual(
      [4, 5, 6].map((n) => `vm0.state.bad-20260101T00000${n}000Z`),
    );
  });
});

describe('the state folder', () => {
  test('is one gateway’s at a time', () => {
    folder.live();
    expect(() => new StateDir(folder.path, () => 0)).toThrow(/another gateway uses/);
    folder.die();
    new StateDir(folder.path, () => 0).close();
  });

  test('and its files are for their owner alone', () => {
    chmodSync(folder.path, 0o755);
    folder.live();
    expect(statSync(folder.path).mode & 0o777).toBe(0o700);
    for (const name of folder.names) expect(statSync(folder.file(name)).mode & 0o777).toBe(0o600);
  });

  test('keeps what it has when the gateway lets go of it, whatever the VM still does', () => {
    const life = threeEpochs();
    folder.die();
    life.scene.vm.commit(1, 2);
    // The VM's memory is whole too.
    expect(folder.left(life)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(summary(folder.live())).toMatchObject({ sealedEpochs: [1, 2], committedEpoch: 0, frames: 8 });
  });

  test('takes VMs whatever their names', () => {
    const dir = new StateDir(folder.path, () => 0);
    dir.openVm('../a b/ü', 'memory');
    expect(folder.names).toEqual(['..%2Fa%20b%2F%C3%BC.state.new']);
    dir.close();
    expect(folder.names).toEqual([]);
  });

  test.skipIf(process.getuid?.() !== 0)('of another user is refused', () => {
    chownSync(folder.path, 1, 1);
    expect(() => new StateDir(folder.path, () => 0)).toThrow(/belongs to user 1/);
  });
});
