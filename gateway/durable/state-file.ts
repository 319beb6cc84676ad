import { type EpochsSnapshot, MAX_ABORTED, type ReplicationState } from '../epoch.ts';
import type { Labels } from '../labels.ts';
import { mix } from './checksum.ts';
import { FILE_KIND, HEADER_BYTES, readHeader, writeHeader } from './file-header.ts';
import { LIVE } from './state-layout.ts';
import { Unbelievable } from './unbelievable.ts';

const LIVE_WORDS = 16;
const LIVE_AT = HEADER_BYTES;
/** Doubles of one copy of the epochs' state; its check is the word behind them. */
const FIELDS = 15;
const COPY_BYTES = FIELDS * 8 + 8;
const COPIES_AT = LIVE_AT + LIVE_WORDS * 4;
/** Of one copy of the list of aborted epochs: its number, its length, the epochs, the check. */
const LIST_BYTES = (2 + MAX_ABORTED) * 8 + 8;
const LISTS_AT = COPIES_AT + 2 * COPY_BYTES;
/** Epochs in flight that anybody could have sealed. */
const MAX_SEALED = 2 ** 24;
const STATES: readonly ReplicationState[] = ['off', 'waiting', 'on'];
const AT = {
  sequence: 0,
  state: 1,
  term: 2,
  openEpoch: 3,
  committedEpoch: 4,
  floor: 5,
  isBeforeFirstSeal: 6,
  passedAtStart: 7,
  forgottenEpoch: 8,
  list: 9,
  leaseNs: 10,
  bufferId: 11,
  era: 12,
  boundary: 13,
  firstLabel: 14,
} as const;

export const STATE_FILE_BYTES = LISTS_AT + 2 * LIST_BYTES;

/** What is in force for a VM. */
export interface VmState {
  readonly epochs: EpochsSnapshot;
  readonly leaseNs: number;
  /** Of the file that the frames are in; 0: they are in memory. */
  readonly bufferId: number;
  readonly labels: Labels;
}

/** The same, and the words that change with frames. */
export interface FoundState extends VmState {
  /** Of the file. */
  readonly id: number;
  readonly live: Int32Array;
}

/**
 * The state of one VM in a file that is right at every instant. There are two copies of it: a change is written to the one that is
 * not in force, and one store then says that it is. Costs no system call.
 */
export class StateFile {
  /** See LIVE. */
  readonly live: Int32Array;
  readonly #view: DataView;
  #sequence = 0;
  #list = 0;
  #listChanges = 0;

  /** @param view zeros, STATE_FILE_BYTES of them at a multiple of 8 */
  constructor(view: DataView, vm: string, id: number) {
    this.#view = view;
    this.live = new Int32Array(view.buffer, view.byteOffset + LIVE_AT, LIVE_WORDS);
    writeHeader(view, { kind: FILE_KIND.state, vm, id, parent: 0, frames: 0, records: 0, frameBytes: 0, ringBytes: 0 });
  }

