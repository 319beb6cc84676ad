import { mix } from './checksum.ts';

const SLOT_BYTES = 16;

/**
 * The last term of a VM, in its buffer's file too: where the state file is lost, terms still grow. Two places in turn, so that one is
 * always whole.
 */
export class TermHint {
  static readonly BYTES = 2 * SLOT_BYTES;
  readonly #view: DataView;
  readonly #start: number;
  #last = 0;
  #turn = 0;

  constructor(view: DataView, start: number) {
    this.#view = view;
    this.#start = start;
  }

  write(term: number): void {
    if (term === this.#last) return;
    this.#last = term;
    this.#turn = 1 - this.#turn;
    const at = this.#start + this.#turn * SLOT_BYTES;
    this.#view.setFloat64(at, term, true);
    this.#view.setInt32(at + 8, checkOf(this.#view, at), true);
  }

  /** @returns the highest term that is told, 0 if none is */
  static read(view: DataView, start: number): number {
    let highest = 0;
    if (view.byteLength < start + TermHint.BYTES) return highest;
    for (const at of [start, start + SLOT_BYTES]) {
      const term = view.getFloat64(at, true);
      const isWhole = view.getInt32(at + 8, true) === checkOf(view, at);
      if (isWhole && Number.isSafeInteger(term)) highest = Math.max(highest, term);
    }
    return highest;
  }
}

function checkOf(view: DataView, at: number): number {
  return mix(mix(SLOT_BYTES, view.getInt32(at, true)), view.getInt32(at + 4, true));
}
