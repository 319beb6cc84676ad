import fc from 'fast-check';
import { wordsOf } from '../../classifier/field.ts';
import { L3, type L3Kind, L4, type L4Kind, Parsed } from '../../classifier/parsed.ts';
import {
  APPS,
  FIELDS,
  type FieldMatch,
  type FieldName,
  type Interval,
  type Match,
  type Rule,
  type RuleSet,
} from '../../rules/rule.ts';

export const FIELD_NAMES = Object.keys(FIELDS) as FieldName[];

/** Wraps matches up as a rule, as the text parser would. */
export function ruleOf(matches: readonly Match[], index: number): Rule {
  return {
    handle: index + 1,
    place: { file: 'made.rules', line: index + 1, column: 1 },
    text: `rule ${index + 1}`,
    matches,
    className: null,
    verdict: 'hold',
    isDefault: matches.length === 0,
    comment: null,
  };
}

/** A rule set of these rules, each given by its matches. */
export function ruleSetOf(rules: readonly (readonly Match[])[]): RuleSet {
  return { file: 'made.rules', classes: [], outbound: rules.map(ruleOf) };
}

/** A field match; intervals as pairs of ends. */
export function match(
  field: FieldName,
  ...intervals: readonly (readonly [bigint | number, bigint | number])[]
): FieldMatch {
  return {
    kind: 'field',
    field,
    mask: null,
    negated: false,
    intervals: intervals.map(([low, high]) => ({ low: BigInt(low), high: BigInt(high) })),
  };
}

/** Values close together, so that rules overlap and touch: a few anchors per field, and a few steps from each. */
function arbitraryValue(field: FieldName): fc.Arbitrary<bigint> {
  const { bits } = FIELDS[field];
  const full = (1n << BigInt(bits)) - 1n;
  const anchors = [0n, full, full >> 1n, 1n << BigInt(bits >> 1), (0x0a000001n << BigInt(bits)) >> 32n];
  return fc.oneof(
    fc
      .tuple(fc.constantFrom(...anchors), fc.integer({ min: -9, max: 9 }))
      .map(([anchor, step]) => BigInt.asUintN(bits, anchor + BigInt(step))),
    fc.bigInt({ min: 0n, max: full }),
  );
}

/** Sorted, disjoint, not adjacent, as a rule set promises. */
function toIntervals(values: readonly bigint[]): Interval[] {
  const sorted = [...new Set(values)].sort((a, b) => (a < b ? -1 : 1));
  const intervals: Interval[] = [];
  for (let i = 0; i < sorted.length; i += 2) {
    const low = sorted[i]!;
    const high = sorted[i + 1] ?? low;
    const last = intervals.at(-1);
    if (last !== undefined && last.high + 1n >= low) intervals[intervals.length - 1] = { low: last.low, high };
    else intervals.push({ low, high });
  }
  return intervals;
}

function arbitraryMask(field: FieldName): fc.Arbitrary<bigint | null> {
  const { bits } = FIELDS[field];
  const full = (1n << BigInt(bits)) - 1n;
  return fc.oneof(
    { weight: 6, arbitrary: fc.constant(null) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: bits }).map((free) => full ^ ((1n << BigInt(free)) - 1n)) },
    { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: full }) },
  );
}

const FIELD_MATCHES = FIELD_NAMES.map((field) =>
  fc
    .record({
      values: fc.oneof(
        { weight: 9, arbitrary: fc.array(arbitraryValue(field), { minLength: 1, maxLength: 4 }) },
        { weight: 1, arbitrary: fc.array(arbitraryValue(field), { minLength: 1, maxLength: 50, size: 'max' }) },
      ),
      mask: arbitraryMask(field),
      negated: fc.nat(3).map((dice) => dice === 0),
    })
    .map(
      ({ values, mask, negated }): Match => ({
        kind: 'field',
        field,
        mask,
        negated,
        intervals: toIntervals(mask === null ? values : values.map((value) => value & mask)),
      }),
    ),
);

const arbitraryMatch: fc.Arbitrary<Match> = fc.oneof(
  { weight: 12, arbitrary: fc.oneof(...FIELD_MATCHES) },
  {
    weight: 1,
    arbitrary: fc
      .record({ app: fc.constantFrom(...APPS), negated: fc.boolean() })
      .map((parts): Match => ({ kind: 'app', ...parts })),
  },
);

