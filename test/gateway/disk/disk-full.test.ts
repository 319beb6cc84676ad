/** Real file systems that are full. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { DiskBarrier } from '../../../gateway/disk/disk-barrier.ts';
import { Image } from '../../../gateway/disk/image.ts';
import { until } from '../../support/netns.ts';
import { folder } from './folders.ts';
import { grow, small } from './small-folder.ts';

const MIB = 2 ** 20;
const mounted: string[] = [];

let where: string | null = null;

beforeEach(({ skip }) => {
  where = small(MIB);
  skip(where === null, 'no right to mount file systems');
});

afterEach(() => {
  for (const path of mounted.splice(0)) spawnSync('umount', ['-l', path]);
});

async function bytesOf(disk: DiskBarrier): Promise<Buffer> {
  const bytes = Buffer.alloc(disk.sizeBytes);
  await disk.read(bytes, 0);
  return bytes;
}

it('a log without room refuses writes, keeps what it has, and goes on when there is room again', async () => {
  const image = join(folder(), 'image');
  const options = { image, log: join(where!, 'log'), sizeBytes: 4 * MIB, flushDelayMs: 60_000 };
  const disk = await DiskBarrier.open(options);
  await disk.start(1);
  await disk.write(0, [Buffer.alloc(600 * 1024, 1)]);
  const before = disk.status.log.bytes;
  // Part of it fits.
  for (let round = 0; round < 3; round++) {
    await expect(disk.write(100, [Buffer.alloc(600 * 1024, 2)])).rejects.toMatchObject({ code: 'log-full' });
  }
  expect(disk.status).toMatchObject({ state: 'on', lostWrites: 3, log: { bytes: before } });
  const [segment] = [join(where!, 'log', '0000000001.redo')].filter((path) => existsSync(path));
  expect(statSync(segment!).size).toBe(before);
  await expect(disk.seal(1, 1)).rejects.toMatchObject({ code: 'write-lost' });
  expect((await bytesOf(disk))[100]).toBe(1);
  grow(where!, 4 * MIB);
  await disk.start(2);
  await disk.write(100, [Buffer.alloc(600 * 1024, 3)]);
  await disk.seal(2, 1);
  await disk.commit(2, 1);
  await disk.close();
  const again = await DiskBarrier.open(options);
  expect(again.status).toMatchObject({ committedEpoch: 1, recovery: { tornBytes: 0 } });
  expect((await bytesOf(again))[100]).toBe(3);
  await again.close();
});

it('an image without room keeps its writes in the log until there is', async () => {
  const image = join(where!, 'image');
  const disk = await DiskBarrier.open({ image, log: join(folder(), 'log'), sizeBytes: 4 * MIB, flushDelayMs: 5 });
  await disk.start(1);
  const content = Buffer.alloc(4 * MIB, 9);
  await disk.write(0, [content]);
  await disk.seal(1, 1);
  await disk.commit(1, 1);
  await expect(disk.settle()).rejects.toMatchObject({ code: 'ENOSPC' });
  expect(disk.status).toMatchObject({ state: 'on', isSettled: false, flushError: expect.stringContaining('ENOSPC') });
  await disk.write(0, [Buffer.from('next')]);
  await disk.seal(1, 2);
  await disk.commit(1, 2);
  content.set(Buffer.from('next'));
  expect((await bytesOf(disk)).equals(content)).toBe(true);
  grow(where!, 8 * MIB);
  await disk.settle();
  expect(disk.status).toMatchObject({ isSettled: true, flushError: null });
  expect(readFileSync(image).equals(content)).toBe(true);
  await disk.close();
});

it('zeros are written where the file system of the image knows no holes', async () => {
  const place = folder();
  expect(spawnSync('mount', ['-t', 'ramfs', 'holdfast-test', place]).status).toBe(0);
  mounted.push(place);
  const disk = await DiskBarrier.open({ image: join(place, 'image'), log: join(folder(), 'log'), sizeBytes: MIB });
  await disk.write(0, [Buffer.alloc(MIB, 1)]);
  await disk.settle();
  await disk.zero(1000, MIB - 2000, true);
  await disk.settle();
  await disk.close();
  const image = readFileSync(join(place, 'image'));
  expect(image.length).toBe(MIB);
  expect(image.every((byte, at) => byte === (at < 1000 || at >= MIB - 1000 ? 1 : 0))).toBe(true);
});

it('what is settled once there is room does not fail of a flush that began before', async () => {
  const disk = await DiskBarrier.open({ image: join(folder(), 'image'), log: join(folder(), 'log'), sizeBytes: MIB });
  await disk.start(1);
  await disk.write(0, [Buffer.from('kept')]);
  await disk.seal(1, 1);
  await disk.commit(1, 1);
  // The moment between the refusal and its arrival here, held open.
  let refuse = (_: Error) => {};
  const write = vi.spyOn(Image.prototype, 'write').mockImplementationOnce(
    () =>
      new Promise((_, reject) => {
        refuse = reject;
      }),
  );
  try {
    const before = disk.settle();
    await until(() => write.mock.calls.length === 1, 'a flush');
    const after = disk.settle();
    refuse(new Error('no room'));
    await expect(before).rejects.toThrow('no room');
    await after;
    expect(disk.status).toMatchObject({ isSettled: true, flushError: null });
    expect(write).toHaveBeenCalledTimes(2);
  } finally {
    write.mockRestore();
  }
  expect((await bytesOf(disk)).subarray(0, 4).toString()).toBe('kept');
  await disk.close();
});
