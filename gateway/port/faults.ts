import { slabOf } from '../../classifier/slab.ts';
import type { Clock } from '../clock.ts';
import { FrameBatch } from '../frame-batch.ts';
import { FaultLine, type Faults } from './fault-line.ts';
import type { Port } from './port.ts';
import { SUPER_FRAME_BYTES } from './vnet-header.ts';
import { PortWrapper } from './wrapper.ts';

export interface FaultOptions {
  readonly seed: number;
  /** What happens to frames that the port gives, and to those it takes. */
  readonly receive?: Faults;
  readonly transmit?: Faults;
  /** Frames that are delayed or out of order at one time, in each direction; beyond them the port refuses. */
  readonly slots?: number;
  /** The longest frame. */
  readonly slotBytes?: number;
}

const DEFAULT_SLOTS = 64;

/** A port with a bad link: the same seed and the same frames at the same times give the same faults. */
export class FaultyPort extends PortWrapper {
  readonly received: FaultLine;
  readonly sent: FaultLine;
  readonly #clock: Clock;
  readonly #scratch: FrameBatch;
  readonly #slotBytes: number;
  #timer: NodeJS.Timeout | null = null;

  constructor(inner: Port, clock: Clock, options: FaultOptions) {
    super(inner);
    const { seed, slots = DEFAULT_SLOTS, slotBytes = SUPER_FRAME_BYTES } = options;
    this.#clock = clock;
    this.#slotBytes = slotBytes;
    this.received = new FaultLine(options.receive ?? {}, seed, slots, slotBytes);
    this.sent = new FaultLine(options.transmit ?? {}, seed + 1, slots, slotBytes);
    this.#scratch = new FrameBatch(slabOf(new Uint8Array(slotBytes)), 1);
  }

  receive(batch: FrameBatch, from: number, max: number, slotBytes: number): number {
    const scratch = this.#scratch;
    while (this.received.hasRoom && this.inner.receive(scratch, 0, 1, this.#slotBytes) === 1) {
      this.received.put(scratch, 0, scratch.arrivalNs[0]!);
    }
    this.#flush();
    const count = this.received.take(batch, from, max, slotBytes, this.#clock.nowNs());
    this.#wake();
    return count;
  }

  transmit(batch: FrameBatch, from: number, count: number): number {
    let accepted = 0;
    const now = this.#clock.nowNs();
    while (accepted < count) {
      if (!this.sent.hasRoom) this.#flush();
      if (!this.sent.hasRoom) break;
      this.sent.put(batch, from + accepted, now);
      accepted++;
    }
    this.#flush();
    this.#wake();
    return accepted;
  }

  override close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    super.close();
  }

  /** Hands on what is due. */
  #flush(): void {
    const now = this.#clock.nowNs();
    for (let i = this.sent.due(now); i >= 0; i = this.sent.due(now)) {
      if (this.inner.transmit(this.sent.frames, i, 1) === 0) return;
      this.sent.left(i);
    }
  }

  /** What is delayed is due without anybody asking. */
  #wake(): void {
    const due = Math.min(this.received.nextDueNs(), this.sent.nextDueNs());
    if (this.#timer !== null || due === Number.POSITIVE_INFINITY) return;
    const waitMs = Math.max(1, Math.ceil((due - this.#clock.nowNs()) / 1e6));
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#flush();
      this.#wake();
      this.onReady?.();
    }, waitMs);
  }
}
