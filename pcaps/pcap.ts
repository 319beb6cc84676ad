import type { ByteWindow } from './byte-window.ts';
import { MAX_CAPTURED_BYTES, type RecordDecoder } from './decoder.ts';
import type { CaptureDamage, CaptureRecord } from './record.ts';

/** What the first four bytes of a pcap file tell, read big endian. */
export interface PcapVariant {
  readonly littleEndian: boolean;
  /** Nanoseconds that one unit of a record's fraction of a second is worth. */
  readonly fractionNs: 1 | 1000;
  /** True for the patched record header that carries interface index and protocol. */
  readonly modified: boolean;
  readonly fileHeaderBytes: number;
}

const FILE_HEADER = 24;
/** Ixia's variant adds the total size of all records to the file header. */
const IXIA_FILE_HEADER = 28;

function variants(
  magic: number,
  fractionNs: 1 | 1000,
  modified: boolean,
  fileHeaderBytes: number,
): readonly (readonly [number, PcapVariant])[] {
  const swapped = ((magic << 24) | ((magic & 0xff00) << 8) | ((magic >>> 8) & 0xff00) | (magic >>> 24)) >>> 0;
  return [
    [magic, { littleEndian: false, fractionNs, modified, fileHeaderBytes }],
    [swapped, { littleEndian: true, fractionNs, modified, fileHeaderBytes }],
  ];
}

/** Magic numbers by their bytes in file order (draft-ietf-opsawg-pcap §4, and those Wireshark's wiretap knows besides). */
export const PCAP_MAGICS: ReadonlyMap<number, PcapVariant> = new Map([
  ...variants(0xa1b2c3d4, 1000, false, FILE_HEADER),
  ...variants(0xa1b23c4d, 1, false, FILE_HEADER),
  ...variants(0xa1b2cd34, 1000, true, FILE_HEADER),
  ...variants(0x1c0001ab, 1000, false, IXIA_FILE_HEADER),
  ...variants(0x1c0001ac, 1, false, IXIA_FILE_HEADER),
]);

const RECORD_HEADER = 16;
const MODIFIED_HEADER = 24;
/** The modified header with two processor numbers and padding, as SuSE Linux 6.3 wrote it under the same magic number. */
const MODIFIED_HEADER_SMP = 28;
/** Records that are looked at to tell the two modified headers apart. */
const RECORDS_TO_PROBE = 3;

/** Order of the two lengths in a record header: it changed in version 2.3, and some writers of 2.3 missed that. */
const LENGTHS = { capturedFirst: 0, wireFirst: 1, smallerIsCaptured: 2 } as const;
type LengthOrder = (typeof LENGTHS)[keyof typeof LENGTHS];

function lengthOrder(major: number, minor: number): LengthOrder {
  // Version 543.0 is what DG/UX's tcpdump writes; it has the old order.
  if (major === 543 || (major === 2 && minor < 3)) return LENGTHS.wireFirst;
  return major === 2 && minor === 3 ? LENGTHS.smallerIsCaptured : LENGTHS.capturedFirst;
}

/** Reads classic pcap (draft-ietf-opsawg-pcap) and its common variants. */
export class PcapDecoder implements RecordDecoder {
  damage: CaptureDamage | null = null;
  readonly #variant: PcapVariant;
  readonly #fractionsPerSecond: number;
  #headerRead = false;
  /** 0 until a modified capture has shown which of the two headers it has. */
  #recordHeaderBytes: number;
  #lengthOrder: LengthOrder = LENGTHS.capturedFirst;
  #linkType = 0;
  #fcsLength = 0;
  #records = 0;

  constructor(variant: PcapVariant) {
    this.#variant = variant;
    this.#fractionsPerSecond = 1e9 / variant.fractionNs;
    this.#recordHeaderBytes = variant.modified ? 0 : RECORD_HEADER;
  }

