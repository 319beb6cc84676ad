interface Poller {
  /** Costs next to nothing: it is asked again and again. */
  hasFrames(): boolean;
  ready(): void;
}

/**
 * Rounds over all pollers between two turns of the event loop, whose own work has to wait for them: some 20 µs, beside which a
 * turn, when nobody looks for frames, is short.
 */
const ROUNDS = 512;

let pollers: readonly Poller[] = [];
let turn: NodeJS.Immediate | null = null;

/**
 * Asks without a pause whether frames are there, and calls `ready` when they are: no sleep, so no wake-up to wait for, and a
 * core that is always busy. Between two turns of the event loop each is called once at the most.
 */
export class BusyPoll {
  readonly #poller: Poller;

  constructor(poller: Poller) {
    this.#poller = poller;
    pollers = [...pollers, poller];
    if (turn === null) turn = setImmediate(spin);
  }

  close(): void {
    pollers = pollers.filter((one) => one !== this.#poller);
  }
}

function spin(): void {
  const all = pollers;
  let hasWorked = false;
  for (let round = 0; round < ROUNDS && !hasWorked; round++) {
    for (let k = 0; k < all.length; k++) {
      const poller = all[k]!;
      if (!poller.hasFrames()) continue;
      hasWorked = true;
      poller.ready();
      // Who is not asked any more may have nothing left to look at.
      if (pollers !== all) break;
    }
  }
  turn = pollers.length > 0 ? setImmediate(spin) : null;
}
