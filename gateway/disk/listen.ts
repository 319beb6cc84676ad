import { lstatSync, unlinkSync } from 'node:fs';
import { connect, type ListenOptions, type Server } from 'node:net';

/** Only the owner may read and write. */
const OTHERS_MASK = 0o177;

/**
 * Listens; on a path that only the owner can connect to, also one that a dead process left behind.
 * @throws Error when another process answers there, something else than a socket stands there, or nothing can
 */
export async function listenPrivately(server: Server, where: ListenOptions): Promise<void> {
  if (where.path !== undefined) await removeStale(where.path);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // The mode has to be right from the first moment, and Node binds before `listen` returns.
    const mask = process.umask(OTHERS_MASK);
    try {
      server.listen(where, resolve);
    } finally {
      process.umask(mask);
    }
  });
  server.removeAllListeners('error');
  server.on('error', () => {});
}

/** Removes the socket of a process that is no more. */
async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error(`${path} is there and is no socket`);
  const isAlive = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
  if (isAlive) throw new Error(`another server answers at ${path}`);
  unlinkSync(path);
}
