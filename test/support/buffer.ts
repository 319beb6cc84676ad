import { FLOW_KEY_WORDS } from '../../classifier/flow-key.ts';
import { slabOf } from '../../classifier/slab.ts';
import { VERDICT } from '../../classifier/verdict.ts';
import { FrameBatch } from '../../gateway/frame-batch.ts';
import type { TxBufferLimits } from '../../gateway/occupancy.ts';
import { type Pacing, TxBuffer } from '../../gateway/tx-buffer.ts';

export const FRAME_BYTES = 64;

export interface HoldOptions {
  readonly epoch?: number;
  readonly arrivalNs?: number;
  /** Flow number; none: the frame keeps nobody's order. */
  readonly flow?: number;
  readonly behind?: boolean;
  readonly unclassified?: boolean;
  readonly draining?: boolean;
}

const ROOMY: TxBufferLimits = {
  limitFrames: 16,
  limitBytes: 16 * FRAME_BYTES,
  unclassifiedShare: 1,
  behindShare: 1,
  sealReserveFrames: 0,
  sealReserveBytes: 0,
};

/** @returns a key of which only one word tells the flow */
export function keyOf(flow: number): Int32Array {
  const key = new Int32Array(FLOW_KEY_WORDS);
  key[FLOW_KEY_WORDS - 1] = flow;
  return key;
}

/** A transmit buffer with hands: bytes in, bytes out. */
export class BufferRig {
  readonly buffer: TxBuffer;
  readonly out: FrameBatch;
  readonly #in: FrameBatch;

  constructor(limits: Partial<TxBufferLimits> = {}, pacing: Pacing = 'burst', batchFrames = 100) {
    const all = { ...ROOMY, ...limits };
    const slab = slabOf(new Uint8Array(FRAME_BYTES + TxBuffer.bytesFor(all, FRAME_BYTES)));
    this.buffer = new TxBuffer(slab, FRAME_BYTES, FRAME_BYTES, all, pacing);
    this.#in = new FrameBatch(slab, 1);
    this.out = new FrameBatch(slab, batchFrames);
  }

  /** @returns what `hold` answers */
  hold(bytes: Uint8Array, options: HoldOptions = {}): number {
    const batch = this.#in;
    const { epoch = 1, arrivalNs = 0, flow, behind = false, unclassified = false, draining = false } = options;
    batch.slab.bytes.set(bytes);
    batch.length[0] = bytes.length;
    batch.wireLength[0] = bytes.length + 1000;
    batch.arrivalNs[0] = arrivalNs;
    batch.epoch[0] = epoch;
    batch.rule[0] = bytes.length + 7;
    batch.gsoType[0] = bytes.length & 7;
    batch.gsoSize[0] = bytes.length + 3;
    batch.l4Start[0] = bytes.length + 5;
    batch.pair[0] = bytes.length % 3;
    batch.reason[0] = bytes.length & 15;
    batch.verdict[0] = behind ? VERDICT.pass : VERDICT.hold;
    return this.buffer.hold(batch, 0, flow === undefined ? null : keyOf(flow), behind, unclassified, draining);
  }

  /** Holds a frame of `length` bytes, each of which is `name`. */
  put(name: number, length: number, options: HoldOptions = {}): number {
    return this.hold(new Uint8Array(length).fill(name), options);
  }

  /** What is due leaves, `most` frames of it at the most. @returns their bytes */
  leave(nowNs = 0, most = Number.POSITIVE_INFINITY): Uint8Array[] {
    const count = Math.min(this.buffer.collect(this.out, nowNs), most);
    const frames = Array.from({ length: count }, (_, i) => this.#bytesAt(i));
    this.buffer.left(this.out, count);
    return frames;
  }

  /** @returns the first byte of each frame that leaves now */
  leaveNames(nowNs = 0, most?: number): number[] {
    return this.leave(nowNs, most).map((bytes) => bytes[0]!);
  }

  #bytesAt(i: number): Uint8Array {
    const offset = this.out.offset[i]!;
    const length = this.out.length[i]!;
    const isWhole =
      this.out.gsoType[i] === (length & 7) && this.out.gsoSize[i] === length + 3 && this.out.l4Start[i] === length + 5;
    if (!isWhole) throw new Error(`what makes frame ${i} a super-frame was lost`);
    if (this.out.pair[i] !== length % 3) throw new Error(`the pair of ports of frame ${i} was lost`);
    return this.out.slab.bytes.slice(offset, offset + length);
  }
}
