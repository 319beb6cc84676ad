import { mkdirSync, readdirSync, readFileSync, rmdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ImageStore, TornImageError } from '../../../gateway/protect/image-store.ts';
import { temporaryFolder } from '../../support/run-cli.ts';
import { runs, SEED } from '../../support/runs.ts';

const folders = temporaryFolder();
let made = 0;

function newFolder(): string {
  return folders.path(`images${made++}`);
}

async function put(store: ImageStore, term: number, epoch: number, text: string): Promise<void> {
  const bytes = Buffer.from(text);
  store.begin({ term, epoch });
  store.write(bytes.subarray(0, 2));
  store.write(bytes.subarray(2));
  await store.end({ term, epoch }, bytes.length, crc32(bytes));
}

function newestText(store: ImageStore): string | null {
  return store.newest === null ? null : readFileSync(store.newest.path, 'latin1');
}

it('keeps the last complete image, also where the next one is shorter', async () => {
  const store = new ImageStore(newFolder());
  expect(store.newest).toBeNull();
  await put(store, 1, 1, 'the first one');
  await put(store, 1, 2, 'second');
  await put(store, 1, 3, '3rd');
  expect(store.newest).toMatchObject({ term: 1, epoch: 3, bytes: 3 });
  expect(newestText(store)).toBe('3rd');
});

it('refuses an image that is shorter than its sender says, damaged, or another one, and keeps the one before', async () => {
  const store = new ImageStore(newFolder(), true);
  await put(store, 1, 1, 'whole');
  for (const [epoch, bytes, crc] of [
    [2, 5, crc32(Buffer.from('torn'))],
    [2, 4, crc32(Buffer.from('tarn'))],
    [3, 4, crc32(Buffer.from('torn'))],
  ] as const) {
    store.begin({ term: 1, epoch: 2 });
    store.write(Buffer.from('torn'));
    await expect(store.end({ term: 1, epoch }, bytes, crc)).rejects.toThrow(TornImageError);
  }
  await expect(store.end({ term: 1, epoch: 2 }, 0, 0)).rejects.toThrow(TornImageError);
  store.begin({ term: 1, epoch: 2 });
  store.write(Buffer.from('of another term'));
  await expect(store.end({ term: 2, epoch: 2 }, 15, crc32('of another term'))).rejects.toThrow(TornImageError);
  await expect(store.end({ term: 1, epoch: 2 }, 14, crc32('of another term'))).rejects.toThrow(TornImageError);
  expect(store.incoming).toBeNull();
  expect(store.newest?.epoch).toBe(1);
  expect(newestText(store)).toBe('whole');
});

it('finds its image again after the process was killed, whatever else lies there', async () => {
  const folder = newFolder();
  const store = new ImageStore(folder);
  await put(store, 2, 7, 'seven');
  store.begin({ term: 2, epoch: 8 });
  store.write(Buffer.from('eig'));
  writeFileSync(join(folder, '9.9.4.00000000.image'), 'fake');
  writeFileSync(join(folder, '1.3.5.12345678.image'), 'older');
  const again = new ImageStore(folder);
  expect(again.newest).toMatchObject({ term: 2, epoch: 7 });
  expect(newestText(again)).toBe('seven');
  expect(readdirSync(folder).filter((name) => name.endsWith('.image'))).toHaveLength(1);
});

it('finds the image of the newest term, whatever its epoch, and whatever its checksum begins with', async () => {
  const folder = newFolder();
  const text = 'image 11';
  expect(crc32(text).toString(16).length).toBeLessThan(8);
  await put(new ImageStore(folder), 2, 1, text);
  writeFileSync(join(folder, `1.9.5.${crc32('older').toString(16).padStart(8, '0')}.image`), 'older');
  const again = new ImageStore(folder);
  expect(again.newest).toMatchObject({ term: 2, epoch: 1 });
  expect(newestText(again)).toBe(text);
});

it('keeps an image that comes once more', async () => {
  const store = new ImageStore(newFolder());
  await put(store, 1, 1, 'the same');
  await put(store, 1, 1, 'the same');
  expect(newestText(store)).toBe('the same');
});

it.each([
  ['before', () => true],
  ['after', (folder: string) => readdirSync(folder).some((name) => name.startsWith('1.2.'))],
])('an image that is given up while the storage takes it, %s it has its name, does not count', async (_, isTime) => {
  const folder = newFolder();
  const store = new ImageStore(folder, true);
  await put(store, 1, 1, 'one');
  store.begin({ term: 1, epoch: 2 });
  store.write(Buffer.from('two'));
  const ended = store.end({ term: 1, epoch: 2 }, 3, crc32('two'));
  const refused = expect(ended).rejects.toThrow('was abandoned');
  while (!isTime(folder)) await nextTurn();
  store.abandon();
  await refused;
  expect(newestText(store)).toBe('one');
  expect(newestText(new ImageStore(folder))).toBe('one');
});

