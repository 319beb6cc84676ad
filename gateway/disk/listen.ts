import type { ListenOptions, Server } from 'node:net';
import { listenOnSocket } from '../host/socket-file.ts';

/** Only the owner may read and write. */
const OTHERS_MASK = 0o177;

/**
 * Listens; on a path that only the owner can connect to, also one that a dead process left behind.
 * @throws Error when another process answers there, something else than a socket stands there, or nothing can
 */
export async function listenPrivately(server: Server, where: ListenOptions): Promise<void> {
  if (where.path !== undefined) return listenOnSocket(server, where.path, OTHERS_MASK);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, resolve);
  });
  server.on('error', () => {});
}
