import { slabOf } from '../../../classifier/slab.ts';
import { FrameBatch } from '../../../gateway/frame-batch.ts';
import type { LivePort } from '../../../gateway/port/port.ts';
import { SUPER_FRAME_BYTES } from '../../../gateway/port/vnet-header.ts';

const BATCH_FRAMES = 64;
/** Batches that one wake-up moves, so that the other direction has its turn. */
const TURNS = 4;

/** Moves every frame from one port to another, when there is one: the least that a gateway does. */
class Lane {
  superFrames = 0;
  readonly #from: LivePort;
  readonly #to: LivePort;
  readonly #batch = new FrameBatch(slabOf(new Uint8Array(BATCH_FRAMES * SUPER_FRAME_BYTES)), BATCH_FRAMES);
  #have = 0;
  #sent = 0;

  constructor(from: LivePort, to: LivePort) {
    this.#from = from;
    this.#to = to;
    for (let i = 0; i < BATCH_FRAMES; i++) this.#batch.offset[i] = i * SUPER_FRAME_BYTES;
  }

  turn(): void {
    for (let turn = 0; turn < TURNS; turn++) {
      if (this.#sent === this.#have) {
        this.#sent = 0;
        this.#have = this.#from.receive(this.#batch, 0, BATCH_FRAMES, SUPER_FRAME_BYTES);
        for (let i = 0; i < this.#have; i++) if (this.#batch.gsoType[i] !== 0) this.superFrames++;
      }
      if (this.#have === 0) return;
      this.#sent += this.#to.transmit(this.#batch, this.#sent, this.#have - this.#sent);
      if (this.#sent < this.#have) return;
    }
  }
}

/** Joins two ports: what comes in at one goes out at the other. */
export class Forwarding {
  readonly there: Lane;
  readonly back: Lane;

  constructor(a: LivePort, b: LivePort) {
    this.there = new Lane(a, b);
    this.back = new Lane(b, a);
    const turn = () => {
      this.there.turn();
      this.back.turn();
    };
    a.onReady = turn;
    b.onReady = turn;
  }
}
