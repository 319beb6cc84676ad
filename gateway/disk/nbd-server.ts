import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../clock.ts';
import { ConnectionRate } from '../host/connection-rate.ts';
import { LiveClock } from '../live-clock.ts';
import type { DiskBarrier } from './disk-barrier.ts';
import { listenPrivately } from './listen.ts';
import { NbdConnection } from './nbd-connection.ts';
import type { Exports } from './nbd-handshake.ts';
import type { NbdTls } from './nbd-tls.ts';

const DEFAULT_CONNECTIONS = 16;
const DEFAULT_HANDSHAKE_MS = 10_000;
const KEEP_ALIVE_MS = 10_000;
const LOOPBACK = ['127.0.0.1', '::1', 'localhost'];

/** `port` 0: any free one. */
export type NbdAddress = { readonly path: string } | { readonly host: string; readonly port: number };

export interface NbdServerOptions {
  readonly address: NbdAddress;
  /** By name. A disk that was rolled back is exported as NAME@FENCE, so that a client of before does not find it again. */
  readonly disks: ReadonlyMap<string, DiskBarrier>;
  /** Needed on every host but this one. */
  readonly tls?: NbdTls;
  /** A disk is found only by who knows its name: there is no list, and no default. */
  readonly hasSecretNames?: boolean;
  /** Each may cost 64 MiB of memory. Default: 16. */
  readonly maxConnections?: number;
  /** From a connection to the choice of an export. Default: 10,000. */
  readonly handshakeMs?: number;
  /** Of the rate at which connections are taken. Default: the machine's. */
  readonly clock?: Clock;
}

/** @returns what a disk is called for its clients */
export function exportName(name: string, disk: DiskBarrier): string {
  return disk.fence === 0 ? name : `${name}@${disk.fence}`;
}

/** Serves disks over NBD: fixed newstyle negotiation, simple replies. */
export class NbdServer {
  readonly #options: NbdServerOptions;
  readonly #server: Server;
  readonly #exports: Exports;
  /** Where there is TLS between hosts: whoever is to be refused costs a handshake first. */
  readonly #rate: ConnectionRate | null;
  /** In the order of their coming, with where they are from. */
  readonly #connections = new Map<NbdConnection, string>();

  /** @throws RangeError where others than processes of this host could connect without TLS */
  constructor(options: NbdServerOptions) {
    const { address, tls } = options;
    if (tls === undefined && 'host' in address && !LOOPBACK.includes(address.host)) {
      throw new RangeError(`disks are served on ${address.host} only with TLS`);
    }
    this.#options = options;
    const { clock = new LiveClock() } = options;
    this.#rate = tls !== undefined && 'host' in address ? new ConnectionRate(clock) : null;
    const { disks, hasSecretNames = false } = options;
    this.#exports = {
      find: (name) => (hasSecretNames && name === '' ? null : findExport(disks, name)),
      names: () => (hasSecretNames ? null : [...disks].map(([name, disk]) => exportName(name, disk))),
    };
    this.#server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }, (socket) => {
      this.#accept(socket);
    });
  }

  /** Connected clients, with those that have not chosen an export yet. */
  get connections(): number {
    return this.#connections.size;
  }

  /**
   * @returns where clients connect
   * @throws Error as `listenPrivately`
   */
  async listen(): Promise<NbdAddress> {
    const { address } = this.#options;
    await listenPrivately(this.#server, address);
    if ('path' in address) return address;
    return { host: address.host, port: (this.#server.address() as AddressInfo).port };
  }

  /** Hangs up on everybody. Disks stay open. */
  async close(): Promise<void> {
    const isClosed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of this.#connections.keys()) connection.hangUp();
    await isClosed;
  }

  #accept(socket: Socket): void {
    const { remoteAddress: from = '' } = socket;
    if (this.#rate !== null && !this.#rate.admits(from)) {
      socket.destroy();
      return;
    }
    if (this.#connections.size >= (this.#options.maxConnections ?? DEFAULT_CONNECTIONS) && !this.#makeRoom()) {
      socket.destroy();
      return;
    }
    const connection = new NbdConnection(socket, {
      exports: this.#exports,
      tls: this.#options.tls ?? null,
      handshakeMs: this.#options.handshakeMs ?? DEFAULT_HANDSHAKE_MS,
      onClose: (closed) => this.#connections.delete(closed),
    });
    this.#connections.set(connection, from);
  }

  /** Of those without a disk one goes: of the address that has the most of them, who has been there for the longest. */
  #makeRoom(): boolean {
    const byAddress = new Map<string, NbdConnection[]>();
    for (const [connection, from] of this.#connections) {
      if (connection.disk !== null) continue;
      const others = byAddress.get(from);
      if (others === undefined) byAddress.set(from, [connection]);
      else others.push(connection);
    }
    let most: readonly NbdConnection[] = [];
    for (const ofOne of byAddress.values()) if (ofOne.length > most.length) most = ofOne;
    most[0]?.hangUp();
    return most.length > 0;
  }
}

/** The empty name means the first disk, as long as it has never been rolled back. */
function findExport(disks: ReadonlyMap<string, DiskBarrier>, wanted: string): DiskBarrier | null {
  for (const [name, disk] of disks) {
    if (wanted === exportName(name, disk) || (wanted === '' && disk.fence === 0)) return disk;
    if (wanted === '') return null;
  }
  return null;
}
