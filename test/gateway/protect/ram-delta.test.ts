/** From a machine's memory to the file at its standby, with all that may be cut short between them. */
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { PAGE_BYTES } from '../../../gateway/protect/delta-image.ts';
import { ImageStore, TornImageError } from '../../../gateway/protect/image-store.ts';
import { QmpClient } from '../../../gateway/protect/qmp.ts';
import { RamBase } from '../../../gateway/protect/ram-base.ts';
import { type DeltaCopy, RamDelta } from '../../../gateway/protect/ram-delta.ts';
import { FakeQemu } from '../../support/fake-qemu.ts';
import { temporaryFolder } from '../../support/run-cli.ts';
import { runs, SEED } from '../../support/runs.ts';

const PAGES = 40;
const RAM_BYTES = PAGES * PAGE_BYTES;
const DEVICES = Buffer.from('as QEMU wrote them');
const link = { isClosed: false, closed: new Promise<void>(() => {}) };
const free = () => Promise.resolve();

const folders = temporaryFolder();
let made = 0;
let folder: string;
/** The machine's memory. */
let ram: string;
let qemu: FakeQemu;
let qmp: QmpClient;
let delta: RamDelta;

beforeEach(async () => {
  folder = folders.path(`delta${made++}`);
  mkdirSync(folder);
  ram = join(folder, 'machine');
  writeFileSync(ram, Buffer.alloc(RAM_BYTES));
  qemu = new FakeQemu(join(folder, 'qmp'));
  qemu.answers.set('query-memdev', () => ({ return: [{ id: 'pc.ram', size: RAM_BYTES, share: true }] }));
  qemu.answers.set('qom-get', () => ({ return: ram }));
  // A thread that has the file mapped: this process, which looks at it.
  qemu.answers.set('query-cpus-fast', () => ({ return: [{ 'thread-id': process.pid }] }));
  qmp = await QmpClient.connect(join(folder, 'qmp'));
  delta = new RamDelta(null);
});
afterEach(() => {
  delta.close();
  qmp.close();
  qemu.die();
});

function opened(syncs = false): ImageStore {
  const images = join(folder, 'images');
  return new ImageStore(images, syncs, new RamBase(images, syncs, free));
}

function kept(): Buffer {
  return readFileSync(join(folder, 'images', 'ram'));
}

/** The guest writes into some of its pages; 0: what they were at first. */
function change(pages: readonly number[], value: number): void {
  const fd = openSync(ram, 'r+');
  for (const page of pages)
    writeSync(fd, Buffer.alloc(PAGE_BYTES - 10, value), 0, PAGE_BYTES - 10, page * PAGE_BYTES + 5);
  closeSync(fd);
}

/** @returns what one checkpoint sends */
async function taken(copy: DeltaCopy): Promise<Buffer> {
  copy.write(DEVICES);
  copy.takeChanges();
  const pieces: Buffer[] = [];
  const write = (bytes: Uint8Array) => pieces.push(Buffer.from(bytes)) > 0;
  await copy.send({ write, onDrained() {} }, link);
  return Buffer.concat(pieces);
}

async function put(store: ImageStore, epoch: number, image: Buffer, bytes = image.length): Promise<void> {
  store.begin({ term: 1, epoch });
  store.write(image.subarray(0, bytes));
  await store.end({ term: 1, epoch }, bytes, crc32(image.subarray(0, bytes)));
}

async function checkpoint(store: ImageStore, epoch: number): Promise<void> {
  const copy = delta.begin();
  await put(store, epoch, await taken(copy));
  copy.confirmed({ term: 1, epoch });
}

it('sends all of memory first, then what has changed, and the standby has the same', async () => {
  change([1, 2, 39], 7);
  await delta.attach(qmp);
  const store = opened(true);
  await checkpoint(store, 1);
  expect(kept().equals(readFileSync(ram))).toBe(true);
  change([2, 20], 8);
  change([39], 0);
  const copy = delta.begin();
  const image = await taken(copy);
  expect(image.length, 'three pages and not all of them').toBeLessThan(4 * (PAGE_BYTES + 4));
  await put(store, 2, image);
  expect(kept().equals(readFileSync(ram))).toBe(true);
  const { start, bytes } = store.newest!.devices!;
  expect(readFileSync(store.newest!.path).subarray(start, start + bytes)).toEqual(DEVICES);
});

it('sends what a failed checkpoint had found once more', async () => {
  await delta.attach(qmp);
  const store = opened();
  await checkpoint(store, 1);
  change([3], 1);
  await taken(delta.begin());
  change([4], 2);
  await checkpoint(store, 2);
  expect(kept().equals(readFileSync(ram))).toBe(true);
});

it('clears what a driver that comes anew does not send, for it is zero', async () => {
  await delta.attach(qmp);
  const store = opened();
  change([3, 20], 1);
  await checkpoint(store, 1);
  change([20], 0);
  await delta.attach(qmp);
  const copy = delta.begin();
  const image = await taken(copy);
  expect(image.length).toBeLessThan(2 * PAGE_BYTES);
  await put(store, 2, image);
  expect(kept().equals(readFileSync(ram))).toBe(true);
});

it('refuses changes of another checkpoint than the one that is there, and keeps that', async () => {
  await delta.attach(qmp);
  const store = opened();
  await checkpoint(store, 1);
  const before = kept();
  const lost = delta.begin();
  change([3], 1);
  await taken(lost);
  lost.confirmed({ term: 1, epoch: 2 });
  change([4], 2);
  await expect(put(store, 3, await taken(delta.begin()))).rejects.toThrow(TornImageError);
  expect(store.newest?.epoch).toBe(1);
  expect(kept().equals(before)).toBe(true);
});

