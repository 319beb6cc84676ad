/** Stable codes of requests that the state of a VM forbids (host interface, error.data.code). */
export type StateErrorCode =
  | 'not-replicated'
  | 'stale-term'
  | 'epoch-not-open'
  | 'epoch-not-sealed'
  | 'epoch-sealed'
  | 'epoch-aborted'
  | 'output-already-released';

/** A request that does nothing because the VM's state forbids it. */
export class StateError extends Error {
  readonly code: StateErrorCode;

  constructor(code: StateErrorCode, message: string) {
    super(message);
    this.name = 'StateError';
    this.code = code;
  }
}

/** `off`: not replicated. `waiting`: replicated, no host yet. `on`: a term is in force. */
export type ReplicationState = 'off' | 'waiting' | 'on';

/** When holding begins: at once, or with the first seal (checkpoint 1 contains all output before it). */
export type HoldFrom = 'now' | 'first-seal';

/** Aborted epochs that are remembered by number. */
export const MAX_ABORTED = 4096;

/** All that `Epochs` knows. `on` also where a term that was in force waits for its host after a restart. */
export interface EpochsSnapshot {
  readonly state: ReplicationState;
  readonly term: number;
  readonly openEpoch: number;
  readonly committedEpoch: number;
  /** Epochs up to this one belong to an earlier term. */
  readonly floor: number;
  readonly beforeFirstSeal: boolean;
  readonly passedAtStart: boolean;
  /** Grows with every change of `aborted`. */
  readonly abortedChanges: number;
  readonly aborted: ReadonlySet<number>;
  /** Aborted epochs up to this one may have been forgotten. */
  readonly forgottenEpoch: number;
}

/**
 * Terms and epochs of one VM: what may be asked when, and what it means. Knows no frames and no time. Every method
 * either changes the state or throws a StateError and changes nothing.
 */
export class Epochs {
  #state: ReplicationState;
  #term = 0;
  #openEpoch = 1;
  #committedEpoch = 0;
  /** Epochs up to this one belong to an earlier term. */
  #floor = 0;
  #beforeFirstSeal = false;
  /** The term began with output that passed: going back to its start would undo what clients saw. */
  #passedAtStart = false;
  #sealed: number[] = [];
  /** The term was in force when an earlier process of the gateway ended; the VM is `waiting` until its host is heard again. */
  #isResumable = false;
  readonly #aborted = new Set<number>();
  #abortedChanges = 0;
  #forgottenEpoch = 0;

  /** @param lastTerm the last term that was in force, if an earlier process of the gateway knew one */
  constructor(state: 'off' | 'waiting', lastTerm = 0) {
    this.#state = state;
    this.#term = lastTerm;
  }

  /**
   * Goes on where an earlier process of the gateway ended. A term that was in force then waits for its host: see `resume`. Epochs
   * that were sealed in one run can be named after that.
   */
  static recovered(from: EpochsSnapshot, isReplicated: boolean): Epochs {
    const epochs = new Epochs(from.state === 'off' && !isReplicated ? 'off' : 'waiting', from.term);
    epochs.#isResumable = from.state === 'on';
    epochs.#openEpoch = from.openEpoch;
    epochs.#committedEpoch = from.committedEpoch;
    epochs.#floor = from.floor;
    epochs.#beforeFirstSeal = from.beforeFirstSeal;
    epochs.#passedAtStart = from.passedAtStart;
    epochs.#forgottenEpoch = from.forgottenEpoch;
    epochs.#abortedChanges = from.aborted.size > 0 ? 1 : 0;
    for (const epoch of from.aborted) epochs.#aborted.add(epoch);
    const known = Math.max(from.committedEpoch, from.floor, from.forgottenEpoch);
    for (let epoch = known + 1; epoch < from.openEpoch; epoch++) {
      if (!from.aborted.has(epoch)) epochs.#sealed.push(epoch);
    }
    return epochs;
  }

  /** @returns what `recovered` needs; the set of aborted epochs is lent */
  snapshot(): EpochsSnapshot {
    return {
      state: this.#isResumable ? 'on' : this.#state,
      term: this.#term,
      openEpoch: this.#openEpoch,
      committedEpoch: this.#committedEpoch,
      floor: this.#floor,
      beforeFirstSeal: this.#beforeFirstSeal,
      passedAtStart: this.#passedAtStart,
      abortedChanges: this.#abortedChanges,
      aborted: this.#aborted,
      forgottenEpoch: this.#forgottenEpoch,
    };
  }

