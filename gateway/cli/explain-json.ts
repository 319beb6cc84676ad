import { MIN_ETHERTYPE } from '../../classifier/headers.ts';
import { L3, L4, L4_NAMES, type Parsed } from '../../classifier/parsed.ts';
import { destinationText, macText, sourceText } from '../../classifier/text.ts';
import { LINKTYPE_ETHERNET } from '../../pcaps/record.ts';
import type { Rule } from '../../rules/rule.ts';

/** The smallest frame that has both MAC addresses. */
const MAC_BYTES = 12;

/**
 * What an explain line says of a frame's link and headers, from `linkType` to the key of the first number that differs
 * between the frames of a flow: `tcpSeq`, or `payloadLen` of what is not TCP.
 */
export function headersJson(p: Parsed): string {
  const hasMacs = hasMacAddresses(p);
  const hasType = p.etherType >= MIN_ETHERTYPE;
  let vlans = '';
  for (let i = 0; i < p.vlanCount; i++) vlans += i === 0 ? p.vlanTci[i]! & 0xfff : `,${p.vlanTci[i]! & 0xfff}`;
  const isIp = p.l3 === L3.ip4 || p.l3 === L3.ip6;
  const src = sourceText(p);
  const dst = destinationText(p);
  const l4 = L4_NAMES[p.l4];
  return (
    `,"linkType":${LINKTYPE_ETHERNET},"srcMac":${hasMacs ? `"${macText(p.srcMacHigh, p.srcMacLow)}"` : null}` +
    `,"dstMac":${hasMacs ? `"${macText(p.dstMacHigh, p.dstMacLow)}"` : null}` +
    `,"etherType":${hasType ? p.etherType : null},"vlans":[${vlans}]` +
    `,"ipVersion":${isIp ? (p.l3 === L3.ip4 ? 4 : 6) : null}` +
    `,"src":${src === null ? null : `"${src}"`},"dst":${dst === null ? null : `"${dst}"`}` +
    `,"proto":${orNull(p.proto)},"fragOffset":${orNull(p.fragOffset)}` +
    `,"moreFrags":${p.fragOffset < 0 ? null : p.moreFrags === 1}` +
    `,"l4":${l4 === null ? null : `"${l4}"`},"srcPort":${orNull(p.srcPort)},"dstPort":${orNull(p.dstPort)}` +
    `,"tcpFlags":${hasTcp(p) ? `${p.tcpFlags},"tcpSeq":` : 'null,"tcpSeq":null,"tcpAck":null,"payloadLen":'}`
  );
}

/** Words of `headersKey`. */
export const HEADERS_KEY_WORDS = 18;

/**
 * Writes all that `headersJson` looks at to `key`: frames with equal keys have equal texts.
 * @returns false for a frame with several VLAN tags, for which the key has no room
 */
export function headersKey(key: Int32Array, p: Parsed): boolean {
  if (p.vlanCount > 1) return false;
  const vlan = p.vlanCount === 0 ? 0 : 0x1000 | (p.vlanTci[0]! & 0xfff);
  const hasMacs = hasMacAddresses(p) ? 1 : 0;
  key[0] = vlan | (hasMacs << 13) | (p.l3 << 14) | (p.l4 << 16) | (p.moreFrags << 20);
  key[1] = p.srcMacHigh;
  key[2] = p.dstMacHigh;
  key[3] = (p.srcMacLow << 16) | p.dstMacLow;
  key[4] = p.etherType;
  key[5] = p.proto;
  key[6] = p.fragOffset;
  key[7] = p.srcPort;
  key[8] = p.dstPort;
  key[9] = p.src0;
  key[10] = p.src1;
  key[11] = p.src2;
  key[12] = p.src3;
  key[13] = p.dst0;
  key[14] = p.dst1;
  key[15] = p.dst2;
  key[16] = p.dst3;
  key[17] = p.tcpFlags;
  return true;
}

/** @returns whether the frame has the fields `tcpFlags`, `tcpSeq` and `tcpAck` */
export function hasTcp(p: Parsed): boolean {
  return p.l4 === L4.tcp && p.tcpFlags >= 0;
}

function hasMacAddresses(p: Parsed): boolean {
  return p.length >= MAC_BYTES && p.etherType + p.vlanCount >= 0;
}

/** What follows the link type of a record that is not Ethernet. */
export const NO_HEADERS_JSON =
  ',"srcMac":null,"dstMac":null,"etherType":null,"vlans":[],"ipVersion":null,"src":null,"dst":null,"proto":null' +
  ',"fragOffset":null,"moreFrags":null,"l4":null,"srcPort":null,"dstPort":null,"tcpFlags":null,"tcpSeq":null' +
  ',"tcpAck":null,"payloadLen":null';

/** The rule as explain shows it. */
export function ruleShown(rule: Rule): { handle: number; line: number; text: string } {
  return { handle: rule.handle, line: rule.place.line, text: rule.text };
}

/** A number that is absent where it is negative. */
function orNull(value: number): number | null {
  return value < 0 ? null : value;
}

/** @returns seconds and nanoseconds since 1970 as decimal text with 9 fraction digits */
export function timeText(seconds: number, nanoseconds: number): string {
  if (seconds >= 0 || nanoseconds === 0) return `${seconds}.${String(nanoseconds).padStart(9, '0')}`;
  const whole = seconds + 1;
  return `${whole === 0 ? '-0' : whole}.${String(1e9 - nanoseconds).padStart(9, '0')}`;
}