it.each([
  ['shorter', (image: Buffer) => image.subarray(0, -1)],
  ['longer', (image: Buffer) => Buffer.concat([image, Buffer.alloc(1)])],
  ['of all memory, as QEMU sends it', () => Buffer.from('QEVM…')],
  ['of a page beyond memory', (image: Buffer) => withFirstPage(image, PAGES)],
  ['of pages in disorder', (image: Buffer) => withFirstPage(image, 9)],
])('does not take an image that is whole on its way but %s', async (_, spoil) => {
  await delta.attach(qmp);
  const store = opened();
  await checkpoint(store, 1);
  change([3, 5], 1);
  const before = kept();
  await expect(put(store, 2, spoil(await taken(delta.begin())))).rejects.toThrow(TornImageError);
  expect(store.newest?.epoch).toBe(1);
  expect(kept().equals(before)).toBe(true);
});

function withFirstPage(image: Buffer, page: number): Buffer {
  image.writeUInt32LE(page, 64 + DEVICES.length);
  return image;
}

it('does not believe changes of a file that is another one now', async () => {
  await delta.attach(qmp);
  const store = opened();
  await checkpoint(store, 1);
  change([3], 1);
  await checkpoint(store, 2);
  const bytes = kept();
  expect(opened().newest?.epoch).toBe(2);
  rmSync(join(folder, 'images', 'ram'));
  writeFileSync(join(folder, 'images', 'ram'), bytes);
  expect(opened().newest).toBeNull();
});

it('has no checkpoint any more once a machine runs on its memory', async () => {
  await delta.attach(qmp);
  const store = opened();
  await checkpoint(store, 1);
  store.handOver();
  expect(opened().newest).toBeNull();
});

it('takes nothing while a machine may run on its memory', async () => {
  await delta.attach(qmp);
  const images = join(folder, 'images');
  const store = new ImageStore(
    images,
    false,
    new RamBase(images, false, () => Promise.reject(new Error('it may be the VM'))),
  );
  await expect(checkpoint(store, 1)).rejects.toThrow('it may be the VM');
  expect(readdirSync(images)).toEqual(['incoming']);
});

it('does not mix images of both kinds', async () => {
  await delta.attach(qmp);
  await checkpoint(opened(), 1);
  const images = join(folder, 'images');
  expect(() => new ImageStore(images)).toThrow('was made with --delta');
  const other = new ImageStore(join(folder, 'other'));
  await put(other, 1, Buffer.from('all of it'));
  await expect(put(other, 2, await taken(delta.begin()))).rejects.toThrow(TornImageError);
  expect(() => new ImageStore(join(folder, 'other'), false, new RamBase(join(folder, 'other'), false, free))).toThrow(
    'without --delta',
  );
});

it.each([
  ['is not shared', [{ id: 'pc.ram', size: RAM_BYTES, share: false }], 'must be one shared file, and it shares 0'],
  ['is in two parts', [0, 1].map((id) => ({ id: `ram${id}`, size: 4096, share: true })), 'it shares 2 memories'],
  ['is larger than the file', [{ id: 'pc.ram', size: 2 * RAM_BYTES, share: true }], `has ${RAM_BYTES} bytes`],
])('says what is wrong with a machine whose memory %s', async (_, memories, words) => {
  qemu.answers.set('query-memdev', () => ({ return: memories }));
  await expect(delta.attach(qmp)).rejects.toThrow(words);
});

it('does not copy a file that is not the memory of the machine', async () => {
  writeFileSync(join(folder, 'another'), Buffer.alloc(RAM_BYTES));
  await delta.attach(qmp);
  qemu.answers.set('query-cpus-fast', () => ({ return: [{ 'thread-id': process.ppid }] }));
  await expect(new RamDelta(join(folder, 'another')).attach(qmp)).rejects.toThrow("is not the machine's memory");
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
  await delta.attach(qmp);
  await fc.assert(
    fc.asyncProperty(fc.array(round, { maxLength: 14, size: 'max' }), async (rounds) => {
      rmSync(join(folder, 'images'), { recursive: true, force: true });
      delta.restart();
      let store = opened();
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
        change(pages, value);
        if (kind === 'kept' || kind === 'unheard') {
          before = newest?.memory ?? before;
          const copy = delta.begin();
          await put(store, epoch, await taken(copy));
          newest = { epoch, memory: readFileSync(ram) };
          if (kind === 'kept') copy.confirmed({ term: 1, epoch });
          else delta.restart();
        } else if (kind === 'torn') {
          const image = await taken(delta.begin());
          await expect(put(store, epoch, image, image.length - 1)).rejects.toThrow(TornImageError);
        } else if (kind === 'lost') {
          store.begin({ term: 1, epoch });
          store.write((await taken(delta.begin())).subarray(0, 100));
          store.abandon();
        } else if (kind === 'killed') {
          if (newest !== null) {
            const path = join(folder, 'images', 'ram');
            const torn = tear(before, newest.memory, how);
            const fd = openSync(path, 'r+');
            writeSync(fd, torn, 0, torn.length, 0);
            closeSync(fd);
            // The image before it may have its name still.
            writeFileSync(join(folder, 'images', `1.${newest.epoch - 1}.3.00000000.image`), 'old');
          }
          store = opened();
          // Its driver finds another standby.
          delta.restart();
        } else if (kind === 'forget') {
          store.forget();
          delta.restart();
          newest = null;
        } else {
          await delta.attach(qmp);
        }
        expect(store.newest?.epoch ?? null).toBe(newest?.epoch ?? null);
        if (newest !== null) expect(kept().equals(newest.memory), `${kind} in round ${epoch}`).toBe(true);
      }
    }),
    { numRuns: runs(40), ...SEED },
  );
});
