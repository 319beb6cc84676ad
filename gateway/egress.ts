import { FrameBatch } from './frame-batch.ts';
import type { FramePool } from './frame-pool.ts';
import type { Port } from './port/port.ts';

/**
 * Frames on their way out through one port, first in, first out. What the port refuses waits here in its pool slot
 * and is offered again; when no slot is free, nothing more is read. Nothing is dropped here.
 */
export class Egress {
  readonly #port: Port;
  readonly #pool: FramePool;
  readonly #queue: FrameBatch;

  constructor(port: Port, pool: FramePool) {
    this.#port = port;
    this.#pool = pool;
    this.#queue = new FrameBatch(pool.slab, pool.slots);
  }

  get queued(): number {
    return this.#queue.count;
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
    for (let i = 0; i < accepted; i++) this.#pool.give(queue.offset[i]!);
    const left = queue.count - accepted;
    for (let i = 0; i < left && accepted > 0; i++) queue.copyFrom(i, queue, accepted + i);
    queue.count = left;
    return accepted;
  }
}
