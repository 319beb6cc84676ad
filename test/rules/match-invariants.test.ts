import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { APP_TYPES } from '../../rules/apps.ts';
import { parseRules } from '../../rules/parse.ts';
import { FIELDS, type Interval, MAX_RAW_BITS, type Match } from '../../rules/rule.ts';
import { runs, SEED } from '../support/runs.ts';
import { fileOf } from './rules.ts';

const FIELD_WORDS = Object.keys(FIELDS).map((field) => field.replace('.', ' '));
const RAW_WORDS = ['@th,64,32', '@ll,0,8', '@nh,4,128', '@th,0,129', '@ih,0,8', '@th'];
const VALUES = ['0', '5', '7', '255', '0xff00', '70000', '10.0.0.1', '::1', '02:00:00:00:00:01', 'syn', 'http', 'init'];
const JOINTS = [
  '{',
  '}',
  ',',
  '.',
  '&',
  '(',
  '|',
  ')',
  '==',
  '!=',
  '<',
  '>=',
  '-',
  '/',
  '/8',
  '!',
  '@media',
  '*',
  '^',
  '\n',
];
const OTHERS = ['app', 'bgp', 'rtp', 'type', 'open', 'class', 'pass'];

const word = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...FIELD_WORDS, ...RAW_WORDS) },
  { weight: 4, arbitrary: fc.constantFrom(...VALUES) },
  { weight: 4, arbitrary: fc.constantFrom(...JOINTS) },
  { weight: 1, arbitrary: fc.constantFrom(...OTHERS) },
);
const anyWords = fc.array(word, { minLength: 1, maxLength: 12 }).map((words) => words.join(' '));

const value = fc.constantFrom('0', '1', '2', '5', '7', '12');
const range = fc.tuple(value, value).map(([a, b]) => (Number(a) <= Number(b) ? `${a}-${b}` : `${b}-${a}`));
const interval = fc.oneof(value, range);
const comparison = fc.constantFrom('', '==', '!=');
const braced = (element: fc.Arbitrary<string>) =>
  fc.array(element, { minLength: 1, maxLength: 6 }).map((list) => `{ ${list.join(', ')} }`);
const operand = fc.constantFrom('ip ttl', 'udp dport', 'vlan pcp', 'ip dscp', '@th,8,16', '@ll,0,128');
const mask = fc.oneof(
  fc.constant(''),
  value.map((bits) => `& ${bits}`),
);
const plain = fc.tuple(operand, mask, comparison, fc.oneof(interval, braced(interval))).map((parts) => parts.join(' '));
const tuple = fc.tuple(interval, interval).map((parts) => parts.join(' . '));
const concat = fc
  .tuple(comparison, fc.oneof(tuple, braced(tuple)))
  .map((parts) => `ip ttl . udp dport ${parts.join(' ')}`);
const matchLike = fc.array(fc.oneof(plain, concat), { minLength: 1, maxLength: 3 }).map((list) => list.join(' '));

function expectMerged(intervals: readonly Interval[], bits: number): void {
  expect(intervals.length).toBeGreaterThan(0);
  for (const [index, { low, high }] of intervals.entries()) {
    expect(low <= high && low >= 0n && high < 1n << BigInt(bits)).toBe(true);
    if (index > 0) expect(low > intervals[index - 1]!.high + 1n).toBe(true);
  }
}

function expectMask(mask: bigint | null, bits: number): void {
  if (mask !== null) expect(mask >= 0n && mask < (1n << BigInt(bits)) - 1n).toBe(true);
}

/** What rule.ts promises of every match. */
function expectSound(match: Match): void {
  switch (match.kind) {
    case 'field': {
      const { bits } = FIELDS[match.field];
      expectMerged(match.intervals, bits);
      if (match.field !== 'tcp.flags') expectMask(match.mask, bits);
      break;
    }
    case 'raw':
      expect(match.lengthBits).toBeGreaterThanOrEqual(1);
      expect(match.lengthBits).toBeLessThanOrEqual(MAX_RAW_BITS);
      expectMerged(match.intervals, match.lengthBits);
      expectMask(match.mask, match.lengthBits);
      break;
    case 'concat':
      expect(match.fields.length).toBeGreaterThanOrEqual(2);
      expect(match.tuples.length).toBeGreaterThanOrEqual(1);
      for (const intervals of match.tuples) {
        expect(intervals).toHaveLength(match.fields.length);
        for (const [index, one] of intervals.entries()) expectMerged([one], FIELDS[match.fields[index]!].bits);
      }
      break;
    case 'app':
      if (match.types !== null) {
        const known = Object.values(APP_TYPES[match.app] ?? {});
        expect(match.types.every((type) => known.includes(type))).toBe(true);
        expect(match.types).toEqual([...new Set(match.types)].sort((a, b) => a - b));
      }
      break;
    default:
  }
}

/** @returns whether the text was a rule set */
function judge(text: string): boolean {
  const { ruleSet, errors } = parseRules(text, 'x');
  expect(ruleSet === null).toBe(errors.length > 0);
  const lines = text.split('\n');
  for (const { line, column, length } of errors) {
    expect(column - 1 + length).toBeLessThanOrEqual(lines[line - 1]!.length + 1);
  }
  for (const match of ruleSet?.outbound.flatMap(({ matches }) => matches) ?? []) expectSound(match);
  return ruleSet !== null;
}

describe('matches keep what their types promise', () => {
  it('for any words of matches in any order', () => {
    fc.assert(
      fc.property(anyWords, (words) => void judge(fileOf(`${words} pass`))),
      { numRuns: runs(3000), ...SEED },
    );
  });

  it('for well formed matches, of which most are accepted', () => {
    let accepted = 0;
    let tried = 0;
    fc.assert(
      fc.property(matchLike, (words) => {
        tried++;
        if (judge(fileOf(`${words} pass`))) accepted++;
      }),
      { numRuns: runs(1000), ...SEED },
    );
    expect(accepted).toBeGreaterThan(tried / 10);
  });
});
