import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DiskControlClient } from '../../../gateway/disk/control-client.ts';
import { COMMAND } from '../../../gateway/disk/nbd-protocol.ts';
import { startChild } from './disk-child.ts';
import { attached } from './nbd-client.ts';

const MIB = 2 ** 20;
const DISK_BYTES = 256 * MIB;

/** @returns megabytes of memory that the process had at its peak */
function peak(pid: number): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
}

it('a disk keeps an index in memory, not what is written: 256 MiB in one epoch, with little and with great requests', async () => {
  // On a file system, not in memory.
  const where = mkdtempSync(join(tmpdir(), 'holdfast-disk-'));
  const child = await startChild(where, DISK_BYTES, 64 * MIB);
  try {
    const control = await DiskControlClient.open(join(where, 'control'));
    await control.call('disk.start', { term: 1, epoch: 0 });
    const client = await attached({ path: join(where, 'nbd') });
    const idle = peak(child.pid!);
    for (const [bytes, depth] of [
      [65_536, 32],
      [32 * MIB, 2],
    ] as const) {
      const payload = Buffer.alloc(bytes, 7);
      let asked = 0;
      for (let answered = 0; answered < DISK_BYTES / bytes; answered++) {
        for (; asked < DISK_BYTES / bytes && asked < answered + depth; asked++) {
          client.sendRequest(COMMAND.write, asked * bytes, bytes, 0, payload);
        }
        expect(await client.reply()).toBe(0);
      }
    }
    for (let at = 0; at < DISK_BYTES; at += 32 * MIB) {
      const bytes = await client.read(at, 32 * MIB);
      expect(bytes.equals(Buffer.alloc(32 * MIB, 7))).toBe(true);
    }
    const { extents, log } = await control.call('disk.status');
    expect(extents).toBe(8);
    expect(log.bytes).toBeGreaterThan(2 * DISK_BYTES);
    await control.call('disk.seal', { term: 1, epoch: 1 });
    await control.call('disk.commit', { term: 1, epoch: 1 });
    await control.call('disk.settle');
    expect((await control.call('disk.status')).log.bytes).toBeLessThan(MIB);
    const grown = peak(child.pid!) - idle;
    // A payload that arrives, one that is written, a reply, and what is not collected yet: nowhere near the 512 MiB of the log.
    expect(grown).toBeLessThan(256);
    control.close();
  } finally {
    child.kill('SIGKILL');
    rmSync(where, { recursive: true, force: true });
  }
});
