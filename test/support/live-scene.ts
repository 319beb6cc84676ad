import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HostClient } from '../../gateway/host/client.ts';
import { Netns, until } from './netns.ts';
import { HOLDFAST } from './run-cli.ts';

export const GUEST = { ip4: '10.77.0.1', ip6: 'fd77::1' } as const;
export const NETWORK = { ip4: '10.77.0.2', ip6: 'fd77::2' } as const;

/** A machine that does much else at the same time is slow to start a process. */
const START_MS = 60_000;

/**
 * A guest and a network, each in a namespace of its own, and between them one for the gateway: `eth0` there is `inside` and
 * `outside` here. Devices are up and silent until `addAddresses`.
 */
export class LiveScene {
  readonly guest = new Netns('guest');
  readonly gateway = new Netns('gateway');
  readonly network = new Netns('network');
  readonly folder = mkdtempSync(join(tmpdir(), 'holdfast-live-'));
  readonly control = join(this.folder, 'control');
  readonly #running: RunningGateway[] = [];
  readonly #clients: HostClient[] = [];

  /** @param offloads without them each frame on a wire is one that a capture shows whole, with its checksums */
  constructor(offloads = true) {
    this.gateway.veth('inside', this.guest, 'eth0');
    this.gateway.veth('outside', this.network, 'eth0');
    if (offloads) return;
    for (const end of [this.guest, this.network]) {
      for (const feature of ['tx', 'sg', 'tso', 'gso', 'gro', 'tx-udp-segmentation']) {
        end.run('ethtool', '-K', 'eth0', feature, 'off');
      }
    }
  }

  /** @param hasIp6 without it the ends send nothing of their own accord but ARP */
  addAddresses(hasIp6 = true): void {
    for (const [netns, ends] of [
      [this.guest, GUEST],
      [this.network, NETWORK],
    ] as const) {
      netns.run('ip', 'addr', 'add', `${ends.ip4}/24`, 'dev', 'eth0');
      if (!hasIp6) continue;
      netns.run('sysctl', '-qw', 'net.ipv6.conf.eth0.disable_ipv6=0');
      netns.run('ip', '-6', 'addr', 'add', `${ends.ip6}/64`, 'dev', 'eth0', 'nodad');
    }
  }

  /**
   * The ends know each other's link addresses. Otherwise what is sent first waits in the kernel for an ARP answer, and may be
   * overtaken by what is sent when that comes.
   */
  introduce(): void {
    for (const [netns, peer, address] of [
      [this.guest, this.network, NETWORK.ip4],
      [this.network, this.guest, GUEST.ip4],
    ] as const) {
      const mac = peer.run('cat', '/sys/class/net/eth0/address').trim();
      netns.run('ip', 'neigh', 'add', address, 'lladdr', mac, 'nud', 'permanent', 'dev', 'eth0');
    }
  }

  /** @returns the path of a file with these contents */
  file(name: string, text: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, text);
    return path;
  }

  /** `holdfast run` between `inside` and `outside`, as its users start it; waits for its line `ready`. */
  async run(...flags: readonly string[]): Promise<RunningGateway> {
    const running = this.start('--inside', 'inside', '--outside', 'outside', ...flags);
    await running.says('ready');
    return running;
  }

  /** `holdfast run` with the scene's control socket. */
  start(...flags: readonly string[]): RunningGateway {
    return this.startWith(...flags, '--control', this.control);
  }

  /** `holdfast run` with these options and no others. */
  startWith(...flags: readonly string[]): RunningGateway {
    const parameters = ['netns', 'exec', this.gateway.name, process.execPath, HOLDFAST, 'run', ...flags];
    const running = new RunningGateway(spawn('ip', parameters));
    this.#running.push(running);
    return running;
  }

  client(): HostClient {
    const client = new HostClient({ path: this.control, client: 'test', firstBackoffMs: 5 });
    this.#clients.push(client);
    return client;
  }

  async delete(): Promise<void> {
    for (const client of this.#clients) client.close();
    for (const running of this.#running) await running.kill();
    for (const netns of [this.guest, this.gateway, this.network]) netns.delete();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A process of the gateway. */
export class RunningGateway {
  stdout = '';
  stderr = '';
  readonly #child: ChildProcess;
  /** Fulfilled with its exit code. */
  readonly ended: Promise<number | null>;
  #isOver = false;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout!.on('data', (text) => (this.stdout += text));
    child.stderr!.on('data', (text) => (this.stderr += text));
    this.ended = new Promise((resolve) =>
      child.once('close', (code) => {
        this.#isOver = true;
        resolve(code);
      }),
    );
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Waits for a text on its standard output. @throws when it ends before */
  async says(text: string): Promise<void> {
    await until(() => this.#isOver || this.stdout.includes(text), `the gateway to say ${text}`, START_MS);
    if (!this.stdout.includes(text)) throw new Error(`the gateway ended: ${this.stderr}`);
  }

  /** @returns its exit code */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.#child.kill(signal);
    return this.ended;
  }

  async kill(): Promise<void> {
    if (!this.#isOver) await this.stop('SIGKILL');
  }
}
