/** LINKTYPE_ETHERNET of the pcap link type registry. */
export const LINKTYPE_ETHERNET = 1;

/**
 * One packet record, filled by a reader and used again for the next one. The bytes are the reader's own memory and
 * stay valid until its next call.
 */
export class CaptureRecord {
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  /** Bytes from the start of `bytes`. */
  offset = 0;
  /** Bytes captured, as the file tells it: a frame check sequence that was captured counts. May exceed `wireLength`. */
  capturedLength = 0;
  /** Bytes the frame had on the wire, as the file tells it: a frame check sequence that the file announces counts. */
  wireLength = 0;
  /** Bytes of frame check sequence at the end of `wireLength`; 0 where the file announces none. */
  fcsLength = 0;
  /** False for a pcapng Simple Packet Block, which carries no time. */
  hasTime = false;
  /** Whole seconds since 1970 (may be negative through if_tsoffset) and the nanoseconds beyond them, 0..999,999,999. */
  seconds = 0;
  nanoseconds = 0;
  linkType = 0;
  /** pcapng interface number within its section; 0 for pcap. */
  interfaceId = 0;

  /** Captured bytes without the frame check sequence: what a parser may read from `offset`. */
  get frameLength(): number {
    if (this.fcsLength === 0) return this.capturedLength;
    return Math.min(this.capturedLength, Math.max(0, this.wireLength - this.fcsLength));
  }
}

/** What is wrong with a capture, and where. */
export interface CaptureDamage {
  /** Bytes from the start of the (decompressed) file to the record or block that is damaged. */
  readonly byteOffset: number;
  readonly reason: string;
}

/** The file is not a capture at all: unknown magic, empty, or unreadable. */
export class CaptureFormatError extends Error {
  readonly code = 'capture-format';
}
