import { OutputBuffer } from './output-buffer.ts';
import { LINKTYPE_ETHERNET } from './record.ts';

export interface PcapWriterOptions {
  /** Resolution of the times: nanoseconds, or (default) microseconds, which every program can read. */
  readonly nanoseconds?: boolean;
  /** Default: true. */
  readonly littleEndian?: boolean;
  readonly linkType?: number;
  /** Bytes kept of each frame. */
  readonly snapLength?: number;
}

const FILE_HEADER = 24;
const RECORD_HEADER = 16;
const LAST_SECOND = 0xffff_ffff;

/** Writes classic pcap, version 2.4 (draft-ietf-opsawg-pcap). The same calls give the same bytes. */
export class PcapWriter {
  readonly #out: OutputBuffer;
  readonly #littleEndian: boolean;
  readonly #fractionNs: number;
  readonly #snapLength: number;

  /** @param sink takes each piece of the file; the memory is reused after it returns */
  constructor(sink: (chunk: Uint8Array) => void, options: PcapWriterOptions = {}) {
    const { nanoseconds = false, littleEndian = true, linkType = LINKTYPE_ETHERNET, snapLength = 262_144 } = options;
    this.#out = new OutputBuffer(sink);
    this.#littleEndian = littleEndian;
    this.#fractionNs = nanoseconds ? 1 : 1000;
    this.#snapLength = snapLength;
    const at = this.#out.reserve(FILE_HEADER);
    const { view } = this.#out;
    view.setUint32(at, nanoseconds ? 0xa1b2_3c4d : 0xa1b2_c3d4, littleEndian);
    view.setUint16(at + 4, 2, littleEndian);
    view.setUint16(at + 6, 4, littleEndian);
    view.setUint32(at + 8, 0, littleEndian);
    view.setUint32(at + 12, 0, littleEndian);
    view.setUint32(at + 16, snapLength, littleEndian);
    view.setUint32(at + 20, linkType, littleEndian);
  }

  /**
   * Adds one frame. A time before 1970 or after 2106 cannot be expressed and is written as the nearest one that can.
   * @param seconds since 1970
   * @param nanoseconds beyond them, 0..999,999,999; what is finer than the file's resolution is cut off
   * @param offset of the frame in `bytes`
   */
  writePacket(
    seconds: number,
    nanoseconds: number,
    bytes: Uint8Array,
    offset: number,
    capturedLength: number,
    wireLength: number,
  ): void {
    const kept = Math.min(capturedLength, this.#snapLength);
    const at = this.#out.reserve(RECORD_HEADER + kept);
    const { view } = this.#out;
    const littleEndian = this.#littleEndian;
    view.setUint32(at, Math.max(0, Math.min(seconds, LAST_SECOND)), littleEndian);
    view.setUint32(at + 4, Math.floor(nanoseconds / this.#fractionNs), littleEndian);
    view.setUint32(at + 8, kept, littleEndian);
    view.setUint32(at + 12, wireLength, littleEndian);
    this.#out.copy(at + RECORD_HEADER, bytes, offset, kept);
  }

  /** Hands everything written so far to the sink. Call it after the last packet. */
  flush(): void {
    this.#out.flush();
  }
}
