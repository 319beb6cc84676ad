import type { FrameBatch } from './frame-batch.ts';

/** Which of a VM's ports: `inside` faces the VM, `outside` the network. */
export type Side = 'inside' | 'outside';

/** Sees a VM's frames on their way, where somebody looks. Batches are lent until the call returns, and may not be changed. */
export interface Tap {
  /** The first `count` frames of the batch were read from the ports of this side; their verdicts are in the batch. */
  received(side: Side, batch: FrameBatch, count: number): void;
  /** The ports of this side have accepted the first `count` frames of the batch. */
  sent(side: Side, batch: FrameBatch, count: number): void;
}

/** Shows each frame to everybody who looks. */
export class Taps implements Tap {
  #all: readonly Tap[] = [];

  get count(): number {
    return this.#all.length;
  }

  add(tap: Tap): void {
    this.#all = [...this.#all, tap];
  }

  /** @returns whether it was there */
  remove(tap: Tap): boolean {
    const before = this.#all;
    this.#all = before.filter((one) => one !== tap);
    return this.#all.length < before.length;
  }

  received(side: Side, batch: FrameBatch, count: number): void {
    // One that ends itself leaves the others where they are.
    const all = this.#all;
    for (let i = 0; i < all.length; i++) all[i]!.received(side, batch, count);
  }

  sent(side: Side, batch: FrameBatch, count: number): void {
    const all = this.#all;
    for (let i = 0; i < all.length; i++) all[i]!.sent(side, batch, count);
  }
}
