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

/**
 * A host that checkpoints its VM like clockwork: epoch k is sealed at start + k epochs, and committed a fixed delay
 * later. At an instant that has several events, a failure comes first, then a commit, then a seal.
 */
export class SimulatedHost {
  readonly #vm: Vm;
  readonly #options: SimulatedHostOptions;
  #clock: Clock | null = null;
  #term = 0;
  #startNs = 0;
  #failed = false;
  #finishing = false;
  #lastEpoch = Number.POSITIVE_INFINITY;
  #sealed = 0;
  #committed = 0;
  /** Epochs whose commit is to come, oldest first; of a run of epochs without frames only the last. */
  readonly #inFlight: number[] = [];
  /** Frames that the VM had sent at the last seal, and whether that epoch had none. */
  #sentBefore = 0;
  #lastWasEmpty = false;

  constructor(vm: Vm, options: SimulatedHostOptions) {
    this.#vm = vm;
    this.#options = options;
  }

  /** The VM runs and is protected from now on. */
  start(clock: Clock): void {
    this.#clock = clock;
    this.#startNs = clock.nowNs();
    this.#term = this.#vm.start().term;
  }

  /** The failure has happened. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Epochs opened so far. */
  get opened(): number {
    return this.#term === 0 ? 0 : this.#sealed + 1;
  }

  /** Epochs sealed so far. */
  get sealed(): number {
    return this.#sealed;
  }

  /** Epochs committed by now, each at its own time also where they were skipped. */
  get committed(): number {
    const next = this.#inFlight[0];
    if (next === undefined || this.#clock === null) return this.#committed;
    const { epochNs, commitDelayNs } = this.#options;
    const sinceNs = (this.#failed ? this.#failNs() : this.#clock.nowNs()) - this.#startNs - commitDelayNs;
    // A failure comes before a commit of the same instant.
    const due = this.#failed ? Math.ceil(sinceNs / epochNs) - 1 : Math.floor(sinceNs / epochNs);
    return Math.max(this.#committed, Math.min(due, next - 1));
  }

  /** No frame will come any more: the open epoch is sealed at its time, and no other after it. */
  finish(): void {
    this.#finishing = true;
    this.#lastEpoch = this.#sealed + 1;
  }

  /** @returns when the next event is due, Infinity when none is */
  nextNs(): number {
    if (this.#term === 0 || this.#failed) return Number.POSITIVE_INFINITY;
    const next = Math.min(this.#nextSealNs(), this.nextCommitNs());
    // A VM that fails after everything is committed has nothing to lose.
    if (this.#finishing && next === Number.POSITIVE_INFINITY) return next;
    return Math.min(next, this.#failNs());
  }

  /** @returns when the next commit of an epoch sealed so far is due, Infinity without one */
  nextCommitNs(): number {
    const epoch = this.#inFlight[0];
    return epoch === undefined ? Number.POSITIVE_INFINITY : this.#sealNs(epoch) + this.#options.commitDelayNs;
  }

  /** Does what is due at `nextNs`; the clock stands there. */
  step(): void {
    const now = this.nextNs();
    if (this.#failNs() <= now) {
      this.#failed = true;
      this.#vm.fail();
    } else if (this.nextCommitNs() <= now) {
      this.#committed = this.#inFlight.shift()!;
      this.#vm.commit(this.#term, this.#committed);
    } else {
      this.#sealed++;
      this.#vm.seal(this.#term, this.#sealed);
      this.#inFlight.push(this.#sealed);
      const sent = this.#vm.counters.get('outbound');
      this.#lastWasEmpty = sent === this.#sentBefore;
      this.#sentBefore = sent;
    }
  }

  /**
   * Seals at once all epochs that end before `untilNs`, if the VM has sent nothing since the last seal and will send
   * nothing until then: epochs of a nanosecond, or a gap of years in a capture, are no reason to count one by one.
   */
  skipIdle(untilNs: number): void {
    // The first empty epoch is never skipped: its commit is the next one for what the commit before it lets out paced.
    if (!this.#lastWasEmpty || this.#failed || this.#finishing) return;
    if (this.#vm.counters.get('outbound') > this.#sentBefore) return;
    // One is left for `step`, so that no rounding decides what comes before `untilNs`.
    const last = Math.floor((Math.min(untilNs, this.#failNs()) - this.#startNs) / this.#options.epochNs) - 1;
    if (last <= this.#sealed || last === Number.POSITIVE_INFINITY) return;
    this.#sealed = this.#vm.epochs.sealRun(this.#term, last - this.#sealed);
    this.#inFlight.push(this.#sealed);
  }

  #sealNs(epoch: number): number {
    return this.#startNs + epoch * this.#options.epochNs;
  }

  #nextSealNs(): number {
    return this.#sealed >= this.#lastEpoch ? Number.POSITIVE_INFINITY : this.#sealNs(this.#sealed + 1);
  }

  #failNs(): number {
    return this.#options.failAtNs === null ? Number.POSITIVE_INFINITY : this.#startNs + this.#options.failAtNs;
  }
}
