import { type Box, common } from './box.ts';
import { complement, includes, mergeIntervals, withFreeBits } from './intervals.ts';
import { fieldText } from './operand.ts';
import type { AppMatch, ConcatMatch, FieldMatch, FieldName, Interval, Match, RawMatch, SetMatch } from './rule.ts';
import { FIELDS } from './rule.ts';

/**
 * Everything that a match can ask about a frame is a coordinate: a function of the frame with values from 0 to 2^bits - 1. A rule
 * is then a box, exactly: a frame is in it when the rule matches. Coordinates are
 * - fields; words for the same thing are one (`tcp dport` and `th dport` of a TCP segment);
 * - which network header there is, and whether there is a tag, a transport header, a chunk, …: where it is not there, the
 *   fields in it have any value, and the rule asks for it besides;
 * - a field or raw bits under a mask that is no prefix;
 * - an application's message type (0: it is not the application);
 * - yes or no for what cannot be told otherwise: an element of this set, one of these tuples, declared.
 * That some of them depend on each other is mostly not used: two rules may then seem to leave frames that do not exist.
 */
export interface Constraint {
  readonly key: string;
  readonly bits: number;
  /** Merged. Empty: no frame satisfies it. */
  readonly set: readonly Interval[];
}

/** Values of the coordinate `l3`. */
export const L3_VALUE = { other: 0n, ip4: 1n, ip6: 2n, arp: 3n } as const;
const L3_BITS = 2;

/** Coordinates that are neither a field nor made from a match. */
export const KEY = { l3: 'l3', tagged: 'tagged', transport: 'transport', chunk: 'chunk' } as const;

const YES: readonly Interval[] = [{ low: 1n, high: 1n }];
const NO: readonly Interval[] = [{ low: 0n, high: 0n }];

const ANY_IP = network(L3_VALUE.ip4, L3_VALUE.ip6);
/** What an application's recogniser can answer at all. */
const ANY_NETWORK = network(L3_VALUE.ip4, L3_VALUE.ip6, L3_VALUE.arp);
const IP4 = network(L3_VALUE.ip4);
const IP6 = network(L3_VALUE.ip6);
const TRANSPORT = yesNo(KEY.transport, true);

/** What a match on a protocol's field says about the frame before its value is looked at. */
const IMPLIED: Readonly<Record<string, readonly Constraint[]>> = {
  ether: [],
  frame: [],
  'meta.length': [],
  vlan: [yesNo(KEY.tagged, true)],
  ip: [IP4],
  ip6: [IP6],
  arp: [network(L3_VALUE.arp)],
  meta: [ANY_IP],
  th: [ANY_IP, TRANSPORT, protocol(6n, 17n, 33n, 132n, 136n)],
  tcp: [ANY_IP, TRANSPORT, protocol(6n)],
  udp: [ANY_IP, TRANSPORT, protocol(17n)],
  udplite: [ANY_IP, TRANSPORT, protocol(136n)],
  sctp: [ANY_IP, TRANSPORT, protocol(132n)],
  'sctp.chunk': [ANY_IP, TRANSPORT, protocol(132n), yesNo(KEY.chunk, true)],
  dccp: [ANY_IP, TRANSPORT, protocol(33n)],
  icmp: [IP4, TRANSPORT, protocol(1n)],
  icmpv6: [IP6, TRANSPORT, protocol(58n)],
  igmp: [IP4, TRANSPORT, protocol(2n)],
};

/** Different words for one value: a TCP port is the transport port of a TCP segment. */
const SAME_VALUE: Partial<Record<FieldName, FieldName>> = {
  'ip.protocol': 'meta.l4proto',
  'tcp.sport': 'th.sport',
  'tcp.dport': 'th.dport',
  'udp.sport': 'th.sport',
  'udp.dport': 'th.dport',
  'udplite.sport': 'th.sport',
  'udplite.dport': 'th.dport',
  'sctp.sport': 'th.sport',
  'sctp.dport': 'th.dport',
  'dccp.sport': 'th.sport',
  'dccp.dport': 'th.dport',
};

/**
 * EtherTypes that leave no choice of the network header. It leaves one of the EtherType, though: SNAP, MPLS and PPPoE carry IP
 * under other numbers.
 */
const L3_OF_ETHER_TYPE: readonly (readonly [bigint, bigint])[] = [
  [0x0800n, L3_VALUE.ip4],
  [0x0806n, L3_VALUE.arp],
  [0x86ddn, L3_VALUE.ip6],
];

