import { PPP, PPPOE } from './headers.ts';
import { parseIp4 } from './parse-ip4.ts';
import { parseIp6 } from './parse-ip6.ts';
import type { Parsed } from './parsed.ts';
import { REASON } from './verdict.ts';

/**
 * PPPoE session (RFC 2516 §4, §6): IPv4 and IPv6 are read, the network layer of other PPP protocols stays unknown. So does
 * that of protocol numbers which PPP peers have compressed to one byte, which RFC 2516 §7 recommends against.
 * @param at where the PPPoE header starts
 * @param end where the captured bytes end
 * @param wireEnd where the frame ended on the wire
 */
export function parsePppoe(out: Parsed, slab: DataView, at: number, end: number, wireEnd: number): void {
  if (at + PPPOE.payload > end) {
    out.problem = REASON.truncated;
    return;
  }
  // The length counts the PPP protocol number, and what comes after it in the frame is padding.
  const length = slab.getUint16(at + PPPOE.length);
  if (slab.getUint16(at) !== PPPOE.session || length < PPPOE.payload - PPPOE.header) {
    out.problem = REASON.malformed;
    return;
  }
  const packet = at + PPPOE.payload;
  const pppEnd = at + PPPOE.header + length;
  const readableEnd = pppEnd < end ? pppEnd : end;
  const protocol = slab.getUint16(at + PPPOE.protocol);
  if (protocol === PPP.ip4) parseIp4(out, slab, packet, readableEnd, pppEnd);
  else if (protocol === PPP.ip6) parseIp6(out, slab, packet, readableEnd, pppEnd);
  if (pppEnd > wireEnd && out.problem === 0) out.problem = REASON.truncated;
}
