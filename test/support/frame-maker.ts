import type { Flow } from '../../classifier/flow-key.ts';
import { L3, type L3Kind, L4, type L4Kind, Parsed } from '../../classifier/parsed.ts';
import { FIELDS, type FieldName, type Interval, type Match, type RawMatch, type RuleSet } from '../../rules/rule.ts';
import { FIELD_NAMES } from './arbitrary-rules.ts';
import { isCarried, layOut, setBits, setField } from './frame-fields.ts';
import { Random } from './random.ts';

const KINDS: readonly (readonly [L3Kind, L4Kind])[] = [
  [L3.unknown, L4.none],
  [L3.arp, L4.none],
  ...[L4.none, L4.tcp, L4.udp, L4.udplite, L4.sctp, L4.dccp, L4.icmp, L4.igmp].map((l4) => [L3.ip4, l4] as const),
  ...[L4.none, L4.tcp, L4.udp, L4.udplite, L4.sctp, L4.dccp, L4.icmpv6].map((l4) => [L3.ip6, l4] as const),
];

const PROTO_OF = [-1, 6, 17, 136, 132, 33, 1, 58, 2] as const;
const ETHERTYPE_OF = [-1, 0x0800, 0x86dd, 0x0806] as const;
const CARRIERS = [
  { type: 0x8847, bytes: 4 },
  { type: 0x8848, bytes: 12 },
  { type: 0x8864, bytes: 8 },
] as const;
const SLAB_BYTES = 192;

const PAYLOADS = [
  'INVITE sip:bob@example.com SIP/2.0\r\n',
  'SIP/2.0 200 OK\r\n',
  'GET / HTTP/1.1\r\n',
  '\x80\x08\x00\x01\x00\x00\x00\xa0\x12\x34\x56\x78voice',
  '\x80\xc8\x00\x06\x12\x34\x56\x78',
];

/**
 * Makes frames that lie on the edges of a rule set's rules: values are taken from the rules' interval ends, one beside
 * them, or by chance. Tagged or not, in MPLS, PPPoE or SNAP or not, cut by a capture or not.
 */
export class FrameMaker {
  readonly slab = new DataView(new ArrayBuffer(SLAB_BYTES));
  readonly #rules: readonly (readonly Match[])[];
  readonly #raws: readonly RawMatch[];
  /** The elements of dynamic sets. */
  readonly #elements: ReadonlyMap<string, readonly (readonly Interval[])[]>;
  readonly #ends = new Map<FieldName, bigint[]>();

  constructor(ruleSet: RuleSet) {
    this.#elements = new Map(
      ruleSet.sets.map((set) => [set.name, set.elements.map((element) => element.intervals)] as const),
    );
    this.#rules = ruleSet.outbound.map((rule) => rule.matches).filter((matches) => matches.length > 0);
    const matches = this.#rules.flat();
    this.#raws = matches.filter((match) => match.kind === 'raw');
    for (const match of matches) {
      if (match.kind === 'field') for (const interval of match.intervals) this.#addEnds(match.field, interval);
      if (match.kind !== 'concat' && match.kind !== 'set') continue;
      for (const tuple of this.#tuplesOf(match)) {
        match.fields.forEach((field, i) => {
          this.#addEnds(field, tuple[i]!);
        });
      }
    }
  }

  #addEnds(field: FieldName, { low, high }: Interval): void {
    const ends = this.#ends.get(field) ?? [];
    this.#ends.set(field, ends);
    ends.push(low, high);
  }

  #tuplesOf(match: Match): readonly (readonly Interval[])[] {
    if (match.kind === 'concat') return match.tuples;
    return match.kind === 'set' ? (this.#elements.get(match.set) ?? []) : [];
  }

  /** @returns a frame with every field of its kind, the same for the same seed; the slab holds its bytes */
  make(seed: number): Parsed {
    const random = new Random(seed);
    const p = new Parsed();
    const aim = this.#rules.length > 0 && random.below(2) === 0 ? random.pick(this.#rules) : [];
    [p.l3, p.l4] = random.pick(KINDS);
    p.vlanCount = random.below(2);
    for (const field of aim.flatMap(fieldsOf)) {
      if (!fieldsOfKind(p).includes(field)) {
        [p.l3, p.l4] = random.pick(KINDS.filter(([l3, l4]) => isCarried(field, l3, l4)));
      }
      if (field.startsWith('vlan')) p.vlanCount = 1;
    }
    const carrier = random.below(6) === 0 ? random.pick(CARRIERS) : null;
    layOut(p, this.slab, carrier?.bytes ?? 0);
    for (let at = 0; at < SLAB_BYTES; at += 4) this.slab.setUint32(at, random.below(2 ** 32));
    this.#setPayload(p, random);
    for (const raw of this.#raws) if (random.below(4) === 0) this.#setRaw(p, raw, random);
    for (const field of fieldsOfKind(p)) setField(p, field, this.#value(field, random), this.slab);
    this.#aim(p, aim, random);
    setKindsOwnNumbers(p, carrier?.type ?? ETHERTYPE_OF[p.l3]!, random);
    if (random.below(3) === 0) cut(p, random);
    return p;
  }

  #set(p: Parsed, field: FieldName, value: bigint): void {
    if (fieldsOfKind(p).includes(field)) setField(p, field, value, this.slab);
  }

  #value(field: FieldName, random: Random): bigint {
    const { bits } = FIELDS[field];
    const ends = this.#ends.get(field);
    if (ends === undefined || random.below(5) === 0) return random.bits(bits);
    return BigInt.asUintN(bits, random.pick(ends) + BigInt(random.below(3) - 1));
  }

  /** Makes one rule's values fit, as far as a frame can have them together. */
  #aim(p: Parsed, matches: readonly Match[], random: Random): void {
    for (const match of matches) {
      if (match.kind === 'raw') this.#setRaw(p, match, random);
      if (match.kind === 'field') this.#set(p, match.field, endOf(random.pick(match.intervals), random));
      const tuples = this.#tuplesOf(match);
      if ((match.kind !== 'concat' && match.kind !== 'set') || tuples.length === 0) continue;
      const tuple = random.pick(tuples);
      match.fields.forEach((field, i) => {
        this.#set(p, field, endOf(tuple[i]!, random));
      });
    }
  }

  #setRaw(p: Parsed, { base, offsetBits, lengthBits, intervals }: RawMatch, random: Random): void {
    const start = { ll: p.offset, nh: p.networkOffset, th: p.l4Offset }[base];
    const at = start * 8 + offsetBits;
    if (start < 0 || at + lengthBits > SLAB_BYTES * 8) return;
    const value = endOf(random.pick(intervals), random) + BigInt(random.below(6) === 0 ? 1 : 0);
    setBits(this.slab, at, lengthBits, value);
  }

  #setPayload(p: Parsed, random: Random): void {
    if (p.payloadOffset < 0) return;
    const payload = random.pick(PAYLOADS);
    for (let i = 0; i < payload.length; i++) this.slab.setUint8(p.payloadOffset + i, payload.charCodeAt(i));
    p.payloadLength = random.below(5) === 0 ? 0 : payload.length;
    p.payloadCaptured = p.payloadLength;
  }
}

