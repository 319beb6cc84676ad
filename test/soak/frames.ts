/** What sender, receiver and judge of a soak agree on. */
export const GUEST = '10.77.0.1';
export const NETWORK = '10.77.0.2';
export const DATA_PORT = 7000;
export const CONTROL_PORT = 7001;

/** Byte offsets in a datagram, and its least length. */
export const FRAME = { serial: 0, sentMs: 4, bytes: 22 } as const;

/** Control frames `from` (inclusive) `to` (exclusive) were sent in this epoch. */
export interface EpochLog {
  readonly epoch: number;
  readonly from: number;
  to: number;
  /** When a request that lets them go was about to be sent; null: none was. */
  releasedMs: number | null;
  isUndone: boolean;
}

export interface SenderLog {
  readonly epochs: EpochLog[];
  /** Data and control frames. */
  sent: [number, number];
  /** Frames that the guest's own kernel did not take. */
  refused: number;
}

/** Milliseconds on the machine's clock, which all processes share. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
