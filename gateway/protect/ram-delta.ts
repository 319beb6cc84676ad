import { setImmediate as nextTurn } from 'node:timers/promises';
import { encodeDeltaHeader, PAGE_BYTES, PAGE_NUMBER_BYTES } from './delta-image.ts';
import type { QmpClient } from './qmp.ts';
import { checkUsed, RamView, sharedRam } from './shared-ram.ts';
import type { Checkpoint } from './standby-api.ts';
import { type ImageSender, LinkError, type StandbyLink } from './standby-link.ts';

/** Compared at once, in pages and bytes: what is equal is most of memory. */
const BLOCK_PAGES = 16;
const BLOCK_BYTES = BLOCK_PAGES * PAGE_BYTES;
/** Done at once while the machine runs: others of this process have their turn after it. */
const TURN_BYTES = 2 ** 24;
const SENT_PAGES = 256;
const ZEROS = Buffer.alloc(PAGE_BYTES);

type Sender = Pick<ImageSender, 'write' | 'onDrained'>;
type Link = Pick<StandbyLink, 'isClosed' | 'closed'>;

/** A machine's memory, and beside it what it was at the last copy. */
interface Memory {
  readonly view: RamView;
  /** By piece of the view. */
  readonly shadow: readonly Buffer[];
  /** By page; 1: the shadow is ahead of what the standby has confirmed. */
  readonly ahead: Uint8Array;
}

/**
 * Finds what has changed in the memory of a machine since the last checkpoint: its memory is a shared file, and is compared with a copy in
 * this process. So the driver takes as much memory as the machine.
 */
export class RamDelta {
  readonly #path: string | null;
  #memory: Memory | null = null;
  /** The standby's newest checkpoint, which is ours; null: it has to be sent all of memory. */
  #follows: Checkpoint | null = null;
  #current: DeltaCopy | null = null;

  /** @param path the file; null: where the machine says that it is */
  constructor(path: string | null) {
    this.#path = path;
  }

  /** The machine runs: its memory is copied already, so that its first pause is no longer than others. @throws RamError, QmpError */
  async attach(qmp: QmpClient): Promise<void> {
    const { path, bytes } = await sharedRam(qmp);
    this.close();
    const view = new RamView(this.#path ?? path, bytes);
    try {
      await checkUsed(qmp, view.path);
      const shadow = view.pieces.map(({ length }) => Buffer.alloc(length));
      for (const [i, piece] of view.pieces.entries()) {
        for (let at = 0; at < piece.length; at += TURN_BYTES) {
          piece.copy(shadow[i]!, at, at, at + TURN_BYTES);
          await nextTurn();
        }
      }
      this.#memory = { view, shadow, ahead: new Uint8Array(bytes / PAGE_BYTES) };
    } catch (error) {
      view.close();
      throw error;
    }
  }

  /** What the standby has is not known, or of no use: it is sent all of memory next. */
  restart(): void {
    this.#follows = null;
    this.#current = null;
  }

  /** A checkpoint begins. One before it that has not been confirmed is contained in this one. */
  begin(): DeltaCopy {
    const follows = this.#follows;
    const copy: DeltaCopy = new DeltaCopy(this.#memory!, follows, (checkpoint) => {
      if (this.#current !== copy) return;
      this.#follows = checkpoint;
      this.#memory!.ahead.fill(0);
    });
    this.#current = copy;
    return copy;
  }

  close(): void {
    this.restart();
    this.#memory?.view.close();
    this.#memory = null;
  }
}

/** What one checkpoint changes. */
export class DeltaCopy {
  readonly #memory: Memory;
  readonly #follows: Checkpoint | null;
  readonly #onConfirmed: (checkpoint: Checkpoint) => void;
  /** The machine's devices. */
  readonly #devices: Buffer[] = [];

  constructor(memory: Memory, follows: Checkpoint | null, onConfirmed: (checkpoint: Checkpoint) => void) {
    this.#memory = memory;
    this.#follows = follows;
    this.#onConfirmed = onConfirmed;
  }

