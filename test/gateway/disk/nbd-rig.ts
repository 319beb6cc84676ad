import { join } from 'node:path';
import { afterEach } from 'vitest';
import { DiskBarrier } from '../../../gateway/disk/disk-barrier.ts';
import type { DiskOptions } from '../../../gateway/disk/disk-options.ts';
import { NbdServer, type NbdServerOptions } from '../../../gateway/disk/nbd-server.ts';
import { folder } from './folders.ts';

export interface NbdRig {
  readonly where: string;
  readonly path: string;
  readonly disk: DiskBarrier;
  readonly server: NbdServer;
  /** For programs. */
  readonly uri: string;
}

const rigs: NbdRig[] = [];

/** A disk of 1 MiB unless told otherwise, served as `disk` on a socket; closed after the test. */
export async function serve(disk: Partial<DiskOptions> = {}, options: Partial<NbdServerOptions> = {}): Promise<NbdRig> {
  const where = folder();
  const path = join(where, 'nbd');
  const barrier = await DiskBarrier.open({
    image: join(where, 'image'),
    log: join(where, 'log'),
    sizeBytes: 2 ** 20,
    ...disk,
  });
  const server = new NbdServer({ address: { path }, disks: new Map([['disk', barrier]]), ...options });
  await server.listen();
  const rig = { where, path, disk: barrier, server, uri: `nbd+unix:///disk?socket=${path}` };
  rigs.push(rig);
  return rig;
}

afterEach(async () => {
  for (const { server, disk } of rigs.splice(0)) {
    await server.close();
    await disk.close();
  }
});
