import { type Slab, slabOf } from '../../classifier/slab.ts';
import { FILE_KIND, HEADER_BYTES, writeHeader } from '../../gateway/durable/file-header.ts';
import { FrameLog } from '../../gateway/durable/frame-log.ts';
import { FrameTable } from '../../gateway/durable/frame-table.ts';
import { type FoundState, readState, STATE_FILE_BYTES, StateFile } from '../../gateway/durable/state-file.ts';
import { LIVE } from '../../gateway/durable/state-layout.ts';
import { readFrames, ringAt, type StoredFrames, TABLE_AT } from '../../gateway/durable/stored-frames.ts';
import { TermHint } from '../../gateway/durable/term-hint.ts';
import { Epochs } from '../../gateway/epoch.ts';
import { FrameBatch } from '../../gateway/frame-batch.ts';
import type { TxBufferLimits } from '../../gateway/occupancy.ts';
import { TxBuffer } from '../../gateway/tx-buffer.ts';
import { keyOf } from './buffer.ts';

export const VM = 'vm-0';
const BUFFER_ID = 4711;

/** What is recovered at one instant. */
export interface Found {
  readonly state: FoundState;
  readonly frames: StoredFrames;
}

/**
 * A transmit buffer and its state in memory that stands for two files, and somebody who looks before every single store to it: what
 * is there then is what a process that is killed at that instant leaves. A copy of bytes is seen half done too.
 */
export class SteppedBuffer {
  readonly buffer: TxBuffer;
  readonly epochs = new Epochs('off');
  readonly out: FrameBatch;
  /** Looks, before the next store. */
  onStore: () => void = () => {};
  /** Records that were moved over gaps. */
  moves = 0;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly stateBytes = new Uint8Array(STATE_FILE_BYTES);
  readonly #state: StateFile;
  readonly #hint: TermHint;
  readonly #in: FrameBatch;
  /** Behind the file's bytes: where a frame lies before it is held. */
  readonly #source: number;

  constructor(limits: TxBufferLimits, frameBytes: number) {
    const records = TxBuffer.recordsFor(limits);
    const ring = ringAt(records);
    const ringBytes = TxBuffer.bytesFor(limits, frameBytes);
    this.#source = ring + ringBytes;
    const all = new Uint8Array(this.#source + frameBytes);
    this.bytes = all.subarray(0, this.#source);
    const real = slabOf(all);
    const header = {
      kind: FILE_KIND.buffer,
      vm: VM,
      id: BUFFER_ID,
      parent: 0,
      frames: 0,
      records,
      frameBytes,
      ringBytes,
    };
    writeHeader(real.view, header);
    const table = new FrameTable(records, this.bytes.buffer, TABLE_AT, real.view, ring);
    const stateView = new DataView(this.stateBytes.buffer);
    this.#state = new StateFile(this.#watched(stateView), VM, 1);
    const live = this.#watched(this.#state.live, (key) => {
      if (Number(key) === LIVE.movedTo) this.moves++;
    });
    Object.assign(this.#state, { live });
    this.#hint = new TermHint(this.#watched(real.view), HEADER_BYTES);
    for (const owner of [table, table.records] as const) {
      for (const [name, array] of Object.entries(owner)) {
        if (ArrayBuffer.isView(array)) Object.assign(owner, { [name]: this.#watched(array) });
      }
    }
    const slab: Slab = { bytes: this.#watched(all), view: real.view };
    const log = new FrameLog(table, live);
    const held = this.#watched(this.#state.live.subarray(LIVE.held, LIVE.held + 1));
    this.buffer = new TxBuffer(slab, ring, frameBytes, limits, 'burst', { records: table.records, log }, held);
    this.#in = new FrameBatch(real, 1);
    this.out = new FrameBatch(slab, 100);
    this.publish();
  }

  /** @returns what the buffer answers */
  hold(serial: number, bytes: Uint8Array, flow: number | null, behind: boolean): number {
    const batch = this.#in;
    batch.slab.bytes.set(bytes, this.#source);
    batch.offset[0] = this.#source;
    batch.length[0] = bytes.length;
    batch.wireLength[0] = bytes.length;
    batch.arrivalNs[0] = serial;
    batch.epoch[0] = this.epochs.openEpoch;
    batch.pair[0] = serial % 3;
    return this.buffer.hold(batch, 0, flow === null ? null : keyOf(flow), behind, false, false);
  }

  publish(): void {
    const epochs = this.epochs.snapshot();
    this.#state.publish({ epochs, leaseNs: 5, bufferId: BUFFER_ID, labels: this.buffer.labels });
    this.#hint.write(epochs.term);
  }

  /** @throws Unbelievable, which it never should */
  found(): Found {
    const state = readState(new DataView(this.stateBytes.buffer), VM);
    return { state, frames: readFrames(this.bytes, VM, state) };
  }

  #watched<T extends object>(target: T, onKey: (key: string | symbol) => void = () => {}): T {
    const look = () => this.onStore();
    return new Proxy(target, {
      set: (object, key, value) => {
        onKey(key);
        look();
        return Reflect.set(object, key, value);
      },
      get: (object, key) => {
        if (key === 'copyWithin')
          return (to: number, from: number, end: number) => copyInHalves(object, to, from, end, look);
        const value: unknown = Reflect.get(object, key);
        if (typeof value !== 'function') return value;
        return (...rest: unknown[]) => {
          if (String(key).startsWith('set')) look();
          return Reflect.apply(value, object, rest);
        };
      },
    });
  }
}

function copyInHalves(object: unknown, to: number, from: number, end: number, look: () => void): void {
  const bytes = object as Uint8Array;
  const all = bytes.slice(from, end);
  const half = all.length >> 1;
  look();
  bytes.set(all.subarray(0, half), to);
  look();
  bytes.set(all.subarray(half), to + half);
}
