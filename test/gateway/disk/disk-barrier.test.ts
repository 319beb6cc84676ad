import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { DiskBarrier } from '../../../gateway/disk/disk-barrier.ts';
import type { DiskOptions } from '../../../gateway/disk/disk-options.ts';
import { folder } from './folders.ts';

const KIB = 1024;
const MIB = 2 ** 20;
const TIB = 2 ** 40;

let open: DiskBarrier[] = [];

afterEach(async () => {
  await Promise.all(open.map((disk) => disk.close().catch(() => {})));
  open = [];
});

async function openDisk(where: string, options: Partial<DiskOptions> = {}): Promise<DiskBarrier> {
  const disk = await DiskBarrier.open({
    image: join(where, 'image'),
    log: join(where, 'log'),
    sizeBytes: MIB,
    ...options,
  });
  open.push(disk);
  return disk;
}

async function bytesOf(disk: DiskBarrier, from: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length, 0xaa);
  await disk.read(bytes, from);
  return bytes;
}

describe('a disk without a term', () => {
  it('writes everything to its image, some time later', async () => {
    const where = folder();
    const disk = await openDisk(where);
    await disk.write(4096, [Buffer.from('hello'), Buffer.from(' disk')]);
    await disk.settle();
    expect(readFileSync(join(where, 'image')).toString('latin1', 4096, 4106)).toBe('hello disk');
    expect(disk.status).toMatchObject({ state: 'off', term: 0, isSettled: true, extents: 0 });
  });

  it('refuses what belongs to a term', async () => {
    const disk = await openDisk(folder());
    for (const request of [disk.seal(1, 1), disk.commit(1, 1), disk.rollback(1, 0), disk.failover(1), disk.stop(1)]) {
      await expect(request).rejects.toMatchObject({ code: 'not-replicated' });
    }
    for (const term of [0, Number.NaN, 1.5, Number.MAX_SAFE_INTEGER, 2 ** 60]) {
      await expect(disk.start(term)).rejects.toThrow(RangeError);
    }
    for (const epoch of [-1, Number.NaN, 1.5]) await expect(disk.start(1, epoch)).rejects.toThrow(RangeError);
    expect(disk.status).toMatchObject({ state: 'off', term: 0 });
  });
});