  next(window: ByteWindow, record: CaptureRecord): boolean {
    if (this.damage !== null) return false;
    if (!this.#headerRead && !this.#readFileHeader(window)) return false;
    if (this.#recordHeaderBytes === 0) {
      this.#recordHeaderBytes = modifiedHeaderBytes(window, this.#variant.littleEndian);
      if (this.#recordHeaderBytes === 0) return false;
    }
    const headerBytes = this.#recordHeaderBytes;
    const start = window.start;
    const available = window.end - start;
    if (available < headerBytes) {
      if (window.ended && available > 0) {
        this.#damaged(window, `record ${this.#records + 1} header cut: ${available} of ${headerBytes} bytes`);
      }
      return false;
    }
    const { view } = window;
    const littleEndian = this.#variant.littleEndian;
    let captured = view.getUint32(start + 8, littleEndian);
    let wire = view.getUint32(start + 12, littleEndian);
    const order = this.#lengthOrder;
    if (order === LENGTHS.wireFirst || (order === LENGTHS.smallerIsCaptured && captured > wire)) {
      const first = captured;
      captured = wire;
      wire = first;
    }
    if (captured > MAX_CAPTURED_BYTES) {
      this.#damaged(window, `record ${this.#records + 1} claims ${captured} bytes, more than ${MAX_CAPTURED_BYTES}`);
      return false;
    }
    if (available < headerBytes + captured) {
      if (window.ended) {
        const left = available - headerBytes;
        this.#damaged(window, `record ${this.#records + 1} cut: ${left} of ${captured} bytes`);
      }
      return false;
    }
    let seconds = view.getUint32(start, littleEndian);
    let fraction = view.getUint32(start + 4, littleEndian);
    if (fraction >= this.#fractionsPerSecond) {
      seconds += Math.floor(fraction / this.#fractionsPerSecond);
      fraction %= this.#fractionsPerSecond;
    }
    this.#records += 1;
    record.bytes = window.bytes;
    record.view = view;
    record.offset = start + headerBytes;
    record.capturedLength = captured;
    record.wireLength = wire;
    record.fcsLength = this.#fcsLength;
    record.hasTime = true;
    record.seconds = seconds;
    record.nanoseconds = fraction * this.#variant.fractionNs;
    record.linkType = this.#linkType;
    record.interfaceId = 0;
    window.start = start + headerBytes + captured;
    return true;
  }

  #readFileHeader(window: ByteWindow): boolean {
    const { littleEndian, fileHeaderBytes } = this.#variant;
    if (window.available < fileHeaderBytes) {
      if (window.ended) this.#damaged(window, `file header cut: ${window.available} of ${fileHeaderBytes} bytes`);
      return false;
    }
    const { view, start } = window;
    const major = view.getUint16(start + 4, littleEndian);
    const minor = view.getUint16(start + 6, littleEndian);
    if (major < 2) {
      this.#damaged(window, `pcap version ${major}.${minor}, expected 2.0 or later`);
      return false;
    }
    this.#lengthOrder = lengthOrder(major, minor);
    const network = view.getUint32(start + 20, littleEndian);
    this.#linkType = network & 0xffff;
    // Bit 26 says that the top four bits count the 16-bit words of frame check sequence; the rest must be ignored.
    this.#fcsLength = (network & 0x0400_0000) === 0 ? 0 : (network >>> 28) * 2;
    this.#headerRead = true;
    window.start += fileHeaderBytes;
    return true;
  }

  #damaged(window: ByteWindow, reason: string): void {
    this.damage = { byteOffset: window.byteOffset, reason };
  }
}

/** How well a record header size fits the first records, worst first. */
const FIT = { implausible: 0, needsMoreBytes: 1, plausible: 2 } as const;
type Fit = (typeof FIT)[keyof typeof FIT];

/** @returns 24 or 28, whichever makes the first records more plausible; 0 while there are too few bytes to tell */
function modifiedHeaderBytes(window: ByteWindow, littleEndian: boolean): number {
  const usual = headerFit(window, littleEndian, MODIFIED_HEADER);
  if (usual === FIT.plausible) return MODIFIED_HEADER;
  const smp = headerFit(window, littleEndian, MODIFIED_HEADER_SMP);
  if (!window.ended && (usual === FIT.needsMoreBytes || smp === FIT.needsMoreBytes)) return 0;
  return smp > usual ? MODIFIED_HEADER_SMP : MODIFIED_HEADER;
}

function headerFit(window: ByteWindow, littleEndian: boolean, headerBytes: number): Fit {
  let at = window.start;
  for (let count = 0; count < RECORDS_TO_PROBE; count++) {
    if (at === window.end && window.ended) return FIT.plausible;
    if (at + headerBytes > window.end) return FIT.needsMoreBytes;
    const microseconds = window.view.getUint32(at + 4, littleEndian);
    const captured = window.view.getUint32(at + 8, littleEndian);
    const wire = window.view.getUint32(at + 12, littleEndian);
    if (microseconds >= 1e6 || captured > MAX_CAPTURED_BYTES || captured > wire) return FIT.implausible;
    at += headerBytes + captured;
    if (at > window.end) return FIT.needsMoreBytes;
  }
  return FIT.plausible;
}
