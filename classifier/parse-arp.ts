import { ARP, ETHERTYPE } from './headers.ts';
import { L3, type Parsed } from './parsed.ts';
import { REASON } from './verdict.ts';

/**
 * ARP (RFC 826). Addresses are read only where it speaks of IPv4 over Ethernet.
 * @param at where it starts
 * @param end where the captured bytes end
 */
export function parseArp(out: Parsed, slab: DataView, at: number, end: number): void {
  out.l3 = L3.arp;
  out.l3Offset = at;
  if (at + ARP.fixed > end) {
    out.problem = REASON.truncated;
    return;
  }
  out.arpOperation = slab.getUint16(at + ARP.operation);
  const lengths = slab.getUint16(at + 4);
  if (lengths !== ARP.lengths || slab.getUint16(at + ARP.protocol) !== ETHERTYPE.ip4) {
    if (at + ARP.fixed + 2 * ((lengths >> 8) + (lengths & 0xff)) > end) out.problem = REASON.truncated;
    return;
  }
  if (at + ARP.full > end) {
    out.problem = REASON.truncated;
    return;
  }
  out.arpMacHigh = slab.getInt32(at + ARP.senderMac);
  out.arpMacLow = slab.getUint16(at + ARP.senderMac + 4);
  out.src0 = slab.getInt32(at + ARP.senderIp);
  out.dst0 = slab.getInt32(at + ARP.targetIp);
}
