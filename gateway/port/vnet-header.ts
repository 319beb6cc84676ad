import type { FrameBatch } from '../frame-batch.ts';
import { finishChecksum, finishSctpChecksum } from './checksum.ts';

/** struct virtio_net_hdr (virtio 1.3 §5.1.6), little endian, without num_buffers. */
export const VNET_HEADER_BYTES = 10;
const AT = { flags: 0, gsoType: 1, headerLength: 2, gsoSize: 4, csumStart: 6, csumOffset: 8 } as const;
const NEEDS_CSUM = 1;
/** Kinds of super-frames in `FrameBatch.gsoType`; `ecn` may be added to the TCP ones. */
export const GSO = { none: 0, tcp4: 1, udpFragments: 3, tcp6: 4, udp: 5, ecn: 0x80 } as const;
const TCP_CSUM_OFFSET = 16;
const UDP_CSUM_OFFSET = 6;
const UDP_HEADER_BYTES = 8;
/** The only transport protocol whose checksum lies there, and it is a CRC. */
const SCTP_CSUM_OFFSET = 8;
/**
 * The longest super-frame: 64 KiB of IP packet, an Ethernet header and two tags, in multiples of a cache line. A slot of
 * this size takes whatever a link gives.
 */
export const SUPER_FRAME_BYTES = 65_600;

/** @returns whether the frame is UDP by its kind of super-frame */
export function isUdpSuperFrame(gsoType: number): boolean {
  return (gsoType & ~GSO.ecn) === GSO.udp;
}

/**
 * Takes what the header at `at` says of frame `i`, which is there: an unfinished checksum is finished, because nothing
 * behind the port should have to know of it; what makes a super-frame is kept, its checksum stays unfinished.
 * @param shift bytes that were put into the frame in front of its network header since the header was made
 */
export function takeVnetHeader(batch: FrameBatch, i: number, header: DataView, at: number, shift: number): void {
  const flags = header.getUint8(at + AT.flags);
  const gsoType = header.getUint8(at + AT.gsoType);
  const start = header.getUint16(at + AT.csumStart, true) + shift;
  const length = batch.length[i]!;
  batch.gsoType[i] = gsoType;
  if (gsoType !== GSO.none) {
    batch.gsoSize[i] = header.getUint16(at + AT.gsoSize, true);
    batch.l4Start[i] = (flags & NEEDS_CSUM) !== 0 ? start : 0;
    return;
  }
  if ((flags & NEEDS_CSUM) === 0 || length < batch.wireLength[i]!) return;
  const offset = header.getUint16(at + AT.csumOffset, true);
  if (offset === SCTP_CSUM_OFFSET) {
    if (start + offset + 4 > length) return;
    finishSctpChecksum(batch.slab.view, batch.offset[i]! + start, batch.offset[i]! + length);
  } else {
    if (start + offset + 2 > length) return;
    const from = batch.offset[i]! + start;
    finishChecksum(batch.slab.view, from, batch.offset[i]! + length, from + offset);
  }
}

/**
 * @returns bytes of a super-frame's headers, which each of its segments repeats; 0 if the frame does not say where its
 * transport header is
 */
export function superFrameHeaderLength(batch: FrameBatch, i: number): number {
  const l4Start = batch.l4Start[i]!;
  if (l4Start === 0) return 0;
  if (isUdpSuperFrame(batch.gsoType[i]!)) return l4Start + UDP_HEADER_BYTES;
  if (l4Start + 13 > batch.length[i]!) return 0;
  return l4Start + (batch.slab.view.getUint8(batch.offset[i]! + l4Start + 12) >> 4) * 4;
}

/** @returns bytes from a super-frame's start to its checksum field; its transport header's place is known */
export function checksumField(batch: FrameBatch, i: number): number {
  return batch.l4Start[i]! + (isUdpSuperFrame(batch.gsoType[i]!) ? UDP_CSUM_OFFSET : TCP_CSUM_OFFSET);
}

/**
 * Writes the header of frame `i`: zeros, or for a super-frame what makes it one.
 * @param skip bytes of the frame that are not sent
 */
export function writeVnetHeader(batch: FrameBatch, i: number, header: DataView, at: number, skip = 0): void {
  const gsoType = batch.gsoType[i]!;
  if (gsoType === GSO.none) {
    for (let byte = 0; byte < VNET_HEADER_BYTES; byte += 2) header.setUint16(at + byte, 0);
    return;
  }
  const l4Start = batch.l4Start[i]!;
  header.setUint8(at + AT.flags, l4Start > 0 ? NEEDS_CSUM : 0);
  header.setUint8(at + AT.gsoType, gsoType);
  header.setUint16(at + AT.headerLength, superFrameHeaderLength(batch, i) - skip, true);
  header.setUint16(at + AT.gsoSize, batch.gsoSize[i]!, true);
  header.setUint16(at + AT.csumStart, l4Start > 0 ? l4Start - skip : 0, true);
  header.setUint16(at + AT.csumOffset, l4Start > 0 ? checksumField(batch, i) - l4Start : 0, true);
}
