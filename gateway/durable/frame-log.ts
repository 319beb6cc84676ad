import type { FlowOrder } from '../flow-order.ts';
import type { FrameTable } from './frame-table.ts';
import { LIVE } from './state-layout.ts';

/**
 * Keeps the file of a transmit buffer right at every instant: whatever store the process dies before, `readFrames` finds exactly the
 * frames that are stored. Stores of one thread reach the file in their order, because V8 keeps the order of stores to typed
 * arrays and the kernel keeps what a dead process has stored. The power may not fail.
 */
export class FrameLog {
  readonly table: FrameTable;
  /** The words of the state file that change with frames: see LIVE. */
  readonly #words: Int32Array;

  constructor(table: FrameTable, words: Int32Array) {
    this.table = table;
    this.#words = words;
  }

  /** The frame's bytes and record are complete: from now on it is stored. */
  stored(number: number, at: number, flow: number, flows: FlowOrder): void {
    const { table } = this;
    table.flowHigh[at] = flow < 0 ? 0 : flows.high[flow]!;
    table.flowLow[at] = flow < 0 ? 0 : flows.low[flow]!;
    table.check[at] = table.checkOf(number, at);
  }

  /** The frame has left, or was discarded. */
  ended(at: number): void {
    this.table.check[at] = 0;
  }

  /** No record before this number is one of a stored frame. */
  headIs(number: number): void {
    this.#words[LIVE.head] = number;
  }

  /** Frames `first` to `last` that may leave are given to the port: whether it took them is not known until `back`. */
  lent(first: number, last: number): void {
    this.#words[LIVE.lentFirst] = first;
    this.#words[LIVE.lentSpan] = (last + 1 - first) | 0;
  }

  back(): void {
    this.#words[LIVE.lentSpan] = 0;
  }

  /** The record at index `from` was copied to index `to`, which is free, and becomes record number `toNumber`. */
  moved(fromNumber: number, from: number, toNumber: number, to: number): void {
    const { table } = this;
    const words = this.#words;
    table.flowHigh[to] = table.flowHigh[from]!;
    table.flowLow[to] = table.flowLow[from]!;
    words[LIVE.movedTo] = toNumber;
    words[LIVE.movedFrom] = fromNumber;
    table.check[to] = table.checkOf(toNumber, to);
    table.check[from] = 0;
    words[LIVE.movedFrom] = toNumber;
  }
}
