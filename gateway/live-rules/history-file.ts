import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { HistoryEntry } from '../../rules/database.ts';

/*
 * How rules came to be, on disk: a line per generation and per change of a generation's state, `CHECKSUM JSON`. Lines are only
 * appended; when most of them say nothing any more, a new file takes the place of the old one. A gateway that dies while it writes
 * leaves a last line without its end, which was never answered for.
 */

/** A generation, and what is needed to go on from it. */
export interface StoredGeneration {
  readonly entry: HistoryEntry;
  /** Outbound rules' first. */
  readonly handles: readonly number[];
  readonly nextHandle: number;
  /** Of the texts that the rule file had when it was read last. */
  readonly fileHash: string;
}

export interface FoundHistory {
  /** Oldest first. */
  readonly generations: readonly StoredGeneration[];
  /** The highest number that was ever used; 0: none is known. */
  readonly lastNumber: number;
  readonly nextHandle: number;
  /** The file was damaged and is kept under this name. */
  readonly keptAside: string | null;
}

interface WrittenGeneration {
  readonly kind: 'generation';
  readonly generation: number;
  readonly atMs: number;
  readonly who: string;
  readonly what: string;
  readonly state: HistoryEntry['state'];
  readonly file: string;
  readonly texts: readonly (readonly [string, string])[];
  readonly handles: readonly number[];
  readonly nextHandle: number;
  readonly fileHash: string;
}
interface WrittenState {
  readonly kind: 'state';
  readonly generation: number;
  readonly state: HistoryEntry['state'];
}
interface WrittenHead {
  readonly kind: 'holdfast rules history';
  readonly version: 1;
  /** The highest number that was ever used, also where its generation is not kept. */
  readonly lastNumber: number;
  readonly nextHandle: number;
}
type Written = WrittenGeneration | WrittenState | WrittenHead;

/** Below this a file is not written anew, however little of it still counts. */
const COMPACT_BYTES = 2 ** 20;
const MAX_BYTES = 2 ** 28;

