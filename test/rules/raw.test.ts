import { describe, expect, it } from 'vitest';
import { parseRules } from '../../rules/parse.ts';
import { MAX_RAW_BITS } from '../../rules/rule.ts';
import { fileOf, matchesOf, valuesOf } from './rules.ts';

describe('raw payload', () => {
  it('says where it counts from, and the bits that it reads', () => {
    expect(matchesOf('@th,64,32 0x5349502f')).toEqual([
      {
        kind: 'raw',
        base: 'th',
        offsetBits: 64,
        lengthBits: 32,
        mask: null,
        negated: false,
        intervals: [{ low: 0x5349502fn, high: 0x5349502fn }],
      },
    ]);
    expect(matchesOf('@ll,0,48 5')).toMatchObject([{ base: 'll', offsetBits: 0, lengthBits: 48 }]);
    expect(matchesOf('@nh, 0x10, 1 1')).toMatchObject([{ base: 'nh', offsetBits: 16, lengthBits: 1 }]);
  });

  const all = (1n << 128n) - 1n;
  // As nft 1.0.6 reads them.
  it.each([
    ['@th,64,32 == 5', '5'],
    ['@th,64,32 != 5', '!5'],
    ['@th,64,32 1-5', '1-5'],
    ['@th,64,32 0x5-0x9', '5-9'],
    ['@th,64,32 { 1, 5-9 }', '1 5-9'],
    ['@th,64,32 != { 1, 5-9 }', '!1 5-9'],
    ['@th,64,8 > 30', '31-255'],
    ['@th,64,32 & 0xff == 5', '&255 5'],
    ['@th,64,32 & 0xff 5', '&255 5'],
    ['@th,64,32 & 0xff00ff00 == { 0x100, 0x200 }', `&${0xff00ff00} 256 512`],
    ['@ll,0,8 & 1 == 1', '&1 1'],
    ['@nh,0,128 0xffffffffffffffffffffffffffffffff', String(all)],
    [`@nh,0,128 ${all}`, String(all)],
    ['@nh,0,128 & 0x80000000000000000000000000000000 != 0', `!&${1n << 127n} 0`],
  ])('%s', (match, values) => {
    expect(valuesOf(match)).toBe(values);
  });

  it('goes with other matches in any order', () => {
    const matches = matchesOf('meta l4proto udp @th,64,32 0x5349502f ip ttl 1 @nh,0,4 4');
    expect(matches.map(({ kind }) => kind)).toEqual(['field', 'raw', 'field', 'raw']);
  });

  it('reads numbers of any number of digits without delay', () => {
    const { errors } = parseRules(fileOf(`@th,0,${'1'.repeat(1e6)} 5 pass`, `@th,0,8 0x${'0'.repeat(1e6)} pass`), 'x');
    expect(errors.map(({ code, line }) => [code, line])).toEqual([
      ['out-of-range', 4],
      ['out-of-range', 5],
    ]);
  });

  it.each([0, MAX_RAW_BITS + 1])('has no length of %i bits', (length) => {
    expect(parseRules(fileOf(`@th,0,${length} 0 pass`), 'x').errors).toMatchObject([{ code: 'out-of-range' }]);
  });
});
