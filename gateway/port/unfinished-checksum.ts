import type { FrameBatch } from '../frame-batch.ts';
import { finishChecksum, finishSctpChecksum, onesSum } from './checksum.ts';

const TYPE = { ip4: 0x0800, ip6: 0x86dd, tag: 0x8100, serviceTag: 0x88a8, legacyTag: 0x9100 } as const;
const PROTOCOL = { tcp: 6, udp: 17, sctp: 132 } as const;
const CHECKSUM_AT = { tcp: 16, udp: 6, sctp: 8 } as const;
const ETHERNET_BYTES = 14;
const TAG_BYTES = 4;
const IP6_BYTES = 40;
/** More fragments, and the fragment's offset. */
const FRAGMENT = 0x3fff;

/**
 * Finishes the checksum of a whole TCP, UDP or SCTP packet that its sender's stack left to hardware, where nothing but the frame
 * tells so: the field of TCP and UDP then holds the pseudo-header's sum, that of SCTP zero. A checksum that is right is never
 * changed; a wrong one would be taken for an unfinished one once in 65,536 times.
 */
export function finishUnfinishedChecksum(batch: FrameBatch, i: number): void {
  const { view } = batch.slab;
  const start = batch.offset[i]!;
  const end = start + batch.length[i]!;
  if (batch.length[i]! < batch.wireLength[i]!) return;
  let ip = start + ETHERNET_BYTES;
  if (ip + 20 > end) return;
  let type = view.getUint16(ip - 2);
  while (type === TYPE.tag || type === TYPE.serviceTag || type === TYPE.legacyTag) {
    ip += TAG_BYTES;
    if (ip + 20 > end) return;
    type = view.getUint16(ip - 2);
  }
  if (type === TYPE.ip4) {
    const l4 = ip + (view.getUint8(ip) & 15) * 4;
    const last = ip + view.getUint16(ip + 2);
    if ((view.getUint16(ip + 6) & FRAGMENT) !== 0 || l4 < ip + 20 || last > end) return;
    finish(view, view.getUint8(ip + 9), ip + 12, 8, l4, last);
  } else if (type === TYPE.ip6 && ip + IP6_BYTES <= end) {
    const l4 = ip + IP6_BYTES;
    const last = l4 + view.getUint16(ip + 4);
    if (last <= end) finish(view, view.getUint8(ip + 6), ip + 8, 32, l4, last);
  }
}

/** @param addresses where the packet's two addresses are, of `addressBytes` together */
function finish(
  view: DataView,
  protocol: number,
  addresses: number,
  addressBytes: number,
  l4: number,
  end: number,
): void {
  if (protocol === PROTOCOL.sctp) {
    if (l4 + 12 <= end && view.getUint32(l4 + CHECKSUM_AT.sctp) === 0) finishSctpChecksum(view, l4, end);
    return;
  }
  if (protocol !== PROTOCOL.tcp && protocol !== PROTOCOL.udp) return;
  const field = l4 + (protocol === PROTOCOL.tcp ? CHECKSUM_AT.tcp : CHECKSUM_AT.udp);
  if (field + 2 > end) return;
  let sum = onesSum(view, addresses, addressBytes, protocol + end - l4);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  if (view.getUint16(field) === sum) finishChecksum(view, l4, end, field);
}
