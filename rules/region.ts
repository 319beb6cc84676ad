import { complement, intersect, isSubset, mergeIntervals } from './intervals.ts';
import { APPS, FIELDS, type FieldMatch, type FieldName, type Interval, type Match, type Rule } from './rule.ts';
import { fieldText } from './values.ts';

/** What a constraint is on: a field, or which network header the frame has. */
export type RegionKey = FieldName | 'l3';

const L3 = { other: 0n, ip4: 1n, ip6: 2n, arp: 3n } as const;

/** Headers that a match needs in the frame, as bits. */
const HEADER = {
  vlan: 1,
  ip: 2,
  ip4: 4,
  ip6: 8,
  arp: 16,
  th: 32,
  tcp: 64,
  udp: 128,
  sctp: 256,
  icmp: 512,
  icmpv6: 1024,
} as const;

interface Constraint {
  readonly key: RegionKey;
  readonly set: readonly Interval[];
}

/** What a match on a protocol's field says about the frame before its value is looked at. */
interface Implied {
  readonly headers: number;
  readonly constraints: readonly Constraint[];
}

const ANY_IP = only('l3', L3.ip4, L3.ip6);

const IMPLIED: Readonly<Record<string, Implied>> = {
  ether: { headers: 0, constraints: [] },
  vlan: { headers: HEADER.vlan, constraints: [] },
  ip: { headers: HEADER.ip | HEADER.ip4, constraints: [only('l3', L3.ip4)] },
  ip6: { headers: HEADER.ip | HEADER.ip6, constraints: [only('l3', L3.ip6)] },
  arp: { headers: HEADER.arp, constraints: [only('l3', L3.arp)] },
  meta: { headers: HEADER.ip, constraints: [ANY_IP] },
  th: { headers: HEADER.ip | HEADER.th, constraints: [ANY_IP, only('meta.l4proto', 6n, 17n, 33n, 132n, 136n)] },
  tcp: { headers: HEADER.ip | HEADER.th | HEADER.tcp, constraints: [ANY_IP, only('meta.l4proto', 6n)] },
  udp: { headers: HEADER.ip | HEADER.th | HEADER.udp, constraints: [ANY_IP, only('meta.l4proto', 17n)] },
  sctp: { headers: HEADER.ip | HEADER.th | HEADER.sctp, constraints: [ANY_IP, only('meta.l4proto', 132n)] },
  icmp: {
    headers: HEADER.ip | HEADER.ip4 | HEADER.icmp,
    constraints: [only('l3', L3.ip4), only('meta.l4proto', 1n)],
  },
  icmpv6: {
    headers: HEADER.ip | HEADER.ip6 | HEADER.icmpv6,
    constraints: [only('l3', L3.ip6), only('meta.l4proto', 58n)],
  },
};

/** Different words for one value: a TCP port is the transport port of a TCP segment. */
const SAME_VALUE: Partial<Record<FieldName, FieldName>> = {
  'ip.protocol': 'meta.l4proto',
  'tcp.sport': 'th.sport',
  'tcp.dport': 'th.dport',
  'udp.sport': 'th.sport',
  'udp.dport': 'th.dport',
  'sctp.sport': 'th.sport',
  'sctp.dport': 'th.dport',
};

/** EtherTypes that leave no choice of the network header. */
const L3_OF_ETHER_TYPE: readonly (readonly [bigint, bigint])[] = [
  [0x0800n, L3.ip4],
  [0x0806n, L3.arp],
  [0x86ddn, L3.ip6],
];

/** A mask over a field this wide is worked out value by value. */
const MAX_ENUMERATED_BITS = 8;

function only(key: RegionKey, ...values: readonly bigint[]): Constraint {
  return { key, set: mergeIntervals(values.map((value) => ({ low: value, high: value }))) };
}

export function widthOf(key: RegionKey): number {
  return key === 'l3' ? 2 : FIELDS[key].bits;
}

function fullSet(key: RegionKey): readonly Interval[] {
  return FULL_SETS.get(key)!;
}

