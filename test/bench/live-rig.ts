import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { LiveScene } from '../support/live-scene.ts';
import { leaveNetns, type Netns } from '../support/netns.ts';
import { buildCPrograms, type CPrograms } from './c-programs.ts';
import type { Forwarder, ForwarderKind } from './live-forwarders.ts';

/** Where programs that send and receive run. */
export const TRAFFIC_CORE = '0';

/** A guest, a network, what is between them, and the hands that measure. */
export class LiveRig {
  readonly scene: LiveScene;
  readonly programs: CPrograms;

  /** @throws Error where the C programs cannot be built */
  constructor(offloads = true) {
    this.scene = new LiveScene(offloads);
    const programs = buildCPrograms(this.scene.folder);
    if (typeof programs === 'string') throw new Error(programs);
    this.programs = programs;
  }

  delete(): Promise<void> {
    return this.scene.delete();
  }

  /** Does something while a forwarder is at work. */
  async with<T>(kind: ForwarderKind, work: (forwarder: Forwarder) => Promise<T>): Promise<T> {
    const forwarder = await kind.start(this.scene);
    try {
      return await work(forwarder);
    } finally {
      await forwarder.stop();
    }
  }

  /** Sends frames for so long. `framesPerSecond` 0: as many as go. */
  flood(from: Netns, frameBytes: number, seconds: number, framesPerSecond: number, port = 7000): Flood {
    const parameters = ['eth0', frameBytes, seconds, framesPerSecond, port].map(String);
    return new Flood(
      spawn('ip', ['netns', 'exec', from.name, 'taskset', '-c', TRAFFIC_CORE, this.programs.send, ...parameters]),
    );
  }

  /** Enough frames for a process in which code is compiled as it is used. */
  async warm(): Promise<void> {
    await this.flood(this.scene.guest, 64, 0.7, 100_000).sent;
  }

  /**
   * @param isAwake who receives does not sleep either: it is not its waking up that is measured
   * @returns one-way delays from the guest to the network, ns; Infinity for a frame that never came
   */
  async delays(frames: number, framesPerSecond: number, port = 7000, isAwake = false): Promise<number[]> {
    const { guest, network } = this.scene;
    const parameters = [guest.name, 'eth0', network.name, 'eth0', frames, framesPerSecond, port].map(String);
    if (isAwake) parameters.push('awake');
    const child = spawn('taskset', ['-c', TRAFFIC_CORE, this.programs.latency, ...parameters]);
    const printed = await printedBy(child);
    return printed
      .trim()
      .split('\n')
      .map((line) => Number(line) || Number.POSITIVE_INFINITY);
  }
}

/** A sender at work. */
export class Flood {
  readonly #child: ChildProcess;
  /** Frames that it sent. */
  readonly sent: Promise<number>;

  constructor(child: ChildProcess) {
    this.#child = child;
    this.sent = printedBy(child).then(Number);
  }

  stop(): void {
    this.#child.kill();
  }
}

/** @returns frames that reached a namespace's device so far; the clock does not run on meanwhile */
export function received(netns: Netns, device = 'eth0'): number {
  return deviceCounts(netns, device)[1]!;
}

/** @returns frames that a namespace's device has sent so far */
export function sent(netns: Netns, device = 'eth0'): number {
  return deviceCounts(netns, device)[9]!;
}

function deviceCounts(netns: Netns, device: string): number[] {
  netns.enter();
  try {
    // Of the thread's namespace, unlike /sys.
    const line = readFileSync('/proc/thread-self/net/dev', 'utf8')
      .split('\n')
      .find((one) => one.trimStart().startsWith(`${device}:`));
    return line!.split(':')[1]!.trim().split(/\s+/).map(Number);
  } finally {
    leaveNetns();
  }
}

/** @returns CPU time that a process and all its threads have had, ns */
export function cpuNs(pid: number): number {
  let sum = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    sum += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
  }
  return sum;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function printedBy(child: ChildProcess): Promise<string> {
  let text = '';
  let said = '';
  child.stdout!.on('data', (chunk) => (text += chunk));
  child.stderr!.on('data', (chunk) => (said += chunk));
  await new Promise((resolve) => child.once('close', resolve));
  if (text === '') throw new Error(`a program of the benchmark failed: ${said}`);
  return text;
}
