import { OutputBuffer } from './output-buffer.ts';
import { BLOCK, BYTE_ORDER_MAGIC } from './pcapng.ts';
import { LINKTYPE_ETHERNET } from './record.ts';

export interface PcapngInterfaceOptions {
  readonly name: string;
  readonly linkType?: number;
  /** Bytes that are kept of each frame, as the file tells; 0 is no limit. */
  readonly snapLength?: number;
}

/** What became of the frames of an interface since its capture began (draft-ietf-opsawg-pcapng §4.6). */
export interface InterfaceStatistics {
  /** Frames that the interface had. */
  readonly received: number;
  /** Frames of them that were wanted. */
  readonly accepted: number;
  /** Frames of those that were lost for want of room. */
  readonly dropped: number;
  /** Frames that were written. */
  readonly written: number;
}

/** As epb_flags numbers them: seen from the interface. */
export const PACKET_DIRECTION = { unknown: 0, received: 1, sent: 2 } as const;
export type PacketDirection = (typeof PACKET_DIRECTION)[keyof typeof PACKET_DIRECTION];

const OPTION = { end: 0, comment: 1, flags: 2, interfaceName: 2, application: 4, timeResolution: 9 } as const;
/** Of an Interface Statistics Block, each value 64 bits. */
const STATISTIC = { received: 4, dropped: 5, accepted: 6, written: 8 } as const;
const APPLICATION = 'holdfast';
/** if_tsresol: 10^-9 s. */
const NANOSECONDS = 9;
/** Block type, total length twice, interface, time, captured and wire length. */
const PACKET_OVERHEAD = 32;
const OPTION_HEADER = 4;
const END_OF_OPTIONS = 4;
const FLAGS_OPTION = 8;
const STATISTICS_OVERHEAD = 24;
/** An option has up to 65,535 bytes, and no UTF-16 unit takes more than 3 of them. */
const LONGEST_COMMENT = 21_845;
/** 2^64 ns is 18,446,744,073.7 s. */
const LAST_SECOND = 18_446_744_072;

const encoder = new TextEncoder();

/** Writes pcapng, little endian, one section, times in nanoseconds. The same calls give the same bytes. */
export class PcapngWriter {
  readonly #out: OutputBuffer;
  #interfaces = 0;

  /** @param sink takes each piece of the file; the memory is reused after it returns */
  constructor(sink: (chunk: Uint8Array) => void) {
    this.#out = new OutputBuffer(sink);
    const application = encoder.encode(APPLICATION);
    const length = 28 + optionBytes(application.length) + 4;
    const at = this.#out.reserve(length);
    const { view } = this.#out;
    view.setUint32(at, BLOCK.sectionHeader, true);
    view.setUint32(at + 4, length, true);
    view.setUint32(at + 8, BYTE_ORDER_MAGIC, true);
    view.setUint16(at + 12, 1, true);
    view.setUint16(at + 14, 0, true);
    // The section's length is not known yet: -1.
    view.setBigInt64(at + 16, -1n, true);
    this.#endOptions(this.#option(at + 24, OPTION.application, application), length);
  }

  /** @returns the number by which packets name the interface: 0 for the first, then 1, … */
  addInterface(options: PcapngInterfaceOptions): number {
    const { name, linkType = LINKTYPE_ETHERNET, snapLength = 0 } = options;
    const text = encoder.encode(name);
    const length = 20 + optionBytes(text.length) + optionBytes(1) + 4;
    const at = this.#out.reserve(length);
    const { view } = this.#out;
    view.setUint32(at, BLOCK.interfaceDescription, true);
    view.setUint32(at + 4, length, true);
    view.setUint16(at + 8, linkType, true);
    view.setUint16(at + 10, 0, true);
    view.setUint32(at + 12, snapLength, true);
    const resolution = this.#option(at + 16, OPTION.interfaceName, text);
    this.#endOptions(this.#option(resolution, OPTION.timeResolution, Uint8Array.of(NANOSECONDS)), length);
    return this.#interfaces++;
  }

