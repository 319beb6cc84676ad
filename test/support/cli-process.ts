import type { ChildProcess } from 'node:child_process';
import { until } from './netns.ts';

/** Loaded machines on a busy computer. */
export const SLOW_MS = 60_000;

/** A process of the command line. */
export class CliProcess {
  stdout = '';
  stderr = '';
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  isOver = false;
  readonly #events: Record<string, unknown>[] = [];
  /** So many characters are in `#events`. */
  #readTo = 0;

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout!.on('data', (text) => (this.stdout += text));
    child.stderr!.on('data', (text) => (this.stderr += text));
    this.ended = new Promise((resolve) =>
      child.once('close', (code) => {
        this.isOver = true;
        resolve(code);
      }),
    );
  }

  /** @throws when it ends before, or says nothing */
  async says(text: string, ms = SLOW_MS): Promise<void> {
    const words = () =>
      `${this.child.spawnargs.join(' ')} to say ${text}: ${this.stdout.slice(-2000)}${this.stderr.slice(-2000)}`;
    await until(() => this.isOver || this.stdout.includes(text), words(), ms).catch(() => {
      throw new Error(`waited ${ms} ms for ${words()}`);
    });
    if (!this.stdout.includes(text)) throw new Error(`it ended; waited for ${words()}`);
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (!this.isOver) this.child.kill(signal);
    await this.ended;
  }

  /** What it printed as JSON lines. Cheap: whoever waits for one looks again and again, and there are thousands. */
  get events(): Record<string, unknown>[] {
    const end = this.stdout.lastIndexOf('\n') + 1;
    for (const line of this.stdout.slice(this.#readTo, end).split('\n')) {
      if (line.startsWith('{')) this.#events.push(JSON.parse(line));
    }
    this.#readTo = Math.max(this.#readTo, end);
    return [...this.#events];
  }
}
