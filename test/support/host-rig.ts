import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Method, ParamsOf } from '../../gateway/host/api.ts';
import { HostClient, type HostClientOptions } from '../../gateway/host/client.ts';
import { RequestError } from '../../gateway/host/protocol.ts';
import { HostServer, type HostServerOptions } from '../../gateway/host/server.ts';
import type { Vm } from '../../gateway/vm.ts';
import { Scene } from './rig.ts';

/** UDP frames of the tests travel from 10.0.0.1:6000 to 10.0.0.254:5000 + colour. */
export const HOST_RULES = `class data pass
class control hold
set media { type ipv4_addr . inet_service; flags timeout; size 3 }
set ports { type inet_service; elements = { 7 } }
outbound {
  udp dport 5000 class data
  ip saddr . udp sport @media class data
  udp dport 5001 declared class data
  default class control
}`;

/** A client that sends whatever bytes it likes. */
export class RawClient {
  readonly socket: Socket;
  readonly lines: string[] = [];
  readonly closed: Promise<void>;
  #rest = '';
  #wake: (() => void) | null = null;

  /** @param isStubborn keeps its side open when the gateway has ended its own */
  constructor(path: string, isStubborn = false) {
    this.socket = connect({ path, allowHalfOpen: isStubborn });
    this.socket.on('data', (chunk) => {
      const parts = (this.#rest + chunk.toString()).split('\n');
      this.#rest = parts.pop()!;
      this.lines.push(...parts);
      this.#wake?.();
    });
    this.socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      this.socket.on('close', () => {
        resolve();
        this.#wake?.();
      });
    });
  }

  connected(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.once('connect', resolve);
      this.socket.once('error', reject);
    });
  }

  /** Sends bytes as they are. */
  write(data: string | Uint8Array): void {
    this.socket.write(data);
  }

  /** Sends a request. @returns the next line, which is its answer if nothing else was asked */
  async ask(method: string, params: unknown = {}, id: unknown = 1): Promise<Answer> {
    this.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
    return this.next();
  }

  /** @throws when the connection ends first */
  async next(): Promise<Answer> {
    while (this.lines.length === 0) {
      if (this.socket.destroyed) throw new Error('the gateway hung up');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return JSON.parse(this.lines.shift()!);
  }
}

export interface Answer {
  readonly id: unknown;
  readonly result?: never;
  readonly error?: { readonly code: number; readonly message: string; readonly data: { code: string; field?: string } };
  readonly params?: { readonly kind: string };
}

/** A gateway with memory ports, a virtual clock and a real control socket. */
export class HostRig {
  readonly scene: Scene;
  readonly path: string;
  readonly #folder = mkdtempSync(join(tmpdir(), 'holdfast-host-'));
  readonly #options: HostServerOptions;
  readonly #open: { destroy?: () => void; close?: () => void }[] = [];
  server: HostServer;

  constructor(scene = new Scene(), more: Partial<HostServerOptions> = {}) {
    this.scene = scene;
    this.path = join(this.#folder, 'control');
    const vms: ReadonlyMap<string, Vm> = new Map([['vm0', scene.vm]]);
    this.#options = { vms, clock: scene.rig.clock, version: '1.2.3', bootId: 'boot-1', ...more };
    this.server = new HostServer(this.#options);
  }

  async listen(): Promise<this> {
    await this.server.listen(this.path);
    return this;
  }

  /** The gateway's process ends and another begins: the same VM here, a new boot. */
  async restart(bootId: string): Promise<void> {
    await this.server.close();
    this.server = new HostServer({ ...this.#options, bootId });
    await this.listen();
  }

  async raw(isStubborn = false): Promise<RawClient> {
    const client = new RawClient(this.path, isStubborn);
    this.#open.push(client.socket);
    await client.connected();
    return client;
  }

  client(options: Partial<HostClientOptions> = {}): HostClient {
    const client = new HostClient({ path: this.path, client: 'test', firstBackoffMs: 5, ...options });
    this.#open.push(client);
    return client;
  }

  async close(): Promise<void> {
    for (const one of this.#open) {
      one.destroy?.();
      one.close?.();
    }
    await this.server.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Waits until `isSo`; a test that waits for ever fails by its own timeout. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** @returns what a request is refused with */
export async function refusalOf<M extends Method>(host: HostClient, method: M, params: ParamsOf<M>) {
  const error = await host.call(method, params).then(
    () => new Error('it was granted'),
    (reason: Error) => reason,
  );
  if (!(error instanceof RequestError)) throw error;
  const { rpcCode, code, field, message } = error;
  return { rpcCode, code, field, message };
}
