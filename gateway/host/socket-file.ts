import { lstatSync, unlinkSync } from 'node:fs';
import { connect, type Server } from 'node:net';

/**
 * Listens on a unix socket; takes its path also from a process that died without removing it.
 * @param mask permissions that the socket has not, as for umask(2)
 * @throws Error when somebody answers there, something else than a socket stands there, or nothing can
 */
export async function listenOnSocket(server: Server, path: string, mask: number): Promise<void> {
  await removeStale(path);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // The mode has to be right from the first moment, and Node binds before `listen` returns.
    const before = process.umask(mask);
    try {
      server.listen(path, resolve);
    } finally {
      process.umask(before);
    }
  });
  server.on('error', () => {});
}

/** Removes the socket of a process that is no more. */
async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw refusal('EEXIST', `${path} is there and is no socket`);
  const isAlive = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
  if (isAlive) throw refusal('EADDRINUSE', `another process answers at ${path}`);
  unlinkSync(path);
}

/** As the system's own, which callers tell people: with a code. */
function refusal(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(message), { code });
}