/** From 0 to `maxRules` rules with up to four matches each; now and then a default in the end. */
export function arbitraryRuleSet(maxRules: number): fc.Arbitrary<RuleSet> {
  return fc
    .tuple(
      fc.array(fc.array(arbitraryMatch, { minLength: 1, maxLength: 4, size: 'max' }), {
        maxLength: maxRules,
        size: 'max',
      }),
      fc.boolean(),
    )
    .map(([rules, hasDefault]) => ruleSetOf(hasDefault ? [...rules, []] : rules));
}

/** Numbers from a seed (xorshift32): the same ones for the same seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed ^ 0x9e3779b9) | 1;
    for (let i = 0; i < 4; i++) this.below(1);
  }

  /** @returns an integer from 0 to `count - 1` */
  below(count: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return (x >>> 0) % count;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  bits(count: number): bigint {
    let value = 0n;
    for (let have = 0; have < count; have += 16) value = (value << 16n) | BigInt(this.below(0x10000));
    return BigInt.asUintN(count, value);
  }
}

/** Writes a field's value into a frame's fields. */
export function setField(p: Parsed, field: FieldName, value: bigint): void {
  const words = wordsOf(field, value);
  const word = words[0]!;
  switch (field) {
    case 'ether.saddr':
      p.srcMacHigh = word;
      p.srcMacLow = words[1]!;
      break;
    case 'ether.daddr':
      p.dstMacHigh = word;
      p.dstMacLow = words[1]!;
      break;
    case 'ether.type':
      p.etherType = word;
      break;
    case 'vlan.id':
      p.vlanTci[0] = (p.vlanTci[0]! & 0xf000) | word;
      break;
    case 'vlan.pcp':
      p.vlanTci[0] = (p.vlanTci[0]! & 0x1fff) | (word << 13);
      break;
    case 'ip.saddr':
      p.src0 = word;
      break;
    case 'ip.daddr':
      p.dst0 = word;
      break;
    case 'ip6.saddr':
      [p.src0, p.src1, p.src2, p.src3] = [word, words[1]!, words[2]!, words[3]!];
      break;
    case 'ip6.daddr':
      [p.dst0, p.dst1, p.dst2, p.dst3] = [word, words[1]!, words[2]!, words[3]!];
      break;
    case 'ip.protocol':
    case 'meta.l4proto':
      p.proto = word;
      break;
    case 'ip6.nexthdr':
      p.nextHeader = word;
      break;
    case 'arp.operation':
      p.arpOperation = word;
      break;
    case 'tcp.flags':
      // The four bits above the field must not matter.
      p.tcpFlags = word | 0x500;
      break;
    case 'udp.length':
      p.udpLength = word;
      break;
    case 'icmp.type':
    case 'icmpv6.type':
      p.icmpType = word;
      break;
    case 'icmp.code':
    case 'icmpv6.code':
      p.icmpCode = word;
      break;
    default:
      if (field.endsWith('sport')) p.srcPort = word;
      else p.dstPort = word;
  }
}

const KINDS: readonly (readonly [L3Kind, L4Kind])[] = [
  [L3.unknown, L4.none],
  [L3.arp, L4.none],
  ...[L4.none, L4.tcp, L4.udp, L4.udplite, L4.sctp, L4.dccp, L4.icmp, L4.igmp].map((l4) => [L3.ip4, l4] as const),
  ...[L4.none, L4.tcp, L4.udp, L4.udplite, L4.sctp, L4.dccp, L4.icmpv6].map((l4) => [L3.ip6, l4] as const),
];

const PROTO_OF = [-1, 6, 17, 136, 132, 33, 1, 58, 2] as const;
const ETHERTYPE_OF = [-1, 0x0800, 0x86dd, 0x0806] as const;

/** The numbers by which a parser knows the kind are what they must be; SNAP frames have a length as `etherType`. */
function setKindsOwnNumbers(p: Parsed, random: Random): void {
  const proto = PROTO_OF[p.l4]!;
  if (proto !== -1) p.proto = proto;
  const etherType = ETHERTYPE_OF[p.l3]!;
  if (etherType !== -1) p.etherType = random.below(4) === 0 ? random.below(0x600) : etherType;
}

