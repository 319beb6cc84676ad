import { type Derivation, recognisedApp } from '../../classifier/explain.ts';
import { MIN_ETHERTYPE } from '../../classifier/headers.ts';
import { L4_NAMES } from '../../classifier/parsed.ts';
import { destinationText, macText, sourceText } from '../../classifier/text.ts';
import { REASON_NAMES, REASON_TEXTS, VERDICT_NAMES } from '../../classifier/verdict.ts';
import type { CaptureRecord } from '../../pcaps/record.ts';
import type { Rule, RuleSet } from '../../rules/rule.ts';
import { summaryOf } from '../frame-summary.ts';
import { timeText } from './explain-json.ts';
import { decidingRule, type Judged } from './judge.ts';
import { printable } from './table.ts';

/** @returns what the frame is, in a few words */
export function frameSummary(judged: Judged, record: CaptureRecord): string {
  return judged.isEthernet ? summaryOf(judged.parsed, record.view) : `link type ${record.linkType}`;
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
  const where = file === null ? '' : `${file}:`;
  const text = judgementText({
    isOutbound: judged.isOutbound,
    verdict: VERDICT_NAMES[judged.verdict as 0 | 1 | 2],
    className: rule?.className ?? null,
    reason: REASON_NAMES[judged.reason]!,
    frame: what,
    rule: rule === null ? null : { line: rule.place.line, text: rule.text },
  });
  return `${where}${pkt} ${time} ${text}\n`;
}

/** What became of a frame, and why. */
interface Judgement {
  readonly isOutbound: boolean;
  readonly verdict: string;
  readonly className: string | null;
  readonly reason: string;
  /** What the frame is. */
  readonly frame: string;
  /** Null: no rule decided. */
  readonly rule: { readonly line: number; readonly text: string } | null;
}

export function judgementText({ isOutbound, verdict, className, reason, frame, rule }: Judgement): string {
  const by = rule === null ? '' : ` [${rule.line}: ${printable(rule.text)}]`;
  const name = className === null ? '' : ` ${className}`;
  return `${isOutbound ? 'out' : 'in '} ${verdict}${name} ${reason} ${frame}${by}`;
}

/** @returns the whole derivation of one frame, for people */
export function derivationText(
  judged: Judged,
  record: CaptureRecord,
  pkt: number,
  file: string | null,
  derivation: Derivation | null,
  ruleSet: RuleSet,
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
    const followed = p.fragOffset > 0 ? decidingRule(judged, ruleSet) : null;
    if (followed !== null) lines.push(`${ruleText(followed)}\n  -> decided about its first fragment, which it follows`);
    else if (derivation.trials.length === 0) lines.push('rules were not asked');
    for (const { rule, matches, answer } of derivation.trials) {
      lines.push(ruleText(rule));
      for (const match of matches) lines.push(`    ${match.answer.padEnd(8)} ${match.text}`);
      if (answer !== 'no') lines.push(`  -> ${answer === 'yes' ? 'matches' : 'cannot be answered'}: it decides`);
    }
  }
  const verdict = VERDICT_NAMES[judged.verdict as 0 | 1 | 2];
  lines.push(`verdict ${verdict}, reason ${REASON_NAMES[judged.reason]}: ${REASON_TEXTS[judged.reason]}`);
  return `${lines.join('\n')}\n`;
}

function ruleText({ handle, place, text }: Rule): string {
  return `rule ${handle}, line ${place.line}: ${printable(text)}`;
}