  /** From the moment that this returns, and not before, a restart finds this state. */
  publish({ epochs, leaseNs, bufferId, labels }: VmState): void {
    const view = this.#view;
    if (epochs.abortedChanges !== this.#listChanges) {
      this.#listChanges = epochs.abortedChanges;
      this.#list++;
      writeList(view, this.#list, epochs.aborted);
    }
    this.#sequence++;
    const at = copyAt(this.#sequence);
    const set = (field: keyof typeof AT, value: number) => view.setFloat64(at + 8 * AT[field], value, true);
    set('sequence', this.#sequence);
    set('state', STATES.indexOf(epochs.state));
    set('term', epochs.term);
    set('openEpoch', epochs.openEpoch);
    set('committedEpoch', epochs.committedEpoch);
    set('floor', epochs.floor);
    set('isBeforeFirstSeal', Number(epochs.beforeFirstSeal));
    set('passedAtStart', Number(epochs.passedAtStart));
    set('forgottenEpoch', epochs.forgottenEpoch);
    set('list', this.#list);
    set('leaseNs', leaseNs);
    set('bufferId', bufferId);
    set('era', labels.era);
    set('boundary', labels.boundary);
    set('firstLabel', labels.firstLabel);
    view.setInt32(at + 8 * FIELDS, checkOf(view, at, FIELDS), true);
    this.live[LIVE.inForce] = markOf(this.#sequence);
  }
}

/** @throws Unbelievable */
export function readState(view: DataView, vm: string): FoundState {
  const { id } = readHeader(view, FILE_KIND.state, vm);
  if (view.byteLength < STATE_FILE_BYTES) throw new Unbelievable(`it ends after ${view.byteLength} bytes`);
  const live = new Int32Array(LIVE_WORDS);
  for (let i = 0; i < LIVE_WORDS; i++) live[i] = view.getInt32(LIVE_AT + 4 * i, true);
  const at = [copyAt(0), copyAt(1)].find((copy) => {
    return isWhole(view, copy) && markOf(view.getFloat64(copy, true)) === live[LIVE.inForce];
  });
  if (at === undefined) throw new Unbelievable('what it says of terms and epochs is damaged');
  const get = (field: keyof typeof AT) => view.getFloat64(at + 8 * AT[field], true);
  const epochs: EpochsSnapshot = {
    state: STATES[get('state')] ?? 'waiting',
    term: get('term'),
    openEpoch: get('openEpoch'),
    committedEpoch: get('committedEpoch'),
    floor: get('floor'),
    beforeFirstSeal: get('isBeforeFirstSeal') === 1,
    passedAtStart: get('passedAtStart') === 1,
    abortedChanges: 0,
    aborted: readList(view, get('list')),
    forgottenEpoch: get('forgottenEpoch'),
  };
  if (!(epochs.openEpoch - Math.max(epochs.committedEpoch, epochs.floor) <= MAX_SEALED)) {
    throw new Unbelievable('more epochs are in flight than can be');
  }
  const labels = { era: get('era'), boundary: get('boundary'), firstLabel: get('firstLabel') };
  return { id, epochs, leaseNs: get('leaseNs'), bufferId: get('bufferId'), labels, live };
}

/** @returns the highest term that a copy in a file tells whose state as a whole is not believed; null: none */
export function salvageTerm(view: DataView): number | null {
  if (view.byteLength < LISTS_AT) return null;
  const terms = [copyAt(0), copyAt(1)].flatMap((at) => {
    return isWhole(view, at) ? [view.getFloat64(at + 8 * AT.term, true)] : [];
  });
  const highest = Math.max(...terms);
  return Number.isSafeInteger(highest) ? highest : null;
}

function copyAt(sequence: number): number {
  return COPIES_AT + (sequence % 2) * COPY_BYTES;
}

function isWhole(view: DataView, at: number): boolean {
  return view.getInt32(at + 8 * FIELDS, true) === checkOf(view, at, FIELDS);
}

/** @returns what stands for a copy's number: no bit that flips makes it that of another */
function markOf(sequence: number): number {
  return mix(mix(FIELDS, sequence), sequence / 2 ** 32);
}

function writeList(view: DataView, number: number, epochs: ReadonlySet<number>): void {
  const at = LISTS_AT + (number % 2) * LIST_BYTES;
  view.setFloat64(at, number, true);
  view.setFloat64(at + 8, epochs.size, true);
  let field = 2;
  for (const epoch of epochs) view.setFloat64(at + 8 * field++, epoch, true);
  view.setInt32(at + LIST_BYTES - 8, checkOf(view, at, field), true);
}

function readList(view: DataView, number: number): ReadonlySet<number> {
  const epochs = new Set<number>();
  if (number === 0) return epochs;
  const at = LISTS_AT + (number % 2) * LIST_BYTES;
  const size = view.getFloat64(at + 8, true);
  const isRight =
    view.getFloat64(at, true) === number &&
    size >= 0 &&
    size <= MAX_ABORTED &&
    view.getInt32(at + LIST_BYTES - 8, true) === checkOf(view, at, 2 + size);
  if (!isRight) throw new Unbelievable('what it says of aborted epochs is damaged');
  for (let i = 0; i < size; i++) epochs.add(view.getFloat64(at + 8 * (2 + i), true));
  return epochs;
}

function checkOf(view: DataView, at: number, doubles: number): number {
  let check = LIVE_AT;
  for (let i = 0; i < 2 * doubles; i++) check = mix(check, view.getInt32(at + 4 * i, true));
  return check;
}
