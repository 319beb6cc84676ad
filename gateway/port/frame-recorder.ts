import { type Slab, slabOf } from '../../classifier/slab.ts';
import type { PacketDirection, PcapngWriter } from '../../pcaps/pcapng-writer.ts';
import type { FrameBatch } from '../frame-batch.ts';
import { finishChecksum } from './checksum.ts';
import { checksumField } from './vnet-header.ts';

/** When the gateway's clock was 0. */
export interface ClockOrigin {
  /** Since 1970. */
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** Writes frames of batches as pcapng records. */
export class FrameRecorder {
  readonly #writer: PcapngWriter;
  readonly #origin: ClockOrigin;
  readonly #snapLength: number;
  #scratch: Slab | null = null;
  #seconds = 0;
  #nanoseconds = 0;

  /** @param snapLength bytes that are kept of each frame */
  constructor(writer: PcapngWriter, origin: ClockOrigin, snapLength = Number.POSITIVE_INFINITY) {
    this.#writer = writer;
    this.#origin = origin;
    this.#snapLength = snapLength;
  }

  /** @param timeNs on the gateway's clock */
  write(
    interfaceId: number,
    batch: FrameBatch,
    i: number,
    timeNs: number,
    comment: string,
    direction?: PacketDirection,
  ): void {
    const length = batch.length[i]!;
    const kept = Math.min(length, this.#snapLength);
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
    this.#setTime(timeNs);
    const wireLength = batch.wireLength[i]!;
    this.#writer.writePacket(
      interfaceId,
      this.#seconds,
      this.#nanoseconds,
      bytes,
      offset,
      kept,
      wireLength,
      comment,
      direction,
    );
  }

  /** @param timeNs when they were counted */
  writeStatistics(
    interfaceId: number,
    timeNs: number,
    statistics: Parameters<PcapngWriter['writeStatistics']>[3],
  ): void {
    this.#setTime(timeNs);
    this.#writer.writeStatistics(interfaceId, this.#seconds, this.#nanoseconds, statistics);
  }

  #setTime(timeNs: number): void {
    const ns = timeNs + this.#origin.nanoseconds;
    const whole = Math.floor(ns / 1e9);
    this.#seconds = this.#origin.seconds + whole;
    this.#nanoseconds = Math.floor(ns - whole * 1e9);
  }
}

/** What a comment says of a super-frame; empty for an ordinary one. */
export function superFrameText(batch: FrameBatch, i: number): string {
  return batch.gsoType[i] === 0 ? '' : ` segments-of=${batch.gsoSize[i]}`;
}
