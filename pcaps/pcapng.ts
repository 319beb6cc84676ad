import type { ByteWindow } from './byte-window.ts';
import { MAX_CAPTURED_BYTES, type RecordDecoder } from './decoder.ts';
import { type CaptureInterface, describedInterface } from './pcapng-interface.ts';
import { afterOption, NO_OPTION, optionAt } from './pcapng-options.ts';
import type { CaptureDamage, CaptureRecord } from './record.ts';

/** Block types (draft-ietf-opsawg-pcapng §11.1); all others are skipped. */
export const BLOCK = {
  sectionHeader: 0x0a0d_0d0a,
  interfaceDescription: 1,
  obsoletePacket: 2,
  simplePacket: 3,
  interfaceStatistics: 5,
  enhancedPacket: 6,
} as const;

/** The byte-order magic at byte 8 of a section header. */
export const BYTE_ORDER_MAGIC = 0x1a2b_3c4d;

/** The most bytes that a block which has to be read as a whole may have; others are skipped whatever their length. */
const MAX_BLOCK_BYTES = 16 * 1024 * 1024;

/** Interfaces of one section: as many as the 16-bit interface number of an obsolete packet block can name. */
const MAX_INTERFACES = 65_536;

/** Type and total length, and the total length again: what every block has. */
const BLOCK_OVERHEAD = 12;
const PACKET_FLAGS = 2;

/** Fewest bytes of the blocks that are read, by type. */
function leastBytes(type: number): number {
  switch (type) {
    case BLOCK.sectionHeader:
      return BLOCK_OVERHEAD + 16;
    case BLOCK.interfaceDescription:
      return BLOCK_OVERHEAD + 8;
    case BLOCK.simplePacket:
      return BLOCK_OVERHEAD + 4;
    case BLOCK.obsoletePacket:
    case BLOCK.enhancedPacket:
      return BLOCK_OVERHEAD + 20;
    default:
      return BLOCK_OVERHEAD;
  }
}

function isRead(type: number): boolean {
  return leastBytes(type) !== BLOCK_OVERHEAD;
}

/** Reads pcapng (draft-ietf-opsawg-pcapng): any number of sections in either byte order. */
export class PcapngDecoder implements RecordDecoder {
  damage: CaptureDamage | null = null;
  #littleEndian = false;
  #interfaces: CaptureInterface[] = [];
  #blocks = 0;
  #records = 0;
  /** Where the block that is being skipped began, in the stream, and how long it says it is. */
  #skippedFrom = 0;
  #skippedLength = 0;
  /** Bytes of it still to come, its trailing length included; 0 when none is being skipped. */
  #skipLeft = 0;

