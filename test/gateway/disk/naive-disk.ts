/** Everything that can be seen of a disk between two requests, the obvious way. */
export interface NaiveState {
  readonly isOn: boolean;
  readonly term: number;
  readonly open: number;
  readonly committed: number;
  readonly fence: number;
  readonly content: Buffer;
  /** Content at the last commit. */
  readonly atCommit: Buffer;
  /** Content at each seal that is neither committed nor aborted. */
  readonly atSeal: ReadonlyMap<number, Buffer>;
}

export type Answer =
  | 'ok'
  | 'stale-term'
  | 'not-replicated'
  | 'epoch-not-open'
  | 'epoch-sealed'
  | 'epoch-not-sealed'
  | 'output-already-released';

/** A disk as an array of bytes, with a copy of it for each seal. */
export class NaiveDisk {
  state: NaiveState;

  constructor(size: number) {
    const content = Buffer.alloc(size);
    this.state = {
      ...{ isOn: false, term: 0, open: 1, committed: 0, fence: 0 },
      ...{ content, atCommit: content, atSeal: new Map() },
    };
  }

  fill(from: number, bytes: Uint8Array): void {
    const content = Buffer.from(this.state.content);
    content.set(bytes, from);
    this.state = { ...this.state, content, atCommit: this.state.isOn ? this.state.atCommit : content };
  }

  start(term: number, epoch: number): Answer {
    if (term <= this.state.term) return 'stale-term';
    this.state = { ...this.state, isOn: true, term, open: epoch + 1, committed: epoch, atSeal: new Map() };
    return 'ok';
  }

  seal(term: number, epoch: number): Answer {
    const { open, atSeal, content } = this.state;
    const refusal = this.#refusal(term);
    if (refusal !== null) return refusal;
    if (epoch !== open) return atSeal.has(epoch) ? 'epoch-sealed' : 'epoch-not-open';
    this.state = { ...this.state, open: open + 1, atSeal: new Map([...atSeal, [epoch, content]]) };
    return 'ok';
  }

  commit(term: number, epoch: number): Answer {
    const refusal = this.#refusal(term);
    if (refusal !== null) return refusal;
    if (epoch >= 1 && epoch <= this.state.committed) return 'ok';
    return this.#commit(epoch);
  }

  abort(term: number, epoch: number): Answer {
    const refusal = this.#refusal(term) ?? this.#unsealed(epoch);
    if (refusal !== null) return refusal;
    this.state = { ...this.state, atSeal: new Map([...this.state.atSeal].filter(([sealed]) => sealed !== epoch)) };
    return 'ok';
  }

  rollback(term: number, epoch: number): Answer {
    const refusal = this.#refusal(term);
    if (refusal !== null) return refusal;
    const answer = epoch === this.state.committed ? 'ok' : this.#commit(epoch);
    if (answer !== 'ok') return answer;
    const { atCommit, open } = this.state;
    this.state = {
      ...this.state,
      term: term + 1,
      fence: term + 1,
      open: open + 1,
      content: atCommit,
      atSeal: new Map(),
    };
    return 'ok';
  }

  stop(term: number): Answer {
    const refusal = this.#refusal(term);
    if (refusal !== null) return refusal;
    const { content } = this.state;
    this.state = { ...this.state, isOn: false, open: 1, committed: 0, atCommit: content, atSeal: new Map() };
    return 'ok';
  }

  #commit(epoch: number): Answer {
    const refusal = this.#unsealed(epoch);
    if (refusal !== null) return refusal;
    const atCommit = this.state.atSeal.get(epoch)!;
    const atSeal = new Map([...this.state.atSeal].filter(([sealed]) => sealed > epoch));
    this.state = { ...this.state, committed: epoch, atCommit, atSeal };
    return 'ok';
  }

  #refusal(term: number): Answer | null {
    if (!this.state.isOn) return 'not-replicated';
    return term === this.state.term ? null : 'stale-term';
  }

  #unsealed(epoch: number): Answer | null {
    if (epoch < this.state.committed) return 'output-already-released';
    return this.state.atSeal.has(epoch) ? null : 'epoch-not-sealed';
  }
}