const FULL_SETS: ReadonlyMap<RegionKey, readonly Interval[]> = new Map(
  (['l3', ...Object.keys(FIELDS)] as RegionKey[]).map((key) => [
    key,
    [{ low: 0n, high: (1n << BigInt(widthOf(key))) - 1n }],
  ]),
);

/**
 * The frames that a rule selects: a box with one side per field. Where a rule says something that a box cannot express, the
 * box is larger than the rule and `exact` is false.
 */
export class Region {
  readonly rule: Rule;
  /** Bits of HEADER. */
  headers = 0;
  /** Two bits per application: it must be, it must not be. */
  apps = 0;
  exact = true;
  /** Sides that leave something out; a field that is not here may have any value. */
  readonly sides = new Map<RegionKey, readonly Interval[]>();
  /** Why no frame can be in the region, in words; null if some may. */
  contradiction: string | null = null;
  readonly #source = new Map<RegionKey, string>();

  constructor(rule: Rule) {
    this.rule = rule;
    for (const match of rule.matches) this.#add(match);
  }

  /** Whether every frame of `inner` is certainly in this one. */
  covers(inner: Region): boolean {
    if (!this.exact || (this.headers & ~inner.headers) !== 0 || (this.apps & ~inner.apps) !== 0) return false;
    for (const [key, side] of this.sides) {
      if (!isSubset(inner.sides.get(key) ?? fullSet(key), side)) return false;
    }
    return true;
  }

  #add(match: Match): void {
    if (match.kind === 'app') {
      const shift = 2 * APPS.indexOf(match.app);
      this.apps |= (match.negated ? 2 : 1) << shift;
      if (((this.apps >> shift) & 3) === 3) {
        this.contradiction ??= `'app ${match.app}' and 'app != ${match.app}' exclude each other`;
      }
      return;
    }
    const source = fieldText(match.field);
    const implied = IMPLIED[match.field.split('.')[0]!]!;
    this.headers |= implied.headers;
    for (const constraint of implied.constraints) this.#narrow(constraint, source);

    const set = selectedValues(match);
    if (set === null) {
      this.exact = false;
      return;
    }
    if (set.length === 0) this.contradiction ??= `no value of '${source}' satisfies its match`;
    const network = match.field === 'ether.type' ? networkOf(set) : null;
    if (network !== null) this.#narrow(network, source);
    this.#narrow({ key: SAME_VALUE[match.field] ?? match.field, set }, source);
  }

  #narrow({ key, set }: Constraint, source: string): void {
    const before = this.sides.get(key) ?? fullSet(key);
    const after = intersect(before, set);
    if (after.length === 0) {
      const other = this.#source.get(key);
      this.contradiction ??=
        other === undefined || other === source
          ? `its matches on '${source}' exclude each other`
          : `'${other}' and '${source}' exclude each other`;
    }
    if (!isSubset(before, after)) {
      this.sides.set(key, after);
      this.#source.set(key, source);
    }
  }
}

/** @returns null where that is no reasonable set of intervals */
function selectedValues(match: FieldMatch): readonly Interval[] | null {
  const { bits } = FIELDS[match.field];
  const max = (1n << BigInt(bits)) - 1n;
  const { mask } = match;
  let set = match.intervals;
  if (mask !== null) {
    if (bits > MAX_ENUMERATED_BITS) return null;
    const values: Interval[] = [];
    for (let value = 0n; value <= max; value++) {
      const masked = value & mask;
      if (set.some((interval) => masked >= interval.low && masked <= interval.high))
        values.push({ low: value, high: value });
    }
    set = mergeIntervals(values);
  }
  return match.negated ? complement(set, max) : set;
}

/** Which network headers frames of these EtherTypes have; null if there are types among them that leave it open. */
function networkOf(etherTypes: readonly Interval[]): Constraint | null {
  const known = L3_OF_ETHER_TYPE.filter(([type]) => isSubset([{ low: type, high: type }], etherTypes));
  const count = etherTypes.reduce((sum, { low, high }) => sum + high - low + 1n, 0n);
  return count === BigInt(known.length) ? only('l3', ...known.map(([, l3]) => l3)) : null;
}
