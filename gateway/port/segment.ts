import type { FrameBatch } from '../frame-batch.ts';
import { foldSum, onesSum } from './checksum.ts';
import { copyBytes } from './copy-bytes.ts';
import { GSO, isUdpSuperFrame, superFrameHeaderLength } from './vnet-header.ts';

/** IEEE 802.1Q, 802.1ad, and the one that was used before it. */
const TPIDS = [0x8100, 0x88a8, 0x9100] as const;
const IP4 = { totalLength: 2, identification: 4, checksum: 10 } as const;
const IP6 = { payloadLength: 4, headerBytes: 40 } as const;
const TCP = { sequence: 4, flags: 13, checksum: 16 } as const;
const UDP = { length: 4, checksum: 6 } as const;
const FLAGS_OF_LAST = 0x01 | 0x08;
const FLAGS_OF_FIRST = 0x80;

/** @returns how many frames a super-frame becomes; 0: it cannot be cut */
export function segmentCount(batch: FrameBatch, i: number): number {
  const type = batch.gsoType[i]! & ~GSO.ecn;
  const header = superFrameHeaderLength(batch, i);
  const size = batch.gsoSize[i]!;
  const payload = batch.length[i]! - header;
  if (header === 0 || size === 0 || payload <= 0 || type === GSO.udpFragments) return 0;
  return Math.ceil(payload / size);
}

/** @returns bytes of segment `number`, from 0 on */
export function segmentLength(batch: FrameBatch, i: number, number: number): number {
  const header = superFrameHeaderLength(batch, i);
  const rest = batch.length[i]! - header - number * batch.gsoSize[i]!;
  return header + Math.min(rest, batch.gsoSize[i]!);
}

/**
 * Writes segment `number` of a super-frame to `at`, complete with lengths, sequence number, flags and checksums, as hardware
 * would cut it.
 * @returns its length
 */
export function writeSegment(batch: FrameBatch, i: number, number: number, out: DataView, at: number): number {
  const { view } = batch.slab;
  const offset = batch.offset[i]!;
  const l4 = batch.l4Start[i]!;
  const header = superFrameHeaderLength(batch, i);
  const length = segmentLength(batch, i, number);
  const skipped = number * batch.gsoSize[i]!;
  copyBytes(view, offset, out, at, header);
  copyBytes(view, offset + header + skipped, out, at + header, length - header);
  let l3 = 12;
  while (TPIDS.includes(out.getUint16(at + l3) as (typeof TPIDS)[number])) l3 += 4;
  l3 += 2;
  const ip = at + l3;
  if (out.getUint8(ip) >> 4 === 4) {
    out.setUint16(ip + IP4.totalLength, length - l3);
    out.setUint16(ip + IP4.identification, out.getUint16(ip + IP4.identification) + number);
    out.setUint16(ip + IP4.checksum, 0);
    out.setUint16(ip + IP4.checksum, foldSum(onesSum(out, ip, (out.getUint8(ip) & 15) * 4, 0)));
  } else {
    out.setUint16(ip + IP6.payloadLength, length - l3 - IP6.headerBytes);
  }
  const transport = at + l4;
  const isUdp = isUdpSuperFrame(batch.gsoType[i]!);
  if (isUdp) {
    out.setUint16(transport + UDP.length, length - l4);
  } else {
    out.setUint32(transport + TCP.sequence, out.getUint32(transport + TCP.sequence) + skipped);
    let flags = out.getUint8(transport + TCP.flags);
    if (skipped + length < batch.length[i]!) flags &= ~FLAGS_OF_LAST;
    if (number > 0) flags &= ~FLAGS_OF_FIRST;
    out.setUint8(transport + TCP.flags, flags);
  }
  // The field holds the pseudo-header's sum, with the super-frame's length in it.
  const field = transport + (isUdp ? UDP.checksum : TCP.checksum);
  const pseudo = out.getUint16(field) + 0xffff - ((batch.length[i]! - l4) % 0xffff) + (length - l4);
  out.setUint16(field, 0);
  const checksum = foldSum(onesSum(out, transport, length - l4, pseudo));
  out.setUint16(field, checksum === 0 ? 0xffff : checksum);
  return length;
}