  next(window: ByteWindow, record: CaptureRecord): boolean {
    while (this.damage === null) {
      if (this.#skipLeft > 0) {
        if (!this.#skip(window)) return false;
        continue;
      }
      const available = window.end - window.start;
      if (available < BLOCK_OVERHEAD) {
        if (window.ended && available > 0) {
          this.#damaged(window, `block ${this.#blocks + 1} cut: ${available} of at least ${BLOCK_OVERHEAD} bytes`);
        }
        return false;
      }
      const { view, start } = window;
      const type = view.getUint32(start, this.#littleEndian);
      if (type === BLOCK.sectionHeader && !this.#readByteOrder(window)) return false;
      const length = view.getUint32(start + 4, this.#littleEndian);
      // Some writers leave out the padding from the length, though not from the file.
      const padded = length + (-length & 3);
      if (length < leastBytes(type)) {
        this.#damaged(window, `block ${this.#blocks + 1} has length ${length}, less than ${leastBytes(type)}`);
        return false;
      }
      if (!isRead(type)) {
        this.#skippedFrom = window.byteOffset;
        this.#skippedLength = length;
        this.#skipLeft = padded;
        continue;
      }
      if (length > MAX_BLOCK_BYTES) {
        this.#damaged(window, `block ${this.#blocks + 1} claims ${length} bytes, more than ${MAX_BLOCK_BYTES}`);
        return false;
      }
      if (available < padded) {
        if (window.ended) {
          this.#damaged(window, `block ${this.#blocks + 1} cut: ${available} of ${padded} bytes`);
        }
        return false;
      }
      const end = start + padded - 4;
      const trailing = view.getUint32(end, this.#littleEndian);
      if (trailing !== length) {
        this.#damaged(window, `block ${this.#blocks + 1} has length ${length} at its start and ${trailing} at its end`);
        return false;
      }
      const isRecord = this.#readBlock(window, record, type, end);
      if (this.damage !== null) return false;
      this.#blocks += 1;
      window.start = start + padded;
      if (isRecord) return true;
    }
    return false;
  }

  /** @returns false at damage and when more bytes are needed */
  #skip(window: ByteWindow): boolean {
    const body = Math.min(this.#skipLeft - 4, window.available);
    window.start += body;
    this.#skipLeft -= body;
    if (this.#skipLeft > 4 || window.available < 4) {
      if (window.ended) {
        const read = window.byteOffset + window.available - this.#skippedFrom;
        this.damage = {
          byteOffset: this.#skippedFrom,
          reason: `block ${this.#blocks + 1} cut: ${read} of ${this.#skippedLength} bytes`,
        };
      }
      return false;
    }
    const trailing = window.view.getUint32(window.start, this.#littleEndian);
    if (trailing !== this.#skippedLength) {
      const lengths = `length ${this.#skippedLength} at its start and ${trailing} at its end`;
      this.damage = { byteOffset: this.#skippedFrom, reason: `block ${this.#blocks + 1} has ${lengths}` };
      return false;
    }
    window.start += 4;
    this.#skipLeft = 0;
    this.#blocks += 1;
    return true;
  }

  /** Each section says anew in which byte order it is; its own length field depends on that. */
  #readByteOrder(window: ByteWindow): boolean {
    const magic = window.view.getUint32(window.start + 8, false);
    this.#littleEndian = magic !== BYTE_ORDER_MAGIC;
    if (window.view.getUint32(window.start + 8, this.#littleEndian) === BYTE_ORDER_MAGIC) return true;
    this.#damaged(window, `section header has byte-order magic ${hex(magic)}, expected ${hex(BYTE_ORDER_MAGIC)}`);
    return false;
  }

  /** @returns true if the block was a packet and `record` has been filled */
  #readBlock(window: ByteWindow, record: CaptureRecord, type: number, end: number): boolean {
    switch (type) {
      case BLOCK.sectionHeader:
        this.#readSectionHeader(window);
        return false;
      case BLOCK.interfaceDescription:
        this.#readInterface(window, end);
        return false;
      case BLOCK.simplePacket:
        return this.#readSimplePacket(window, record, end);
      default:
        return this.#readPacket(window, record, type, end);
    }
  }

  #readSectionHeader(window: ByteWindow): void {
    const major = window.view.getUint16(window.start + 12, this.#littleEndian);
    const minor = window.view.getUint16(window.start + 14, this.#littleEndian);
    if (major !== 1) this.#damaged(window, `pcapng version ${major}.${minor}, expected 1.x`);
    this.#interfaces = [];
  }

  #readInterface(window: ByteWindow, end: number): void {
    const described = describedInterface(window.view, window.start, end, this.#littleEndian);
    if (described === null) this.#damaged(window, `block ${this.#blocks + 1} has an option longer than the block`);
    else if (this.#interfaces.length === MAX_INTERFACES)
      this.#damaged(window, `more than ${MAX_INTERFACES} interfaces`);
    else this.#interfaces.push(described);
  }

  #readPacket(window: ByteWindow, record: CaptureRecord, type: number, end: number): boolean {
    const { view, start } = window;
    const littleEndian = this.#littleEndian;
    const obsolete = type === BLOCK.obsoletePacket;
    const id = obsolete ? view.getUint16(start + 8, littleEndian) : view.getUint32(start + 8, littleEndian);
    const from = this.#interface(window, id);
    const captured = view.getUint32(start + 20, littleEndian);
    if (from === null || !this.#fits(window, captured, start + 28, end)) return false;
    record.fcsLength = from.fcsLength;
    const options = start + 28 + ((captured + 3) & ~3);
    if (options + 4 <= end && !this.#readPacketOptions(window, record, options, end)) return false;
    from.time.apply(record, view, start + 12, littleEndian);
    record.hasTime = true;
    this.#fill(window, record, from, id, start + 28, captured, view.getUint32(start + 24, littleEndian));
    return true;
  }

  #readSimplePacket(window: ByteWindow, record: CaptureRecord, end: number): boolean {
    const from = this.#interface(window, 0);
    if (from === null) return false;
    const { start } = window;
    const wire = window.view.getUint32(start + 8, this.#littleEndian);
    const captured = from.snapLength === 0 ? wire : Math.min(wire, from.snapLength);
    if (!this.#fits(window, captured, start + 12, end)) return false;
    record.fcsLength = from.fcsLength;
    record.hasTime = false;
    record.seconds = 0;
    record.nanoseconds = 0;
    this.#fill(window, record, from, 0, start + 12, captured, wire);
    return true;
  }

  /** The flags of a packet may tell its own frame check sequence length, in octets (§4.3.1, bits 5 to 8). */
  #readPacketOptions(window: ByteWindow, record: CaptureRecord, from: number, end: number): boolean {
    const { view } = window;
    const littleEndian = this.#littleEndian;
    let at = optionAt(view, from, end, littleEndian);
    while (at >= 0) {
      if (view.getUint16(at, littleEndian) === PACKET_FLAGS && view.getUint16(at + 2, littleEndian) >= 4) {
        const fcsLength = (view.getUint32(at + 4, littleEndian) >>> 5) & 0xf;
        if (fcsLength !== 0) record.fcsLength = fcsLength;
      }
      at = optionAt(view, afterOption(view, at, littleEndian), end, littleEndian);
    }
    if (at === NO_OPTION) return true;
    this.#damaged(window, `record ${this.#records + 1} has an option longer than the block`);
    return false;
  }

  #interface(window: ByteWindow, id: number): CaptureInterface | null {
    const found = this.#interfaces[id];
    if (found !== undefined) return found;
    const known = this.#interfaces.length;
    this.#damaged(window, `record ${this.#records + 1} names interface ${id}, but the section has ${known}`);
    return null;
  }

  #fits(window: ByteWindow, captured: number, data: number, end: number): boolean {
    const room = end - data;
    if (captured <= room && captured <= MAX_CAPTURED_BYTES) return true;
    const limit = captured > MAX_CAPTURED_BYTES ? `more than ${MAX_CAPTURED_BYTES}` : `but its block has ${room}`;
    this.#damaged(window, `record ${this.#records + 1} claims ${captured} bytes, ${limit}`);
    return false;
  }

  #fill(
    window: ByteWindow,
    record: CaptureRecord,
    from: CaptureInterface,
    id: number,
    offset: number,
    captured: number,
    wire: number,
  ): void {
    this.#records += 1;
    record.bytes = window.bytes;
    record.view = window.view;
    record.offset = offset;
    record.capturedLength = captured;
    record.wireLength = wire;
    record.linkType = from.linkType;
    record.interfaceId = id;
  }

  #damaged(window: ByteWindow, reason: string): void {
    this.damage = { byteOffset: window.byteOffset, reason };
  }
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
