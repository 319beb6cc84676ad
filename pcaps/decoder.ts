import type { ByteWindow } from './byte-window.ts';
import type { CaptureDamage, CaptureRecord } from './record.ts';

/**
 * The most bytes that one record may claim to have captured: MAXIMUM_SNAPLEN of libpcap and WTAP_MAX_PACKET_SIZE_STANDARD
 * of Wireshark. A greater claim means that the reader has lost its place in the file.
 */
export const MAX_CAPTURED_BYTES = 262_144;

/** Turns the bytes of one capture format into records. */
export interface RecordDecoder {
  /** Set when the capture is damaged; from then on `next` returns false. */
  readonly damage: CaptureDamage | null;
  /** @returns false when `window` holds no whole record: more bytes are needed, or the stream has ended */
  next(window: ByteWindow, record: CaptureRecord): boolean;
}
