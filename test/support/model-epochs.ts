/** What a request of the model was refused with. */
export class Refused extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/** Terms and epochs, naively: one word for each epoch of the term, in a map. */
export class ModelEpochs {
  state: 'off' | 'waiting' | 'on';
  term = 0;
  open = 1;
  committed = 0;
  /** Output passes until the first seal. */
  isBeforeFirstSeal = false;
  /** Output of this term passed before its first checkpoint. */
  #hasPassed = false;
  /** The last epoch of the terms that a rollback ended. */
  #floor = 0;
  #fate = new Map<number, 'sealed' | 'committed' | 'aborted'>();

  constructor(state: 'off' | 'waiting') {
    this.state = state;
  }

  get sealed(): number[] {
    return [...this.#fate].filter(([, fate]) => fate === 'sealed').map(([epoch]) => epoch);
  }

  start(holdFrom: 'now' | 'first-seal'): void {
    Object.assign(this, { state: 'on', term: this.term + 1, open: 1, committed: 0 });
    this.isBeforeFirstSeal = holdFrom === 'first-seal';
    this.#hasPassed = holdFrom === 'first-seal';
    this.#floor = 0;
    this.#fate.clear();
  }

  takeOver(term: number, epoch: number): void {
    if (this.state === 'on' || term < this.term) throw new Refused('stale-term');
    Object.assign(this, { state: 'on', term: term + 1, open: epoch + 1, committed: epoch, isBeforeFirstSeal: false });
    this.#hasPassed = false;
    this.#floor = epoch;
    this.#fate.clear();
  }

  checkTerm(term: number): void {
    if (this.state !== 'on') throw new Refused('not-replicated');
    if (term !== this.term) throw new Refused('stale-term');
  }

  checkSeal(term: number, epoch: number): void {
    this.checkTerm(term);
    if (epoch === this.open) return;
    if (epoch > this.open || epoch <= this.#floor) throw new Refused('epoch-not-open');
    throw new Refused('epoch-sealed');
  }

  seal(epoch: number): void {
    this.#fate.set(epoch, 'sealed');
    this.open++;
    this.isBeforeFirstSeal = false;
  }

  /** @returns whether the commit is news */
  commit(term: number, epoch: number): boolean {
    this.checkTerm(term);
    if (this.#fate.get(epoch) === 'aborted') throw new Refused('epoch-aborted');
    if (epoch >= 1 && epoch <= this.committed) return false;
    if (this.#fate.get(epoch) !== 'sealed') throw new Refused('epoch-not-sealed');
    this.#commit(epoch);
    return true;
  }

  /** @returns the epoch that its frames move to: the next one that is not aborted */
  abort(term: number, epoch: number): number {
    this.checkTerm(term);
    if (this.#fate.get(epoch) === 'aborted') throw new Refused('epoch-aborted');
    if (epoch >= 1 && epoch <= this.committed) throw new Refused('output-already-released');
    if (this.#fate.get(epoch) !== 'sealed') throw new Refused('epoch-not-sealed');
    this.#fate.set(epoch, 'aborted');
    let next = epoch + 1;
    while (this.#fate.get(next) === 'aborted') next++;
    return next;
  }

  /** @returns whether it commits `epoch` */
  rollback(term: number, epoch: number): boolean {
    this.checkTerm(term);
    if (this.#fate.get(epoch) === 'aborted') throw new Refused('epoch-aborted');
    if (epoch < this.committed || (epoch === 0 && this.#hasPassed)) throw new Refused('output-already-released');
    const isNews = epoch > this.committed;
    if (isNews && this.#fate.get(epoch) !== 'sealed') throw new Refused('epoch-not-sealed');
    if (isNews) this.#commit(epoch);
    this.abandon();
    return isNews;
  }

  /** The timeline ends; where there is a host, the next one begins. */
  abandon(): void {
    if (this.state !== 'on') return;
    this.term++;
    this.#floor = this.open;
    this.open++;
    this.#fate.clear();
  }

  stop(term: number, next: 'off' | 'waiting'): void {
    if (this.state === 'off') throw new Refused('not-replicated');
    if (term !== this.term) throw new Refused('stale-term');
    Object.assign(this, { state: next, open: 1, committed: 0, isBeforeFirstSeal: false });
    this.#fate.clear();
  }

  #commit(epoch: number): void {
    for (const [e, fate] of this.#fate) if (e <= epoch && fate === 'sealed') this.#fate.set(e, 'committed');
    this.committed = epoch;
  }
}
