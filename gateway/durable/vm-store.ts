import { randomInt } from 'node:crypto';
import { renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Slab, slabOf } from '../../classifier/slab.ts';
import { Epochs, type EpochsSnapshot } from '../epoch.ts';
import { FrameBatch } from '../frame-batch.ts';
import { FLAG } from '../frame-records.ts';
import type { TxBufferLimits } from '../occupancy.ts';
import { TxBuffer, type TxBufferMemory } from '../tx-buffer.ts';
import { FILE_KIND, HEADER_BYTES, writeHeader } from './file-header.ts';
import { FrameLog } from './frame-log.ts';
import { FrameTable } from './frame-table.ts';
import { MappedMemory, wholePages } from './mapped-memory.ts';
import { keepAside, nameAside, readOwned } from './owned-file.ts';
import { type FoundState, readState, STATE_FILE_BYTES, StateFile, salvageTerm } from './state-file.ts';
import { LIVE } from './state-layout.ts';
import { StoreError } from './store-error.ts';
import { readFrames, ringAt, type StoredFrames, TABLE_AT } from './stored-frames.ts';
import { TermHint } from './term-hint.ts';
import { Unbelievable } from './unbelievable.ts';

const MOST_BYTES = 2 ** 33;
/** Frames are known by 32-bit offsets. */
const MOST_SLAB_BYTES = 2 ** 32;
const MS_PER_S = 1000;

/** What a store needs of the folder that it is in. */
export interface StoreFolder {
  readonly path: string;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
}

/** What was found when a VM's store was opened. */
export interface Recovered {
  /** Null: there was nothing, or nothing that could be believed. */
  readonly epochs: EpochsSnapshot | null;
  readonly term: number;
  /** Frames that are held again, or leave. */
  readonly frames: number;
  /** Those of them that the port may have got already: they are sent again. */
  readonly resentFrames: number;
  /** Frames that a rollback had discarded when the process ended. */
  readonly discardedFrames: number;
  /** Frames that were held and are gone, because they were in memory only or their file is not believed; null: nobody knows. */
  readonly lostFrames: number | null;
  /** Files that are not believed. */
  readonly setAside: readonly SetAside[];
}

interface SetAside {
  readonly kind: Kind;
  /** Where it is to be found. */
  readonly file: string;
  readonly why: string;
}

type Kind = 'state' | 'buffer';

/** Memory for a VM's frames, those on their way first. */
export interface FrameRoom {
  readonly slab: Slab;
  /** Where the transmit buffer's ring begins. */
  readonly ring: number;
  readonly memory: TxBufferMemory | null;
  /** Counts held frames. */
  readonly held: Int32Array;
}

/**
 * What of one VM outlives the process: term, epochs and how many frames are held, and with a file for them the frames too. Made anew
 * at every start: first what an earlier process has left is read, then the VM makes its buffer in `room`, fills it (`restore`), and
 * only then, by `begin`, new files take the place of the old ones. A process that dies before has changed nothing.
 */
export class VmStore {
  readonly recovered: Recovered;
  /** How long data may pass without a sign of life, of the term that was in force. */
  readonly leaseNs: number;
  readonly #folder: StoreFolder;
  readonly #name: string;
  readonly #vm: string;
  readonly #isInFile: boolean;
  readonly #found: FoundState | null;
  readonly #frames: StoredFrames | null;
  readonly #state: StateFile;
  readonly #stateMemory: MappedMemory;
  #bufferMemory: MappedMemory | null = null;
  #bufferId = 0;
  #hint: TermHint | null = null;
  #isReplaced = false;

