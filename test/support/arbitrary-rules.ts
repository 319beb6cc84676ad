import fc from 'fast-check';
import {
  APPS,
  FIELDS,
  type FieldMatch,
  type FieldName,
  type Interval,
  MAX_RAW_BITS,
  type Match,
  type NamedSet,
  RAW_BASES,
  type Rule,
  type RuleSet,
  SET_TYPE_BITS,
  type SetElement,
  type SetType,
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
    guard: false,
    ordered: false,
    comment: null,
  };
}

/** A rule set of these rules, each given by its matches. */
export function ruleSetOf(rules: readonly (readonly Match[])[], sets: readonly NamedSet[] = []): RuleSet {
  return { file: 'made.rules', classes: [], sets, unusedSets: [], outbound: rules.map(ruleOf), inbound: null };
}

/** Elements of a dynamic set: one interval for each of its types, and how long it stays. */
export function dynamicSet(name: string, types: readonly SetType[], elements: readonly SetElement[]): NamedSet {
  const place = { file: 'made.rules', line: 1, column: 1 };
  return { name, place, types, isDynamic: true, timeoutMs: null, maxElements: 1000, elements };
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
function arbitraryValue(bits: number): fc.Arbitrary<bigint> {
  const full = (1n << BigInt(bits)) - 1n;
  const anchors = [
    0n,
    full,
    full >> 1n,
    BigInt.asUintN(bits, 1n << BigInt(bits >> 1)),
    (0x0a000001n << BigInt(bits)) >> 32n,
  ];
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

function arbitraryMask(bits: number): fc.Arbitrary<bigint | null> {
  const full = (1n << BigInt(bits)) - 1n;
  return fc.oneof(
    { weight: 6, arbitrary: fc.constant(null) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: bits }).map((free) => full ^ ((1n << BigInt(free)) - 1n)) },
    { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: full }) },
  );
}

/** What a match on one value says of it. */
function arbitraryComparison(bits: number): fc.Arbitrary<Pick<FieldMatch, 'mask' | 'negated' | 'intervals'>> {
  return fc
    .record({
      values: fc.oneof(
        { weight: 9, arbitrary: fc.array(arbitraryValue(bits), { minLength: 1, maxLength: 4 }) },
        { weight: 1, arbitrary: fc.array(arbitraryValue(bits), { minLength: 1, maxLength: 50, size: 'max' }) },
      ),
      mask: arbitraryMask(bits),
      negated: fc.nat(3).map((dice) => dice === 0),
    })
    .map(({ values, mask, negated }) => ({
      mask,
      negated,
      intervals: toIntervals(mask === null ? values : values.map((value) => value & mask)),
    }));
}

const FIELD_MATCHES = FIELD_NAMES.map((field) =>
  arbitraryComparison(FIELDS[field].bits).map((comparison): Match => ({ kind: 'field', field, ...comparison })),
);

/** Of few applications and types, so that rules about the same one meet. */
const APP_MATCH: fc.Arbitrary<Match> = fc
  .record({
    app: fc.constantFrom(...APPS),
    types: fc.option(fc.uniqueArray(fc.integer({ min: 1, max: 31 }), { minLength: 1, maxLength: 4 })),
    negated: fc.boolean(),
  })
  .map((parts) => ({ kind: 'app', ...parts }));

/** Mostly in or near the headers, where frames differ. */
const RAW_MATCH: fc.Arbitrary<Match> = fc
  .record({
    base: fc.constantFrom(...RAW_BASES),
    offsetBits: fc.oneof(
      fc.nat(48).map((byte) => byte * 8),
      fc.nat(500),
    ),
    lengthBits: fc.oneof(fc.constantFrom(1, 8, 16, 32, 48, 128), fc.integer({ min: 1, max: MAX_RAW_BITS })),
  })
  .chain((place) =>
    arbitraryComparison(place.lengthBits).map((comparison): Match => ({ kind: 'raw', ...place, ...comparison })),
  );

function arbitraryInterval(bits: number): fc.Arbitrary<Interval> {
  return fc
    .tuple(arbitraryValue(bits), fc.oneof(fc.constant(0n), fc.bigInt({ min: 0n, max: 20n }), arbitraryValue(bits)))
    .map(([low, length]) => {
      const high = low + length;
      return { low, high: high >> BigInt(bits) === 0n ? high : low };
    });
}

