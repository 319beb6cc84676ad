import { closeSync, openSync, statSync, writeSync } from 'node:fs';
import type { Generation } from '../../classifier/classifier.ts';
import { REASON_NAMES, VERDICT_NAMES } from '../../classifier/verdict.ts';
import { PcapngWriter } from '../../pcaps/pcapng-writer.ts';
import type { FrameBatch } from '../frame-batch.ts';
import type { ReplaySink } from '../replay.ts';
import { Failure } from './failure.ts';

/** `--out`: what left for the network, as pcapng, each frame with a comment on why and from which epoch. */
export class ReplayOut {
  readonly #path: string;
  readonly #fd: number;
  readonly #writer: PcapngWriter;
  readonly #classes: ReadonlyMap<number, string | null>;

  /**
   * @param inputs the captures that are being read: writing over one would destroy it
   * @throws Failure with exit code 2 if the file cannot be written
   */
  constructor(path: string, inputs: readonly string[], generation: Generation) {
    this.#path = path;
    if (inputs.some((input) => isSameFile(input, path))) throw new Failure(`--out ${path} is one of the captures`);
    try {
      this.#fd = openSync(path, 'w');
    } catch (error) {
      throw unwritable(path, error);
    }
    this.#classes = new Map(generation.ruleSet.outbound.map((rule) => [rule.handle, rule.className]));
    this.#writer = new PcapngWriter((chunk) => this.#write(chunk));
    this.#writer.addInterface({ name: 'outside' });
  }

  readonly sink: ReplaySink = (batch, i, seconds, nanoseconds) => {
    this.#writer.writePacket(
      0,
      seconds,
      nanoseconds,
      batch.slab.bytes,
      batch.offset[i]!,
      batch.length[i]!,
      batch.wireLength[i]!,
      this.#comment(batch, i),
    );
  };

  close(): void {
    this.#writer.flush();
    closeSync(this.#fd);
  }

  #comment(batch: FrameBatch, i: number): string {
    const rule = batch.rule[i]!;
    const verdict = VERDICT_NAMES[batch.verdict[i] as 0 | 1 | 2];
    const name = this.#classes.get(rule) ?? '-';
    const reason = REASON_NAMES[batch.reason[i]!];
    return `rule=${rule === 0 ? '-' : rule} class=${name} verdict=${verdict} epoch=${batch.epoch[i]} reason=${reason}`;
  }

  #write(chunk: Uint8Array): void {
    try {
      for (let at = 0; at < chunk.length; ) at += writeSync(this.#fd, chunk, at);
    } catch (error) {
      throw unwritable(this.#path, error);
    }
  }
}

function isSameFile(a: string, b: string): boolean {
  const [first, second] = [a, b].map((path) => statSync(path, { throwIfNoEntry: false }));
  // Devices such as /dev/null may be written while they are read.
  return first?.isFile() === true && first.ino === second?.ino && first.dev === second.dev;
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such folder',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
  ENOSPC: 'no space is left',
};

function unwritable(path: string, error: unknown): Failure {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return new Failure(
    `cannot write ${path}: ${REASONS[code] ?? (error instanceof Error ? error.message : String(error))}`,
  );
}