it('leaves no file open that it does not need', async () => {
  const store = new ImageStore(newFolder());
  const open = () => readdirSync('/proc/self/fd').length;
  store.begin({ term: 1, epoch: 1 });
  const before = open();
  for (let epoch = 2; epoch < 50; epoch++) store.begin({ term: 1, epoch });
  expect(open()).toBeLessThan(before + 20);
  store.close();
});

it('does not count an image that lost its end', async () => {
  const folder = newFolder();
  const store = new ImageStore(folder);
  await put(store, 1, 1, 'whole');
  truncateSync(store.newest!.path, 3);
  expect(new ImageStore(folder).newest).toBeNull();
});

it('forgets what is of no use any more', async () => {
  const folder = newFolder();
  const store = new ImageStore(folder);
  await put(store, 1, 1, 'whole');
  store.forget();
  expect(store.newest).toBeNull();
  store.close();
  expect(readdirSync(folder)).toEqual([]);
});

it.each([false, true])(
  'an image that there is no room for is abandoned, and the next one is taken (synced: %s)',
  async (syncs) => {
    const folder = newFolder();
    const store = new ImageStore(folder, syncs);
    await put(store, 1, 1, 'whole');
    // Written to, it is a full file system.
    symlinkSync('/dev/full', join(folder, 'incoming'));
    const why = `${folder}/incoming: ENOSPC: no space left on device, write`;
    const refused = put(store, 1, 2, 'there is no room');
    await expect(refused).rejects.toThrow(TornImageError);
    await expect(refused).rejects.toThrow(why);
    expect([store.trouble, store.incoming, newestText(store)]).toEqual([why, null, 'whole']);
    expect(readdirSync(folder), 'what was written gives its room back').not.toContain('incoming');
    store.abandon();
    store.begin({ term: 1, epoch: 3 });
    expect(store.trouble, 'until one is whole').toBe(why);
    await expect(store.end({ term: 1, epoch: 2 }, 1, 1), 'of another image').rejects.toThrow('no image of epoch 2');
    await put(store, 1, 3, 'there is room');
    expect([store.trouble, newestText(store)]).toEqual([null, 'there is room']);
  },
);

it('an image that cannot even be begun is refused at its end, and says why', async () => {
  const folder = newFolder();
  const store = new ImageStore(folder);
  await put(store, 1, 1, 'whole');
  mkdirSync(join(folder, 'incoming'));
  const why = `EISDIR: illegal operation on a directory, open '${folder}/incoming'`;
  await expect(put(store, 1, 2, 'cannot be begun')).rejects.toThrow(why);
  expect([store.trouble, newestText(store)]).toEqual([why, 'whole']);
  expect(() => new ImageStore(folder)).toThrow(`${folder}/incoming is there and is no file`);
  store.close();
  rmdirSync(join(folder, 'incoming'));
  await put(store, 1, 3, 'can be');
  expect([store.trouble, newestText(store)]).toEqual([null, 'can be']);
});

it('never has another newest image than the last complete one, in any order of things', async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('put' as const), text: fc.string({ minLength: 1, maxLength: 20 }) }),
    fc.record({ kind: fc.constantFrom('abandon' as const, 'begin' as const, 'torn' as const, 'restart' as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const folder = newFolder();
      let store = new ImageStore(folder);
      let last: string | null = null;
      let epoch = 0;
      for (const one of steps) {
        epoch++;
        if (one.kind === 'put') {
          const bytes = Buffer.from(one.text);
          store.begin({ term: 1, epoch });
          store.write(bytes);
          await store.end({ term: 1, epoch }, bytes.length, crc32(bytes));
          last = bytes.toString('latin1');
        } else if (one.kind === 'restart') {
          store = new ImageStore(folder);
        } else if (one.kind === 'abandon') {
          store.abandon();
        } else {
          store.begin({ term: 1, epoch });
          store.write(Buffer.from('half of something'));
          if (one.kind === 'torn') await store.end({ term: 1, epoch }, 99, 0).catch(() => {});
        }
        expect(newestText(store)).toBe(last);
      }
    }),
    { numRuns: runs(30), ...SEED },
  );
});