  /**
   * Adds one frame. A time before 1970 or after 2554 cannot be expressed and is written as the nearest second that can.
   * @param interfaceId what `addInterface` returned
   * @param seconds since 1970
   * @param nanoseconds beyond them, 0..999,999,999
   * @param offset of the frame in `bytes`
   * @param comment shown by tshark and Wireshark as `frame.comment`; cut at 21,845 characters
   * @param direction shown as `frame.packet_flags_direction`
   */
  writePacket(
    interfaceId: number,
    seconds: number,
    nanoseconds: number,
    bytes: Uint8Array,
    offset: number,
    capturedLength: number,
    wireLength: number,
    comment?: string,
    direction: PacketDirection = PACKET_DIRECTION.unknown,
  ): void {
    if (interfaceId >= this.#interfaces) throw new RangeError(`interface ${interfaceId} has not been added`);
    const padded = (capturedLength + 3) & ~3;
    const text =
      comment !== undefined && comment.length > LONGEST_COMMENT ? comment.slice(0, LONGEST_COMMENT) : comment;
    const commentBytes = text === undefined ? 0 : utf8Length(text);
    const flagsBytes = direction === PACKET_DIRECTION.unknown ? 0 : FLAGS_OPTION;
    const commentOption = text === undefined ? 0 : OPTION_HEADER + ((commentBytes + 3) & ~3);
    const options = commentOption + flagsBytes === 0 ? 0 : commentOption + flagsBytes + END_OF_OPTIONS;
    const length = PACKET_OVERHEAD + padded + options;
    const at = this.#out.reserve(length);
    const { view } = this.#out;
    view.setUint32(at, BLOCK.enhancedPacket, true);
    view.setUint32(at + 4, length, true);
    view.setUint32(at + 8, interfaceId, true);
    this.#writeTime(at + 12, Math.max(0, Math.min(seconds, LAST_SECOND)), nanoseconds);
    view.setUint32(at + 20, capturedLength, true);
    view.setUint32(at + 24, wireLength, true);
    this.#out.copy(at + 28, bytes, offset, capturedLength);
    let end = at + 28 + capturedLength;
    while (end < at + 28 + padded) view.setUint8(end++, 0);
    if (text !== undefined) {
      view.setUint16(end, OPTION.comment, true);
      view.setUint16(end + 2, commentBytes, true);
      this.#writeText(end + 4, text, commentBytes);
      const next = end + commentOption;
      end += OPTION_HEADER + commentBytes;
      while (end < next) view.setUint8(end++, 0);
    }
    if (flagsBytes > 0) {
      view.setUint16(end, OPTION.flags, true);
      view.setUint16(end + 2, 4, true);
      view.setUint32(end + 4, direction, true);
      end += FLAGS_OPTION;
    }
    if (options > 0) view.setUint32(end, OPTION.end, true);
    view.setUint32(at + length - 4, length, true);
  }

  /** Adds what became of an interface's frames. The time is when they were counted, as for packets. */
  writeStatistics(interfaceId: number, seconds: number, nanoseconds: number, statistics: InterfaceStatistics): void {
    const names = Object.keys(STATISTIC) as (keyof typeof STATISTIC)[];
    const length = STATISTICS_OVERHEAD + names.length * optionBytes(8) + END_OF_OPTIONS;
    const at = this.#out.reserve(length);
    const { view } = this.#out;
    view.setUint32(at, BLOCK.interfaceStatistics, true);
    view.setUint32(at + 4, length, true);
    view.setUint32(at + 8, interfaceId, true);
    this.#writeTime(at + 12, Math.max(0, Math.min(seconds, LAST_SECOND)), nanoseconds);
    let end = at + 20;
    for (const name of names) {
      view.setUint16(end, STATISTIC[name], true);
      view.setUint16(end + 2, 8, true);
      view.setBigUint64(end + 4, BigInt(statistics[name]), true);
      end += optionBytes(8);
    }
    this.#endOptions(end, length);
  }

  /** Hands everything written so far to the sink. Call it after the last packet. */
  flush(): void {
    this.#out.flush();
  }

  /** seconds · 10^9 + nanoseconds, as two 32-bit halves, higher one first; every step is exact in doubles. */
  #writeTime(at: number, seconds: number, nanoseconds: number): void {
    const upper = Math.floor(seconds / 0x1_0000) * 1e9;
    const lower = (seconds % 0x1_0000) * 1e9 + nanoseconds + (upper % 0x1_0000) * 0x1_0000;
    this.#out.view.setUint32(at, Math.floor(upper / 0x1_0000) + Math.floor(lower / 0x1_0000_0000), true);
    this.#out.view.setUint32(at + 4, lower % 0x1_0000_0000, true);
  }

  #writeText(at: number, text: string, bytes: number): void {
    if (bytes === text.length) {
      for (let i = 0; i < bytes; i++) this.#out.bytes[at + i] = text.charCodeAt(i);
    } else {
      encoder.encodeInto(text, this.#out.bytes.subarray(at, at + bytes));
    }
  }

  /** @returns the offset behind the option and its padding */
  #option(at: number, code: number, value: Uint8Array): number {
    const { view, bytes } = this.#out;
    view.setUint16(at, code, true);
    view.setUint16(at + 2, value.length, true);
    bytes.fill(0, at + 4, at + optionBytes(value.length));
    bytes.set(value, at + 4);
    return at + optionBytes(value.length);
  }

  #endOptions(at: number, blockLength: number): void {
    this.#out.view.setUint32(at, OPTION.end, true);
    this.#out.view.setUint32(at + 4, blockLength, true);
  }
}

/** Bytes of an option with its header and padding. */
function optionBytes(valueLength: number): number {
  return 4 + ((valueLength + 3) & ~3);
}

/** Bytes of `text` in UTF-8; a lone surrogate becomes U+FFFD, as TextEncoder has it. */
function utf8Length(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) bytes += 1;
    else if (unit < 0x800) bytes += 2;
    else {
      const pair = unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00;
      bytes += pair ? 4 : 3;
      if (pair) i++;
    }
  }
  return bytes;
}
