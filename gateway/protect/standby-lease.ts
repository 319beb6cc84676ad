import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { integer, object, type Problem, type TypeOf } from '../host/schema.ts';
import { troubleAt } from './folder-trouble.ts';

const NAME = 'lease';
const MAX = Number.MAX_SAFE_INTEGER;

const kept = object({ term: integer(1, MAX), patienceMs: integer(1, MAX), leaseMs: integer(0, MAX) });

/** How long a driver goes on without a word of its standby, and its gateway without one of the driver (0: without end), in a term. */
type DriverLease = TypeOf<typeof kept>;

/**
 * What drivers have said of the lease under which the VM runs, in the folder of images: a standby that is started anew while it hears nobody
 * has to wait for it, too.
 */
export class StandbyLease {
  readonly #path: string;
  readonly #syncs: boolean;
  #known: DriverLease | null;
  #trouble: string | null = null;

  /** @param syncs it has to survive a power failure, as the images do */
  constructor(folder: string, syncs: boolean) {
    this.#path = join(folder, NAME);
    this.#syncs = syncs;
    this.#known = this.#read();
  }

  /** Null: nobody knows when the gateway of a machine that is not heard lets nothing pass any more. */
  get known(): DriverLease | null {
    return this.#known;
  }

  /** What is wrong with what an earlier process left, or could not be kept, until a driver has said it again; null: nothing. */
  get trouble(): string | null {
    return this.#trouble;
  }

  /**
   * A driver says it. A lease is granted when its term begins: a driver that goes on with the term and would have had a shorter one does
   * not change that, so the longest of a term counts.
   * @throws Error where it cannot be kept; what was known still is
   */
  said({ term, patienceMs, leaseMs }: DriverLease): void {
    const before = this.#known?.term === term ? this.#known : { term, patienceMs, leaseMs };
    const isEndless = before.leaseMs === 0 || leaseMs === 0;
    const now = {
      term,
      patienceMs: Math.max(before.patienceMs, patienceMs),
      leaseMs: isEndless ? 0 : Math.max(before.leaseMs, leaseMs),
    };
    const text = JSON.stringify(now);
    if (text !== JSON.stringify(this.#known)) this.#write(text);
    this.#known = now;
    this.#trouble = null;
  }

  #write(text: string): void {
    try {
      writeFileSync(`${this.#path}.new`, text, { mode: 0o600, flush: this.#syncs });
      renameSync(`${this.#path}.new`, this.#path);
    } catch (error) {
      this.#trouble = troubleAt(this.#path, error);
      throw new Error(this.#trouble);
    }
  }

  #read(): DriverLease | null {
    const problems: Problem[] = [];
    try {
      const found = kept.check(JSON.parse(readFileSync(this.#path, 'utf8')), '', problems);
      if (problems.length === 0) return found;
      this.#trouble = `${this.#path}: ${problems[0]!.field}: ${problems[0]!.message}`;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      this.#trouble = `${this.#path}: ${(error as Error).message}`;
    }
    return null;
  }
}