const CONCAT_MATCH: fc.Arbitrary<Match> = fc
  .array(fc.constantFrom(...FIELD_NAMES), { minLength: 2, maxLength: 4 })
  .chain((fields) =>
    fc.record({
      kind: fc.constant('concat' as const),
      fields: fc.constant(fields),
      negated: fc.nat(3).map((dice) => dice === 0),
      tuples: fc.array(fc.tuple(...fields.map((field) => arbitraryInterval(FIELDS[field].bits))), {
        minLength: 1,
        maxLength: 8,
      }),
    }),
  );

/** The dynamic sets of every rule set made here, and fields whose values they hold. */
const SETS: Readonly<Record<string, { readonly types: readonly SetType[]; readonly fields: FieldName[][] }>> = {
  hosts: { types: ['ipv4_addr'], fields: [['ip.saddr'], ['ip.daddr']] },
  hosts6: { types: ['ipv6_addr'], fields: [['ip6.saddr'], ['ip6.daddr']] },
  macs: { types: ['ether_addr'], fields: [['ether.saddr'], ['ether.daddr']] },
  ports: { types: ['inet_service'], fields: [['th.dport'], ['udp.sport'], ['tcp.dport'], ['sctp.sport']] },
  protocols: { types: ['inet_proto'], fields: [['meta.l4proto'], ['ip.protocol'], ['sctp.chunk']] },
  endpoints: {
    types: ['ipv4_addr', 'inet_service'],
    fields: [
      ['ip.saddr', 'udp.sport'],
      ['ip.daddr', 'th.dport'],
    ],
  },
  stations: { types: ['ether_addr', 'ipv4_addr'], fields: [['ether.saddr', 'ip.saddr']] },
};

const SET_MATCH: fc.Arbitrary<Match> = fc.constantFrom(...Object.entries(SETS)).chain(([set, { fields }]) =>
  fc.record({
    kind: fc.constant('set' as const),
    fields: fc.constantFrom(...fields),
    set: fc.constant(set),
    negated: fc.boolean(),
  }),
);

const arbitrarySets: fc.Arbitrary<NamedSet[]> = fc.tuple(
  ...Object.entries(SETS).map(([name, { types }]) =>
    fc
      .array(
        fc.record({
          intervals: fc.tuple(...types.map((type) => arbitraryInterval(SET_TYPE_BITS[type]))),
          timeoutMs: fc.constantFrom(null, 1000, 3000),
        }),
        { maxLength: 6 },
      )
      .map((elements) => dynamicSet(name, types, elements)),
  ),
);

const arbitraryMatch: fc.Arbitrary<Match> = fc.oneof(
  { weight: 24, arbitrary: fc.oneof(...FIELD_MATCHES) },
  { weight: 2, arbitrary: APP_MATCH },
  { weight: 3, arbitrary: RAW_MATCH },
  { weight: 4, arbitrary: CONCAT_MATCH },
  { weight: 2, arbitrary: SET_MATCH },
  { weight: 1, arbitrary: fc.constant<Match>({ kind: 'declared' }) },
);

const arbitraryRule = fc.record({
  matches: fc.array(arbitraryMatch, { minLength: 1, maxLength: 4, size: 'max' }),
  className: fc.constantFrom(null, 'data', 'control'),
});

/** From 0 to `maxRules` rules with up to four matches each; now and then a default in the end. */
export function arbitraryRuleSet(maxRules: number): fc.Arbitrary<RuleSet> {
  return fc
    .tuple(fc.array(arbitraryRule, { maxLength: maxRules, size: 'max' }), fc.boolean(), arbitrarySets)
    .map(([rules, hasDefault, sets]) => {
      const matches = rules.map((rule) => rule.matches);
      const ruleSet = ruleSetOf(hasDefault ? [...matches, []] : matches, sets);
      const outbound = ruleSet.outbound.map((rule, i) => ({ ...rule, className: rules[i]?.className ?? null }));
      return { ...ruleSet, outbound };
    });
}
