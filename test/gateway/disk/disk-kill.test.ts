import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { DiskControlClient } from '../../../gateway/disk/control-client.ts';
import { DiskBarrier } from '../../../gateway/disk/disk-barrier.ts';
import { COMMAND } from '../../../gateway/disk/nbd-protocol.ts';
import { Random } from '../../support/random.ts';
import { runs } from '../../support/runs.ts';
import { CHILD_DISK_BYTES, startChild } from './disk-child.ts';
import { folder } from './folders.ts';
import { attached, type RawClient } from './nbd-client.ts';

const seed = Number(process.env.HOLDFAST_SEED ?? 1);
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** What the disk may hold: one of these, from `sure` on. */
class Known {
  readonly states: { readonly content: Buffer; readonly committed: number }[] = [
    { content: Buffer.alloc(CHILD_DISK_BYTES), committed: 0 },
  ];
  sure = 0;
  commits = 0;
  readonly atSeal = new Map<number, Buffer>([[0, this.states[0]!.content]]);

  get last() {
    return this.states.at(-1)!;
  }

  change(from: number, bytes: Buffer): void {
    const content = Buffer.from(this.last.content);
    content.set(bytes, from);
    this.states.push({ ...this.last, content });
    // Enough for what can be under way.
    if (this.sure > 32) {
      this.states.splice(0, this.sure - 1);
      this.sure = 1;
    }
  }

  /** Everything asked for so far was answered. */
  answered(): void {
    this.sure = this.states.length - 1;
  }
}

async function work(client: RawClient, control: DiskControlClient, known: Known, random: Random): Promise<void> {
  for (let epoch = 1; ; epoch++) {
    for (let round = random.below(4); round >= 0; round--) {
      const count = 1 + random.below(8);
      for (let index = 0; index < count; index++) {
        const bytes = Buffer.alloc(512 * (1 + random.below(16)), random.below(256));
        const from = 512 * random.below((CHILD_DISK_BYTES - bytes.length) / 512);
        const isZero = random.below(5) === 0;
        if (isZero) bytes.fill(0);
        known.change(from, bytes);
        if (isZero) client.sendRequest(COMMAND.writeZeroes, from, bytes.length);
        else client.sendRequest(COMMAND.write, from, bytes.length, 0, bytes);
      }
      for (let index = 0; index < count; index++) expect(await client.reply()).toBe(0);
      known.answered();
    }
    await control.call('disk.seal', { term: 1, epoch });
    known.atSeal.set(epoch, known.last.content);
    known.atSeal.delete(epoch - 4);
    known.states.push({ ...known.last, committed: epoch });
    await control.call('disk.commit', { term: 1, epoch });
    known.commits++;
    known.answered();
  }
}

it('a disk whose process is killed has every write that was answered, every commit, and goes back to it exactly', async () => {
  const random = new Random(seed);
  let torn = 0;
  let unsettled = 0;
  for (let run = 0; run < runs(20); run++) {
    const hint = `HOLDFAST_SEED=${seed}, run ${run}`;
    const where = folder();
    const child = await startChild(where);
    children.push(child);
    const control = await DiskControlClient.open(join(where, 'control'));
    await control.call('disk.start', { term: 1, epoch: 0 });
    const client = await attached({ path: join(where, 'nbd') });
    const known = new Known();
    let isKilled = false;
    const working = work(client, control, known, random).catch((error: unknown) => {
      if (!isKilled) throw error;
    });
    const epochs = 1 + random.below(15);
    while (known.commits < epochs) await new Promise((resolve) => setTimeout(resolve, 1));
    await new Promise((resolve) => setTimeout(resolve, random.below(30)));
    isKilled = true;
    child.kill('SIGKILL');
    await once(child, 'exit');
    await working;
    control.close();

    const options = { image: join(where, 'image'), log: join(where, 'log'), flushDelayMs: 60_000 };
    const disk = await DiskBarrier.open(options);
    const found = Buffer.alloc(CHILD_DISK_BYTES);
    await disk.read(found, 0);
    const { committedEpoch, recovery, isSettled } = disk.status;
    if (recovery.tornBytes > 0) torn++;
    if (!isSettled) unsettled++;
    expect(committedEpoch, hint).toBeGreaterThanOrEqual(epochs);
    const possible = known.states.slice(known.sure);
    expect(
      possible.some((state) => state.content.equals(found) && state.committed === committedEpoch),
      hint,
    ).toBe(true);
    expect(await disk.failover(1)).toBe(committedEpoch);
    await disk.read(found, 0);
    expect(found.equals(known.atSeal.get(committedEpoch)!), hint).toBe(true);
    await disk.settle();
    await disk.close();
    expect(readFileSync(join(where, 'image')).equals(found), hint).toBe(true);
  }
  // Killed when all was quiet, a disk shows nothing.
  expect(torn + unsettled).toBeGreaterThan(0);
}, 600_000);