describe('a disk with a term', () => {
  it('keeps from its image what is not committed, and shows it to readers', async () => {
    const where = folder();
    const disk = await openDisk(where, { flushDelayMs: 1 });
    await disk.start(1);
    await disk.write(0, [Buffer.alloc(KIB, 1)]);
    await disk.seal(1, 1);
    await disk.write(512, [Buffer.alloc(KIB, 2)]);
    await disk.settle();
    expect(readFileSync(join(where, 'image')).every((byte) => byte === 0)).toBe(true);
    await disk.durableThrough(1, 1);
    expect(await disk.commit(1, 1)).toBe(true);
    expect(await disk.commit(1, 1)).toBe(false);
    await expect(disk.commit(2, 1)).rejects.toMatchObject({ code: 'stale-term' });
    await disk.settle();
    const image = readFileSync(join(where, 'image'));
    expect(image.subarray(0, KIB).every((byte) => byte === 1)).toBe(true);
    expect(image.subarray(KIB).every((byte) => byte === 0)).toBe(true);
    expect((await bytesOf(disk, 512, KIB)).every((byte) => byte === 2)).toBe(true);
  });

  it('goes back to the last committed epoch, and its image is then what the standby boots from', async () => {
    const where = folder();
    const disk = await openDisk(where);
    await disk.start(7, 40);
    await disk.write(0, [Buffer.from('committed')]);
    await disk.seal(7, 41);
    await disk.commit(7, 41);
    await disk.write(0, [Buffer.from('sealed   ')]);
    await disk.seal(7, 42);
    await disk.write(0, [Buffer.from('open     ')]);
    expect(await disk.failover(7)).toBe(41);
    expect((await bytesOf(disk, 0, 9)).toString()).toBe('committed');
    expect(disk.status).toMatchObject({ term: 8, openEpoch: 44, committedEpoch: 41, sealedEpochs: [], fence: 8 });
    await disk.settle();
    expect(readFileSync(join(where, 'image')).toString('latin1', 0, 9)).toBe('committed');
    await expect(disk.failover(7)).rejects.toMatchObject({ code: 'stale-term' });
  });

  it('commits a sealed epoch that it goes back to', async () => {
    const disk = await openDisk(folder());
    await disk.start(1);
    await disk.write(0, [Buffer.from('one')]);
    await disk.seal(1, 1);
    await disk.write(0, [Buffer.from('two')]);
    await expect(disk.seal(1, 1)).rejects.toMatchObject({ code: 'epoch-sealed' });
    await expect(disk.seal(1, 3)).rejects.toMatchObject({ code: 'epoch-not-open' });
    await disk.rollback(1, 1);
    expect((await bytesOf(disk, 0, 3)).toString()).toBe('one');
    await expect(disk.rollback(2, 0)).rejects.toMatchObject({ code: 'output-already-released' });
  });

  it('takes no write of a client from before a rollback', async () => {
    const disk = await openDisk(folder());
    await disk.start(1);
    let cuts = 0;
    const dead = disk.attach(() => cuts++);
    await disk.write(0, [Buffer.from('kept')], dead);
    await disk.seal(1, 1);
    const rollback = disk.rollback(1, 1);
    // Asked for before it is done.
    const late = expect(disk.write(0, [Buffer.from('late')], dead)).rejects.toMatchObject({ code: 'cut-off' });
    await rollback;
    await late;
    await expect(disk.zero(0, 4, true, dead)).rejects.toMatchObject({ code: 'cut-off' });
    expect((await bytesOf(disk, 0, 4)).toString()).toBe('kept');
    disk.hangUp();
    expect(cuts).toBe(1);
    expect(disk.status.lostWrites).toBe(0);
    await disk.write(
      0,
      [Buffer.from('next')],
      disk.attach(() => {}),
    );
  });

  it('makes what is durable at the seal known', async () => {
    const disk = await openDisk(folder());
    await disk.start(1);
    await disk.write(0, [Buffer.alloc(64 * KIB, 1)]);
    expect(disk.status.log.unsyncedBytes).toBeGreaterThan(64 * KIB);
    await disk.seal(1, 1);
    await disk.durableThrough(1, 1);
    expect(disk.status.log.unsyncedBytes).toBe(0);
    await expect(disk.durableThrough(1, 2)).rejects.toMatchObject({ code: 'epoch-not-sealed' });
    await expect(disk.durableThrough(2, 1)).rejects.toMatchObject({ code: 'stale-term' });
  });

  it('has made durable what its requests say when they are answered', async () => {
    const disk = await openDisk(folder(), { flushDelayMs: 60_000 });
    const requests: [string, () => Promise<unknown>][] = [
      ['start', () => disk.start(1)],
      ['seal', () => disk.seal(1, 1).then(() => disk.write(0, [Buffer.alloc(10)]))],
      ['commit', () => disk.commit(1, 1)],
      ['seal', () => disk.seal(1, 2).then(() => disk.write(0, [Buffer.alloc(10)]))],
      ['rollback', () => disk.rollback(1, 2)],
      ['failover', () => disk.failover(2)],
      ['stop', () => disk.stop(3)],
    ];
    for (const [name, request] of requests) {
      await request();
      if (name !== 'seal') expect([name, disk.status.log.unsyncedBytes]).toEqual([name, 0]);
    }
  });

  it('moves what an aborted epoch wrote to the next one', async () => {
    const disk = await openDisk(folder());
    await disk.start(1);
    await disk.write(0, [Buffer.from('a')]);
    await disk.seal(1, 1);
    await disk.write(1, [Buffer.from('b')]);
    await disk.seal(1, 2);
    await disk.abort(1, 1);
    await expect(disk.commit(1, 1)).rejects.toMatchObject({ code: 'epoch-not-sealed' });
    await disk.rollback(1, 2);
    expect((await bytesOf(disk, 0, 2)).toString()).toBe('ab');
  });
});

describe('epochs that are sealed', () => {
  it('stay uncommitted, and on the disk, where a new term begins', async () => {
    const disk = await openDisk(folder());
    await disk.start(1);
    await disk.write(0, [Buffer.from('a')]);
    await disk.seal(1, 1);
    await disk.write(1, [Buffer.from('b')]);
    await disk.start(2);
    expect((await bytesOf(disk, 0, 2)).toString()).toBe('ab');
    expect(await disk.failover(2)).toBe(0);
    expect((await bytesOf(disk, 0, 2)).toString()).toBe('\0\0');
  });

  it('are known after a restart also where the log has nothing of them any more', async () => {
    const where = folder();
    const disk = await openDisk(where, { segmentBytes: 1024 });
    await disk.start(1);
    await disk.seal(1, 1);
    await disk.write(0, [Buffer.alloc(1000, 1)]);
    await disk.settle();
    expect(readdirSync(join(where, 'log')), 'the segment with the seal is gone').not.toContain('0000000001.redo');
    await disk.close();
    const again = await openDisk(where, { segmentBytes: 1024 });
    expect(again.status.sealedEpochs).toEqual([1]);
    await again.abort(1, 1);
    await again.seal(1, 2);
    await again.rollback(1, 2);
    expect((await bytesOf(again, 0, 1))[0]).toBe(1);
  });
});

