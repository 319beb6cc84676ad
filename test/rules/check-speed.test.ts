import { describe, expect, it } from 'vitest';
import { checkRules } from '../../rules/check.ts';
import { parseRules } from '../../rules/parse.ts';
import { FIELDS, type FieldName, type Match, type Rule } from '../../rules/rule.ts';
import { match, ruleSetOf } from '../support/arbitrary-rules.ts';
import { LARGE_SHAPES, largeRuleSet } from '../support/large-rules.ts';
import { Random } from '../support/random.ts';
import { fileOf } from './rules.ts';

const COUNT = 10_000;
/** What the whole check of a file may take on one processor, reading included. */
const SECONDS = 3;

const random = new Random(7);
const FIELD_NAMES = (Object.keys(FIELDS) as FieldName[]).filter((field) => /^(ether|ip|tcp|vlan|meta)\./.test(field));

function anyRange(field: FieldName): Match {
  const { bits } = FIELDS[field];
  const [a, b] = [random.bits(bits), random.bits(bits)];
  return match(field, a < b ? [a, b] : [b, a]);
}

/** Rules that are as hard on the checker as can be thought of: each overlaps most of the others. */
const CONTRIVED: Readonly<Record<string, (index: number) => readonly Match[]>> = {
  'two port ranges each': () => [anyRange('udp.sport'), anyRange('udp.dport')],
  'two IPv6 ranges each': () => [anyRange('ip6.saddr'), anyRange('ip6.daddr')],
  'two IPv6 and two port ranges each': () =>
    (['ip6.saddr', 'ip6.daddr', 'tcp.sport', 'tcp.dport'] as const).map(anyRange),
  'any four fields each': () => Array.from({ length: 4 }, () => anyRange(random.pick(FIELD_NAMES))),
  'any combination of fields each': () => [
    anyRange('tcp.flags'),
    ...FIELD_NAMES.filter(() => random.below(2) === 0).map(anyRange),
  ],
  'ten tuples each': () => [
    {
      kind: 'concat',
      fields: ['ip.saddr', 'udp.dport'],
      negated: false,
      tuples: Array.from({ length: 10 }, () =>
        [random.bits(32), random.bits(16)].map((value) => ({ low: value, high: value })),
      ),
    },
  ],
  'a hundred ports each, half of them negated': (index) => [
    {
      ...match('th.dport', ...Array.from({ length: 100 }, (_, i) => one(i * 600 + random.below(500)))),
      negated: index % 2 === 0,
    },
  ],
  'a slice each, and now and then one over twenty slices': (index) => {
    const from = Math.floor(index / 20) * 100;
    return [
      match(
        'udp.dport',
        index % 20 === 19 ? [from, from + 94] : [from + (index % 20) * 5, from + (index % 20) * 5 + 4],
      ),
    ];
  },
  'three negations each': () =>
    (['udp.dport', 'udp.sport', 'ip.saddr'] as const).map((field) => ({
      ...match(field, [random.below(100), 100 + random.below(100)]),
      negated: true,
    })),
};

function one(value: number): [number, number] {
  return [value, value];
}

function cpuSeconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  return process.cpuUsage(before).user / 1e6;
}

describe(`of ${COUNT.toLocaleString('en')} rules the check takes less than ${SECONDS} seconds`, () => {
  it.each(LARGE_SHAPES)('%s', (shape) => {
    const ruleSet = largeRuleSet(shape, COUNT, 3);
    expect(cpuSeconds(() => checkRules(ruleSet, []))).toBeLessThan(SECONDS);
  });

  it.each(Object.keys(CONTRIVED))('%s', (name) => {
    const ruleSet = ruleSetOf(Array.from({ length: COUNT }, (_, i) => CONTRIVED[name]!(i)));
    expect(cpuSeconds(() => checkRules(ruleSet, []))).toBeLessThan(SECONDS);
  });

  it('a hundred claims about them', () => {
    const rules = largeRuleSet('filter', COUNT, 3);
    const outbound = rules.outbound.map((rule, i): Rule => ({ ...rule, verdict: i % 2 === 0 ? 'pass' : 'hold' }));
    const place = { file: 'made.rules', line: 1, column: 1 };
    const claims = Array.from({ length: 100 }, (_, i) => ({
      place,
      text: '',
      matches: [match('th.dport', one(i * 100))],
    }));
    expect(cpuSeconds(() => checkRules({ ...rules, outbound }, claims))).toBeLessThan(SECONDS);
  });

  it('reading included', () => {
    const lines = Array.from(
      { length: COUNT },
      (_, i) => `ip saddr 10.${i % 256}.0.0/16 tcp dport { ${i}, ${i + 2}-${i + 9} } tcp flags & (syn|ack) == syn hold`,
    );
    const text = fileOf('# @holds udp dport 5', ...lines);
    expect(cpuSeconds(() => parseRules(text, 'x'))).toBeLessThan(SECONDS);
  });
});
