import { IP4, IP6, MAX_MPLS_LABELS, MPLS } from './headers.ts';
import { parseIp4 } from './parse-ip4.ts';
import { parseIp6 } from './parse-ip6.ts';
import type { Parsed } from './parsed.ts';
import { REASON } from './verdict.ts';

/** Frames up to this length may end in padding: Ethernet's 60 bytes without FCS, and the tag that some senders add to them. */
const MAX_PADDED = 64;

/**
 * MPLS (RFC 3032): follows the label stack to its bottom and reads the IPv4 or IPv6 packet beneath.
 *
 * Labels do not say what they carry. The first 4 bits tell, but only as a guess (RFC 4928 §3): pseudowires with a control
 * word start with 0 or 1, while one without may carry an Ethernet frame whose destination address starts with 4 or 6, as
 * many manufacturers' do. To read such a frame as a packet would be to judge it by fields that it does not have. So the
 * guess must be borne out: IPv4 by its header checksum, IPv6 by a length that ends where the frame does. Everything else
 * stays unknown, and is held where a rule asks for more than Ethernet.
 * @param at where the first label stack entry starts
 * @param end where the captured bytes end
 * @param wireEnd where the frame ended on the wire
 */
export function parseMpls(out: Parsed, slab: DataView, at: number, end: number, wireEnd: number): void {
  let entry = 0;
  let packet = at;
  for (let count = 0; (entry & MPLS.bottom) === 0; count++) {
    if (count === MAX_MPLS_LABELS) {
      out.problem = REASON.tooManyHeaders;
      return;
    }
    // Something follows the last entry too.
    if (packet + MPLS.entry >= end) {
      out.problem = REASON.truncated;
      return;
    }
    entry = slab.getInt32(packet);
    packet += MPLS.entry;
  }
  const label = entry >>> MPLS.labelShift;
  const first = slab.getUint8(packet);
  if (first >> 4 === 4 && label !== MPLS.ip6Null) {
    const header = (first & 0xf) * 4;
    if (header < IP4.minHeader || packet + header > wireEnd) return;
    if (packet + header > end) out.problem = REASON.truncated;
    else if (isSummed(slab, packet, header)) parseIp4(out, slab, packet, end, wireEnd);
  } else if (first >> 4 === 6 && label !== MPLS.ip4Null) {
    if (packet + IP6.header > wireEnd) return;
    if (packet + IP6.header > end) out.problem = REASON.truncated;
    else if (isToTheEnd(out, slab, packet, wireEnd)) parseIp6(out, slab, packet, end, wireEnd);
  }
}

/**
 * @returns whether the header of 60 bytes at most sums to all ones (RFC 1071 §1): of up to 30 words one fold leaves a
 * carry only where the sum is not all ones
 */
function isSummed(slab: DataView, at: number, length: number): boolean {
  let sum = 0;
  for (let i = 0; i < length; i += 2) sum += slab.getUint16(at + i);
  return (sum & 0xffff) + (sum >>> 16) === 0xffff;
}

function isToTheEnd(out: Parsed, slab: DataView, packet: number, wireEnd: number): boolean {
  const left = wireEnd - (packet + IP6.header);
  const told = slab.getUint16(packet + IP6.payloadLength);
  return told === left || (told < left && out.wireLength <= MAX_PADDED);
}
