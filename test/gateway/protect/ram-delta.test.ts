/** From a machine's memory to the file at its standby, with all that may be cut short between them. */
import { closeSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { PAGE_BYTES } from '../../../gateway/protect/delta-image.ts';
import { ImageStore, TornImageError } from '../../../gateway/protect/image-store.ts';
import { RamBase } from '../../../gateway/protect/ram-base.ts';
import { RamDelta } from '../../../gateway/protect/ram-delta.ts';
import { DEVICES, DeltaRig, free, PAGES, RAM_BYTES } from '../../support/delta-rig.ts';
import { temporaryFolder } from '../../support/run-cli.ts';
import { runs, SEED } from '../../support/runs.ts';

const folders = temporaryFolder();
let made = 0;
let rig: DeltaRig;

beforeEach(async () => {
  rig = await new DeltaRig(folders.path(`delta${made++}`)).connect();
});
afterEach(() => rig.close());

it('sends all of memory first, then what has changed, and the standby has the same', async () => {
  rig.change([1, 2, 39], 7);
  await rig.delta.attach(rig.qmp);
  const store = rig.opened(true);
  await rig.checkpoint(store, 1);
  expect(rig.kept().equals(readFileSync(rig.ram))).toBe(true);
  rig.change([2, 20], 8);
  rig.change([39], 0);
  const copy = rig.delta.begin();
  const image = await rig.taken(copy);
  expect(image.length, 'three pages and not all of them').toBeLessThan(4 * (PAGE_BYTES + 4));
  await rig.put(store, 2, image);
  expect(rig.kept().equals(readFileSync(rig.ram))).toBe(true);
  const { start, bytes } = store.newest!.devices!;
  expect(readFileSync(store.newest!.path).subarray(start, start + bytes)).toEqual(DEVICES);
});

it('sends what a failed checkpoint had found once more', async () => {
  await rig.delta.attach(rig.qmp);
  const store = rig.opened();
  await rig.checkpoint(store, 1);
  rig.change([3], 1);
  await rig.taken(rig.delta.begin());
  rig.change([4], 2);
  await rig.checkpoint(store, 2);
  expect(rig.kept().equals(readFileSync(rig.ram))).toBe(true);
});

it('believes a confirmation of the last copy only', async () => {
  await rig.delta.attach(rig.qmp);
  const store = rig.opened();
  await rig.checkpoint(store, 1);
  rig.change([3], 1);
  const lost = rig.delta.begin();
  await rig.taken(lost);
  const next = rig.delta.begin();
  lost.confirmed({ term: 1, epoch: 2 });
  await rig.put(store, 3, await rig.taken(next));
  expect(rig.kept().equals(readFileSync(rig.ram))).toBe(true);
  rig.delta.restart();
  next.confirmed({ term: 1, epoch: 3 });
  const image = await rig.taken(rig.delta.begin());
  expect(image.readBigUInt64LE(40), 'it follows none').toBe(0n);
});

it('clears what a driver that comes anew does not send, for it is zero', async () => {
  await rig.delta.attach(rig.qmp);
  const store = rig.opened();
  rig.change([3, 20], 1);
  await rig.checkpoint(store, 1);
  rig.change([20], 0);
  await rig.delta.attach(rig.qmp);
  const copy = rig.delta.begin();
  const image = await rig.taken(copy);
  expect(image.length).toBeLessThan(2 * PAGE_BYTES);
  await rig.put(store, 2, image);
  expect(rig.kept().equals(readFileSync(rig.ram))).toBe(true);
});

it('refuses changes of another checkpoint than the one that is there, and keeps that', async () => {
  await rig.delta.attach(rig.qmp);
  const store = rig.opened();
  await rig.checkpoint(store, 1);
  const before = rig.kept();
  const lost = rig.delta.begin();
  rig.change([3], 1);
  await rig.taken(lost);
  lost.confirmed({ term: 1, epoch: 2 });
  rig.change([4], 2);
  await expect(rig.put(store, 3, await rig.taken(rig.delta.begin()))).rejects.toThrow(TornImageError);
  expect(store.newest?.epoch).toBe(1);
  expect(rig.kept().equals(before)).toBe(true);
});

it.each([
  ['shorter', (image: Buffer) => image.subarray(0, -1)],
  ['longer', (image: Buffer) => Buffer.concat([image, Buffer.alloc(1)])],
  ['of all memory, as QEMU sends it', () => Buffer.from('QEVM…')],
  ['of a page beyond memory', (image: Buffer) => withFirstPage(image, PAGES)],
  ['of pages in disorder', (image: Buffer) => withFirstPage(image, 9)],
])('does not take an image that is whole on its way but %s', async (_, spoil) => {
  await rig.delta.attach(rig.qmp);
  const store = rig.opened();
  await rig.checkpoint(store, 1);
  rig.change([3, 5], 1);
  const before = rig.kept();
  await expect(rig.put(store, 2, spoil(await rig.taken(rig.delta.begin())))).rejects.toThrow(TornImageError);
  expect(store.newest?.epoch).toBe(1);
  expect(rig.kept().equals(before)).toBe(true);
});

function withFirstPage(image: Buffer, page: number): Buffer {
  image.writeUInt32LE(page, 64 + DEVICES.length);
  return image;
}

it('does not believe changes of a file that is another one now', async () => {
  await rig.delta.attach(rig.qmp);
  const store = rig.opened();
  await rig.checkpoint(store, 1);
  rig.change([3], 1);
  await rig.checkpoint(store, 2);
  const bytes = rig.kept();
  expect(rig.opened().newest?.epoch).toBe(2);
  rmSync(join(rig.images, 'ram'));
  writeFileSync(join(rig.images, 'ram'), bytes);
  expect(rig.opened().newest).toBeNull();
});

it('takes nothing while a machine may run on its memory', async () => {
  await rig.delta.attach(rig.qmp);
  const store = rig.opened(false, () => Promise.reject(new Error('it may be the VM')));
  await expect(rig.checkpoint(store, 1)).rejects.toThrow('it may be the VM');
  expect(readdirSync(rig.images)).toEqual([]);
});

it('does not mix images of both kinds', async () => {
  await rig.delta.attach(rig.qmp);
  await rig.checkpoint(rig.opened(), 1);
  const images = rig.images;
  expect(() => new ImageStore(images)).toThrow('was made with --delta');
  const other = new ImageStore(join(rig.folder, 'other'));
  await rig.put(other, 1, Buffer.from('all of it'));
  await expect(rig.put(other, 2, await rig.taken(rig.delta.begin()))).rejects.toThrow(TornImageError);
  expect(
    () => new ImageStore(join(rig.folder, 'other'), false, new RamBase(join(rig.folder, 'other'), false, free)),
  ).toThrow('without --delta');
});

it.each([
  ['is not shared', [{ id: 'pc.ram', size: RAM_BYTES, share: false }], 'must be one shared file, and it shares 0'],
  ['is in two parts', [0, 1].map((id) => ({ id: `ram${id}`, size: 4096, share: true })), 'it shares 2 memories'],
  ['is larger than the file', [{ id: 'pc.ram', size: 2 * RAM_BYTES, share: true }], `has ${RAM_BYTES} bytes`],
])('says what is wrong with a machine whose memory %s', async (_, memories, words) => {
  rig.qemu.answers.set('query-memdev', () => ({ return: memories }));
  await expect(rig.delta.attach(rig.qmp)).rejects.toThrow(words);
});

it('does not copy a file that is not the memory of the machine', async () => {
  writeFileSync(join(rig.folder, 'another'), Buffer.alloc(RAM_BYTES));
  await rig.delta.attach(rig.qmp);
  rig.qemu.answers.set('query-cpus-fast', () => ({ return: [{ 'thread-id': process.ppid }] }));
  await expect(new RamDelta(join(rig.folder, 'another')).attach(rig.qmp)).rejects.toThrow(
    "is not the machine's memory",
  );
});

/** What a crash may leave of a file that changes were being brought into: of each page the old, the new, or some of both. */
function tear(before: Buffer, after: Buffer, how: readonly number[]): Buffer {
  const torn = Buffer.from(after);
  for (let page = 0; page < PAGES; page++) {
    const old = [0, PAGE_BYTES / 2, PAGE_BYTES][how[page % how.length]!]!;
    before.copy(torn, page * PAGE_BYTES, page * PAGE_BYTES, page * PAGE_BYTES + old);
  }
  return torn;
}

it('is the newest whole checkpoint wherever it was cut short, in any order of things', async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constantFrom('kept' as const, 'unheard' as const, 'torn' as const, 'lost' as const) }),
    fc.record({ kind: fc.constantFrom('killed' as const, 'driver' as const, 'forget' as const) }),
  );
  const round = fc.record({
    step,
    pages: fc.array(fc.nat(PAGES - 1), { maxLength: 8 }),
    value: fc.nat(3),
    how: fc.array(fc.nat(2), { minLength: 1, maxLength: 7 }),
  });
  await rig.delta.attach(rig.qmp);
  await fc.assert(
    fc.asyncProperty(fc.array(round, { maxLength: 14, size: 'max' }), async (rounds) => {
      rmSync(rig.images, { recursive: true, force: true });
      rig.delta.restart();
      let store = rig.opened();
      let newest: { readonly epoch: number; readonly memory: Buffer } | null = null;
      let before: Buffer = Buffer.alloc(RAM_BYTES);
      for (const [
        i,
        {
          step: { kind },
          pages,
          value,
          how,
        },
      ] of rounds.entries()) {
        const epoch = i + 1;
        rig.change(pages, value);
        if (kind === 'kept' || kind === 'unheard') {
          before = newest?.memory ?? before;
          const copy = rig.delta.begin();
          await rig.put(store, epoch, await rig.taken(copy));
          newest = { epoch, memory: readFileSync(rig.ram) };
          if (kind === 'kept') copy.confirmed({ term: 1, epoch });
          else rig.delta.restart();
        } else if (kind === 'torn') {
          const image = await rig.taken(rig.delta.begin());
          await expect(rig.put(store, epoch, image, image.length - 1)).rejects.toThrow(TornImageError);
        } else if (kind === 'lost') {
          store.begin({ term: 1, epoch });
          store.write((await rig.taken(rig.delta.begin())).subarray(0, 100));
          store.abandon();
        } else if (kind === 'killed') {
          if (newest !== null) {
            const path = join(rig.images, 'ram');
            const torn = tear(before, newest.memory, how);
            const fd = openSync(path, 'r+');
            writeSync(fd, torn, 0, torn.length, 0);
            closeSync(fd);
            // The image before it may have its name still.
            writeFileSync(join(rig.images, `1.${newest.epoch - 1}.3.00000000.image`), 'old');
          }
          store = rig.opened();
          // Its driver finds another standby.
          rig.delta.restart();
        } else if (kind === 'forget') {
          store.forget();
          rig.delta.restart();
          newest = null;
        } else {
          await rig.delta.attach(rig.qmp);
        }
        expect(store.newest?.epoch ?? null).toBe(newest?.epoch ?? null);
        if (newest !== null) expect(rig.kept().equals(newest.memory), `${kind} in round ${epoch}`).toBe(true);
      }
    }),
    { numRuns: runs(40), ...SEED },
  );
});
