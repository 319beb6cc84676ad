import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { HostClient } from '../../gateway/host/client.ts';
import type { TlsAddress } from '../../gateway/host/connect.ts';
import { TlsListener } from '../../gateway/host/tls-listener.ts';
import { LimitedLog } from '../../gateway/log-limit.ts';
import { AccessRig, accessTo } from './access-rig.ts';
import type { Authority, CertificateFiles } from './certificates.ts';
import { portStatus } from './control-rig.ts';

/** A gateway with the VMs `a` and `b` behind a TLS listener. The files that it was given may be exchanged. */
export class TlsRig extends AccessRig {
  readonly logged: string[] = [];
  readonly #folder: string;
  readonly #authority: Authority;
  readonly #hosts: HostClient[] = [];
  #listener: TlsListener | null = null;
  /** Of the machine, milliseconds since 1970. */
  wallMs: () => number = Date.now;

  /** @param folder which is empty */
  constructor(folder: string, authority: Authority) {
    super({ ports: () => [portStatus('inside', { vm: 'b', name: 'tapb' })] });
    this.#folder = folder;
    this.#authority = authority;
  }

  file(name: 'cert' | 'key' | 'ca' | 'crl'): string {
    return join(this.#folder, `${name}.pem`);
  }

  /** The listener's files become copies of these. */
  put({ cert, key }: CertificateFiles): void {
    copyFileSync(cert, this.file('cert'));
    copyFileSync(key, this.file('key'));
  }

  async listenTls(server: CertificateFiles): Promise<this> {
    await this.listen();
    this.put(server);
    copyFileSync(this.#authority.cert, this.file('ca'));
    this.#authority.writeRevoked(this.file('crl'));
    const { clock } = this.a.rig;
    const tell = (fields: { readonly client?: string }, message: string) => {
      this.logged.push(fields.client === undefined ? message : `${fields.client}: ${message}`);
    };
    const log = { debug: tell, info: tell, warn: tell, error: tell };
    const files = { cert: this.file('cert'), key: this.file('key'), ca: this.file('ca'), crl: this.file('crl') };
    const clients = new Map([
      ['a.example', accessTo(['a'], 'epochs', { identity: 'a.example' })],
      ['spiffe://example/b', accessTo(['b'], 'all', { identity: 'b' })],
      ['operator', accessTo('*', 'all', { identity: 'operator' })],
      ['also-a', accessTo(['a'], 'read-only', { identity: 'also-a' })],
    ]);
    this.#listener = await TlsListener.open(
      { host: '127.0.0.1', port: 0, files, clients },
      {
        admit: (socket, access) => this.rig.server.admit(socket, access),
        clock,
        wallMs: () => this.wallMs(),
        log,
        refusals: new LimitedLog(log, clock, 1, 600e9),
        watchTimes: { quietMs: 20, pollMs: 50 },
      },
    );
    return this;
  }

  get port(): number {
    return this.#listener!.port;
  }

  address(files: CertificateFiles, ca = this.#authority.cert): TlsAddress {
    return { host: '127.0.0.1', port: this.port, ...files, ca, servername: 'gateway.example' };
  }

  tls(files: CertificateFiles, mustBeThere = true, ca?: string): HostClient {
    const tls = this.address(files, ca);
    const client = new HostClient({ tls, client: 'test', mustBeThere, firstBackoffMs: 5, timeoutMs: 30_000 });
    this.#hosts.push(client);
    return client;
  }

  override async close(): Promise<void> {
    for (const host of this.#hosts) host.close();
    await this.#listener?.close();
    await super.close();
  }
}