describe('room', () => {
  it('runs out with uncommitted writes; the disk then cannot be sealed until a new term begins', async () => {
    const disk = await openDisk(folder(), { logLimitBytes: 64 * KIB, segmentBytes: 16 * KIB });
    await disk.start(1);
    await disk.write(0, [Buffer.alloc(40 * KIB, 1)]);
    await expect(disk.write(0, [Buffer.alloc(40 * KIB, 2)])).rejects.toMatchObject({ code: 'log-full' });
    await expect(disk.seal(1, 1)).rejects.toMatchObject({ code: 'write-lost' });
    expect(disk.status).toMatchObject({ lostWrites: 1, openEpoch: 1, sealedEpochs: [] });
    await disk.start(2);
    await disk.seal(2, 1);
    await disk.commit(2, 1);
    // Committed writes make room by going into the image.
    for (let round = 0; round < 8; round++) {
      await disk.write(0, [Buffer.alloc(20 * KIB, 3)]);
      await disk.seal(2, 2 + round);
      await disk.commit(2, 2 + round);
    }
    expect(disk.status.lostWrites).toBe(0);
  });

  it('that ran out makes a disk no mirror any more, until it is copied anew to the end', async () => {
    const disk = await openDisk(folder(), { logLimitBytes: 64 * KIB, segmentBytes: 16 * KIB });
    disk.attach(() => {});
    await disk.start(1);
    await disk.write(0, [Buffer.alloc(40 * KIB, 1)]);
    expect(disk.isMirror).toBe(true);
    await expect(disk.write(0, [Buffer.alloc(40 * KIB, 2)])).rejects.toMatchObject({ code: 'log-full' });
    expect(disk.isMirror).toBe(false);
    disk.attach(() => {});
    expect(disk.isMirror, 'another client does not know what is missing').toBe(false);
    disk.hangUp();
    await disk.stop(1);
    disk.attach(() => {});
    await disk.write(0, [Buffer.alloc(40 * KIB, 3)]);
    expect(disk.isMirror).toBe(true);
    disk.hangUp();
    const first = disk.attach(() => {});
    expect(disk.isMirror).toBe(true);
    disk.attach(() => {});
    disk.detach(first);
    expect(disk.isMirror, 'the first one has left').toBe(false);
  });

  it('that ran out is no matter any more after a rollback', async () => {
    const disk = await openDisk(folder(), { logLimitBytes: 64 * KIB });
    await disk.start(1);
    await disk.write(0, [Buffer.alloc(40 * KIB, 1)]);
    await expect(disk.write(0, [Buffer.alloc(40 * KIB, 2)])).rejects.toMatchObject({ code: 'log-full' });
    await disk.rollback(1, 0);
    // What is gone needs no room, though it is in the file that is written to.
    await disk.write(0, [Buffer.alloc(40 * KIB, 3)]);
    await disk.seal(2, disk.status.openEpoch);
  });

  it('is all of what the limit says', async () => {
    const where = folder();
    const { bytes } = (await openDisk(where, { flushDelayMs: 60_000 })).status.log;
    await open.pop()!.close();
    const limitBytes = bytes + 5000;
    const disk = await openDisk(where, {
      logLimitBytes: limitBytes,
      flushDelayMs: 60_000,
      segmentBytes: limitBytes + 56,
    });
    await disk.write(0, []);
    expect(disk.status.log.bytes, 'nothing is not written').toBe(bytes);
    await disk.write(0, [Buffer.alloc(2000)]);
    await disk.write(0, [Buffer.alloc(5000 - 2056)]);
    expect(disk.status.log).toMatchObject({ bytes: limitBytes + 56, segments: 1 });
  });

  it('of a segment is for one write at least', async () => {
    const where = folder();
    const disk = await openDisk(where, { segmentBytes: 4096, flushDelayMs: 60_000 });
    for (let index = 0; index < 3; index++) await disk.write(index * 5000, [Buffer.alloc(5000, index)]);
    expect(disk.status.log.segments).toBe(3);
  });

  it('is bounded for the index too', async () => {
    const disk = await openDisk(folder(), { maxExtents: 10 });
    await disk.start(1);
    for (let index = 0; index < 10; index++) {
      if (index === 5) await disk.seal(1, 1);
      await disk.write(index * 100, [Buffer.from('x')]);
    }
    await expect(disk.write(5000, [Buffer.from('x')])).rejects.toMatchObject({ code: 'log-full' });
    await disk.stop(1);
    await disk.write(5000, [Buffer.from('x')]);
  });

  it('is given back when nothing in the log is needed', async () => {
    const where = folder();
    const disk = await openDisk(where, { sizeBytes: 64 * MIB, segmentBytes: 40 * MIB, flushDelayMs: 1 });
    for (let index = 0; index < 4; index++) await disk.write(index * 16 * MIB, [Buffer.alloc(16 * MIB, index + 1)]);
    await disk.settle();
    expect(disk.status.log).toMatchObject({ segments: 1 });
    expect(disk.status.log.bytes).toBeLessThan(MIB);
    expect(readdirSync(join(where, 'log')).filter((name) => name.endsWith('.redo'))).toHaveLength(1);
    await disk.start(1);
    await disk.write(0, [Buffer.alloc(2 * MIB)]);
    await disk.settle();
    expect(readdirSync(join(where, 'log')).filter((name) => name.endsWith('.redo'))).toHaveLength(1);
  });
});

