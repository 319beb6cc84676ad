import { abort, commit, type EpochState, rollback, seal, start, stop } from './disk-epochs.ts';
import { ZERO } from './extent-map.ts';
import { Layers } from './layers.ts';
import { KEEP_BLOCKS, RECORD, type RecordType } from './record.ts';

/** Of a record: what it says, without how it is stored. */
export interface RecordMeaning {
  readonly type: RecordType;
  readonly flags: number;
  readonly a: number;
  readonly b: number;
}

/** What a disk's log amounts to. Records bring it about one after another, when they are written and when they are read again. */
export class DiskState {
  #epochs: EpochState;
  readonly layers: Layers;

  /** As it is before the oldest record that is left. */
  constructor(epochs: EpochState) {
    this.#epochs = epochs;
    this.layers = new Layers(epochs.isOn ? epochs.sealed : null);
  }

  get epochs(): EpochState {
    return this.#epochs;
  }

  /** @throws StateError where the record would be refused now */
  check(record: RecordMeaning): void {
    following(this.#epochs, record);
  }

  /**
   * @param address of the record
   * @param at address of its payload
   * @throws StateError and changes nothing where `check` throws
   */
  apply(record: RecordMeaning, address: number, at: number): void {
    const { type, flags, a, b } = record;
    const before = this.#epochs;
    this.#epochs = following(before, record);
    if (type === RECORD.write) this.layers.write(a, a + b, at, address);
    else if (type === RECORD.zero) {
      this.layers.write(a, a + b, (flags & KEEP_BLOCKS) === 0 ? ZERO.hole : ZERO.kept, address);
    } else if (type === RECORD.start) this.layers.start();
    else if (type === RECORD.seal) this.layers.seal(b);
    else if (type === RECORD.commit) this.layers.commit(b);
    else if (type === RECORD.abort) this.layers.abort(b);
    else if (type === RECORD.rollback) {
      this.layers.commit(b);
      this.layers.discard();
    } else this.layers.stop();
  }
}

function following(epochs: EpochState, { type, a, b }: RecordMeaning): EpochState {
  if (type === RECORD.write || type === RECORD.zero) return epochs;
  if (type === RECORD.start) return start(epochs, a, b);
  if (type === RECORD.seal) return seal(epochs, a, b);
  if (type === RECORD.commit) return commit(epochs, a, b);
  if (type === RECORD.abort) return abort(epochs, a, b);
  if (type === RECORD.rollback) return rollback(epochs, a, b);
  return stop(epochs, a);
}
