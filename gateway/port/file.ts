import type { CaptureRecord } from '../../pcaps/record.ts';
import type { Clock } from '../clock.ts';
import type { FrameBatch } from '../frame-batch.ts';
import type { Port, PortCapabilities } from './port.ts';

/**
 * A port whose link is a capture: it gives the records that are staged, one at a time, and hands what it transmits to
 * a listener. Waits as long as nobody reads, accepts whatever it is given.
 */
export class FilePort implements Port {
  readonly name: string;
  readonly capabilities: PortCapabilities = { pushesBack: true, cutsFrames: true };
  readonly #clock: Clock;
  readonly #onTransmit: ((batch: FrameBatch, index: number) => void) | null;
  #staged: CaptureRecord | null = null;

  constructor(name: string, clock: Clock, onTransmit: ((batch: FrameBatch, index: number) => void) | null = null) {
    this.name = name;
    this.#clock = clock;
    this.#onTransmit = onTransmit;
  }

  /** A record that was not received yet. */
  get hasStaged(): boolean {
    return this.#staged !== null;
  }

  /** Offers a record to the reader; its bytes must stay as they are until it is received. */
  stage(record: CaptureRecord): void {
    if (this.#staged !== null) throw new Error(`${this.name}: the record before was not received`);
    this.#staged = record;
  }

  receive(batch: FrameBatch, from: number, max: number, slotBytes: number): number {
    const record = this.#staged;
    if (record === null || max === 0) return 0;
    this.#staged = null;
    const length = Math.min(record.frameLength, slotBytes);
    batch.slab.bytes.set(record.bytes.subarray(record.offset, record.offset + length), batch.offset[from]!);
    batch.length[from] = length;
    batch.wireLength[from] = Math.max(0, record.wireLength - record.fcsLength);
    batch.linkType[from] = record.linkType;
    batch.arrivalNs[from] = this.#clock.nowNs();
    batch.gsoType[from] = 0;
    return 1;
  }

  transmit(batch: FrameBatch, from: number, count: number): number {
    if (this.#onTransmit !== null) for (let i = from; i < from + count; i++) this.#onTransmit(batch, i);
    return count;
  }

  close(): void {
    this.#staged = null;
  }
}