describe('zeros', () => {
  it('cost a terabyte nothing', async () => {
    const where = folder();
    const disk = await openDisk(where, { sizeBytes: TIB });
    await disk.write(TIB - 4096, [Buffer.alloc(4096, 1)]);
    await disk.settle();
    await disk.zero(0, TIB, true);
    expect((await bytesOf(disk, TIB - 4096, 4096)).every((byte) => byte === 0)).toBe(true);
    await disk.settle();
    expect((await bytesOf(disk, TIB - 4096, 4096)).every((byte) => byte === 0)).toBe(true);
    const { size, blocks } = statSync(join(where, 'image'));
    expect(size).toBe(TIB);
    expect(blocks * 512).toBeLessThan(64 * KIB);
  });

  it('leave a hole in the image or blocks, as asked', async () => {
    const where = folder();
    const disk = await openDisk(where);
    await disk.write(0, [Buffer.alloc(512 * KIB, 1)]);
    await disk.settle();
    await disk.zero(0, 512 * KIB, false);
    await disk.settle();
    expect(statSync(join(where, 'image')).blocks * 512).toBeGreaterThanOrEqual(512 * KIB);
    await disk.zero(0, 512 * KIB, true);
    await disk.settle();
    expect(statSync(join(where, 'image')).blocks * 512).toBeLessThan(64 * KIB);
  });
});

it('refuses what is not within the disk', async () => {
  const disk = await openDisk(folder());
  await expect(disk.write(MIB - 1, [Buffer.alloc(2)])).rejects.toMatchObject({ code: 'out-of-range' });
  await expect(disk.zero(MIB, 1, true)).rejects.toMatchObject({ code: 'out-of-range' });
  await expect(disk.read(Buffer.alloc(1), -1)).rejects.toMatchObject({ code: 'out-of-range' });
  await expect(disk.read(Buffer.alloc(1), Number.NaN)).rejects.toMatchObject({ code: 'out-of-range' });
  const great = await openDisk(folder(), { sizeBytes: 64 * MIB });
  const chunk = Buffer.alloc(MIB);
  const chunks = [...Array.from({ length: 32 }, () => chunk), Buffer.alloc(1)];
  await expect(great.write(0, chunks)).rejects.toMatchObject({ code: 'out-of-range' });
});

it('answers nothing any more when it is closed', async () => {
  const disk = await openDisk(folder());
  let cuts = 0;
  disk.attach(() => cuts++);
  await disk.close();
  expect(cuts).toBe(1);
  await expect(disk.write(0, [Buffer.alloc(1)])).rejects.toMatchObject({ code: 'disk-closed' });
  await expect(disk.seal(1, 1)).rejects.toMatchObject({ code: 'disk-closed' });
});

it('gives its image away when nothing is open, and never writes to it again', async () => {
  const where = folder();
  const disk = await openDisk(where);
  await disk.start(1);
  await disk.write(0, [Buffer.from('kept')]);
  await disk.seal(1, 1);
  await disk.commit(1, 1);
  await disk.write(0, [Buffer.from('open')]);
  await expect(disk.handOver()).rejects.toMatchObject({ code: 'not-settled' });
  await disk.failover(1);
  let cuts = 0;
  disk.attach(() => cuts++);
  await disk.handOver();
  expect(cuts).toBe(1);
  await expect(disk.write(0, [Buffer.from('more')])).rejects.toMatchObject({ code: 'disk-closed' });
  expect(readFileSync(join(where, 'image')).toString('latin1', 0, 4)).toBe('kept');
  writeFileSync(join(where, 'image'), Buffer.alloc(MIB, 'b'));
  const again = await openDisk(where);
  await again.settle();
  expect(readFileSync(join(where, 'image')).toString('latin1', 0, 4)).toBe('bbbb');
});
