import { type Derivation, recognisedApp } from '../../classifier/explain.ts';
import { MIN_ETHERTYPE } from '../../classifier/headers.ts';
import { L3, L4, L4_NAMES, type Parsed } from '../../classifier/parsed.ts';
import { destinationText, ip4Text, macText, sourceText } from '../../classifier/text.ts';
import { REASON_NAMES, REASON_TEXTS, VERDICT_NAMES } from '../../classifier/verdict.ts';
import type { CaptureRecord } from '../../pcaps/record.ts';
import type { RuleSet } from '../../rules/rule.ts';
import { timeText } from './explain-json.ts';
import { decidingRule, type Judged } from './judge.ts';
import { printable } from './table.ts';

const FLAG_LETTERS = 'FSRPAUEC';

/** @returns what the frame is, as tcpdump would begin: who to whom, protocol, flags */
function summary(p: Parsed, record: CaptureRecord): string {
  const tags = Array.from(p.vlanTci.subarray(0, p.vlanCount), (tci) => `vlan ${tci & 0xfff}`).join(' ');
  const head = tags === '' ? '' : `${tags} `;
  const app = recognisedApp(p, record.view);
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

/** @returns what the frame is, in a few words */
export function frameSummary(judged: Judged, record: CaptureRecord): string {
  return judged.isEthernet ? summary(judged.parsed, record) : `link type ${record.linkType}`;
}

/** @returns one line for one frame */
export function frameLine(
  judged: Judged,
  record: CaptureRecord,
  pkt: number,
  file: string | null,
  ruleSet: RuleSet,
): string {
  const time = record.hasTime ? timeText(record.seconds, record.nanoseconds) : '-';
  const what = frameSummary(judged, record);
  const rule = decidingRule(judged, ruleSet);
  const by = rule === null ? '' : ` [${rule.place.line}: ${printable(rule.text)}]`;
  const verdict = VERDICT_NAMES[judged.verdict as 0 | 1 | 2];
  const name = rule?.className == null ? '' : ` ${rule.className}`;
  const where = file === null ? '' : `${file}:`;
  return `${where}${pkt} ${time} ${judged.isOutbound ? 'out' : 'in '} ${verdict}${name} ${REASON_NAMES[judged.reason]} ${what}${by}\n`;
}

/** @returns the whole derivation of one frame, for people */
export function derivationText(
  judged: Judged,
  record: CaptureRecord,
  pkt: number,
  file: string | null,
  derivation: Derivation | null,
): string {
  const p = judged.parsed;
  const lines: string[] = [];
  const row = (name: string, value: string | number | null) => {
    if (value !== null) lines.push(`  ${name.padEnd(14)} ${value}`);
  };
  const number = (value: number) => (value < 0 ? null : value);
  lines.push(`frame ${pkt}${file === null ? '' : ` of ${file}`}: ${frameSummary(judged, record)}`);
  row('time', record.hasTime ? timeText(record.seconds, record.nanoseconds) : null);
  row('length', `${record.wireLength} bytes on the wire, ${record.capturedLength} captured`);
  if (judged.isEthernet && p.etherType >= 0) {
    row('ether', `${macText(p.srcMacHigh, p.srcMacLow)} > ${macText(p.dstMacHigh, p.dstMacLow)}`);
    for (let i = 0; i < p.vlanCount; i++) row('vlan', `id ${p.vlanTci[i]! & 0xfff}, priority ${p.vlanTci[i]! >> 13}`);
    row(
      'ether type',
      p.etherType < MIN_ETHERTYPE ? `802.3 length ${p.etherType}` : `0x${p.etherType.toString(16).padStart(4, '0')}`,
    );
    row('source', sourceText(p));
    row('destination', destinationText(p));
    row('protocol', number(p.proto));
    row(
      'fragment',
      p.isFragment === 1 ? `offset ${p.fragOffset}, ${p.moreFrags === 1 ? 'more follow' : 'the last'}` : null,
    );
    row('transport', L4_NAMES[p.l4]);
    row('source port', number(p.srcPort));
    row('dest port', number(p.dstPort));
    row('tcp flags', p.tcpFlags < 0 ? null : `0x${p.tcpFlags.toString(16).padStart(3, '0')}`);
    row('icmp type', p.icmpType < 0 ? null : `${p.icmpType} code ${p.icmpCode < 0 ? '-' : p.icmpCode}`);
    row('payload', p.payloadLength < 0 ? null : `${p.payloadLength} bytes, ${p.payloadCaptured} captured`);
    row('application', recognisedApp(p, record.view));
  }
  row('direction', judged.isOutbound ? 'outbound' : 'inbound');
  if (derivation !== null) {
    if (derivation.trials.length === 0) lines.push('rules were not asked');
    for (const { rule, matches, answer } of derivation.trials) {
      lines.push(`rule ${rule.handle}, line ${rule.place.line}: ${printable(rule.text)}`);
      for (const match of matches) lines.push(`    ${match.answer.padEnd(8)} ${match.text}`);
      if (answer !== 'no') lines.push(`  -> ${answer === 'yes' ? 'matches' : 'cannot be answered'}: it decides`);
    }
  }
  const verdict = VERDICT_NAMES[judged.verdict as 0 | 1 | 2];
  lines.push(`verdict ${verdict}, reason ${REASON_NAMES[judged.reason]}: ${REASON_TEXTS[judged.reason]}`);
  return `${lines.join('\n')}\n`;
}
