import type { Clock } from '../clock.ts';
import type { Vm } from '../vm.ts';

export interface SimulatedHostOptions {
  /** Time between seals. */
  readonly epochNs: number;
  /** From a seal to its commit; commits may come later than the next seal. */
  readonly commitDelayNs: number;
  /** When the VM fails, null: never. */
  readonly failAtNs: number | null;
}

/** Idle spans longer than this many epochs are skipped in one step. */
const IDLE_EPOCHS = 1000;

/**
 * A host that checkpoints its VM like clockwork: epoch k is sealed at start + k epochs, and committed a fixed delay
 * later. At an instant that has several events, a failure comes first, then a commit, then a seal.
 */
export class SimulatedHost {
  sealed = 0;
  committed = 0;
  readonly #vm: Vm;
  readonly #options: SimulatedHostOptions;
  #term = 0;
  #startNs = 0;
  #failed = false;
  #finishing = false;
  #lastEpoch = Number.POSITIVE_INFINITY;

  constructor(vm: Vm, options: SimulatedHostOptions) {
    this.#vm = vm;
    this.#options = options;
  }

  /** The VM runs and is protected from now on. */
  start(clock: Clock): void {
    this.#startNs = clock.nowNs();
    this.#term = this.#vm.start().term;
  }

  /** Epochs opened so far. */
  get opened(): number {
    return this.#term === 0 ? 0 : this.sealed + 1;
  }

  /** No frame will come any more: the open epoch is sealed at its time, and no other after it. */
  finish(): void {
    this.#finishing = true;
    this.#lastEpoch = this.sealed + 1;
  }

  /** @returns when the next event is due, Infinity when none is */
  nextNs(): number {
    if (this.#term === 0 || this.#failed) return Number.POSITIVE_INFINITY;
    const next = Math.min(this.#nextSealNs(), this.#nextCommitNs());
    // A VM that fails after everything is committed has nothing to lose.
    if (this.#finishing && next === Number.POSITIVE_INFINITY) return next;
    return Math.min(next, this.#failNs());
  }

  /** Does what is due at `nextNs`; the clock stands there. */
  step(): void {
    const now = this.nextNs();
    if (this.#failNs() <= now) {
      this.#failed = true;
      this.#vm.fail();
    } else if (this.#nextCommitNs() <= now) {
      this.#vm.commit(this.#term, this.committed + 1);
      this.committed++;
    } else {
      this.#vm.seal(this.#term, this.sealed + 1);
      this.sealed++;
    }
  }

  /**
   * Skips epochs in which nothing happens, as far as every one of them would be committed before `untilNs`: a capture
   * with a gap of years is no reason to count them one by one.
   */
  skipIdle(untilNs: number): void {
    if (this.#term === 0 || this.#failed || this.#finishing) return;
    if (this.#vm.stillHeld > 0 || this.committed < this.sealed) return;
    const { epochNs, commitDelayNs } = this.#options;
    const end = Math.min(untilNs, this.#failNs()) - commitDelayNs;
    const count = Math.floor((end - this.#startNs) / epochNs) - this.sealed - 2;
    if (count < IDLE_EPOCHS) return;
    this.#vm.epochs.skip(this.#term, count);
    this.sealed += count;
    this.committed += count;
  }

  #nextSealNs(): number {
    if (this.sealed >= this.#lastEpoch) return Number.POSITIVE_INFINITY;
    return this.#startNs + (this.sealed + 1) * this.#options.epochNs;
  }

  #nextCommitNs(): number {
    if (this.committed === this.sealed) return Number.POSITIVE_INFINITY;
    return this.#startNs + (this.committed + 1) * this.#options.epochNs + this.#options.commitDelayNs;
  }

  #failNs(): number {
    return this.#options.failAtNs === null ? Number.POSITIVE_INFINITY : this.#startNs + this.#options.failAtNs;
  }
}
