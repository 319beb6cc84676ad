import { spawnSync } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { connectIn } from '../support/connect-in.ts';
import { VM_GUEST } from '../support/guest.ts';
import { leaveNetns, type Netns } from '../support/netns.ts';
import { pause } from './live-rig.ts';
import { find } from './processes.ts';

const ECHO = fileURLToPath(new URL('c/echo.c', import.meta.url));
const PINGS = 150;
const TCP_MS = 2500;
/** Until congestion control has found its way. */
const TCP_BEGINS_MS = 1000;
/** About a second under QEMU's emulator. */
const WORK_STEPS = 300_000_000;

/** Round trips, ms, of those that came back. */
export interface Echoes {
  readonly ms: readonly number[];
  readonly lost: number;
}

/** What a client asks of the guest, to see how long it takes. */
export class VmLoad {
  readonly #network: Netns;
  readonly #echo: string;

  /** @throws Error where its program cannot be built, in `folder` */
  constructor(network: Netns, folder: string) {
    this.#network = network;
    this.#echo = `${folder}/echo`;
    const compiler = find('cc') ?? find('gcc');
    if (compiler === null) throw new Error('no C compiler');
    const { status, stderr } = spawnSync(compiler, ['-O2', '-o', this.#echo, ECHO], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`echo.c does not compile: ${stderr}`);
  }

  async ping(): Promise<Echoes> {
    const ping = this.#network.start('ping', '-n', '-i', '0.02', '-W', '2', '-c', String(PINGS), VM_GUEST.ip4);
    // Its exit code says whether all came back.
    const said = await ping.done().catch(() => ping.output);
    const ms = [...said.matchAll(/time=([\d.]+) ms/g)].map(([, time]) => Number(time));
    return { ms, lost: PINGS - ms.length };
  }

  async udp(count: number, perSecond: number): Promise<Echoes> {
    const parameters = [VM_GUEST.ip4, VM_GUEST.echo, count, perSecond].map(String);
    const printed = await this.#network.start(this.#echo, ...parameters).done();
    const ms = printed
      .trim()
      .split('\n')
      .map((line) => Number(line) / 1e6);
    const back = ms.filter((one) => one > 0);
    return { ms: back, lost: ms.length - back.length };
  }

  /** @returns what the guest sends over one connection, Mbit/s */
  async down(): Promise<number> {
    let bytes = 0;
    const socket = await this.#connect(VM_GUEST.source);
    socket.on('data', (chunk) => (bytes += chunk.length));
    return this.#rate(socket, () => bytes);
  }

  /** @returns what the guest takes over one connection, Mbit/s */
  async up(): Promise<number> {
    const socket = await this.#connect(VM_GUEST.sink);
    const chunk = Buffer.alloc(65_536);
    const write = () => {
      while (!socket.destroyed && socket.write(chunk));
    };
    socket.on('drain', write);
    write();
    // What the kernels between have taken is not yet there.
    return this.#rate(socket, () => {
      const told = this.#network.run('ss', '-tin', 'dst', `${VM_GUEST.ip4}:${VM_GUEST.sink}`);
      return Number(/bytes_acked:(\d+)/.exec(told)?.[1] ?? 0);
    });
  }

  /** @returns how long the guest takes for a fixed computation, as a client sees it, ms */
  async work(): Promise<number> {
    const socket = await this.#connect(VM_GUEST.work);
    const began = performance.now();
    const answer = new Promise((resolve, reject) => socket.once('data', resolve).once('error', reject));
    socket.write(`${WORK_STEPS}\n`);
    await answer;
    socket.destroy();
    return performance.now() - began;
  }

  async #rate(socket: Socket, bytes: () => number): Promise<number> {
    await pause(TCP_BEGINS_MS);
    const before = { bytes: bytes(), ms: performance.now() };
    await pause(TCP_MS);
    const rate = ((bytes() - before.bytes) * 8) / 1e3 / (performance.now() - before.ms);
    // What the kernel still has to send would be load for whoever measures next.
    socket.resetAndDestroy();
    return rate;
  }

  #connect(port: number): Promise<Socket> {
    return connectIn(VM_GUEST.ip4, port, () => this.#network.enter(), leaveNetns);
  }
}
