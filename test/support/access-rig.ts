import type { HostClient } from '../../gateway/host/client.ts';
import type { Access, Role } from '../../gateway/host/roles.ts';
import type { HostServerOptions } from '../../gateway/host/server.ts';
import { UnixListener } from '../../gateway/host/unix-listener.ts';
import { HOST_RULES, HostRig, RawClient } from './host-rig.ts';
import { Scene } from './rig.ts';
import { generationOf } from './verdicts.ts';

/** What a client may do that is not the owner. */
export function accessTo(vms: readonly string[] | '*', role: Role, more: Partial<Access> = {}): Access {
  const named = vms === '*' ? vms : new Set(vms);
  return { role, vms: named, failover: new Set(), identity: `test ${role}`, ...more };
}

/** A gateway with the VMs `a` and `b`, its owner's socket, and sockets for others. */
export class AccessRig {
  readonly a = new Scene({}, generationOf(HOST_RULES));
  readonly b = new Scene({}, generationOf(HOST_RULES));
  readonly rig: HostRig;
  readonly #listeners: UnixListener[] = [];
  readonly #clients: { close(): void }[] = [];

  constructor(more: Partial<HostServerOptions> = {}) {
    const vms = new Map([
      ['a', this.a.vm],
      ['b', this.b.vm],
    ]);
    this.rig = new HostRig(this.a, { vms, ...more });
  }

  async listen(): Promise<this> {
    await this.rig.listen();
    return this;
  }

  get owner(): HostClient {
    return this.rig.client();
  }

  /** @returns the path of a socket whose clients may do this */
  async socketFor(access: Access, uid: number | null = null): Promise<string> {
    const path = `${this.rig.path}-${this.#listeners.length}`;
    const listener = new UnixListener({ path, uid, access }, (socket, to) => this.rig.server.admit(socket, to));
    await listener.listen();
    this.#listeners.push(listener);
    return path;
  }

  async clientAs(access: Access): Promise<HostClient> {
    return this.rig.client({ path: await this.socketFor(access) });
  }

  async raw(path: string): Promise<RawClient> {
    const client = new RawClient(path);
    this.#clients.push({ close: () => client.socket.destroy() });
    await client.connected();
    return client;
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
    for (const listener of this.#listeners) await listener.close();
    await this.rig.close();
  }
}
