import { StateError } from '../epoch.ts';

/** Everything that terms and epochs of a disk are at one moment; goes into the log as JSON. */
export interface EpochState {
  /** A term is in force. */
  readonly isOn: boolean;
  readonly term: number;
  readonly openEpoch: number;
  readonly committedEpoch: number;
  /** Sealed, not committed, oldest first. */
  readonly sealed: readonly number[];
  /** Term that the last rollback began; 0 without one. */
  readonly fence: number;
}

export const NO_EPOCHS: EpochState = {
  isOn: false,
  term: 0,
  openEpoch: 1,
  committedEpoch: 0,
  sealed: [],
  fence: 0,
};

/**
 * Terms and epochs of a disk, by the rules of `gateway/epoch.ts` and with the numbers of the VM that the disk belongs to. Each function
 * returns the state that follows, or throws a StateError.
 */
export function start(state: EpochState, term: number, epoch: number): EpochState {
  checkNumber('term', term, 1);
  checkNumber('epoch', epoch, 0);
  if (term <= state.term) {
    throw new StateError('stale-term', `term ${term} is not newer than ${state.term}, the last one of this disk`);
  }
  return { isOn: true, term, openEpoch: epoch + 1, committedEpoch: epoch, sealed: [], fence: state.fence };
}

export function seal(state: EpochState, term: number, epoch: number): EpochState {
  checkTerm(state, term);
  if (epoch !== state.openEpoch) {
    const code = state.sealed.includes(epoch) ? 'epoch-sealed' : 'epoch-not-open';
    throw new StateError(code, `epoch ${epoch} is not open: ${state.openEpoch} is`);
  }
  return { ...state, openEpoch: epoch + 1, sealed: [...state.sealed, epoch] };
}

/** @returns the same state where the epoch is committed already */
export function commit(state: EpochState, term: number, epoch: number): EpochState {
  checkTerm(state, term);
  if (isCommitted(state, epoch)) return state;
  checkSealed(state, epoch);
  return { ...state, committedEpoch: epoch, sealed: state.sealed.filter((sealed) => sealed > epoch) };
}

export function isCommitted(state: EpochState, epoch: number): boolean {
  return epoch >= 1 && epoch <= state.committedEpoch;
}

export function abort(state: EpochState, term: number, epoch: number): EpochState {
  checkTerm(state, term);
  checkSealed(state, epoch);
  return { ...state, sealed: state.sealed.filter((sealed) => sealed !== epoch) };
}

/** The disk goes back to `epoch`, which is committed, or sealed and thereby committed. A new term begins; numbers grow on. */
export function rollback(state: EpochState, term: number, epoch: number): EpochState {
  checkTerm(state, term);
  if (epoch !== state.committedEpoch) checkSealed(state, epoch);
  const next = state.term + 1;
  return { isOn: true, term: next, openEpoch: state.openEpoch + 1, committedEpoch: epoch, sealed: [], fence: next };
}

export function stop(state: EpochState, term: number): EpochState {
  checkTerm(state, term);
  return { ...state, isOn: false, openEpoch: 1, committedEpoch: 0, sealed: [] };
}

export function checkTerm(state: EpochState, term: number): void {
  if (!state.isOn) throw new StateError('not-replicated', 'no term is in force for this disk');
  if (term !== state.term) throw new StateError('stale-term', `term ${term} is not in force: ${state.term} is`);
}

function checkSealed(state: EpochState, epoch: number): void {
  if (epoch < state.committedEpoch) {
    throw new StateError(
      'output-already-released',
      `epoch ${state.committedEpoch} is committed: no way back to ${epoch}`,
    );
  }
  if (!state.sealed.includes(epoch)) {
    throw new StateError('epoch-not-sealed', `epoch ${epoch} is not sealed; ${state.openEpoch} is open`);
  }
}

function checkNumber(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least && value < Number.MAX_SAFE_INTEGER) return;
  throw new RangeError(`${name} ${value} is no whole number from ${least} on`);
}
