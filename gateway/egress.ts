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

  /**
   * Takes the first `count` frames of the batch and their pool slots, and offers them to the port behind what is queued.
   * @returns how many frames it accepted
   */
  send(batch: FrameBatch, count: number): number {
    const queue = this.#queue;
    const isFirst = queue.count === 0;
    // As a rule nothing waits, and frames need not be written down here.
    const accepted = isFirst && count > 0 ? this.#offer(batch, count) : 0;
    for (let i = accepted; i < count; i++) {
      queue.copyFrom(queue.count, batch, i);
      queue.count++;
    }
    return isFirst ? accepted : this.flush();
  }

  /** Offers what is queued to the port. @returns how many frames it accepted */
  flush(): number {
    const queue = this.#queue;
    if (queue.count === 0) return 0;
    const accepted = this.#offer(queue, queue.count);
    const left = queue.count - accepted;
    for (let i = 0; i < left && accepted > 0; i++) queue.copyFrom(i, queue, accepted + i);
    queue.count = left;
    return accepted;
  }

  #offer(batch: FrameBatch, count: number): number {
    const accepted = this.#port.transmit(batch, 0, count);
    if (accepted > 0 && this.onAccepted !== null) this.onAccepted(batch, accepted);
    if (this.#own !== null) for (let i = 0; i < accepted; i++) this.#own.left(batch, i);
    // The other way round, so that the next batch finds them in the same order.
    for (let i = accepted - 1; i >= 0; i--) this.#pool.give(batch.offset[i]!);
    return accepted;
  }
}
