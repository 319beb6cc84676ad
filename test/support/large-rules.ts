import type { FieldName, Match, RuleSet } from '../../rules/rule.ts';
import { match, ruleSetOf } from './arbitrary-rules.ts';
import { Random } from './random.ts';

/**
 * Shapes of large rule sets as operators have them:
 * - hosts: one address and one UDP port each, all in one /8
 * - ports: one TCP port or short range each
 * - split: half of the rules name a source address only, half a port only
 * - filter: prefixes of all lengths, port ranges, protocols and wildcards in any combination
 * - macs: one source MAC of one vendor each
 * - ip6: one host each in a few /64, or a prefix
 * - sets: lists of addresses and ports
 */
export const LARGE_SHAPES = ['hosts', 'ports', 'split', 'filter', 'macs', 'ip6', 'sets'] as const;
export type LargeShape = (typeof LARGE_SHAPES)[number];

/** @returns `count` rules without a default, the same for the same seed */
export function largeRuleSet(shape: LargeShape, count: number, seed: number): RuleSet {
  const random = new Random(seed);
  return ruleSetOf(Array.from({ length: count }, (_, index) => MAKERS[shape](random, index)));
}

const MAKERS: Readonly<Record<LargeShape, (random: Random, index: number) => Match[]>> = {
  hosts: (random) => [exact('ip.saddr', 0x0a000000 + random.below(1 << 24)), exact('udp.dport', random.below(65536))],
  ports: (random) => {
    const low = random.below(65000);
    return [match('tcp.dport', [low, low + random.below(4)])];
  },
  split: (random, index) =>
    index % 2 === 0 ? [exact('ip.saddr', random.below(2 ** 32))] : [exact('th.dport', random.below(65536))],
  filter: (random) => {
    const matches: Match[] = [];
    if (random.below(8) > 0) matches.push(prefix(random, 'ip.saddr'));
    if (random.below(3) > 0) matches.push(prefix(random, 'ip.daddr'));
    const transport = random.pick(['tcp', 'udp', 'th'] as const);
    if (random.below(3) === 0) matches.push(portRange(random, `${transport}.sport`));
    if (random.below(3) > 0 || matches.length === 0) matches.push(portRange(random, `${transport}.dport`));
    return matches;
  },
  macs: (random) => [exact('ether.saddr', 0x5254_0000_0000 + random.below(1 << 24))],
  ip6: (random) => {
    const net = (0x20010db8n << 96n) | (BigInt(random.below(16)) << 64n);
    if (random.below(4) > 0) return [exact('ip6.daddr', net | random.bits(20))];
    const free = BigInt(random.pick([16, 32, 64]));
    const low = ((net | random.bits(64)) >> free) << free;
    return [match('ip6.daddr', [low, low | ((1n << free) - 1n)]), exact('tcp.dport', random.below(1024))];
  },
  sets: (random) => [match('ip.saddr', ...spread(random, 6, 2 ** 32)), match('th.dport', ...spread(random, 3, 65536))],
};

function exact(field: FieldName, value: number | bigint): Match {
  return match(field, [value, value]);
}

function prefix(random: Random, field: FieldName): Match {
  const length = random.pick([8, 16, 16, 20, 24, 24, 24, 28, 32, 32, 32, 32]);
  const free = 2 ** (32 - length);
  const low = Math.floor((random.pick([10, 172, 192, 203]) * 2 ** 24 + random.below(1 << 24)) / free) * free;
  return match(field, [low, low + free - 1]);
}

function portRange(random: Random, field: FieldName): Match {
  const low = random.below(60000);
  return match(
    field,
    random.pick([
      [low, low],
      [low, low],
      [low, low + 100],
      [1024, 65535],
    ] as const),
  );
}

/** Single values, sorted and never adjacent. */
function spread(random: Random, count: number, end: number): [number, number][] {
  const width = Math.floor(end / count);
  return Array.from({ length: count }, (_, i) => {
    const value = i * width + random.below(width - 1);
    return [value, value];
  });
}
