import { createHash } from 'node:crypto';
import { slabOf } from '../../../classifier/slab.ts';
import { VirtualClock } from '../../../gateway/clock.ts';
import { FrameBatch } from '../../../gateway/frame-batch.ts';
import type { Port } from '../../../gateway/port/port.ts';
import { segmentCount, segmentLength, writeSegment } from '../../../gateway/port/segment.ts';
import { SUPER_FRAME_BYTES } from '../../../gateway/port/vnet-header.ts';
import { until } from '../../support/netns.ts';

const BATCH_FRAMES = 64;
/** EtherType for local experiments (IEEE 802). */
export const EXPERIMENT = 0x88b5;
export const A_MAC = [0x02, 0, 0, 0, 0, 0x0a] as const;
export const B_MAC = [0x02, 0, 0, 0, 0, 0x0b] as const;

/** What makes a frame a super-frame. */
export interface SuperFrame {
  readonly gsoType: number;
  readonly gsoSize: number;
  readonly l4Start: number;
}

/** A hand at a port: whole frames as arrays, one by one. */
export class PortHand {
  readonly port: Port;
  readonly batch: FrameBatch;
  /** Of the frame that was taken last. */
  wireLength = 0;
  superFrame: SuperFrame | null = null;

  constructor(port: Port) {
    this.port = port;
    this.batch = new FrameBatch(slabOf(new Uint8Array(BATCH_FRAMES * SUPER_FRAME_BYTES)), BATCH_FRAMES);
    for (let i = 0; i < BATCH_FRAMES; i++) this.batch.offset[i] = i * SUPER_FRAME_BYTES;
  }

  /** @returns how many of the frames the port took */
  offer(frames: readonly Uint8Array[], superFrame: SuperFrame | null = null, from = 0): number {
    frames.forEach((frame, k) => {
      const i = from + k;
      this.batch.slab.bytes.set(frame, this.batch.offset[i]!);
      this.batch.length[i] = frame.length;
      this.batch.wireLength[i] = frame.length;
      this.batch.linkType[i] = 1;
      this.batch.gsoType[i] = superFrame?.gsoType ?? 0;
      this.batch.gsoSize[i] = superFrame?.gsoSize ?? 0;
      this.batch.l4Start[i] = superFrame?.l4Start ?? 0;
    });
    return this.port.transmit(this.batch, from, frames.length);
  }

  /** Sends all frames, however often the port refuses. */
  async send(frames: readonly Uint8Array[], superFrame: SuperFrame | null = null): Promise<void> {
    let sent = 0;
    await until(() => {
      sent += this.offer(frames.slice(sent, sent + BATCH_FRAMES), superFrame);
      return sent === frames.length;
    }, `${this.port.name} to take ${frames.length} frames`);
  }

  /** @returns frames that are there now; super-frames as the segments that they would become */
  take(slotBytes = SUPER_FRAME_BYTES): Uint8Array[] {
    const { batch } = this;
    const frames: Uint8Array[] = [];
    const count = this.port.receive(batch, 0, BATCH_FRAMES, slotBytes);
    for (let i = 0; i < count; i++) {
      const offset = batch.offset[i]!;
      this.wireLength = batch.wireLength[i]!;
      this.superFrame = null;
      if (batch.gsoType[i] === 0) {
        frames.push(batch.slab.bytes.slice(offset, offset + batch.length[i]!));
      } else {
        this.superFrame = { gsoType: batch.gsoType[i]!, gsoSize: batch.gsoSize[i]!, l4Start: batch.l4Start[i]! };
        frames.push(...segmentsOf(batch, i));
      }
    }
    return frames;
  }

  /** @returns the next `count` frames, once they have come */
  async takeAll(count: number, slotBytes?: number): Promise<Uint8Array[]> {
    const frames: Uint8Array[] = [];
    await until(() => {
      frames.push(...this.take(slotBytes));
      return frames.length >= count;
    }, `${count} frames at ${this.port.name}`);
    return frames;
  }

  /** @returns frames that come within `ms` */
  async takeFor(ms: number): Promise<Uint8Array[]> {
    const end = performance.now() + ms;
    const frames: Uint8Array[] = [];
    while (performance.now() < end) {
      frames.push(...this.take());
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return frames;
  }
}

export function segmentsOf(batch: FrameBatch, i: number): Uint8Array[] {
  return Array.from({ length: segmentCount(batch, i) }, (_, n) => {
    const out = new Uint8Array(segmentLength(batch, i, n));
    writeSegment(batch, i, n, new DataView(out.buffer), 0);
    return out;
  });
}

/** A clock of the port's own, which does not matter. */
export function anyClock(): VirtualClock {
  return new VirtualClock();
}

/** @returns a frame of `length` bytes from A to B, with `tags` (TPID and TCI) and bytes that `fill` decides */
export function frameOf(length: number, fill: number, tags: readonly (readonly [number, number])[] = []): Uint8Array {
  const head: number[] = [...B_MAC, ...A_MAC];
  for (const [tpid, tci] of tags) head.push(tpid >> 8, tpid & 255, tci >> 8, tci & 255);
  head.push(EXPERIMENT >> 8, EXPERIMENT & 255);
  const frame = new Uint8Array(length);
  for (let i = 0; i < length; i++) frame[i] = head[i] ?? (i * 31 + fill * 7 + (i >> 8)) & 255;
  return frame;
}

/** @returns length, beginning and hash of a frame: what a failed comparison shows of it */
export function brief(frame: Uint8Array): string {
  const hash = createHash('sha1').update(frame).digest('hex');
  return `${frame.length}: ${Buffer.from(frame.subarray(0, 24)).toString('hex')} ${hash}`;
}
