import type { FrameBatch } from '../frame-batch.ts';
import type { PortCounters } from './port-counters.ts';

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
   * takes at most `slotBytes` bytes. Fills `length`, `wireLength`, `linkType`, `arrivalNs` and `gsoType`, for a super-frame
   * `gsoSize` and `l4Start` too.
   * @returns how many frames were written; 0 means that nothing is there now
   */
  receive(batch: FrameBatch, from: number, max: number, slotBytes: number): number;
  /**
   * Sends frames `from` to `from + count - 1`, in order.
   * @returns how many were accepted, from the first on; the rest may be offered again
   */
  transmit(batch: FrameBatch, from: number, count: number): number;
  /**
   * Takes in what the link has for us now, where the event loop would bring it later: when `receive` then gives nothing more,
   * nothing is unread. Ports without it have that in `receive` itself.
   */
  gather?(): void;
  close(): void;
}

/** `absent`: there is no such device, or no peer; the port waits for it. */
export type LinkState = 'up' | 'down' | 'absent';

/**
 * A port on a link that lives by itself. What it accepted and could not send is in its counters; it drops frames, counted,
 * while the link is down, because what waits for a link to come back would be stale by then.
 */
export interface LivePort extends Port {
  readonly counters: PortCounters;
  readonly link: LinkState;
  /** What keeps the link from being up, for people; null where nothing is wrong. */
  readonly trouble: string | null;
  /** Which of several ways the port works in, where there are several and the link is there: `native` or `skb`. */
  readonly mode?: string | null;
  /** The gateway's own part is done: frames flow once the other end is there too. */
  readonly isReady: boolean;
  /** The longest payload of a frame, bytes behind the Ethernet header; null where the link has no such limit. */
  readonly mtu: number | null;
  /** Called when frames may be there, or when what was refused may be offered again. May be called for nothing. */
  onReady: (() => void) | null;
  /** Called when `link` or `trouble` has changed. */
  onLink: (() => void) | null;
  /** Whether `onReady` is wanted for frames that arrive: false while the reader has no room for them. At first true. */
  setReading(wanted: boolean): void;
  /**
   * Hangs up on a peer that has sent anything, and forgets what it sent: it is the machine that the VM was on. One that has not stays:
   * it came in its place already. Links that have no peers lack it.
   */
  reset?(): void;
  /** Asks the kernel for what it has lost, so that `counters` has it. */
  updateCounters(): void;
}
