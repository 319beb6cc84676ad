import { IP4 } from './headers.ts';
import { finishIp } from './parse-transport.ts';
import { L3, type Parsed } from './parsed.ts';
import { REASON } from './verdict.ts';

/**
 * IPv4 (RFC 791 §3.1). Total length 0 is a segmentation-offload frame: as long as the frame.
 * @param at where the header starts
 * @param end where the captured bytes end
 * @param wireEnd where the bytes that may hold the packet ended on the wire
 */
export function parseIp4(out: Parsed, slab: DataView, at: number, end: number, wireEnd: number): void {
  out.l3 = L3.ip4;
  out.l3Offset = at;
  if (at + IP4.minHeader > end) {
    out.problem = REASON.truncated;
    return;
  }
  const first = slab.getUint8(at);
  out.src0 = slab.getInt32(at + IP4.src);
  out.dst0 = slab.getInt32(at + IP4.dst);
  const headerLength = (first & 0xf) * 4;
  if (first >> 4 !== 4 || headerLength < IP4.minHeader) {
    out.problem = REASON.malformed;
    return;
  }
  out.proto = slab.getUint8(at + IP4.protocol);
  const fragment = slab.getUint16(at + IP4.fragment);
  out.fragOffset = (fragment & 0x1fff) * 8;
  out.moreFrags = (fragment >> 13) & 1;
  out.isFragment = out.fragOffset > 0 || out.moreFrags === 1 ? 1 : 0;
  out.fragId = slab.getUint16(at + IP4.id);
  const totalLength = slab.getUint16(at + IP4.totalLength);
  const packetEnd = totalLength === 0 ? wireEnd : at + totalLength;
  if (totalLength !== 0 && totalLength < headerLength) {
    out.problem = REASON.malformed;
    return;
  }
  const l4 = at + headerLength;
  if (l4 > end || packetEnd > wireEnd) out.problem = REASON.truncated;
  if (l4 > end) return;
  finishIp(out, slab, l4, l4, packetEnd, end, totalLength !== 0);
}
