import { readlinkSync } from 'node:fs';
import fs, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { relative } from 'node:path';

const OF_FILES = ['read', 'writev', 'truncate', 'sync', 'datasync'] as const;

/**
 * What is asked of the files in a folder, one line for each call but reads: a write when it begins, everything else when it is done. So
 * a sync that stands before a write was over when the write began. Ends with `stop`.
 */
export class FileCalls {
  readonly #folder: string;
  readonly #real = { open: fs.open, rename: fs.rename, unlink: fs.unlink };
  readonly #failures: { readonly call: string; readonly error: Error }[] = [];
  readonly #held = new Map<string, Promise<void>>();
  readonly #holds: (() => void)[] = [];
  /** Calls that wait. */
  readonly waiting = new Set<string>();
  #calls: string[] = [];

  constructor(folder: string) {
    this.#folder = folder;
    const { open, rename, unlink } = this.#real;
    fs.open = async (...parameters) => this.#watched(await open(...parameters));
    fs.rename = async (from, to) => {
      await rename(from, to);
      this.#calls.push(`rename ${this.#name(to)}`);
    };
    fs.unlink = async (path) => {
      await this.#turn(`unlink ${this.#name(path)}`);
      await unlink(path);
      this.#calls.push(`unlink ${this.#name(path)}`);
    };
    syncBuiltinESMExports();
  }

  /** What was asked since this was called last. */
  take(): string[] {
    const calls = this.#calls;
    this.#calls = [];
    return calls;
  }

  /** The next call that has this line ends so, and does nothing. */
  fail(call: string, code: string): void {
    this.#failures.push({ call, error: Object.assign(new Error(`${code}: made to fail`), { code }) });
  }

  /** The next call that has this line waits, before it does anything. @returns lets it go on */
  hold(call: string): () => void {
    let goOn = () => {};
    this.#held.set(
      call,
      new Promise((resolve) => {
        goOn = resolve;
      }),
    );
    this.#holds.push(goOn);
    return goOn;
  }

  /** Lets everything go on, unseen. */
  stop(): void {
    this.#held.clear();
    for (const goOn of this.#holds) goOn();
    Object.assign(fs, this.#real);
    syncBuiltinESMExports();
  }

  #watched(file: FileHandle): FileHandle {
    for (const method of OF_FILES) {
      const real = file[method].bind(file) as (...parameters: unknown[]) => Promise<unknown>;
      const watched = async (...parameters: unknown[]) => {
        const call = `${method} ${this.#name(readlinkSync(`/proc/self/fd/${file.fd}`))}`;
        if (method === 'writev') this.#calls.push(call);
        await this.#turn(call);
        const result = await real(...parameters);
        if (method !== 'writev' && method !== 'read') this.#calls.push(call);
        return result;
      };
      Object.assign(file, { [method]: watched });
    }
    return file;
  }

  async #turn(call: string): Promise<void> {
    const held = this.#held.get(call);
    if (held !== undefined) {
      this.#held.delete(call);
      this.waiting.add(call);
      await held;
      this.waiting.delete(call);
    }
    const index = this.#failures.findIndex((failure) => failure.call === call);
    if (index >= 0) throw this.#failures.splice(index, 1)[0]!.error;
  }

  #name(path: unknown): string {
    return relative(this.#folder, String(path)) || '.';
  }
}