/** The history's file. What is added is on disk when the promise of `flush` is fulfilled. */
export class HistoryFile {
  readonly #path: string;
  #handle: FileHandle | null = null;
  #bytes = 0;
  #added: Written[] = [];
  #flushing: Promise<void> | null = null;
  #next: Promise<void> | null = null;
  /** Written in full at the next flush. */
  #whole: (() => readonly string[]) | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Reads what an earlier process left. A damaged file is renamed, so that it can be looked at; of its good lines only the numbers are
   * gone on from.
   * @throws Error when the file is there and cannot be read or renamed
   */
  read(): FoundHistory {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    if (!existsSync(this.#path)) return { generations: [], lastNumber: 0, nextHandle: 1, keptAside: null };
    const bytes = readFileSync(this.#path);
    const { records, isDamaged } = bytes.length > MAX_BYTES ? { records: [], isDamaged: true } : decode(bytes);
    const generations = new Map<number, StoredGeneration>();
    let lastNumber = 0;
    let nextHandle = 1;
    for (const record of records) {
      if (record.kind === 'state') {
        const known = generations.get(record.generation);
        if (known === undefined) continue;
        generations.set(record.generation, { ...known, entry: { ...known.entry, state: record.state } });
        continue;
      }
      nextHandle = Math.max(nextHandle, record.nextHandle);
      lastNumber = Math.max(lastNumber, record.kind === 'generation' ? record.generation : record.lastNumber);
      if (record.kind === 'generation') generations.set(record.generation, storedOf(record));
    }
    if (!isDamaged) return { generations: [...generations.values()], lastNumber, nextHandle, keptAside: null };
    const keptAside = freeName(`${this.#path}.damaged`);
    renameSync(this.#path, keptAside);
    return { generations: [], lastNumber, nextHandle, keptAside };
  }

  add(stored: StoredGeneration): void {
    this.#added.push(writtenOf(stored));
  }

  addState(generation: number, state: HistoryEntry['state']): void {
    this.#added.push({ kind: 'state', generation, state });
  }

  /** @param generations all that count now, for when the file is written anew */
  flush(generations: () => readonly StoredGeneration[]): Promise<void> {
    this.#whole = () => wholeOf(generations());
    if (this.#flushing === null) {
      this.#flushing = this.#write().finally(() => {
        this.#flushing = null;
      });
      return this.#flushing;
    }
    // What was added meanwhile goes with one write after this one, whoever waits for it.
    this.#next ??= this.#flushing
      .catch(() => {})
      .then(() => {
        this.#next = null;
        return this.flush(generations);
      });
    return this.#next;
  }

  async close(): Promise<void> {
    await (this.#next ?? this.#flushing)?.catch(() => {});
    await this.#handle?.close();
    this.#handle = null;
  }

  async #write(): Promise<void> {
    // Not in the turn in which rules change: a large text takes a while to write down.
    await new Promise((resolve) => setImmediate(resolve));
    const text = this.#added.splice(0).map(lineOf).join('');
    if (this.#handle === null || this.#bytes + text.length > COMPACT_BYTES) {
      const whole = this.#whole!().join('');
      if (this.#handle === null || whole.length < (this.#bytes + text.length) / 2) return this.#rewrite(whole);
    }
    if (text === '') return;
    try {
      await this.#handle.appendFile(text);
      await this.#handle.datasync();
      this.#bytes += Buffer.byteLength(text);
    } catch (error) {
      // Half a line may be there: the next write begins anew.
      await this.#handle.close().catch(() => {});
      this.#handle = null;
      throw error;
    }
  }

  async #rewrite(whole: string): Promise<void> {
    await this.#handle?.close();
    this.#handle = null;
    const draft = `${this.#path}.new`;
    const handle = await open(draft, 'w', 0o600);
    try {
      await handle.writeFile(whole);
      await handle.sync();
      await rename(draft, this.#path);
      await syncFolder(dirname(this.#path));
    } catch (error) {
      await handle.close();
      throw error;
    }
    this.#handle = handle;
    this.#bytes = Buffer.byteLength(whole);
  }
}

function wholeOf(generations: readonly StoredGeneration[]): string[] {
  const lastNumber = generations.reduce((most, { entry }) => Math.max(most, entry.generation), 0);
  const nextHandle = generations.reduce((most, stored) => Math.max(most, stored.nextHandle), 1);
  const head: WrittenHead = { kind: 'holdfast rules history', version: 1, lastNumber, nextHandle };
  return [lineOf(head), ...generations.map((stored) => lineOf(writtenOf(stored)))];
}

function writtenOf({ entry, handles, nextHandle, fileHash }: StoredGeneration): WrittenGeneration {
  const { generation, atMs, origin, sources, state } = entry;
  const { file, texts } = sources;
  const { who, what } = origin;
  return {
    kind: 'generation',
    generation,
    atMs,
    who,
    what,
    state,
    file,
    texts: [...texts],
    handles,
    nextHandle,
    fileHash,
  };
}

function storedOf(written: WrittenGeneration): StoredGeneration {
  const { generation, atMs, who, what, state, file, texts, handles, nextHandle, fileHash } = written;
  const entry = { generation, atMs, origin: { who, what }, sources: { file, texts: new Map(texts) }, state };
  return { entry, handles, nextHandle, fileHash };
}

function lineOf(written: Written): string {
  const json = JSON.stringify(written);
  return `${checksum(json)} ${json}\n`;
}

function checksum(json: string): string {
  return createHash('sha256').update(json).digest('hex').slice(0, 16);
}

/** Good lines up to the first that is not. */
function decode(bytes: Uint8Array): { readonly records: readonly Written[]; readonly isDamaged: boolean } {
  const lines = new TextDecoder().decode(bytes).split('\n');
  // What stands behind the last line end was never finished.
  lines.pop();
  const records: Written[] = [];
  for (const [at, line] of lines.entries()) {
    const json = line.slice(17);
    if (line.slice(0, 17) !== `${checksum(json)} `) return { records, isDamaged: true };
    const record = JSON.parse(json) as Written;
    const isHead = record.kind === 'holdfast rules history' && record.version === 1;
    if ((at === 0) !== isHead) return { records, isDamaged: true };
    records.push(record);
  }
  return { records, isDamaged: records.length === 0 };
}

/** @returns the name, with a number if it is taken */
function freeName(name: string): string {
  for (let number = 1; ; number++) {
    const free = number === 1 ? name : `${name}.${number}`;
    if (!existsSync(free)) return free;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