/** Each is a write of the flush by itself: none touches the next. */
const EXTENTS = 2048;
const EXTENT_BYTES = 512;
const STRIDE_BYTES = 4096;

/** @returns a disk whose extents are of this byte */
function filled(byte: number): Buffer {
  const content = Buffer.alloc(EXTENTS * STRIDE_BYTES);
  for (let at = 0; at < content.length; at += STRIDE_BYTES) content.fill(byte, at, at + EXTENT_BYTES);
  return content;
}

async function fill(client: RawClient, byte: number, extents: number): Promise<void> {
  const bytes = Buffer.alloc(EXTENT_BYTES, byte);
  for (let sent = 0; sent < extents; sent += 64) {
    for (let index = sent; index < sent + 64; index++) {
      client.sendRequest(COMMAND.write, index * STRIDE_BYTES, bytes.length, 0, bytes);
    }
    for (let index = sent; index < sent + 64; index++) expect(await client.reply()).toBe(0);
  }
}

/** @returns how many extents of an image are of this byte */
function extentsOf(path: string, byte: number): number {
  const image = readFileSync(path);
  let count = 0;
  for (let at = 0; at < image.length; at += STRIDE_BYTES) if (image[at] === byte) count++;
  return count;
}

/** Stops every thread of a process where it is, and waits until they are. */
async function freeze(child: ChildProcess): Promise<void> {
  child.kill('SIGSTOP');
  const tasks = `/proc/${child.pid}/task`;
  const isStopped = (task: string) => /\) T /.test(readFileSync(join(tasks, task, 'stat'), 'latin1'));
  while (!readdirSync(tasks).every(isStopped)) await turn();
}

/**
 * Kills the process when its flush has brought so many extents into the image, and not all of them: it is stopped first, so that what the
 * image has then is what it has when the process dies.
 * @returns how many it were
 */
async function killWithin(child: ChildProcess, image: string, byte: number, extents: number): Promise<number> {
  const file = openSync(image, 'r');
  const found = Buffer.alloc(1);
  try {
    do {
      await turn();
      readSync(file, found, 0, 1, extents * STRIDE_BYTES);
    } while (found[0] !== byte);
  } finally {
    closeSync(file);
  }
  await freeze(child);
  const count = extentsOf(image, byte);
  child.kill('SIGKILL');
  await once(child, 'exit');
  return count;
}

/** Kills a disk within the flush of epoch 2, and once more within the flush that follows when it is opened again. @returns how far they were */
async function killedTwice(where: string): Promise<readonly [number, number]> {
  const image = join(where, 'image');
  const start = async () => {
    const child = await startChild(where, EXTENTS * STRIDE_BYTES, 2 ** 20);
    children.push(child);
    return child;
  };
  const child = await start();
  const control = await DiskControlClient.open(join(where, 'control'));
  await control.call('disk.start', { term: 1, epoch: 0 });
  const client = await attached({ path: join(where, 'nbd') });
  await fill(client, 1, EXTENTS);
  await control.call('disk.seal', { term: 1, epoch: 1 });
  await control.call('disk.commit', { term: 1, epoch: 1 });
  await control.call('disk.settle');
  await fill(client, 2, EXTENTS);
  await control.call('disk.seal', { term: 1, epoch: 2 });
  await fill(client, 3, EXTENTS / 2);
  expect([extentsOf(image, 1), extentsOf(image, 2)], 'nothing is in the image before its commit').toEqual([EXTENTS, 0]);
  control.call('disk.commit', { term: 1, epoch: 2 }).catch(() => {});
  const first = await killWithin(child, image, 2, EXTENTS / 16);
  control.close();
  return [first, await killWithin(await start(), image, 2, first === EXTENTS ? 0 : first)];
}

it('a disk whose process is killed in the middle of a flush, and again in the middle of the next one, is never torn', async () => {
  let where = folder();
  let torn = await killedTwice(where);
  // On a busy computer a flush may be over before anybody looks.
  for (let tries = 1; Math.max(...torn) === EXTENTS; tries++) {
    expect(tries, 'flushes that were not seen').toBeLessThan(10);
    where = folder();
    torn = await killedTwice(where);
  }
  const image = join(where, 'image');
  expect(extentsOf(image, 1), 'the image is torn').toBe(EXTENTS - torn[1]);

  const disk = await DiskBarrier.open({ image, log: join(where, 'log'), flushDelayMs: 60_000 });
  const found = Buffer.alloc(disk.sizeBytes);
  expect(disk.status).toMatchObject({ committedEpoch: 2, isSettled: false });
  expect(await disk.failover(1)).toBe(2);
  await disk.read(found, 0);
  expect(found.equals(filled(2)), 'the disk is as it was at the seal').toBe(true);
  await disk.handOver();
  expect(readFileSync(image).equals(found), 'and so is the image').toBe(true);
  console.log(`killed when ${torn.join(' and ')} of ${EXTENTS} extents were in the image`);
}, 600_000);
