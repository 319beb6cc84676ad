/** What has to be durable before what: no file system shows it but one whose machine fails at that moment. */
import { appendFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DiskBarrier } from '../../../gateway/disk/disk-barrier.ts';
import type { DiskOptions } from '../../../gateway/disk/disk-options.ts';
import type { FileCalls } from './file-calls.ts';
import { openFiles } from './folders.ts';
import { WatchedDisks } from './watched-disks.ts';

let disks: WatchedDisks;
let where = '';
let calls: FileCalls;
const openDisk = (options: Partial<DiskOptions> = {}) => disks.open(options);

beforeEach(() => {
  disks = new WatchedDisks({ sizeBytes: 65_536 });
  ({ where, calls } = disks);
});

afterEach(() => disks.close());

const FIRST = 'log/0000000001.redo';
const SECOND = 'log/0000000002.redo';
const THIRD = 'log/0000000003.redo';

describe('durable is', () => {
  it('a new disk, its files and their names, when it is open', async () => {
    await openDisk({ log: join(where, 'a', 'b', 'log') });
    expect(calls.take()).toEqual([
      ...['truncate image', 'sync image', 'sync .'],
      // Each folder that was made.
      ...['sync a/b', 'sync a', 'sync .'],
      ...['writev a/b/log/0000000001.redo.new', 'sync a/b/log/0000000001.redo.new', 'rename a/b/log/0000000001.redo'],
      ...['sync a/b/log', 'sync a/b/log'],
    ]);
  });

  it('what a process that was killed has left, without its torn end, when the disk is open', async () => {
    const before = await openDisk();
    await before.start(1);
    await before.close();
    appendFileSync(join(where, FIRST), 'torn');
    calls.take();
    const disk = await openDisk();
    expect(calls.take()).toEqual([`truncate ${FIRST}`, `sync ${FIRST}`, 'sync log']);
    await disk.flush();
    expect(calls.take(), 'the log knows it').toEqual([]);
  });

  it('a segment, before the next one has its name; and that name, before anything is written to it', async () => {
    const disk = await openDisk({ segmentBytes: 4096 });
    await disk.start(1);
    calls.take();
    for (let index = 0; index < 2; index++) await disk.write(0, [Buffer.alloc(3000, index)]);
    expect(calls.take()).toEqual([
      ...[`writev ${FIRST}`, `datasync ${FIRST}`],
      ...[`writev ${SECOND}.new`, `sync ${SECOND}.new`, `rename ${SECOND}`, 'sync log', `writev ${SECOND}`],
    ]);
  });

  it('what a commit says, before the first of its bytes is in the image; and the image, before the log forgets them', async () => {
    const disk = await openDisk({ segmentBytes: 4096 });
    for (let index = 0; index < 3; index++) await disk.write(4096 * index, [Buffer.alloc(3000, index + 1)]);
    calls.take();
    await disk.settle();
    const image = ['writev image', 'writev image', 'writev image', 'sync image'];
    // One by one, so that none is missing between two others.
    const log = [`unlink ${FIRST}`, 'sync log', `unlink ${SECOND}`, 'sync log'];
    expect(calls.take()).toEqual([`datasync ${THIRD}`, ...image, ...log]);
    expect(disk.status).toMatchObject({ extents: 0, log: { segments: 1 } });
    const files = ['image', THIRD, 'log/lock'];
    expect(openFiles(where)).toEqual(files.map((name) => join(where, name)));
    await disk.settle();
    expect(calls.take(), 'there is nothing left to do').toEqual([]);
  });

  it('everything, when the disk is closed', async () => {
    const disk = await openDisk();
    await disk.start(1);
    await disk.write(0, [Buffer.alloc(10)]);
    calls.take();
    await disk.close();
    expect(calls.take()).toEqual([`datasync ${FIRST}`]);
  });

  it('a seal, some time later, also where nobody asks for it', async () => {
    const disk = await openDisk();
    await disk.start(1);
    calls.take();
    await disk.seal(1, 1);
    await expect.poll(() => disk.status.log.unsyncedBytes, { timeout: 60_000 }).toBe(0);
    expect(calls.take()).toEqual([`writev ${FIRST}`, `datasync ${FIRST}`]);
  });
});

it('an image that cannot be made leaves nothing behind', async () => {
  calls.fail('truncate image', 'EFBIG');
  await expect(openDisk()).rejects.toMatchObject({ code: 'EFBIG' });
  expect(readdirSync(where)).toEqual([]);
  await openDisk();
});

it('what cannot be read from the log is not made up', async () => {
  const disk = await openDisk();
  await disk.write(0, [Buffer.from('kept')]);
  calls.fail(`read ${FIRST}`, 'EIO');
  await expect(disk.read(Buffer.alloc(4), 0)).rejects.toMatchObject({ code: 'EIO' });
  calls.fail(`read ${FIRST}`, 'EIO');
  await expect(disk.settle()).rejects.toMatchObject({ code: 'EIO' });
  expect(calls.take()).not.toContain('writev image');
});

