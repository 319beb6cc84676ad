import type { FrameBatch } from '../frame-batch.ts';

export interface PortCapabilities {
  /** The sender waits when nobody reads: `backpressure` is a possible overflow policy. */
  readonly pushesBack: boolean;
  /** Frames may be shorter than they were on the wire (captures); elsewhere such a frame is dropped as `oversize`. */
  readonly cutsFrames: boolean;
}

/** An attachment to a link. Frames are whole L2 frames without FCS. Calls never block. */
export interface Port {
  readonly name: string;
  readonly capabilities: PortCapabilities;
  /**
   * Writes up to `max` frames into slots: index `i` from `from` on has its slot's address in `batch.offset[i]` and
   * takes at most `slotBytes` bytes. Fills `length`, `wireLength`, `linkType` and `arrivalNs`.
   * @returns how many frames were written; 0 means that nothing is there now
   */
  receive(batch: FrameBatch, from: number, max: number, slotBytes: number): number;
  /**
   * Sends frames `from` to `from + count - 1`, in order.
   * @returns how many were accepted, from the first on; the rest may be offered again
   */
  transmit(batch: FrameBatch, from: number, count: number): number;
  close(): void;
}
