import { MIN_ETHERTYPE } from '../../classifier/headers.ts';
import { L3, L4, L4_NAMES, type Parsed } from '../../classifier/parsed.ts';
import { destinationText, macText, sourceText } from '../../classifier/text.ts';
import type { Rule } from '../../rules/rule.ts';

/** The smallest frame that has both MAC addresses. */
const MAC_BYTES = 12;

/** Everything about a frame that its own bytes tell, as the fields `srcMac` … `payloadLen` of an explain line. */
export function fieldsJson(p: Parsed): string {
  const hasMacs = p.length >= MAC_BYTES && p.etherType + p.vlanCount >= 0;
  const hasType = p.etherType >= MIN_ETHERTYPE;
  let vlans = '';
  for (let i = 0; i < p.vlanCount; i++) vlans += i === 0 ? p.vlanTci[i]! & 0xfff : `,${p.vlanTci[i]! & 0xfff}`;
  const isIp = p.l3 === L3.ip4 || p.l3 === L3.ip6;
  const isTcp = p.l4 === L4.tcp && p.tcpFlags >= 0;
  const src = sourceText(p);
  const dst = destinationText(p);
  const l4 = L4_NAMES[p.l4];
  return (
    `"srcMac":${hasMacs ? `"${macText(p.srcMacHigh, p.srcMacLow)}"` : null}` +
    `,"dstMac":${hasMacs ? `"${macText(p.dstMacHigh, p.dstMacLow)}"` : null}` +
    `,"etherType":${hasType ? p.etherType : null},"vlans":[${vlans}]` +
    `,"ipVersion":${isIp ? (p.l3 === L3.ip4 ? 4 : 6) : null}` +
    `,"src":${src === null ? null : `"${src}"`},"dst":${dst === null ? null : `"${dst}"`}` +
    `,"proto":${orNull(p.proto)},"fragOffset":${orNull(p.fragOffset)}` +
    `,"moreFrags":${p.fragOffset < 0 ? null : p.moreFrags === 1}` +
    `,"l4":${l4 === null ? null : `"${l4}"`},"srcPort":${orNull(p.srcPort)},"dstPort":${orNull(p.dstPort)}` +
    `,"tcpFlags":${isTcp ? p.tcpFlags : null},"tcpSeq":${isTcp ? p.tcpSeq >>> 0 : null}` +
    `,"tcpAck":${isTcp ? p.tcpAck >>> 0 : null},"payloadLen":${orNull(p.payloadLength)}`
  );
}

/** The same fields of a record whose link type is not Ethernet. */
export const NO_FIELDS_JSON =
  '"srcMac":null,"dstMac":null,"etherType":null,"vlans":[],"ipVersion":null,"src":null,"dst":null,"proto":null' +
  ',"fragOffset":null,"moreFrags":null,"l4":null,"srcPort":null,"dstPort":null,"tcpFlags":null,"tcpSeq":null' +
  ',"tcpAck":null,"payloadLen":null';

/** @returns the rule as an explain line shows it */
export function ruleJson(rule: Rule): string {
  return JSON.stringify({ handle: rule.handle, line: rule.place.line, text: rule.text });
}

function orNull(value: number): number | null {
  return value < 0 ? null : value;
}

/** @returns seconds and nanoseconds since 1970 as decimal text with 9 fraction digits */
export function timeText(seconds: number, nanoseconds: number): string {
  if (seconds >= 0 || nanoseconds === 0) return `${seconds}.${String(nanoseconds).padStart(9, '0')}`;
  const whole = seconds + 1;
  return `${whole === 0 ? '-0' : whole}.${String(1e9 - nanoseconds).padStart(9, '0')}`;
}