const PAYLOADS = [
  'INVITE sip:bob@example.com SIP/2.0\r\n',
  'SIP/2.0 200 OK\r\n',
  'GET / HTTP/1.1\r\n',
  '\x80\x08\x00\x01\x00\x00\x00\xa0\x12\x34\x56\x78voice',
  '\x80\xc8\x00\x06\x12\x34\x56\x78',
];

/**
 * Makes frames that lie on the edges of a rule set's rules: field values are taken from the rules' interval ends, one
 * beside them, or by chance.
 */
export class FrameMaker {
  readonly slab = new DataView(new ArrayBuffer(256));
  readonly #rules: readonly Rule[];
  readonly #ends = new Map<FieldName, bigint[]>();

  constructor(ruleSet: RuleSet) {
    this.#rules = ruleSet.outbound.filter((rule) => rule.matches.length > 0);
    for (const one of this.#rules.flatMap((rule) => rule.matches)) {
      if (one.kind !== 'field') continue;
      const ends = this.#ends.get(one.field) ?? [];
      this.#ends.set(one.field, ends);
      for (const { low, high } of one.intervals) ends.push(low, high);
    }
  }

  /** @returns a frame with every field of its kind, the same for the same seed; the slab holds its payload */
  make(seed: number): Parsed {
    const random = new Random(seed);
    const p = new Parsed();
    const [l3, l4] = random.pick(KINDS);
    p.l3 = l3;
    p.l4 = l4;
    p.vlanCount = random.below(2);
    for (const field of FIELD_NAMES) setField(p, field, this.#value(field, random));
    if (this.#rules.length > 0 && random.below(2) === 0) this.#aim(p, random);
    setKindsOwnNumbers(p, random);
    this.#setPayload(p, random);
    return p;
  }

  #value(field: FieldName, random: Random): bigint {
    const { bits } = FIELDS[field];
    const ends = this.#ends.get(field);
    if (ends === undefined || random.below(5) === 0) return random.bits(bits);
    return BigInt.asUintN(bits, random.pick(ends) + BigInt(random.below(3) - 1));
  }

  /** Makes one rule's fields fit, as far as a frame can have them together. */
  #aim(p: Parsed, random: Random): void {
    for (const one of random.pick(this.#rules).matches) {
      if (one.kind !== 'field') continue;
      const kinds = KINDS.filter(([l3, l4]) => isCarried(one.field, l3, l4));
      if (!isCarried(one.field, p.l3, p.l4)) [p.l3, p.l4] = random.pick(kinds);
      if (one.field.startsWith('vlan')) p.vlanCount = 1;
      const interval = random.pick(one.intervals);
      setField(p, one.field, random.below(2) === 0 ? interval.low : interval.high);
    }
  }

  #setPayload(p: Parsed, random: Random): void {
    const payload = random.pick(PAYLOADS);
    for (let i = 0; i < payload.length; i++) this.slab.setUint8(i, payload.charCodeAt(i));
    p.payloadOffset = 0;
    p.payloadLength = payload.length;
    p.payloadCaptured = random.below(3) === 0 ? random.below(payload.length + 1) : payload.length;
  }
}

/** Which frames have which protocol's fields, said a second time and in another way than the matchers say it. */
function isCarried(field: FieldName, l3: L3Kind, l4: L4Kind): boolean {
  const [protocol] = field.split('.') as [string];
  const isIp = l3 === L3.ip4 || l3 === L3.ip6;
  const ports: readonly L4Kind[] = [L4.tcp, L4.udp, L4.udplite, L4.sctp, L4.dccp];
  const carriers: Record<string, boolean> = {
    ether: true,
    vlan: true,
    ip: l3 === L3.ip4,
    ip6: l3 === L3.ip6,
    arp: l3 === L3.arp,
    meta: isIp,
    th: ports.includes(l4),
    tcp: l4 === L4.tcp,
    udp: l4 === L4.udp,
    sctp: l4 === L4.sctp,
    icmp: l4 === L4.icmp,
    icmpv6: l4 === L4.icmpv6,
  };
  return carriers[protocol]!;
}
