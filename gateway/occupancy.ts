import { REASON, type Reason } from '../classifier/verdict.ts';

/** How much may wait. Bytes count frames' own bytes. */
export interface TxBufferLimits {
  readonly limitFrames: number;
  readonly limitBytes: number;
  /** What frames that cannot be classified may take of the limits, 0..1. */
  readonly unclassifiedShare: number;
  /** What frames that only wait behind held ones may take of the limits, 0..1. */
  readonly behindShare: number;
  /** Beyond the limits, for what a seal drains from the inside ports. */
  readonly sealReserveFrames: number;
  readonly sealReserveBytes: number;
}

/** With reserve and slack 65,536 records, so that a full buffer of 1514-byte frames takes less than a tenth more. */
export const DEFAULT_LIMITS: TxBufferLimits = {
  limitFrames: 62_500,
  limitBytes: 64 * 2 ** 20,
  unclassifiedShare: 1 / 8,
  behindShare: 1 / 2,
  sealReserveFrames: 1024,
  sealReserveBytes: 2 * 2 ** 20,
};

/** How full a transmit buffer is, as a whole and by what has a share of it, and whether one more frame fits. */
export class Occupancy {
  readonly limits: TxBufferLimits;
  bytes = 0;
  peakFrames = 0;
  peakBytes = 0;
  #behindFrames = 0;
  #behindBytes = 0;
  #unclassifiedFrames = 0;
  #unclassifiedBytes = 0;
  readonly #frames: Int32Array;

  /** @param frames how many frames are there, at index 0: 0 at first, and kept here */
  constructor(limits: TxBufferLimits, frames: Int32Array = new Int32Array(1)) {
    this.limits = limits;
    this.#frames = frames;
  }

  get frames(): number {
    return this.#frames[0]!;
  }

  add(length: number, behind: boolean, unclassified: boolean): void {
    this.#frames[0]!++;
    this.bytes += length;
    if (this.frames > this.peakFrames) this.peakFrames = this.frames;
    if (this.bytes > this.peakBytes) this.peakBytes = this.bytes;
    if (behind) {
      this.#behindFrames++;
      this.#behindBytes += length;
    }
    if (unclassified) {
      this.#unclassifiedFrames++;
      this.#unclassifiedBytes += length;
    }
  }

  remove(length: number, behind: boolean, unclassified: boolean): void {
    this.#frames[0]!--;
    this.bytes -= length;
    if (behind) {
      this.#behindFrames--;
      this.#behindBytes -= length;
    }
    if (unclassified) {
      this.#unclassifiedFrames--;
      this.#unclassifiedBytes -= length;
    }
  }

  /** @returns 0, or the reason for which a frame of `length` bytes does not fit */
  whyFull(length: number, behind: boolean, unclassified: boolean, draining: boolean): Reason | 0 {
    const { limits } = this;
    if (
      unclassified &&
      (this.#unclassifiedFrames + 1 > limits.limitFrames * limits.unclassifiedShare ||
        this.#unclassifiedBytes + length > limits.limitBytes * limits.unclassifiedShare)
    )
      return REASON.unclassifiedFull;
    if (
      behind &&
      (this.#behindFrames + 1 > limits.limitFrames * limits.behindShare ||
        this.#behindBytes + length > limits.limitBytes * limits.behindShare)
    )
      return REASON.behindFull;
    if (draining) {
      const over =
        this.frames + 1 > limits.limitFrames + limits.sealReserveFrames ||
        this.bytes + length > limits.limitBytes + limits.sealReserveBytes;
      return over ? REASON.sealOverflow : 0;
    }
    return this.frames + 1 > limits.limitFrames || this.bytes + length > limits.limitBytes ? REASON.bufferFull : 0;
  }

  /** @returns whether limits and reserve together take one more frame of `length` bytes, whatever has a share of them */
  takes(length: number): boolean {
    const { limits } = this;
    return (
      this.frames < limits.limitFrames + limits.sealReserveFrames &&
      this.bytes + length <= limits.limitBytes + limits.sealReserveBytes
    );
  }

  /** @returns how many frames of `frameBytes` bytes certainly fit now, whatever they are but unclassified */
  roomFor(frameBytes: number, draining: boolean): number {
    const { limits } = this;
    const frames = limits.limitFrames + (draining ? limits.sealReserveFrames : 0) - this.frames;
    const bytes = limits.limitBytes + (draining ? limits.sealReserveBytes : 0) - this.bytes;
    const behindFrames = Math.floor(limits.limitFrames * limits.behindShare) - this.#behindFrames;
    const behindBytes = limits.limitBytes * limits.behindShare - this.#behindBytes;
    return Math.max(0, Math.min(frames, behindFrames, Math.floor(Math.min(bytes, behindBytes) / frameBytes)));
  }
}
