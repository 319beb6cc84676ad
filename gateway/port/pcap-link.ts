import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../clock.ts';
import type { DeviceSocket } from './netdev-port.ts';
import type { PcapReport } from './pcap-child.ts';
import { PORT_COUNT, type PortCounters } from './port-counters.ts';
import { StreamPort } from './stream.ts';

const CHILD = fileURLToPath(import.meta.url.replace(/pcap-link(\.[jt]s)$/, 'pcap-child$1'));
const BACK_OFF_MS = { first: 50, most: 2000 } as const;
const STDERR_CHARACTERS = 2000;

/** A child process that has the device open with npm's `cap`, started again whenever it ends, and the stream to it. */
export class PcapLink implements DeviceSocket {
  readonly stream: StreamPort;
  readonly queued = 0;
  readonly dropped = 0;
  /** Children that ended by themselves. */
  restarts = 0;
  readonly #device: string;
  readonly #counters: PortCounters;
  readonly #folder: string;
  readonly #path: string;
  readonly #nodeArguments: readonly string[];
  readonly #changed: () => void;
  #child: ChildProcess | null = null;
  #why: string | null = null;
  #deviceIsUp = false;
  #isWatched = false;
  #backOffMs: number = BACK_OFF_MS.first;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  /**
   * @param counters the port's
   * @param nodeArguments of the child's node
   * @param changed `trouble` has changed
   */
  constructor(
    device: string,
    clock: Clock,
    counters: PortCounters,
    nodeArguments: readonly string[],
    changed: () => void,
  ) {
    this.#device = device;
    this.#counters = counters;
    this.#nodeArguments = nodeArguments;
    this.#changed = changed;
    this.#folder = mkdtempSync(join(tmpdir(), 'holdfast-pcap-'));
    this.#path = join(this.#folder, 'frames');
    this.stream = new StreamPort(device, { path: this.#path }, clock, { role: 'listen', counters });
    this.stream.onLink = () => {
      if (this.stream.link === 'up') this.#backOffMs = BACK_OFF_MS.first;
      this.#start();
      changed();
    };
  }

  get trouble(): string | null {
    return this.stream.link === 'up' ? null : (this.#why ?? 'the pcap process is starting');
  }

  /** A child lives while the device is up: when it goes down the child aborts. */
  deviceIs(isUp: boolean): void {
    if (isUp === this.#deviceIsUp) return;
    this.#deviceIsUp = isUp;
    this.#backOffMs = BACK_OFF_MS.first;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#start();
  }

  updateStatistics(): void {
    // cap does not tell what the kernel had no room for.
  }

  watch(ready: () => void): { close(): void } {
    this.stream.onReady = ready;
    this.#setWatched(true);
    return { close: () => this.#setWatched(false) };
  }

  /** Tells that more may be there, as a device's own socket would: a stream tells of what comes only. */
  goOn(): void {
    if (this.#isWatched) this.stream.setReading(true);
  }

  clearError(): void {
    // A stream keeps none.
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#child?.kill('SIGKILL');
    this.stream.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #setWatched(isWatched: boolean): void {
    this.#isWatched = isWatched;
    this.stream.setReading(isWatched);
  }

  #start(): void {
    if (this.#closed || this.#child !== null || this.#timer !== null || !this.#deviceIsUp || !this.stream.isReady)
      return;
    const child = fork(CHILD, [this.#device, this.#path], {
      execArgv: [...this.#nodeArguments],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child = child;
    let said = '';
    let failed: string | null = null;
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-STDERR_CHARACTERS);
    });
    child.on('message', (message) => {
      const report = message as PcapReport;
      failed ??= report.failed ?? null;
      this.#count(report);
    });
    child.on('error', (error) => {
      failed ??= error.message;
    });
    child.on('close', (code, signal) => {
      this.#child = null;
      if (this.#closed) return;
      this.restarts++;
      // libpcap warns of devices without addresses, which ports have to be.
      const last = said.split('\n').findLast((line) => line !== '' && !line.startsWith('Warning: '));
      this.#why = `the pcap process ended: ${failed ?? last ?? signal ?? `exit code ${code}`}`;
      this.#timer = setTimeout(() => {
        this.#timer = null;
        this.#start();
      }, this.#backOffMs);
      this.#backOffMs = Math.min(2 * this.#backOffMs, BACK_OFF_MS.most);
      this.#changed();
    });
  }

  #count({ lost = 0, tooLong = 0, invalid = 0 }: PcapReport): void {
    const { values } = this.#counters;
    values[PORT_COUNT.lost]! += lost;
    values[PORT_COUNT.tooLong]! += tooLong;
    values[PORT_COUNT.invalid]! += invalid;
    // They were given to the child, and counted then.
    values[PORT_COUNT.sent]! -= tooLong + invalid;
  }
}
