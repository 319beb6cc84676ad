import { APP_TYPES } from '../../rules/apps.ts';
import { fieldOperand, formatBits, maxOf, type Operand, prefixLength, rawOperand } from '../../rules/operand.ts';
import type { AppMatch, FieldMatch, FieldName, Interval, Match, RawMatch } from '../../rules/rule.ts';

/** So many values, and so many tuples, are listed. */
const LISTED = 6;
const BITS: readonly FieldName[] = ['ether.type', 'ip.frag-off', 'tcp.flags'];
const BASES = {
  ll: 'the start of the destination MAC address',
  nh: 'the start of the network header',
  th: 'the end of the IP headers',
} as const;

/** What a match asks for, in words. */
export function matchWords(match: Match): string {
  switch (match.kind) {
    case 'field':
      return match.field === 'tcp.flags' ? flagWords(match) : fieldWords(match);
    case 'raw':
      return rawWords(match);
    case 'app':
      return appWords(match);
    case 'concat': {
      const operands = match.fields.map(fieldOperand);
      const tuples = match.tuples.map((tuple) =>
        tuple.map((one, i) => intervalText(operands[i]!, one, BITS.includes(match.fields[i]!))).join(' . '),
      );
      const fields = operands.map(({ text }) => text).join(' . ');
      if (tuples.length === 0)
        return `${fields} ${match.negated ? 'is there, with any values' : 'is in an empty set: never true'}`;
      return `${fields} is ${match.negated ? 'none' : tuples.length === 1 ? '' : 'one'}${tuples.length === 1 && !match.negated ? '' : ' of '}${listed(tuples)}`;
    }
    case 'set': {
      const fields = match.fields.map((field) => fieldOperand(field).text).join(' . ');
      return `${fields} is ${match.negated ? 'not ' : ''}an element of the dynamic set '${match.set}' when the frame comes`;
    }
    case 'declared':
      return "the host has declared the frame's flow, with this rule's class or without naming one";
  }
}

function fieldWords(match: FieldMatch): string {
  return comparisonWords(fieldOperand(match.field), match, BITS.includes(match.field));
}

function rawWords(match: RawMatch): string {
  const { base, offsetBits, lengthBits } = match;
  const bits = `the number in the ${lengthBits} bits from bit ${offsetBits} after ${BASES[base]}`;
  return comparisonWords(rawOperand(bits, lengthBits), match, true);
}

function comparisonWords(
  operand: Operand,
  { mask, negated, intervals }: Pick<FieldMatch, 'mask' | 'negated' | 'intervals'>,
  isHex: boolean,
): string {
  const what = mask === null ? operand.text : `${operand.text} & ${formatBits(operand, mask)}`;
  if (intervals.length === 0) return `${what} is ${negated ? 'there, with any value' : 'in an empty set: never true'}`;
  const [only] = intervals;
  if (intervals.length === 1 && !negated && only!.low === 0n && only!.high === maxOf(operand))
    return `${what} is there, with any value`;
  const values = intervals.map((one) => intervalText(operand, one, isHex || mask !== null));
  if (!negated) return `${what} is ${listed(values)}`;
  return `${what} is there and is ${values.length === 1 ? 'not' : 'none of'} ${listed(values)}`;
}

function intervalText(operand: Operand, { low, high }: Interval, isHex: boolean): string {
  const text = (value: bigint) => valueText(operand, value, isHex);
  if (low === high) return text(low);
  if (operand.syntax.kind === 'number' && high === maxOf(operand)) return `${text(low)} or more`;
  if (operand.syntax.kind === 'number' && low === 0n) return `up to ${text(high)}`;
  const length = prefixLength(operand, { low, high });
  return length === null ? `${text(low)} to ${text(high)}` : `${text(low)}/${length}`;
}

function valueText(operand: Operand, value: bigint, isHex: boolean): string {
  if (operand.syntax.kind !== 'number') return formatBits(operand, value);
  const number = isHex ? formatBits(operand, value) : String(value);
  const name = Object.entries(operand.syntax.names).find(([, one]) => BigInt(one) === value)?.[0];
  return name === undefined ? number : `${number} (${name})`;
}

function listed(values: readonly string[]): string {
  if (values.length > LISTED) return `${values.slice(0, LISTED).join(', ')} and ${values.length - LISTED} more`;
  return values.length < 2 ? (values[0] ?? '') : `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
}

const FLAGS = ['fin', 'syn', 'rst', 'psh', 'ack', 'urg', 'ecn', 'cwr'];

function flagList(value: bigint): string {
  const set = FLAGS.filter((_, bit) => ((value >> BigInt(bit)) & 1n) === 1n);
  return set.length === 0 ? 'none' : set.join(', ');
}

function flagWords(match: FieldMatch): string {
  const { mask, negated, intervals } = match;
  const [only] = intervals;
  const isOne = intervals.length === 1 && only!.low === only!.high;
  if (mask !== null && isOne && only!.low === 0n) {
    return `${negated ? 'at least one' : 'none'} of the TCP flags ${flagList(mask)} is set`;
  }
  if (intervals.some(({ low, high }) => high - low >= BigInt(LISTED))) return fieldWords(match);
  const values = intervals.flatMap(({ low, high }) => {
    return Array.from({ length: Number(high - low) + 1 }, (_, i) => flagList(low + BigInt(i)));
  });
  const which =
    mask === null ? 'the TCP flags that are set are' : `of the TCP flags ${flagList(mask)}, those that are set are`;
  return `${which} ${negated ? 'not exactly' : 'exactly'}: ${values.join('; or ')}`;
}

function appWords({ app, types, negated }: AppMatch): string {
  if (types === null) return `the payload is ${negated ? 'not ' : ''}recognised as ${app}`;
  const names = Object.entries(APP_TYPES[app] ?? {});
  const wanted = types.map((type) => names.find(([, number]) => number === type)?.[0] ?? String(type));
  return `the payload is recognised as ${app}, of type ${negated ? `other than ${wanted.join(', ')}` : listed(wanted)}`;
}

/** By protocol, or by field: what a frame must be for a match on it to be true or false at all. */
const IMPLIED: Readonly<Record<string, string>> = {
  vlan: 'a frame with a VLAN tag: its outermost',
  ip: 'IPv4',
  ip6: 'IPv6',
  arp: 'ARP',
  'meta.l4proto': 'IPv4 or IPv6',
  tcp: 'TCP over IPv4 or IPv6',
  udp: 'UDP over IPv4 or IPv6',
  udplite: 'UDP-Lite over IPv4 or IPv6',
  sctp: 'SCTP over IPv4 or IPv6',
  dccp: 'DCCP over IPv4 or IPv6',
  th: 'TCP, UDP, UDP-Lite, SCTP or DCCP over IPv4 or IPv6',
  icmp: 'ICMP over IPv4',
  icmpv6: 'ICMPv6 over IPv6',
  igmp: 'IGMP over IPv4',
  'sctp.chunk': 'SCTP over IPv4 or IPv6, with a chunk',
};

/** The headers that a match asks for besides its value; none: every Ethernet frame can be asked. */
export function impliedWords(match: Match): string[] {
  const of = (field: FieldName) => IMPLIED[field] ?? IMPLIED[field.split('.')[0]!];
  if (match.kind === 'raw') return match.base === 'th' ? ['IPv4 or IPv6'] : [];
  const fields = match.kind === 'field' ? [match.field] : 'fields' in match ? match.fields : [];
  return [...new Set(fields.map(of).filter((words) => words !== undefined))];
}
