import { FrameBatch } from './frame-batch.ts';
import type { FramePool } from './frame-pool.ts';
import type { OwnAddresses } from './own-addresses.ts';
import type { Port } from './port/port.ts';

/**
 * Frames on their way out through one port, first in, first out. What the port refuses waits here in its pool slot
 * and is offered again; when no slot is free, nothing more is read. Nothing is dropped here.
 */
export class Egress {
  /** Called with the queue, of which the port has accepted the first `count` frames. Null: nobody looks. */
  onAccepted: ((batch: FrameBatch, count: number) => void) | null = null;
  #port: Port;
  readonly #pool: FramePool;
  readonly #own: OwnAddresses | null;
  readonly #queue: FrameBatch;

  /** @param own learns from what the port has accepted */
  constructor(port: Port, pool: FramePool, own: OwnAddresses | null = null) {
    this.#port = port;
    this.#pool = pool;
    this.#own = own;
    this.#queue = new FrameBatch(pool.slab, pool.slots);
  }

  get queued(): number {
    return this.#queue.count;
  }

  /** What is queued, and what comes, goes through this port from now on. */
  changePort(port: Port): void {
    this.#port = port;
  }

  /** Takes frame `i` of the batch and its pool slot. */
  add(batch: FrameBatch, i: number): void {
    this.#queue.copyFrom(this.#queue.count, batch, i);
    this.#queue.count++;
  }

  /** Offers what is queued to the port. @returns how many frames it accepted */
  flush(): number {
    const queue = this.#queue;
    if (queue.count === 0) return 0;
    const accepted = this.#port.transmit(queue, 0, queue.count);
    if (accepted > 0 && this.onAccepted !== null) this.onAccepted(queue, accepted);
    for (let i = 0; i < accepted; i++) {
      if (this.#own !== null) this.#own.left(queue, i);
      this.#pool.give(queue.offset[i]!);
    }
    const left = queue.count - accepted;
    for (let i = 0; i < left && accepted > 0; i++) queue.copyFrom(i, queue, accepted + i);
    queue.count = left;
    return accepted;
  }
}