  /**
   * @param isInFile frames are in a file too, else they die with the process
   * @throws StoreError
   */
  constructor(folder: StoreFolder, vm: string, isInFile: boolean) {
    this.#folder = folder;
    this.#vm = vm;
    this.#name = encodeURIComponent(vm);
    this.#isInFile = isInFile;
    const aside: SetAside[] = [];
    const stateBytes = this.#read('state', aside);
    const bufferBytes = this.#read('buffer', aside);
    const hint = bufferBytes === null ? 0 : TermHint.read(viewOf(bufferBytes), HEADER_BYTES);
    this.#found = this.#believe('state', aside, () => {
      if (stateBytes === null) return null;
      const found = readState(viewOf(stateBytes), vm);
      if (hint <= found.epochs.term) return found;
      throw new Unbelievable(`it knows term ${found.epochs.term} as the last, the buffer's file knows ${hint}`);
    });
    const found = this.#found;
    this.#frames = this.#believe('buffer', aside, () => {
      if (bufferBytes === null) return null;
      if (found === null)
        throw new Unbelievable('what its frames wait for is not known: there is no state file to believe');
      return readFrames(bufferBytes, vm, found);
    });
    const isTrusted = found !== null || (stateBytes === null && aside.length === 0);
    const salvaged = Math.max(hint, (stateBytes === null ? null : salvageTerm(viewOf(stateBytes))) ?? 0);
    // Nobody can have used up as many terms as seconds have passed since 1970.
    const beyond = salvaged > 0 ? salvaged + 1 : Math.floor(folder.wallMs() / MS_PER_S);
    const labels = this.#frames?.labels ?? [];
    const voided = labels.filter((label) => label === Number.POSITIVE_INFINITY).length;
    const held = found?.live[LIVE.held] ?? 0;
    this.leaseNs = found?.leaseNs ?? Number.POSITIVE_INFINITY;
    this.recovered = {
      epochs: found?.epochs ?? null,
      term: found?.epochs.term ?? (isTrusted ? 0 : beyond),
      frames: labels.length - voided,
      resentFrames: this.#frames?.resentFrames ?? 0,
      discardedFrames: voided,
      lostFrames: this.#frames !== null ? 0 : isTrusted ? Math.max(0, held) : null,
      setAside: aside,
    };
    this.#stateMemory = this.#map('state', 0, STATE_FILE_BYTES);
    this.#state = new StateFile(new DataView(this.#stateMemory.buffer, 0, STATE_FILE_BYTES), vm, newId());
  }

  /** @returns terms and epochs as they were; a VM that was replicated waits for its host */
  epochs(isReplicated: boolean): Epochs {
    const { epochs, term, setAside: aside } = this.recovered;
    if (epochs !== null) return Epochs.recovered(epochs, isReplicated);
    return new Epochs(isReplicated || aside.length > 0 ? 'waiting' : 'off', term);
  }

  /**
   * @param poolBytes for frames on their way, before the ring
   * @param frameBytes the longest frame
   */
  room(poolBytes: number, frameBytes: number, limits: TxBufferLimits): FrameRoom {
    const held = this.#state.live.subarray(LIVE.held, LIVE.held + 1);
    const ringBytes = TxBuffer.bytesFor(limits, frameBytes);
    if (!this.#isInFile) {
      return { slab: slabOf(new Uint8Array(poolBytes + ringBytes)), ring: poolBytes, memory: null, held };
    }
    const records = TxBuffer.recordsFor(limits);
    const start = wholePages(poolBytes);
    const ring = start + ringAt(records);
    if (ring + ringBytes > MOST_SLAB_BYTES) {
      throw new RangeError('the transmit buffer, its records and the frame pool may take 4 GiB together');
    }
    this.#bufferMemory = this.#map('buffer', start, ringAt(records) + ringBytes);
    this.#bufferId = newId();
    const { buffer } = this.#bufferMemory;
    const slab = slabOf(new Uint8Array(buffer));
    const table = new FrameTable(records, buffer, start + TABLE_AT, slab.view, ring);
    const header = {
      kind: FILE_KIND.buffer,
      vm: this.#vm,
      id: this.#bufferId,
      parent: this.#found?.id ?? 0,
      frames: this.recovered.frames,
      records,
      frameBytes,
      ringBytes,
    };
    writeHeader(new DataView(buffer, start, HEADER_BYTES), header);
    this.#hint = new TermHint(new DataView(buffer), start + HEADER_BYTES);
    return { slab, ring, memory: { records: table.records, log: new FrameLog(table, this.#state.live) }, held };
  }

  /**
   * Puts the frames that were held back into the buffer, which was made in `room`, and lets those go that may leave.
   * @param slot where a frame may lie meanwhile, in the slab
   * @param each is told of each frame, those included that a rollback has discarded
   * @throws StoreError `too-small`
   */
  restore(
    txBuffer: TxBuffer,
    slab: Slab,
    slot: number,
    slotBytes: number,
    nowNs: number,
    each: (reason: number, isDiscarded: boolean) => void,
  ): void {
    const frames = this.#frames;
    if (frames === null) return;
    const batch = new FrameBatch(slab, 1);
    const { records, flowHigh, flowLow } = frames.table;
    frames.order.forEach((at, i) => {
      const label = frames.labels[i]!;
      const isDiscarded = label === Number.POSITIVE_INFINITY;
      each(records.reason[at]!, isDiscarded);
      if (isDiscarded) return;
      const length = records.length[at]!;
      if (length > slotBytes) throw this.#tooSmall(`one of them is ${length} bytes long`);
      const place = frames.ring + records.place[at]!;
      slab.bytes.set(frames.bytes.subarray(place, place + length), slot);
      records.read(at, batch, 0);
      batch.offset[0] = slot;
      batch.epoch[0] = label;
      // Clocks of two processes need not agree.
      batch.arrivalNs[0] = Math.min(records.arrivalNs[at]!, nowNs);
      const flags = records.flags[at]!;
      const isOrdered = (flags & FLAG.ordered) !== 0;
      const isBehind = (flags & FLAG.behind) !== 0;
      const isUnclassified = (flags & FLAG.unclassified) !== 0;
      if (!txBuffer.restore(batch, 0, isOrdered, flowHigh[at]!, flowLow[at]!, isBehind, isUnclassified)) {
        throw this.#tooSmall('the limits take fewer');
      }
    });
    // Not what was only on its way behind others: no host has been heard yet, and the lease may be over.
    txBuffer.releaseThrough(this.recovered.epochs?.committedEpoch ?? 0, nowNs, false);
  }

  /** Everything is as it was: the new files take the place of the old ones, and from now on are kept right. */
  begin(epochs: Epochs, txBuffer: TxBuffer): void {
    this.publish(epochs, txBuffer, this.leaseNs);
    const { path } = this.#folder;
    for (const { kind, file } of this.recovered.setAside) keepAside(path, `${this.#name}.${kind}`, basename(file));
    const replace = (kind: Kind) => {
      renameSync(join(path, `${this.#name}.${kind}.new`), join(path, `${this.#name}.${kind}`));
    };
    // A buffer names the one before it, which the old state still names. Without an old state, the new one comes first.
    const kinds: readonly Kind[] = this.#found === null ? ['state', 'buffer'] : ['buffer', 'state'];
    for (const kind of kinds) if (kind === 'state' || this.#isInFile) replace(kind);
    if (!this.#isInFile) rmSync(join(path, `${this.#name}.buffer`), { force: true });
    this.#isReplaced = true;
  }

  /** From now on a restart finds this: for every change of a term, an epoch, or labels, before it has any effect outside. */
  publish(epochs: Epochs, txBuffer: TxBuffer, leaseNs: number): void {
    const snapshot = epochs.snapshot();
    this.#state.publish({ epochs: snapshot, leaseNs, bufferId: this.#bufferId, labels: txBuffer.labels });
    // Afterwards: a term that only the buffer knows tells that the state file is an old one.
    this.#hint?.write(snapshot.term);
  }

  /** The files stay as they are, whatever the VM still does: its ports are closed first, else a frame may leave twice. */
  close(): void {
    this.#stateMemory.release();
    this.#bufferMemory?.release();
    if (this.#isReplaced) return;
    for (const kind of ['state', 'buffer'])
      rmSync(join(this.#folder.path, `${this.#name}.${kind}.new`), { force: true });
  }

  #read(kind: Kind, aside: SetAside[]): Uint8Array<ArrayBuffer> | null {
    return this.#believe(kind, aside, () => readOwned(join(this.#folder.path, `${this.#name}.${kind}`), MOST_BYTES));
  }

  /** @returns null where the file is not believed; `begin` sets it aside then */
  #believe<T>(kind: Kind, aside: SetAside[], read: () => T): T | null {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof Unbelievable)) throw error;
      const { path } = this.#folder;
      const stamp = new Date(this.#folder.wallMs()).toISOString().replace(/[-:.]/g, '');
      aside.push({ kind, file: join(path, nameAside(path, `${this.#name}.${kind}`, stamp)), why: error.message });
      return null;
    }
  }

  #map(kind: Kind, start: number, bytes: number): MappedMemory {
    const path = join(this.#folder.path, `${this.#name}.${kind}.new`);
    // Whoever made it died before it took the place of anything.
    rmSync(path, { force: true });
    return new MappedMemory(path, start, bytes);
  }

  #tooSmall(why: string): StoreError {
    const { frames } = this.recovered;
    const message = `${frames} frames of VM '${this.#vm}' are held in ${this.#name}.buffer, and ${why}: raise its limits, or remove the file to lose them`;
    return new StoreError('too-small', message);
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function newId(): number {
  return randomInt(1, 2 ** 48 - 1);
}