  /**
   * A request of `term` has come: if that is the one that was in force before a restart, it is again.
   * @returns whether it was
   */
  resume(term: number): boolean {
    if (!this.#isResumable || term !== this.#term) return false;
    this.#isResumable = false;
    this.#state = 'on';
    return true;
  }

  get state(): ReplicationState {
    return this.#state;
  }

  /** Grows by one at every start, takeover, rollback and failover; 0 before the first. */
  get term(): number {
    return this.#term;
  }

  get openEpoch(): number {
    return this.#openEpoch;
  }

  get committedEpoch(): number {
    return this.#committedEpoch;
  }

  /** Sealed and neither committed nor aborted, oldest first. */
  get sealedEpochs(): readonly number[] {
    return this.#sealed;
  }

  /** Output passes although the VM is replicated: it will be contained in the first checkpoint. */
  get beforeFirstSeal(): boolean {
    return this.#beforeFirstSeal && this.#state === 'on';
  }

  /** Begins a term with epoch 1 open. A term in force is ended by it: its frames belong to epoch 1 of the new one. */
  start(holdFrom: HoldFrom): void {
    this.#begin();
    this.#term++;
    this.#openEpoch = 1;
    this.#committedEpoch = 0;
    this.#floor = 0;
    this.#beforeFirstSeal = holdFrom === 'first-seal';
    this.#passedAtStart = this.#beforeFirstSeal;
  }

  /**
   * Goes on where another gateway stopped: its term `term` is over, and its VM lives again from checkpoint `epoch`. Only where no
   * term is in force: a VM that this gateway protects rolls back or fails over.
   */
  takeOver(term: number, epoch: number): void {
    if (this.#state === 'on') {
      throw new StateError('stale-term', `term ${this.#term} is in force here: there is nothing to take over`);
    }
    if (term < this.#term)
      throw new StateError('stale-term', `term ${term} is older than ${this.#term}, the last one here`);
    this.#begin();
    this.#term = term + 1;
    this.#openEpoch = epoch + 1;
    this.#committedEpoch = epoch;
    this.#floor = epoch;
    this.#beforeFirstSeal = false;
    this.#passedAtStart = false;
  }

  /** Throws if a request of `term` does nothing now. */
  check(term: number): void {
    if (this.#state !== 'on' && !this.#isResumable)
      throw new StateError('not-replicated', `no term is in force: the VM is ${this.#state}`);
    this.#checkNumber(term);
  }

  /** Throws if `seal(term, epoch)` would: the caller drains the ports in between. */
  checkSeal(term: number, epoch: number): void {
    this.check(term);
    if (epoch === this.#openEpoch) return;
    if (!(epoch <= this.#openEpoch && epoch > this.#floor)) {
      throw new StateError('epoch-not-open', `epoch ${epoch} is not open: ${this.#openEpoch} is`);
    }
    throw new StateError('epoch-sealed', `epoch ${epoch} is sealed already; ${this.#openEpoch} is open`);
  }

  /** Closes the open epoch; the next one is open from now on. */
  seal(term: number, epoch: number): void {
    this.checkSeal(term, epoch);
    this.#sealed.push(epoch);
    this.#openEpoch = epoch + 1;
    this.#beforeFirstSeal = false;
  }

  /**
   * Commits a sealed epoch and every earlier one that was not aborted.
   * @returns false when it was committed before
   */
  commit(term: number, epoch: number): boolean {
    this.check(term);
    if (this.#aborted.has(epoch)) throw aborted(epoch);
    if (epoch >= 1 && epoch <= this.#committedEpoch) return false;
    this.#checkSealed(epoch);
    this.#commit(epoch);
    return true;
  }

  /**
   * Checkpoint `epoch` failed and the VM runs on: what it held belongs to the next epoch that is not aborted.
   * @returns the lowest label of the frames that move; they carry labels from there to `epoch`
   */
  abort(term: number, epoch: number): number {
    this.check(term);
    if (this.#aborted.has(epoch)) throw aborted(epoch);
    if (epoch >= 1 && epoch <= this.#committedEpoch) {
      throw new StateError('output-already-released', `epoch ${epoch} is committed: its frames have left`);
    }
    this.#checkSealed(epoch);
    this.#aborted.add(epoch);
    // A forgotten one is refused as not sealed, or as committed since: neither releases anything.
    this.#abortedChanges++;
    if (this.#aborted.size > MAX_ABORTED) this.#forget(Math.min(...this.#aborted));
    this.#sealed = this.#sealed.filter((sealed) => sealed !== epoch);
    return this.#lowestLabelOf(epoch);
  }

  /**
   * Throws if `rollback(term, epoch)` would.
   * @returns what it would return
   */
  checkRollback(term: number, epoch: number): boolean {
    this.check(term);
    if (this.#aborted.has(epoch)) throw aborted(epoch);
    if (epoch < this.#committedEpoch || (epoch === 0 && this.#passedAtStart)) {
      throw new StateError('output-already-released', `output beyond epoch ${epoch} has left: no way back to it`);
    }
    const commits = epoch !== this.#committedEpoch;
    if (commits) this.#checkSealed(epoch);
    return commits;
  }

  /**
   * The VM goes on from checkpoint `epoch`: committed, or sealed and thereby committed. A new term begins; the epoch
   * numbers grow on.
   * @returns what `commit` would have returned
   */
  rollback(term: number, epoch: number): boolean {
    const commits = this.checkRollback(term, epoch);
    if (commits) this.#commit(epoch);
    this.abandon();
    return commits;
  }

  /** What is not committed is lost. Where a term is in force a new one begins; the epoch numbers grow on. */
  abandon(): void {
    if (this.#state !== 'on' && !this.#isResumable) return;
    this.#term++;
    this.#floor = this.#openEpoch;
    this.#openEpoch++;
    this.#forgetAll();
  }

  /**
   * Ends the term. `waiting` where the frames are kept for the next one, else `off`.
   * @param term the one in force; where the VM waits for its host, the last one that was
   */
  stop(term: number, next: 'off' | 'waiting'): void {
    if (this.#state === 'off') this.check(term);
    this.#checkNumber(term);
    this.#state = next;
    this.#openEpoch = 1;
    this.#committedEpoch = 0;
    this.#beforeFirstSeal = false;
    this.#isResumable = false;
    this.#forgetAll();
  }

  /**
   * Seals the open epoch and the `count - 1` after it, in none of which a frame was sent, as one: a commit of the last
   * commits them all, the others cannot be named. For a host that knows that its VM was silent all that time.
   * @returns the last one
   */
  sealRun(term: number, count: number): number {
    this.check(term);
    const last = this.#openEpoch + count - 1;
    this.#sealed.push(last);
    this.#openEpoch = last + 1;
    this.#beforeFirstSeal = false;
    return last;
  }

  #begin(): void {
    this.#state = 'on';
    this.#isResumable = false;
    this.#forgetAll();
  }

  #forget(aborted: number): void {
    this.#aborted.delete(aborted);
    this.#forgottenEpoch = Math.max(this.#forgottenEpoch, aborted);
  }

  #forgetAll(): void {
    this.#sealed = [];
    this.#aborted.clear();
    this.#abortedChanges++;
    this.#forgottenEpoch = 0;
  }

  #commit(epoch: number): void {
    this.#committedEpoch = epoch;
    this.#sealed = this.#sealed.filter((sealed) => sealed > epoch);
  }

  #checkNumber(term: number): void {
    if (term !== this.#term) throw new StateError('stale-term', `term ${term} is not in force: ${this.#term} is`);
  }

  #checkSealed(epoch: number): void {
    if (!this.#sealed.includes(epoch)) {
      throw new StateError('epoch-not-sealed', `epoch ${epoch} is not sealed; ${this.#openEpoch} is open`);
    }
  }

  #lowestLabelOf(epoch: number): number {
    let low = epoch;
    while (low - 1 > this.#committedEpoch && low - 1 > this.#floor && this.#aborted.has(low - 1)) low--;
    return low;
  }
}

function aborted(epoch: number): StateError {
  return new StateError('epoch-aborted', `epoch ${epoch} was aborted`);
}
