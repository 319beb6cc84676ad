import { IP6, JUMBO_OPTION, MAX_EXTENSION_HEADERS, PAD1_OPTION, PROTO } from './headers.ts';
import { finishIp } from './parse-transport.ts';
import { L3, type Parsed } from './parsed.ts';
import { REASON } from './verdict.ts';

/**
 * IPv6 (RFC 8200 §3, §4) with its chain of hop-by-hop, routing, fragment, destination options and authentication
 * headers. Any other value ends the chain and is the protocol (ESP, Mobility, HIP, Shim6, no next header, ...).
 * @param at where the IPv6 header starts
 * @param end where the captured bytes end
 * @param wireEnd where the frame ended on the wire
 */
export function parseIp6(out: Parsed, slab: DataView, at: number, end: number, wireEnd: number): void {
  out.l3 = L3.ip6;
  out.l3Offset = at;
  if (at + IP6.header > end) {
    out.problem = REASON.truncated;
    return;
  }
  if (slab.getUint8(at) >> 4 !== 6) {
    out.problem = REASON.malformed;
    return;
  }
  readAddresses(out, slab, at);
  let next = slab.getUint8(at + IP6.nextHeader);
  out.nextHeader = next;
  out.proto = next;
  let header = at + IP6.header;
  let payloadLength = slab.getUint16(at + IP6.payloadLength);
  let lengthIsTold = payloadLength !== 0;
  if (!lengthIsTold && next === PROTO.hopByHop) {
    payloadLength = jumboLength(slab, header, end);
    lengthIsTold = payloadLength !== 0;
  }
  const packetEnd = lengthIsTold ? header + payloadLength : wireEnd;
  if (packetEnd > wireEnd) out.problem = REASON.truncated;
  // Where the bytes that a fragment carries start: behind its fragment header, options that follow belong to them.
  let carried = header;
  for (let count = 0; isExtension(next); count++) {
    if (count === MAX_EXTENSION_HEADERS) {
      out.problem = REASON.tooManyHeaders;
      return;
    }
    if (header + 8 > end || header + 8 > packetEnd) {
      cut(out, header + 8 > packetEnd);
      return;
    }
    const follows = slab.getUint8(header);
    let size = 8;
    if (next === PROTO.fragment) {
      if (!readFragment(out, slab, header)) {
        out.proto = follows;
        out.problem = REASON.malformed;
        return;
      }
      carried = header + size;
    } else if (next === PROTO.ah) {
      size = (slab.getUint8(header + 1) + 2) * 4;
    } else {
      size = (slab.getUint8(header + 1) + 1) * 8;
    }
    out.proto = follows;
    header += size;
    next = follows;
    if (out.fragOffset > 0) break;
  }
  if (header > end || header > packetEnd) {
    cut(out, header > packetEnd);
    return;
  }
  finishIp(out, slab, header, carried, packetEnd, end, lengthIsTold);
}

/** The header chain is not all there: where a first fragment ends within it, the rest is in a later one (RFC 7112 §3). */
function cut(out: Parsed, byFragment: boolean): void {
  if (out.problem !== 0) return;
  out.problem = out.isFragment === 1 && byFragment ? REASON.fragmentNoL4 : REASON.truncated;
}

function isExtension(next: number): boolean {
  return (
    next === PROTO.hopByHop ||
    next === PROTO.routing ||
    next === PROTO.fragment ||
    next === PROTO.destinationOptions ||
    next === PROTO.ah
  );
}

function readAddresses(out: Parsed, slab: DataView, at: number): void {
  out.src0 = slab.getInt32(at + IP6.src);
  out.src1 = slab.getInt32(at + IP6.src + 4);
  out.src2 = slab.getInt32(at + IP6.src + 8);
  out.src3 = slab.getInt32(at + IP6.src + 12);
  out.dst0 = slab.getInt32(at + IP6.dst);
  out.dst1 = slab.getInt32(at + IP6.dst + 4);
  out.dst2 = slab.getInt32(at + IP6.dst + 8);
  out.dst3 = slab.getInt32(at + IP6.dst + 12);
}

/** @returns false for a fragment of a fragment; fragment headers of atomic fragments (RFC 6946) may come in any number */
function readFragment(out: Parsed, slab: DataView, header: number): boolean {
  if (out.isFragment === 1) return false;
  const word = slab.getUint16(header + 2);
  out.fragOffset = word & 0xfff8;
  out.moreFrags = word & 1;
  out.isFragment = out.fragOffset > 0 || out.moreFrags === 1 ? 1 : 0;
  out.fragId = slab.getInt32(header + 4);
  return true;
}

/** @returns the jumbo payload option's length (RFC 2675 §2), 0 without a valid one */
function jumboLength(slab: DataView, header: number, end: number): number {
  if (header + 2 > end) return 0;
  const optionsEnd = Math.min(header + (slab.getUint8(header + 1) + 1) * 8, end);
  let at = header + 2;
  while (at < optionsEnd) {
    const type = slab.getUint8(at);
    if (type === PAD1_OPTION) {
      at++;
      continue;
    }
    if (at + 2 > optionsEnd) return 0;
    const size = slab.getUint8(at + 1);
    if (type === JUMBO_OPTION) {
      if (size !== 4 || at + 6 > optionsEnd) return 0;
      const length = slab.getInt32(at + 2);
      return length > 65535 ? length : 0;
    }
    at += 2 + size;
  }
  return 0;
}