const FIELDS_OF_KIND = new Map(
  KINDS.map(([l3, l4]) => [`${l3} ${l4}`, FIELD_NAMES.filter((field) => isCarried(field, l3, l4))] as const),
);

function fieldsOfKind(p: Parsed): readonly FieldName[] {
  return FIELDS_OF_KIND.get(`${p.l3} ${p.l4}`)!;
}

function fieldsOf(match: Match): readonly FieldName[] {
  if (match.kind === 'field') return [match.field];
  return match.kind === 'concat' || match.kind === 'set' ? match.fields : [];
}

function endOf({ low, high }: Interval, random: Random): bigint {
  return random.below(2) === 0 ? low : high;
}

/** The numbers by which a parser knows the kind are what they must be; SNAP frames have a length as `etherType`. */
function setKindsOwnNumbers(p: Parsed, etherType: number, random: Random): void {
  const proto = PROTO_OF[p.l4]!;
  if (proto !== -1) p.proto = proto;
  if (p.l3 === L3.unknown) return;
  if (random.below(6) === 0) p.etherType = random.below(0x600);
  else p.etherType = p.l3 === L3.arp ? ETHERTYPE_OF[p.l3] : etherType;
}

/** A capture kept the headers, or more, and the wire had what lies behind them, or some of it. */
function cut(p: Parsed, random: Random): void {
  const headers = p.payloadOffset >= 0 ? p.payloadOffset : Math.max(p.networkOffset, p.l4Offset);
  p.length = headers - p.offset + (random.below(3) === 0 ? 0 : random.below(24));
  const longest = p.length + random.below(40);
  p.wireLength = random.below(2) === 0 ? longest : Math.max(p.wireLength, p.length);
  p.payloadCaptured = Math.min(p.payloadLength, Math.max(0, p.offset + p.length - p.payloadOffset));
}

/** The flow of an IP frame, as the host would declare it; null for others. */
export function flowOf(p: Parsed): Flow | null {
  if (p.l3 !== L3.ip4 && p.l3 !== L3.ip6) return null;
  const address = (...words: number[]) => words.reduce((value, word) => (value << 32n) | BigInt(word >>> 0), 0n);
  const isIp4 = p.l3 === L3.ip4;
  return {
    ipVersion: isIp4 ? 4 : 6,
    src: isIp4 ? address(p.src0) : address(p.src0, p.src1, p.src2, p.src3),
    dst: isIp4 ? address(p.dst0) : address(p.dst0, p.dst1, p.dst2, p.dst3),
    protocol: p.proto,
    srcPort: p.srcPort,
    dstPort: p.dstPort,
    vlanId: p.vlanCount === 0 ? null : p.vlanTci[0]! & 0xfff,
  };
}
