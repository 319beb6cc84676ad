interface Poller {
  /** Costs next to nothing: it is asked again and again. */
  hasFrames(): boolean;
  ready(): void;
}

/** Rounds over all pollers between two turns of the event loop, whose own work has to wait for them. */
const ROUNDS = 64;

const pollers = new Set<Poller>();
let turn: NodeJS.Immediate | null = null;

/**
 * Asks without a pause whether frames are there, and calls `ready` when they are: no sleep, so no wake-up to wait for, and a
 * core that is always busy.
 */
export class BusyPoll {
  readonly #poller: Poller;

  constructor(poller: Poller) {
    this.#poller = poller;
    pollers.add(poller);
    if (turn === null) turn = setImmediate(spin);
  }

  close(): void {
    pollers.delete(this.#poller);
  }
}

function spin(): void {
  for (let round = 0; round < ROUNDS; round++) {
    for (const poller of pollers) if (poller.hasFrames()) poller.ready();
  }
  turn = pollers.size > 0 ? setImmediate(spin) : null;
}
