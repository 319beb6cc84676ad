/** Serves a disk as a process of its own, so that a test can kill it: `disk-child.ts FOLDER BYTES SEGMENT`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { serveDisk } from '../../../gateway/disk/serve.ts';

export const CHILD_DISK_BYTES = 2 ** 20;

const HERE = fileURLToPath(import.meta.url);

/** Resolves when the disk in the folder is served, on `nbd` and `control` there. */
export async function startChild(
  folder: string,
  sizeBytes = CHILD_DISK_BYTES,
  segmentBytes = 65_536,
): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--import', 'tsx', HERE, folder, `${sizeBytes}`, `${segmentBytes}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  await once(child.stdout!, 'data');
  return child;
}

if (process.argv[1] === HERE) {
  const [folder, sizeBytes, segmentBytes] = process.argv.slice(2) as [string, string, string];
  await serveDisk({
    ...{ image: join(folder, 'image'), log: join(folder, 'log'), sizeBytes: Number(sizeBytes) },
    ...{ name: 'disk', address: { path: join(folder, 'nbd') }, tls: null, control: join(folder, 'control') },
    // Nearly always in the middle of a flush, and with small segments of a change of them.
    ...{ flushDelayMs: 1, segmentBytes: Number(segmentBytes) },
  });
  process.stdout.write('ready\n');
}