/** What the flags of `ip frag-off` are where rules are asked: later fragments, of another offset than 0, follow their first one. */
const FRAG_OFF_FLAGS: readonly bigint[] = Array.from({ length: 8 }, (_, flags) => BigInt(flags) << 13n);
const FRAG_OFFSET = 0x1fffn;

/** A mask over a field this wide is worked out value by value. */
const MAX_ENUMERATED_BITS = 8;
/** Values of an application's coordinate: 0 for not the application, 1 to 31 for its message types. */
const APP_BITS = 5;
const LAST_TYPE = 31n;
/** Lists with more tuples than this are equal only to themselves. */
const MAX_COMPARED_TUPLES = 64;

function network(...values: readonly bigint[]): Constraint {
  return { key: KEY.l3, bits: L3_BITS, set: valuesOf(values) };
}

function protocol(...values: readonly bigint[]): Constraint {
  return { key: 'meta.l4proto', bits: FIELDS['meta.l4proto'].bits, set: valuesOf(values) };
}

function yesNo(key: string, isTrue: boolean): Constraint {
  return { key, bits: 1, set: isTrue ? YES : NO };
}

function valuesOf(values: readonly bigint[]): Interval[] {
  return mergeIntervals(values.map((value) => ({ low: value, high: value })));
}

/** The coordinate that holds a field's value. */
export function fieldKey(field: FieldName): FieldName {
  return SAME_VALUE[field] ?? field;
}

/**
 * What a frame must have for the match to be true; the match is true of every frame that has it. The last one is the match's own
 * where it is an application, a set or `declared`.
 */
export function constraintsOf(
  match: Match,
  owner: { readonly id: string; readonly className: string | null },
): Constraint[] {
  switch (match.kind) {
    case 'field':
      return ofField(match);
    case 'raw':
      return ofRaw(match);
    case 'app':
      return [ANY_NETWORK, { key: `app ${match.app}`, bits: APP_BITS, set: typesOf(match) }];
    case 'concat':
      return ofConcat(match, owner.id);
    case 'set':
      return [
        ...match.fields.flatMap(impliedBy),
        yesNo(`set ${fieldList(match.fields)} @${match.set}`, !match.negated),
      ];
    case 'declared':
      // A flow may be declared with one class, and without any it is declared for all: unlike classes say unlike things.
      return [yesNo(`declared ${owner.className ?? '@'}`, true)];
  }
}

/** What a frame has that has the field: a match on it is false of any other, negated or not. */
export function impliedBy(field: FieldName): readonly Constraint[] {
  return IMPLIED[field] ?? IMPLIED[field.split('.')[0]!]!;
}

/** @returns the field whose value, or masked value, this coordinate is; null for the others */
export function fieldOf(key: string): { readonly field: FieldName; readonly mask: bigint | null } | null {
  const [field, mask] = key.split(' & ');
  if (!Object.hasOwn(FIELDS, field!)) return null;
  return { field: field as FieldName, mask: mask === undefined ? null : BigInt(`0x${mask}`) };
}

function ofField(match: FieldMatch): Constraint[] {
  const value =
    match.field === 'ip.frag-off' ? flagsOf(match) : compared(fieldKey(match.field), FIELDS[match.field].bits, match);
  const carrier = match.field === 'ether.type' && match.mask === null ? networkOf(value.set) : null;
  return [...impliedBy(match.field), value, ...(carrier === null ? [] : [carrier])];
}

/** Any offset stands for 0, the only one: so the flags are told apart, and no rule says less for what it says of the offset. */
function flagsOf({ mask, negated, intervals }: Pick<FieldMatch, 'mask' | 'negated' | 'intervals'>): Constraint {
  const flags = FRAG_OFF_FLAGS.filter((value) => includes(intervals, value & (mask ?? -1n)) !== negated);
  const set = mergeIntervals(flags.map((value) => ({ low: value, high: value | FRAG_OFFSET })));
  return { key: 'ip.frag-off', bits: FIELDS['ip.frag-off'].bits, set };
}

function ofRaw(match: RawMatch): Constraint[] {
  const bits = `@${match.base},${match.offsetBits},${match.lengthBits}`;
  const value = compared(bits, match.lengthBits, match);
  return [...(match.base === 'th' ? [ANY_IP] : []), yesNo(`${bits} there`, true), value];
}

