import { DiskControlServer } from './control-server.ts';
import { DiskBarrier } from './disk-barrier.ts';
import type { DiskOptions } from './disk-options.ts';
import { type NbdAddress, NbdServer } from './nbd-server.ts';
import type { NbdTls } from './nbd-tls.ts';

export interface ServeOptions extends DiskOptions {
  /** What clients call the disk. */
  readonly name: string;
  readonly address: NbdAddress;
  readonly tls: NbdTls | null;
  /** Unix socket for whoever makes checkpoints; null: none. */
  readonly control: string | null;
}

/** A disk and everything through which it is reached. */
export interface ServedDisk {
  readonly disk: DiskBarrier;
  /** Where clients connect. */
  readonly address: NbdAddress;
  close(): Promise<void>;
}

/** @throws DiskError; RangeError where it would need TLS; Error where it cannot listen */
export async function serveDisk(options: ServeOptions): Promise<ServedDisk> {
  const { name, address, tls } = options;
  const disks = new Map<string, DiskBarrier>();
  const server = new NbdServer({ address, disks, ...(tls === null ? {} : { tls }) });
  const disk = await DiskBarrier.open(options);
  disks.set(name, disk);
  const control = new DiskControlServer(disk);
  const close = async () => {
    await Promise.all([server.close(), control.close()]);
    await disk.close();
  };
  try {
    if (options.control !== null) await control.listen(options.control);
    return { disk, address: await server.listen(), close };
  } catch (error) {
    await close();
    throw error;
  }
}
