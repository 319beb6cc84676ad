import { type Slab, slabOf } from '../../classifier/slab.ts';
import { REASON_NAMES, VERDICT_NAMES } from '../../classifier/verdict.ts';
import type { PcapngWriter } from '../../pcaps/pcapng-writer.ts';
import type { Clock } from '../clock.ts';
import type { FrameBatch } from '../frame-batch.ts';
import { finishChecksum } from './checksum.ts';
import type { Port } from './port.ts';
import { checksumField } from './vnet-header.ts';
import { PortWrapper } from './wrapper.ts';

/** When the gateway's clock was 0. */
export interface ClockOrigin {
  /** Since 1970. */
  readonly seconds: number;
  readonly nanoseconds: number;
}

/**
 * Writes what a port gives and takes as pcapng, with a comment for each frame: `in`, or `out` with verdict, reason, rule and
 * epoch. Between `start` and `stop` only; else it costs nothing.
 */
export class CapturePort extends PortWrapper {
  readonly #clock: Clock;
  readonly #origin: ClockOrigin;
  #writer: PcapngWriter | null = null;
  #interfaceId = 0;
  #scratch: Slab | null = null;

  constructor(inner: Port, clock: Clock, origin: ClockOrigin) {
    super(inner);
    this.#clock = clock;
    this.#origin = origin;
  }

  /** @param writer whoever gave it flushes and closes it, after `stop` */
  start(writer: PcapngWriter): void {
    this.#interfaceId = writer.addInterface({ name: this.name });
    this.#writer = writer;
  }

  stop(): void {
    this.#writer = null;
  }

  receive(batch: FrameBatch, from: number, max: number, slotBytes: number): number {
    const count = this.inner.receive(batch, from, max, slotBytes);
    if (this.#writer !== null) {
      for (let i = from; i < from + count; i++)
        this.#write(this.#writer, batch, i, batch.arrivalNs[i]!, inbound(batch, i));
    }
    return count;
  }

  transmit(batch: FrameBatch, from: number, count: number): number {
    const accepted = this.inner.transmit(batch, from, count);
    if (this.#writer !== null) {
      const now = this.#clock.nowNs();
      for (let i = from; i < from + accepted; i++) this.#write(this.#writer, batch, i, now, outbound(batch, i));
    }
    return accepted;
  }

  #write(writer: PcapngWriter, batch: FrameBatch, i: number, timeNs: number, comment: string): void {
    const length = batch.length[i]!;
    let { bytes } = batch.slab;
    let offset = batch.offset[i]!;
    if (batch.gsoType[i] !== 0 && batch.l4Start[i]! > 0) {
      // A reader of the capture cannot know that the checksum was left to hardware.
      if (this.#scratch === null || this.#scratch.bytes.length < length) this.#scratch = slabOf(new Uint8Array(length));
      this.#scratch.bytes.set(bytes.subarray(offset, offset + length));
      bytes = this.#scratch.bytes;
      offset = 0;
      finishChecksum(this.#scratch.view, batch.l4Start[i]!, length, checksumField(batch, i));
    }
    const ns = timeNs + this.#origin.nanoseconds;
    const whole = Math.floor(ns / 1e9);
    const seconds = this.#origin.seconds + whole;
    writer.writePacket(
      this.#interfaceId,
      seconds,
      ns - whole * 1e9,
      bytes,
      offset,
      length,
      batch.wireLength[i]!,
      comment,
    );
  }
}

function inbound(batch: FrameBatch, i: number): string {
  return `in${superFrame(batch, i)}`;
}

function outbound(batch: FrameBatch, i: number): string {
  const verdict = VERDICT_NAMES[batch.verdict[i]!]!;
  const reason = REASON_NAMES[batch.reason[i]!]!;
  const rule = batch.rule[i]! > 0 ? ` rule=${batch.rule[i]}` : '';
  const epoch = batch.epoch[i]! > 0 ? ` epoch=${batch.epoch[i]}` : '';
  return `out ${verdict} reason=${reason}${rule}${epoch}${superFrame(batch, i)}`;
}

function superFrame(batch: FrameBatch, i: number): string {
  return batch.gsoType[i] === 0 ? '' : ` segments-of=${batch.gsoSize[i]}`;
}
