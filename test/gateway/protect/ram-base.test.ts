/** Until when a standby can go back to a checkpoint of changes: until a machine runs on its memory. */
import { closeSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { PAGE_BYTES } from '../../../gateway/protect/delta-image.ts';
import { ImageStore } from '../../../gateway/protect/image-store.ts';
import { RamBase } from '../../../gateway/protect/ram-base.ts';
import { DeltaRig, free } from '../../support/delta-rig.ts';
import { temporaryFolder } from '../../support/run-cli.ts';

const folders = temporaryFolder();
let made = 0;
let rig: DeltaRig;

beforeEach(async () => {
  rig = await new DeltaRig(folders.path(`base${made++}`)).connect();
});
afterEach(() => rig.close());

/** What a machine does with its memory that runs on the standby's file. */
function runOn(path: string, page: number): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.from('x'), 0, 1, page * PAGE_BYTES + 17);
  closeSync(fd);
}

it('has no checkpoint any more once a machine runs on its memory', async () => {
  await rig.delta.attach(rig.qmp);
  const store = rig.opened();
  await rig.checkpoint(store, 1);
  store.handOver();
  expect(rig.opened().newest).toBeNull();
});

it('goes back to its checkpoint wherever a failover was cut short, until the machine runs', async () => {
  await rig.delta.attach(rig.qmp);
  const store = rig.opened();
  await rig.checkpoint(store, 1);
  rig.change([3, 39], 1);
  await rig.checkpoint(store, 2);
  await store.prepare();
  store.switching();
  // The standby is killed before its machine runs, and so is the one after it.
  for (let i = 0; i < 2; i++) {
    const next = rig.opened();
    expect(next.newest).toMatchObject({ epoch: 2, mayBeSwitched: true });
    await next.prepare();
    expect(rig.kept().equals(readFileSync(rig.ram))).toBe(true);
  }
  const [before, running] = [rig.opened(), rig.kept()];
  runOn(join(rig.images, 'ram'), 20);
  const after = rig.kept();
  expect(after.equals(running)).toBe(false);
  // The machine was let run after this one had looked.
  await expect(before.prepare()).rejects.toThrow('a machine has run on the memory');
  expect(before.newest).toBeNull();
  expect(rig.opened().newest).toBeNull();
  expect(rig.kept().equals(after), 'nobody writes to the memory of a machine that may run').toBe(true);
});

it.each([0, 20, 39])('a machine that has changed one byte only, in page %i, has run', async (page) => {
  await rig.delta.attach(rig.qmp);
  rig.change([3], 1);
  const store = rig.opened();
  await rig.checkpoint(store, 1);
  store.switching();
  runOn(join(rig.images, 'ram'), page);
  const after = rig.kept();
  expect(rig.opened().newest).toBeNull();
  expect(rig.kept().equals(after)).toBe(true);
});

it('keeps what it needs to know whether a machine has run, wherever it is killed', async () => {
  /** Is killed when an image has its name, and is not brought in yet. */
  class Mortal extends RamBase {
    isKilled = false;
    override apply(path: string): void {
      if (this.isKilled) throw new Error('killed');
      super.apply(path);
    }
  }
  await rig.delta.attach(rig.qmp);
  const images = rig.images;
  for (let epoch = 1; epoch < 8; epoch += 2) {
    const ram = new Mortal(images, false, free);
    const store = new ImageStore(images, false, ram);
    rig.change([epoch, 30], epoch);
    await rig.checkpoint(store, epoch);
    rig.change([epoch + 1, 31], epoch);
    ram.isKilled = true;
    const copy = rig.delta.begin();
    await expect(rig.put(store, epoch + 1, await rig.taken(copy))).rejects.toThrow('killed');
    copy.confirmed({ term: 1, epoch: epoch + 1 });
  }
  const store = rig.opened();
  expect(store.newest).toMatchObject({ epoch: 8, mayBeSwitched: false });
  store.switching();
  expect(rig.opened().newest).toMatchObject({ epoch: 8, mayBeSwitched: true });
  expect(rig.kept().equals(readFileSync(rig.ram))).toBe(true);
});

it('an image that could not be brought in is brought in before the next one', async () => {
  let isFull = false;
  class Full extends RamBase {
    override apply(path: string): void {
      if (isFull) throw new Error('no space left');
      super.apply(path);
    }
  }
  await rig.delta.attach(rig.qmp);
  const store = new ImageStore(rig.images, false, new Full(rig.images, false, free));
  await rig.checkpoint(store, 1);
  rig.change([3], 1);
  isFull = true;
  const copy = rig.delta.begin();
  await expect(rig.put(store, 2, await rig.taken(copy))).rejects.toThrow('no space left');
  copy.confirmed({ term: 1, epoch: 2 });
  isFull = false;
  rig.change([4], 1);
  await rig.checkpoint(store, 3);
  expect(rig.kept().equals(readFileSync(rig.ram))).toBe(true);
});

it('does not go back behind an image that is torn now: memory has its pages', async () => {
  await rig.delta.attach(rig.qmp);
  const store = rig.opened();
  await rig.checkpoint(store, 1);
  const { path } = store.newest!;
  const first = readFileSync(path);
  rig.change([3], 1);
  await rig.checkpoint(store, 2);
  writeFileSync(path, first);
  truncateSync(store.newest!.path, 100);
  expect(rig.opened().newest).toBeNull();
});

it('takes the memory of an earlier version, which kept no sums', async () => {
  await rig.delta.attach(rig.qmp);
  rig.change([3], 1);
  const before = rig.opened();
  await rig.checkpoint(before, 1);
  rig.change([4], 1);
  await rig.checkpoint(before, 2);
  before.settle();
  rmSync(join(rig.images, 'sums'));
  const store = rig.opened();
  store.switching();
  expect(rig.opened().newest).toMatchObject({ epoch: 2, mayBeSwitched: true });
});

it('does not write to its memory before the machine that had loaded it is gone', async () => {
  await rig.delta.attach(rig.qmp);
  const store = rig.opened();
  await rig.checkpoint(store, 1);
  store.switching();
  const busy = rig.opened(false, () => Promise.reject(new Error('it may be the VM')));
  await expect(busy.prepare()).rejects.toThrow('it may be the VM');
  expect(busy.newest?.epoch, 'and it stays what it was').toBe(1);
});
