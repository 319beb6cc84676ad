import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from './clock.ts';
import type { ClientAccess, ListenConfig } from './config.ts';
import type { Access } from './host/roles.ts';
import type { HostServer } from './host/server.ts';
import { TlsListener } from './host/tls-listener.ts';
import { UnixListener } from './host/unix-listener.ts';
import type { Log } from './log.ts';
import { LimitedLog } from './log-limit.ts';

/** A client that is refused comes again and again: it is told of once in this time. */
const REFUSED_NS = 600e9;
const TICK_MS = 1000;

export interface ListenerParts {
  readonly server: HostServer;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
  readonly log: Log;
  /** Gets what has to be done in the end, as soon as it has. */
  readonly closing: (() => void | Promise<void>)[];
}

/**
 * Opens what the configuration calls `listen`.
 * @throws TlsFilesError, or Error where a socket or an address cannot be used
 */
export async function openListeners(listen: readonly ListenConfig[], parts: ListenerParts): Promise<void> {
  const { server, clock, wallMs, log, closing } = parts;
  const limited = new LimitedLog(log, clock, 1, REFUSED_NS);
  const ticker = setInterval(() => limited.tick(), TICK_MS).unref();
  closing.push(() => clearInterval(ticker));
  for (const one of listen) {
    if (one.kind === 'unix') {
      const { path, uid } = one;
      mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
      const listener = new UnixListener({ path, uid, access: accessOf(one.access, path) }, (socket, access) =>
        server.admit(socket, access),
      );
      await listener.listen();
      closing.push(() => listener.close());
    } else {
      const { host, port, files } = one;
      const clients = new Map(
        [...one.clients].map(([name, access]) => [name, accessOf(access, `certificate ${name}`)]),
      );
      const admit = server.admit.bind(server);
      const address = { host, port, files, clients };
      const listener = await TlsListener.open(address, { admit, clock, wallMs, log, refusals: limited });
      closing.push(() => listener.close());
      log.info({ address: `${host}:${listener.port}` }, 'clients with certificates are served');
    }
  }
}

function accessOf({ role, vms, failover }: ClientAccess, identity: string): Access {
  return { role, vms: vms === '*' ? vms : new Set(vms), failover: new Set(failover), identity };
}
