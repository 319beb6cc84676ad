import {
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
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FrameTable } from '../../../gateway/durable/frame-table.ts';
import { StateDir } from '../../../gateway/durable/state-dir.ts';
import { TABLE_AT } from '../../../gateway/durable/stored-frames.ts';
import { TxBuffer } from '../../../gateway/tx-buffer.ts';
import { ROOMY } from '../../support/rig.ts';
import { type Life, StateFolder } from '../../support/state-folder.ts';
import { summary, threeEpochs } from './three-epochs.ts';

let folder: StateFolder;

beforeEach(() => {
  folder = new StateFolder();
});
afterEach(() => folder.close());

describe('a file that is not believed', () => {
  const refusal = (life: Life) => life.store.recovered.setAside.map(({ why }) => why);

  test('is kept aside with a reason, and the VM waits in a term that nobody has seen', () => {
    threeEpochs(folder);
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
    threeEpochs(folder);
    folder.die();
    unlinkSync(folder.file('vm0.buffer'));
    writeFileSync(folder.file('vm0.state'), 'nothing');
    const life = folder.live();
    expect(life.scene.vm.epochs.state).toBe('waiting');
    expect(life.store.recovered.lostFrames).toBe(null);
    expect(life.scene.vm.epochs.term).toBeGreaterThan(1e9);
  });

  test('terms still grow where only the buffer tells what they were', () => {
    threeEpochs(folder);
    folder.die();
    unlinkSync(folder.file('vm0.state'));
    const life = folder.live();
    expect(life.scene.vm.epochs.state).toBe('waiting');
    expect(life.scene.vm.start().term).toBe(3);
  });

  test('a state that is older than the buffer is none', () => {
    const life = threeEpochs(folder);
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
    const life = threeEpochs(folder);
    const old = folder.snap();
    life.scene.vm.commit(1, 2);
    folder.live();
    folder.restore(old, 'vm0.buffer');
    old.forget();
    expect(refusal(folder.live())).toEqual(['it is not the one that this VM used last: its frames may be old']);
  });

  test('a buffer of the same life that is older than its state is none', () => {
    const life = threeEpochs(folder);
    const old = folder.snap();
    life.scene.vm.commit(1, 1);
    folder.restore(old, 'vm0.buffer');
    old.forget();
    const next = folder.live();
    expect(refusal(next)).toEqual(['a frame in it is damaged']);
    expect(next.store.recovered.lostFrames).toBe(5);
  });

  test('one that lacks a frame is none', () => {
    threeEpochs(folder);
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
    threeEpochs(folder);
    folder.die();
    spoil(folder.file('vm0.buffer'));
    const life = folder.live();
    expect(refusal(life)).toEqual([why]);
    expect(life.store.recovered).toMatchObject({ term: 1, frames: 0, lostFrames: 8 });
    expect(summary(life)).toMatchObject({ state: 'waiting', sealedEpochs: [1, 2] });
  });

  test("another VM's, and one of another version, are none", () => {
    threeEpochs(folder);
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
    const life = threeEpochs(folder);
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
