/** What happens while something else is under way, each of these moments held open. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { DiskBarrier } from '../../../gateway/disk/disk-barrier.ts';
import type { DiskOptions } from '../../../gateway/disk/disk-options.ts';
import { Flusher } from '../../../gateway/disk/flusher.ts';
import { until } from '../../support/netns.ts';
import type { FileCalls } from './file-calls.ts';
import { WatchedDisks } from './watched-disks.ts';

const MIB = 2 ** 20;
const FIRST = 'log/0000000001.redo';

let disks: WatchedDisks;
let where = '';
let calls: FileCalls;
const openDisk = (options: Partial<DiskOptions> = {}) => disks.open(options);

beforeEach(() => {
  disks = new WatchedDisks({ sizeBytes: 8 * MIB, segmentBytes: 4096 });
  ({ where, calls } = disks);
});

afterEach(() => disks.close());

async function firstByte(disk: DiskBarrier, from = 0): Promise<number> {
  const byte = Buffer.alloc(1);
  await disk.read(byte, from);
  return byte[0]!;
}

/** Some turns of the event loop, which bring about whatever waits for nothing. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

function isDone(promise: Promise<unknown>): () => boolean {
  let isOver = false;
  const over = () => {
    isOver = true;
  };
  promise.then(over, over);
  return () => isOver;
}

describe('while a sync is under way', () => {
  it('what is written is not durable with it', async () => {
    const disk = await openDisk();
    await disk.start(1);
    await disk.write(0, [Buffer.from('before')]);
    const goOn = calls.hold(`datasync ${FIRST}`);
    const flush = disk.flush();
    await until(() => calls.waiting.size === 1, 'the sync');
    await disk.write(0, [Buffer.alloc(100)]);
    goOn();
    await flush;
    expect(disk.status.log.unsyncedBytes).toBe(156);
    calls.take();
    await disk.flush();
    expect(calls.take()).toEqual([`datasync ${FIRST}`]);
  });

  it('its segment may be removed', async () => {
    const disk = await openDisk();
    await disk.start(1);
    await disk.write(0, [Buffer.from('lost')]);
    const goOn = calls.hold(`datasync ${FIRST}`);
    const flush = disk.flush();
    await until(() => calls.waiting.size === 1, 'the sync');
    const failover = disk.failover(1);
    await until(() => disk.fence === 2, 'the rollback');
    await disk.handOver();
    expect(calls.take()).toContain(`unlink ${FIRST}`);
    goOn();
    await flush;
    await failover.catch(() => {});
  });

  it('an epoch is not durable whose barrier was written meanwhile, or is on its way', async () => {
    const disk = await openDisk();
    await disk.start(1);
    await disk.write(0, [Buffer.from('kept')]);
    await disk.flush();
    const goOn = calls.hold(`datasync ${FIRST}`);
    await disk.seal(1, 1);
    const durable = disk.durableThrough(1, 1);
    const isDurable = isDone(durable);
    await until(() => calls.waiting.size === 1, 'the sync');
    await turns();
    expect(isDurable()).toBe(false);
    goOn();
    await durable;
  });
});

describe('while a read is under way', () => {
  it('its segment may be removed', async () => {
    const disk = await openDisk();
    await disk.write(0, [Buffer.alloc(1, 7)]);
    const goOn = calls.hold(`read ${FIRST}`);
    const byte = firstByte(disk);
    await until(() => calls.waiting.size === 1, 'the read');
    await disk.handOver();
    expect(calls.take()).toContain(`unlink ${FIRST}`);
    goOn();
    expect(await byte).toBe(7);
  });

  it('the bytes are not given back before all parts of it are over, also where one fails', async () => {
    const disk = await openDisk();
    await disk.start(1);
    for (const at of [0, 1]) await disk.write(at * 3000, [Buffer.alloc(3000, at)]);
    const goOn = calls.hold('read log/0000000002.redo');
    calls.fail(`read ${FIRST}`, 'EIO');
    const read = disk.read(Buffer.alloc(6000), 0);
    const isOver = isDone(read);
    await until(() => calls.waiting.size === 1, 'the read');
    await turns();
    expect(isOver()).toBe(false);
    goOn();
    await expect(read).rejects.toMatchObject({ code: 'EIO' });
  });
});

describe('while segments are removed', () => {
  it('what is written meanwhile is kept', async () => {
    const disk = await openDisk();
    for (const at of [0, 1]) await disk.write(at * 3000, [Buffer.alloc(3000, 1)]);
    const goOn = calls.hold(`unlink ${FIRST}`);
    const settled = disk.settle();
    await until(() => calls.waiting.size === 1, 'the first is removed');
    await disk.start(1);
    await disk.write(0, [Buffer.alloc(500, 2)]);
    await disk.write(3000, [Buffer.alloc(3000, 3)]);
    goOn();
    await settled;
    expect(disk.status.log.segments).toBe(2);
    expect([await firstByte(disk), await firstByte(disk, 3000)]).toEqual([2, 3]);
  });
});

describe('while a flush is under way', () => {
  it('what is committed meanwhile follows by itself', async () => {
    const disk = await openDisk({ flushDelayMs: 1 });
    const goOn = calls.hold('sync image');
    await disk.write(0, [Buffer.alloc(1, 1)]);
    await until(() => calls.waiting.size === 1, 'the flush');
    const flush = vi.spyOn(Flusher.prototype, 'flush');
    await disk.write(0, [Buffer.alloc(1, 2)]);
    // Which finds one under way.
    await until(() => flush.mock.calls.length > 0, 'the next one');
    flush.mockRestore();
    goOn();
    await until(() => disk.status.isSettled, 'all to be in the image');
    expect(readFileSync(join(where, 'image'))[0]).toBe(2);
  });

  it('that fails, nothing of it is lost, and it is tried again by itself', async () => {
    const disk = await openDisk({ flushDelayMs: 1 });
    calls.fail('writev image', 'EIO');
    calls.fail('sync image', 'EIO');
    calls.fail(`read ${FIRST}`, 'EIO');
    await disk.write(0, [Buffer.alloc(1, 1)]);
    await until(() => disk.status.isSettled, 'all to be in the image');
    expect(readFileSync(join(where, 'image'))[0]).toBe(1);
    expect(calls.take().filter((call) => call === 'writev image')).toHaveLength(3);
  });

  it('and only the log cannot be made shorter, that is tried again by itself', async () => {
    const disk = await openDisk({ flushDelayMs: 1 });
    const turned: (string | null)[] = [];
    disk.watchFlushes((why) => turned.push(why?.message ?? null));
    calls.fail(`unlink ${FIRST}`, 'EIO');
    for (const at of [0, 1]) await disk.write(at * 3000, [Buffer.alloc(3000, 1)]);
    await until(() => turned.length === 2, 'a failure, and its end');
    expect(turned).toEqual(['EIO: made to fail', null]);
    expect(disk.status).toMatchObject({ flushError: null, log: { segments: 1 } });
    expect(calls.take()).toContain(`unlink ${FIRST}`);
    await disk.close();
    const again = await openDisk();
    expect(await firstByte(again, 3000)).toBe(1);
  });

  it('the disk is not closed, and no other begins', async () => {
    const disk = await openDisk({ flushDelayMs: 1 });
    const goOn = calls.hold('writev image');
    await disk.write(0, [Buffer.alloc(1, 1)]);
    await until(() => calls.waiting.size === 1, 'the flush');
    calls.fail('writev image', 'EIO');
    const closed = disk.close();
    const isClosed = isDone(closed);
    await turns();
    expect(isClosed()).toBe(false);
    const flush = vi.spyOn(Flusher.prototype, 'flush');
    goOn();
    await closed;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(flush).not.toHaveBeenCalled();
    flush.mockRestore();
  });
});

it('a flush that waits for its time does not begin after the disk is closed', async () => {
  const disk = await openDisk({ flushDelayMs: 20 });
  const flush = vi.spyOn(Flusher.prototype, 'flush');
  await disk.write(0, [Buffer.alloc(1, 1)]);
  await disk.close();
  const before = flush.mock.calls.length;
  await new Promise((resolve) => setTimeout(resolve, 40));
  expect(flush.mock.calls.length).toBe(before);
  flush.mockRestore();
});

it.each([
  ['a write without a term', (disk: DiskBarrier) => disk.stop(1).then(() => disk.write(100, [Buffer.from('x')]))],
  ['a commit', (disk: DiskBarrier) => disk.commit(1, 1)],
  ['a rollback', (disk: DiskBarrier) => disk.rollback(1, 1)],
  ['a stop', (disk: DiskBarrier) => disk.stop(1)],
])('%s brings into the image by itself what is committed', async (_, ask) => {
  const disk = await openDisk({ flushDelayMs: 1 });
  await disk.start(1);
  await disk.write(0, [Buffer.alloc(1, 1)]);
  await disk.seal(1, 1);
  await ask(disk);
  await until(() => disk.status.isSettled, 'all to be in the image');
  expect(readFileSync(join(where, 'image'))[0]).toBe(1);
});

it('so does opening the disk, where what is committed was not in the image yet', async () => {
  const disk = await openDisk();
  await disk.write(0, [Buffer.alloc(1, 1)]);
  await disk.close();
  const again = await openDisk({ flushDelayMs: 1 });
  await until(() => again.status.isSettled, 'all to be in the image');
  expect(readFileSync(join(where, 'image'))[0]).toBe(1);
});

it('what is on its way into the log when the disk is closed gets there', async () => {
  const disk = await openDisk();
  await disk.start(1);
  const goOn = calls.hold(`writev ${FIRST}`);
  const writes = [1, 2].map((fill) => disk.write((fill - 1) * 3 * MIB, [Buffer.alloc(3 * MIB, fill)]));
  await turns();
  const closed = disk.close();
  await turns();
  goOn();
  await Promise.all([...writes, closed]);
  const again = await openDisk();
  expect([await firstByte(again), await firstByte(again, 3 * MIB)]).toEqual([1, 2]);
});

it('a failover that was asked for after a commit goes back to what that commits', async () => {
  const disk = await openDisk();
  await disk.start(1);
  await disk.write(0, [Buffer.alloc(1, 1)]);
  await disk.seal(1, 1);
  await disk.write(0, [Buffer.alloc(1, 2)]);
  const commit = disk.commit(1, 1);
  expect(await disk.failover(1)).toBe(1);
  expect(await commit).toBe(true);
  expect(await firstByte(disk)).toBe(1);
});

it('closing is asked for as often as one likes', async () => {
  const disk = await openDisk();
  await Promise.all([disk.close(), disk.close()]);
  await disk.close();
});
