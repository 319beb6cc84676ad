import type { HistoryEntry, Restored, RuleDatabase } from '../../rules/database.ts';
import { type FoundHistory, HistoryFile, type StoredGeneration } from './history-file.ts';

/** What an earlier process left, and from what the rules can go on. */
interface Found extends FoundHistory {
  /** The last text that was in force and not waiting to be confirmed; null: none is known. */
  readonly base: StoredGeneration | null;
  /** The last generation, where it is not the base: it was waiting to be confirmed, or was being taken back. */
  readonly unconfirmed: number | null;
  /** @param withBase the base takes force, else other rules do */
  restored(withBase: boolean): Restored | null;
}

const NOTHING: FoundHistory = { generations: [], lastNumber: 0, nextHandle: 1, keptAside: null };

/** Keeps a database's history on disk. */
export class RuleHistory {
  readonly found: Found;
  readonly #file: HistoryFile | null;
  /** By generation, what the file has or will have. */
  readonly #stored = new Map<number, StoredGeneration>();
  #isChanged = false;
  /** What was noted last before this was begun is on disk when it is fulfilled. */
  #flushed: Promise<void> = Promise.resolve();

  /** @param path null: the history ends with the process */
  constructor(path: string | null) {
    this.#file = path === null ? null : new HistoryFile(path);
    this.found = understand(this.#file?.read() ?? NOTHING);
    for (const stored of this.found.generations) this.#stored.set(stored.entry.generation, stored);
  }

  /** Notes what is in the database now, and whatever changes in it. */
  follow<T>(database: RuleDatabase<T>, fileHash: () => string): void {
    const note = () => this.#note(database, fileHash());
    database.subscribe(note);
    note();
  }

  /** @returns fulfilled when everything that was noted is on disk */
  async store(): Promise<void> {
    if (this.#isChanged && this.#file !== null) {
      this.#isChanged = false;
      this.#flushed = this.#file.flush(() => [...this.#stored.values()]);
    }
    try {
      await this.#flushed;
    } catch (error) {
      this.#isChanged = true;
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }

  #note<T>(database: RuleDatabase<T>, fileHash: string): void {
    const { history, current, nextHandle } = database;
    const oldest = history[0]!.generation;
    for (const generation of this.#stored.keys()) if (generation < oldest) this.#stored.delete(generation);
    for (const entry of history) {
      const known = this.#stored.get(entry.generation);
      if (known?.entry.state === entry.state) continue;
      this.#isChanged = true;
      if (known === undefined) {
        const { outbound, inbound } = current.ruleSet;
        const handles = [...outbound, ...(inbound ?? [])].map((rule) => rule.handle);
        const stored = { entry, handles, nextHandle, fileHash };
        this.#stored.set(entry.generation, stored);
        this.#file?.add(stored);
      } else {
        this.#stored.set(entry.generation, { ...known, entry });
        this.#file?.addState(entry.generation, entry.state);
      }
    }
  }
}

function understand(found: FoundHistory): Found {
  const { generations, lastNumber, nextHandle } = found;
  const base = generations.findLast(({ entry }) => entry.state === 'in-force' || entry.state === 'replaced') ?? null;
  const isLast = base?.entry.generation === lastNumber;
  return {
    ...found,
    base,
    unconfirmed: base === null || isLast ? null : lastNumber,
    restored(withBase) {
      if (lastNumber === 0) return null;
      const goesOn = withBase && isLast;
      const history = generations.map(({ entry }): HistoryEntry => {
        if (goesOn && entry.generation === lastNumber) return { ...entry, state: 'in-force' };
        if (entry.state === 'in-force') return { ...entry, state: 'replaced' };
        return entry.state === 'pending' ? { ...entry, state: 'reverted' } : entry;
      });
      return { history, lastNumber, handles: withBase ? base!.handles : null, nextHandle, goesOn };
    },
  };
}