describe('a log that cannot be written', () => {
  const failed = { code: 'disk-failed' };

  async function expectFailed(disk: DiskBarrier): Promise<void> {
    expect(disk.status.state).toBe('failed');
    calls.take();
    await expect(disk.write(0, [Buffer.from('more')])).rejects.toMatchObject(failed);
    await expect(disk.flush()).rejects.toMatchObject(failed);
    await expect(disk.commit(1, 1)).rejects.toMatchObject(failed);
    const bytes = Buffer.alloc(4);
    await disk.read(bytes, 0);
    expect(bytes.toString()).toBe('kept');
    await expect(disk.close()).rejects.toMatchObject(failed);
    expect(calls.take(), 'a second try would only look like success').toEqual([]);
  }

  /** A disk with a durable seal. */
  async function sealed(): Promise<DiskBarrier> {
    const disk = await openDisk({ segmentBytes: 4096 });
    await disk.start(1);
    await disk.write(0, [Buffer.from('kept')]);
    await disk.seal(1, 1);
    await disk.durableThrough(1, 1);
    calls.take();
    return disk;
  }

  it('durably is not asked again: what is not durable by then never is', async () => {
    const disk = await openDisk();
    await disk.start(1);
    await disk.write(0, [Buffer.from('kept')]);
    calls.fail(`datasync ${FIRST}`, 'EIO');
    await disk.seal(1, 1);
    await expect(disk.durableThrough(1, 1)).rejects.toMatchObject(failed);
    await expect(disk.durableThrough(1, 1)).rejects.toMatchObject(failed);
    await expectFailed(disk);
    const again = await openDisk();
    expect(again.status).toMatchObject({ state: 'on', term: 1 });
  });

  it('lets nothing pass that waits for its turn then', async () => {
    const disk = await openDisk({ sizeBytes: 8 * 2 ** 20 });
    await disk.start(1);
    await disk.write(0, [Buffer.from('kept')]);
    calls.fail(`writev ${FIRST}`, 'EIO');
    // Too many bytes to be written at once.
    const writes = [0, 1].map((index) => disk.write(index * 3 * 2 ** 20, [Buffer.alloc(3 * 2 ** 20, 1)]));
    for (const result of await Promise.allSettled(writes)) {
      expect(result).toMatchObject({ status: 'rejected', reason: failed });
    }
    expect(disk.status.lostWrites).toBe(2);
    await expectFailed(disk);
  });

  it('durably, has no segment after it', async () => {
    const disk = await sealed();
    await disk.write(4, [Buffer.from('more')]);
    calls.fail(`datasync ${FIRST}`, 'EIO');
    calls.take();
    await expect(disk.write(0, [Buffer.alloc(4000)])).rejects.toMatchObject(failed);
    await expectFailed(disk);
  });

  it.each([
    ['EIO', 'a failure', []],
    ['ENOSPC', 'a lack of room', [`truncate ${FIRST}`, `sync ${FIRST}`]],
    ['EDQUOT', 'a lack of room', [`truncate ${FIRST}`, `sync ${FIRST}`]],
    ['EFBIG', 'a lack of room', [`truncate ${FIRST}`, `sync ${FIRST}`]],
  ] as const)('for %s is %s', async (code, what, undone) => {
    const disk = await sealed();
    calls.fail(`writev ${FIRST}`, code);
    calls.take();
    const isFailed = what === 'a failure';
    await expect(disk.write(0, [Buffer.from('lost')])).rejects.toMatchObject(isFailed ? failed : { code: 'log-full' });
    if (isFailed) {
      await expectFailed(disk);
      return;
    }
    expect(calls.take(), 'what is in the file of it is taken back').toEqual([`writev ${FIRST}`, ...undone]);
    expect(disk.status).toMatchObject({ state: 'on', lostWrites: 1 });
    expect(await disk.commit(1, 1)).toBe(true);
  });

  it.each(['truncate', 'sync'])('nor taken back, is a failure: %s', async (call) => {
    const disk = await sealed();
    calls.fail(`writev ${FIRST}`, 'ENOSPC');
    calls.fail(`${call} ${FIRST}`, 'EIO');
    await expect(disk.write(0, [Buffer.from('lost')])).rejects.toMatchObject(failed);
    await expectFailed(disk);
  });

  it.each([
    ['ENOSPC', 'log-full', 'on'],
    ['EIO', 'disk-failed', 'failed'],
  ])('because a segment cannot be made (%s): %s', async (code, error, state) => {
    const disk = await openDisk({ segmentBytes: 4096 });
    await disk.start(1);
    await disk.write(0, [Buffer.alloc(3000, 1)]);
    calls.fail(`writev ${SECOND}.new`, code);
    await expect(disk.write(0, [Buffer.alloc(3000, 2)])).rejects.toMatchObject({ code: error });
    expect(disk.status).toMatchObject({ state, lostWrites: 1, log: { segments: 1 } });
    if (state === 'failed') return;
    await disk.write(0, [Buffer.alloc(3000, 3)]);
    expect(disk.status.log.segments).toBe(2);
  });
});
