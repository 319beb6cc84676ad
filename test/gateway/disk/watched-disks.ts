import { join } from 'node:path';
import { expect } from 'vitest';
import { DiskBarrier } from '../../../gateway/disk/disk-barrier.ts';
import type { DiskOptions } from '../../../gateway/disk/disk-options.ts';
import { FileCalls } from './file-calls.ts';
import { folder, openFiles } from './folders.ts';

/** Disks in a folder of their own, and what they do with its files. */
export class WatchedDisks {
  readonly where = folder();
  readonly calls = new FileCalls(this.where);
  readonly #options: Partial<DiskOptions>;
  readonly #open: DiskBarrier[] = [];

  /** @param options of each disk, if it has no others */
  constructor(options: Partial<DiskOptions>) {
    this.#options = options;
  }

  async open(options: Partial<DiskOptions> = {}): Promise<DiskBarrier> {
    const paths = { image: join(this.where, 'image'), log: join(this.where, 'log') };
    const disk = await DiskBarrier.open({ ...paths, flushDelayMs: 60_000, ...this.#options, ...options });
    this.#open.push(disk);
    return disk;
  }

  /** Nothing of them is left open, or the test has failed. */
  async close(): Promise<void> {
    this.calls.stop();
    await Promise.all(this.#open.splice(0).map((disk) => disk.close().catch(() => {})));
    expect(openFiles(this.where), 'files that nobody has closed').toEqual([]);
  }
}