/** A value compared with intervals, under a mask where that makes a coordinate of its own. */
function compared(
  key: string,
  bits: number,
  { mask, negated, intervals }: Pick<FieldMatch, 'mask' | 'negated' | 'intervals'>,
): Constraint {
  const full = (1n << BigInt(bits)) - 1n;
  const ofSet = (name: string, set: readonly Interval[]) => {
    return { key: name, bits, set: negated ? complement(set, full) : set };
  };
  if (mask === null) return ofSet(key, intervals);
  const free = full & ~mask;
  if (isLowBits(free)) return ofSet(key, withFreeBits(intervals, free));
  if (bits <= MAX_ENUMERATED_BITS) return ofSet(key, enumerated(intervals, mask, full));
  // Bits outside the mask are never set.
  const possible = intervals.filter(({ low, high }) => low !== high || (low & free) === 0n);
  return ofSet(`${key} & ${mask.toString(16)}`, possible);
}

/** Whether the ones of this number are its lowest bits: 0, 1, 3, 7, … */
function isLowBits(value: bigint): boolean {
  return (value & (value + 1n)) === 0n;
}

function enumerated(intervals: readonly Interval[], mask: bigint, full: bigint): Interval[] {
  const found: bigint[] = [];
  for (let value = 0n; value <= full; value++) {
    if (includes(intervals, value & mask)) found.push(value);
  }
  return valuesOf(found);
}

function typesOf({ types, negated }: AppMatch): Interval[] {
  if (types === null) return negated ? [...NO] : [{ low: 1n, high: LAST_TYPE }];
  const chosen = valuesOf(types.map(BigInt));
  return negated ? complement(mergeIntervals([...NO, ...chosen]), LAST_TYPE) : chosen;
}

function ofConcat({ fields, negated, tuples }: ConcatMatch, ownerId: string): Constraint[] {
  const implied = fields.flatMap(impliedBy);
  if (negated) return [...implied, yesNo(tuplesKey(fields, tuples, ownerId), false)];
  const sides = fields.map((field, i): Constraint => {
    const intervals = mergeIntervals(tuples.map((tuple) => tuple[i]!));
    if (field === 'ip.frag-off') return flagsOf({ mask: null, negated: false, intervals });
    return { key: fieldKey(field), bits: FIELDS[field].bits, set: intervals };
  });
  return tuples.length === 1
    ? [...implied, ...sides]
    : [...implied, ...sides, yesNo(tuplesKey(fields, tuples, ownerId), true)];
}

function tuplesKey(fields: readonly FieldName[], tuples: ConcatMatch['tuples'], ownerId: string): string {
  if (tuples.length > MAX_COMPARED_TUPLES) return `tuples of ${ownerId}`;
  const texts = tuples.map((tuple) => tuple.map(({ low, high }) => `${low}-${high}`).join(' . '));
  return `tuples ${fieldList(fields)} ${texts.sort().join(', ')}`;
}

/** How a message names the match. */
export function matchText(match: Match): string {
  switch (match.kind) {
    case 'field':
      return fieldText(match.field);
    case 'raw':
      return `@${match.base},${match.offsetBits},${match.lengthBits}`;
    case 'app':
      return `app ${match.negated && match.types === null ? '!= ' : ''}${match.app}${match.types === null ? '' : ' type'}`;
    case 'concat':
      return fieldList(match.fields);
    case 'set':
      return setText(match);
    case 'declared':
      return 'declared';
  }
}

function setText({ fields, negated, set }: SetMatch): string {
  return `${fieldList(fields)} ${negated ? '!= ' : ''}@${set}`;
}

function fieldList(fields: readonly FieldName[]): string {
  return fields.map(fieldText).join(' . ');
}

/** Which network headers frames of these EtherTypes have; null if there are types among them that leave it open. */
function networkOf(etherTypes: readonly Interval[]): Constraint | null {
  let count = 0n;
  for (const { low, high } of etherTypes) count += high - low + 1n;
  const known = L3_OF_ETHER_TYPE.filter(([type]) => includes(etherTypes, type));
  return count === BigInt(known.length) ? network(...known.map(([, l3]) => l3)) : null;
}

/** The box without network headers that do not go with its EtherTypes; null if nothing is left of it. */
export function tightened(box: Box): Box | null {
  const etherTypes = box.get('ether.type');
  const carrier = etherTypes === undefined ? null : networkOf(etherTypes.set);
  return carrier === null ? box : common(box, new Map([[carrier.key, { bits: carrier.bits, set: carrier.set }]]));
}