  /** Takes what the machine writes of its devices. They are sent with memory. */
  write(bytes: Buffer): boolean {
    this.#devices.push(bytes);
    return true;
  }

  /** There is always room. */
  onDrained(listener: () => void): void {
    listener();
  }

  /** The machine is paused: what it has changed is kept here, and it may run on. */
  takeChanges(): void {
    const { view, shadow, ahead } = this.#memory;
    let page = 0;
    for (const [i, now] of view.pieces.entries()) {
      const before = shadow[i]!;
      for (let at = 0; at < now.length; at += BLOCK_BYTES, page += BLOCK_PAGES) {
        const end = Math.min(at + BLOCK_BYTES, now.length);
        if (now.compare(before, at, end, at, end) !== 0) takeBlock(now, before, at, end, ahead, page);
      }
    }
  }

  /** Sends devices and pages; `sender.end` is the caller's. @throws LinkError */
  async send(sender: Sender, link: Link): Promise<void> {
    const { view, ahead } = this.#memory;
    if (this.#follows === null) await this.#addAllOfMemory();
    const numbers: number[] = [];
    for (let page = ahead.indexOf(1); page !== -1; page = ahead.indexOf(1, page + 1)) numbers.push(page);
    const deviceBytes = this.#devices.reduce((sum, { length }) => sum + length, 0);
    const header = { ramBytes: view.bytes, deviceBytes, pages: numbers.length, follows: this.#follows };
    const list = Buffer.alloc(numbers.length * PAGE_NUMBER_BYTES);
    for (const [i, page] of numbers.entries()) list.writeUInt32LE(page, i * PAGE_NUMBER_BYTES);
    for (const bytes of [encodeDeltaHeader(header), ...this.#devices, list]) await written(sender, link, bytes);
    for (let from = 0; from < numbers.length; from += SENT_PAGES) {
      await written(sender, link, this.#pagesOf(numbers.slice(from, from + SENT_PAGES)));
    }
  }

  /** The standby has it. */
  confirmed(checkpoint: Checkpoint): void {
    this.#onConfirmed(checkpoint);
  }

  async #addAllOfMemory(): Promise<void> {
    const { shadow, ahead } = this.#memory;
    let page = 0;
    for (const bytes of shadow) {
      for (let at = 0; at < bytes.length; at += PAGE_BYTES, page++) {
        if (at % TURN_BYTES === 0) await nextTurn();
        if (bytes.compare(ZEROS, 0, PAGE_BYTES, at, at + PAGE_BYTES) !== 0) ahead[page] = 1;
      }
    }
  }

  #pagesOf(numbers: readonly number[]): Buffer {
    const { shadow } = this.#memory;
    const pieceBytes = shadow[0]!.length;
    const bytes = Buffer.allocUnsafe(numbers.length * PAGE_BYTES);
    for (const [i, page] of numbers.entries()) {
      const start = page * PAGE_BYTES;
      const piece = shadow[Math.floor(start / pieceBytes)]!;
      const at = start % pieceBytes;
      piece.copy(bytes, i * PAGE_BYTES, at, at + PAGE_BYTES);
    }
    return bytes;
  }
}

function takeBlock(now: Buffer, before: Buffer, from: number, to: number, ahead: Uint8Array, firstPage: number): void {
  let page = firstPage;
  for (let at = from; at < to; at += PAGE_BYTES, page++) {
    const end = at + PAGE_BYTES;
    if (now.compare(before, at, end, at, end) === 0) continue;
    now.copy(before, at, at, end);
    ahead[page] = 1;
  }
}

async function written(sender: Sender, link: Link, bytes: Buffer): Promise<void> {
  if (link.isClosed) throw new LinkError('the standby hung up');
  if (bytes.length === 0 || sender.write(bytes)) return;
  await Promise.race([new Promise<void>((resolve) => sender.onDrained(resolve)), link.closed]);
}
