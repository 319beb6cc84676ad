import { recognisedApp } from '../classifier/explain.ts';
import { MIN_ETHERTYPE } from '../classifier/headers.ts';
import { L3, L4, L4_NAMES, type Parsed } from '../classifier/parsed.ts';
import { destinationText, ip4Text, macText, sourceText } from '../classifier/text.ts';

const FLAG_LETTERS = 'FSRPAUEC';

/**
 * @param p a frame, as `parse` read it, @param view the memory that holds it
 * @returns what the frame is, as tcpdump would begin: who to whom, protocol, flags
 */
export function summaryOf(p: Parsed, view: DataView): string {
  const tags = Array.from(p.vlanTci.subarray(0, p.vlanCount), (tci) => `vlan ${tci & 0xfff}`).join(' ');
  const head = tags === '' ? '' : `${tags} `;
  const app = recognisedApp(p, view);
  const src = sourceText(p);
  if (src !== null) {
    const ports = p.srcPort >= 0;
    const from = ports ? `${src}.${p.srcPort}` : src;
    const to = ports ? `${destinationText(p)}.${p.dstPort}` : destinationText(p);
    const l4 = L4_NAMES[p.l4] ?? `proto ${p.proto}`;
    const flags =
      p.l4 === L4.tcp && p.tcpFlags >= 0
        ? ` [${
            FLAG_LETTERS.split('')
              .filter((_, bit) => (p.tcpFlags >> bit) & 1)
              .join('') || 'none'
          }]`
        : '';
    const fragment = p.isFragment === 1 ? ` fragment ${p.fragOffset}${p.moreFrags === 1 ? '+' : ''}` : '';
    const length = p.payloadLength >= 0 ? ` ${p.payloadLength} B` : '';
    return `${head}${from} > ${to} ${l4}${flags}${fragment}${app === null ? '' : ` ${app}`}${length}`;
  }
  const macs = `${macText(p.srcMacHigh, p.srcMacLow)} > ${macText(p.dstMacHigh, p.dstMacLow)}`;
  if (p.l3 === L3.arp) return `${head}${macs} arp ${p.arpOperation} ${ip4Text(p.src0)} > ${ip4Text(p.dst0)}`;
  if (p.etherType < 0) return `${p.length} bytes, too short for an Ethernet header`;
  return `${head}${macs} ${p.etherType < MIN_ETHERTYPE ? '802.3' : `type 0x${p.etherType.toString(16).padStart(4, '0')}`}`;
}
