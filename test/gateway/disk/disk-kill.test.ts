import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
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
