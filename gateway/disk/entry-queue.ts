import type { LogEntry } from './log-entry.ts';
import { HEADER_BYTES, RECORD } from './record.ts';

/** Records of clients that are written together. */
const BATCH_ENTRIES = 256;
const BATCH_BYTES = 4 * 2 ** 20;

/** An entry whose turn has come, or will. */
export interface Waiting {
  readonly entry: LogEntry;
  /** Of its record. */
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Entries on their way into a log, one batch at a time, so that the order of records is the order in which they apply. */
export class EntryQueue {
  readonly #write: (batch: readonly Waiting[]) => Promise<void>;
  #waiting: Waiting[] = [];
  #isPumping = false;
  #pumping: Promise<void> = Promise.resolve();

  /** @param write writes and applies a batch, and resolves its entries; where it rejects, none of them is in the log */
  constructor(write: (batch: readonly Waiting[]) => Promise<void>) {
    this.#write = write;
  }

  /** Resolves as `write` resolves it. @throws what the entry's `check` or `write` throws */
  add(entry: LogEntry): Promise<void> {
    return new Promise((resolve, reject) => {
      const payloadBytes = entry.payload.reduce((sum, chunk) => sum + chunk.length, 0);
      this.#waiting.push({ entry, bytes: HEADER_BYTES + payloadBytes, resolve, reject });
      if (!this.#isPumping) this.#pumping = this.#pump();
    });
  }

  /** Resolves when nothing waits any more. */
  drained(): Promise<void> {
    return this.#pumping;
  }

  async #pump(): Promise<void> {
    this.#isPumping = true;
    while (this.#waiting.length > 0) {
      const batch = this.#takeBatch().filter(isWanted);
      if (batch.length === 0) continue;
      try {
        await this.#write(batch);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#isPumping = false;
  }

  /** Entries that apply to writes go together; every other one is alone, because what follows it may depend on it. */
  #takeBatch(): Waiting[] {
    let count = 0;
    let bytes = 0;
    for (const waiting of this.#waiting) {
      const { type } = waiting.entry;
      const isWrite = type === RECORD.write || type === RECORD.zero;
      if (count > 0 && (!isWrite || count === BATCH_ENTRIES || bytes + waiting.bytes > BATCH_BYTES)) break;
      count++;
      bytes += waiting.bytes;
      if (!isWrite) break;
    }
    return this.#waiting.splice(0, count);
  }
}

function isWanted({ entry, reject }: Waiting): boolean {
  try {
    entry.check();
    return true;
  } catch (error) {
    reject(error);
    return false;
  }
}
