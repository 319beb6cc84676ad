import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRules } from '../../rules/parse.ts';
import type { FieldMatch } from '../../rules/rule.ts';
import { runs, SEED } from '../support/runs.ts';
import { fileOf, matchesOf, valuesOf } from './rules.ts';

describe('a mask', () => {
  // The right side is what nft 1.0.6 makes of the left one (`nft --debug=netlink`).
  it.each([
    ['ip saddr & 255.255.255.0 == 10.0.0.0', `&${0xffffff00} ${0x0a000000}`],
    ['ip saddr & 255.255.255.0 10.0.0.0', `&${0xffffff00} ${0x0a000000}`],
    ['ip saddr & 0xffffff00 == 10.0.0.0', `&${0xffffff00} ${0x0a000000}`],
    ['ip saddr & 255.255.255.0 != 10.0.0.0', `!&${0xffffff00} ${0x0a000000}`],
    ['ip saddr & 255.0.0.255 == { 10.0.0.1, 10.0.0.2 }', `&${0xff0000ff} ${0x0a000001}-${0x0a000002}`],
    ['ip daddr & 255.255.0.255 == 10.0.0.1-10.0.0.5', `&${0xffff00ff} ${0x0a000001}-${0x0a000005}`],
    ['ip6 saddr & ffff:: == 2001::', `&${0xffffn << 112n} ${0x2001n << 112n}`],
    ['ether daddr & 01:00:00:00:00:00 != 00:00:00:00:00:00', `!&${0x010000000000} 0`],
    ['tcp dport & 1 == 1', '&1 1'],
    ['tcp dport & 0x1 != 0', '!&1 0'],
    ['tcp dport & 1 > 0', '&1 1-65535'],
    ['tcp dport & (1|2) == 1', '&3 1'],
    ['udp dport & http == http', '&80 80'],
    ['ip frag-off & 0x1fff != 0', `!&${0x1fff} 0`],
    ['ip frag-off & 0x1fff 1-5', `&${0x1fff} 1-5`],
    ['ip frag-off & 0x1fff { 1-5, 7 }', `&${0x1fff} 1-5 7`],
    ['ip dscp & 0x38 == cs1', '&56 8'],
    ['tcp dport & 0 == 0', '&0 0'],
  ])('%s', (match, values) => {
    expect(valuesOf(match)).toBe(values);
  });

  it('of all bits is no mask', () => {
    expect(matchesOf('tcp dport & 0xffff == 5')).toEqual(matchesOf('tcp dport 5'));
    expect(matchesOf('ip saddr & 255.255.255.255 != 10.0.0.1')).toEqual(matchesOf('ip saddr != 10.0.0.1'));
  });

  const byte = fc.nat(255);
  it('is refused exactly where it leaves no value in the range', () => {
    fc.assert(
      fc.property(byte, byte, byte, (mask, one, other) => {
        const [low, high] = [Math.min(one, other), Math.max(one, other)];
        const { errors } = parseRules(fileOf(`ip ttl & ${mask} == ${low}-${high} pass`), 'x');
        let reachable = false;
        for (let value = 0; value < 256; value++) reachable ||= (value & mask) >= low && (value & mask) <= high;
        expect(errors.map(({ code }) => code)).toEqual(reachable ? [] : ['outside-mask']);
      }),
      { numRuns: runs(1000), ...SEED },
    );
  });

  it('selects what its bits say, whatever the comparison', () => {
    const comparison = fc.constantFrom('==', '!=', '<', '>', '<=', '>=');
    fc.assert(
      fc.property(byte, byte, byte, comparison, (mask, bits, ttl, sign) => {
        const value = bits & mask;
        const { ruleSet, errors } = parseRules(fileOf(`ip ttl & ${mask} ${sign} ${value} pass`), 'x');
        const masked = ttl & mask;
        const expected = {
          '==': masked === value,
          '!=': masked !== value,
          '<': masked < value,
          '>': masked > value,
          '<=': masked <= value,
          '>=': masked >= value,
        }[sign]!;
        if (ruleSet === null) {
          expect(['out-of-range', 'outside-mask']).toContain(errors[0]!.code);
          expect(expected).toBe(false);
          return;
        }
        const match = ruleSet.outbound[0]!.matches[0] as FieldMatch;
        const kept = BigInt(ttl) & (match.mask ?? 255n);
        const inside = match.intervals.some(({ low, high }) => kept >= low && kept <= high);
        expect(inside !== match.negated).toBe(expected);
      }),
      { numRuns: runs(1000), ...SEED },
    );
  });
});
