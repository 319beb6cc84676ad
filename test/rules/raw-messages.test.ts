import { describe, expect, it } from 'vitest';
import { fileOf, type MessageCase, shownErrors } from './rules.ts';

const RAW_PAYLOAD: readonly MessageCase[] = [
  [
    'an unknown base',
    '@ih,0,8 5 class data',
    [
      "r:4:1: error: '@ih' is no place to count from",
      '  @ih,0,8 5 class data',
      '  ^^^',
      '  expected @ll (Ethernet header), @nh (network header) or @th (transport header)',
      "  count from the transport header: '@th,OFFSET,LENGTH'",
    ],
  ],
  [
    'a misspelt base',
    '@tcp,0,8 5 class data',
    [
      "r:4:1: error: '@tcp' is no place to count from",
      '  @tcp,0,8 5 class data',
      '  ^^^^',
      '  expected @ll (Ethernet header), @nh (network header) or @th (transport header)',
    ],
  ],
  [
    'no length',
    '@th,64 5 class data',
    [
      "r:4:8: error: unexpected '5'",
      '  @th,64 5 class data',
      '         ^',
      "  expected ',' and the length",
      "  write '@th,OFFSET,LENGTH', both in bits",
    ],
  ],
  [
    'blanks for commas',
    '@th 64 32 5 class data',
    [
      "r:4:5: error: unexpected '64'",
      '  @th 64 32 5 class data',
      '      ^^',
      "  expected ',' and the offset",
      "  write '@th,OFFSET,LENGTH', both in bits",
    ],
  ],
  [
    'more bits than 128',
    '@th,64,256 5 class data',
    [
      "r:4:8: error: '256' is not the length of raw payload",
      '  @th,64,256 5 class data',
      '         ^^^',
      '  expected a number of bits from 1 to 128',
      '  write two matches, each on a part',
    ],
  ],
  [
    'no bits',
    '@th,64,0 5 class data',
    [
      "r:4:8: error: '0' is not the length of raw payload",
      '  @th,64,0 5 class data',
      '         ^',
      '  expected a number of bits from 1 to 128',
    ],
  ],
  [
    'an offset beyond every frame',
    '@th,1000000,8 5 class data',
    [
      "r:4:5: error: '1000000' is not the offset of raw payload",
      '  @th,1000000,8 5 class data',
      '      ^^^^^^^',
      '  expected a number of bits from 0 to 524288',
    ],
  ],
  [
    'a value of more bits',
    '@th,64,8 0x100 class data',
    [
      "r:4:10: error: '0x100' is too large for '@th,64,8'",
      '  @th,64,8 0x100 class data',
      '           ^^^^^',
      '  expected a number up to 255',
    ],
  ],
  [
    'text',
    '@th,64,32 "SIP/" class data',
    [
      "r:4:11: error: 'SIP/' is not a number",
      '  @th,64,32 "SIP/" class data',
      '            ^^^^^^',
      '  expected a number',
      "  write the text's bytes as a number: 0x5349502f, with a length of 32",
    ],
  ],
  [
    'a MAC address',
    '@ll,0,48 02:00:00:00:00:01 class data',
    [
      "r:4:10: error: '02:00:00:00:00:01' is not a number",
      '  @ll,0,48 02:00:00:00:00:01 class data',
      '           ^^^^^^^^^^^^^^^^^',
      '  expected a number',
      '  write it as a number: 0x020000000001',
    ],
  ],
  [
    'an IPv4 address',
    '@nh,96,32 10.0.0.1 class data',
    [
      "r:4:11: error: '10.0.0.1' is not a number",
      '  @nh,96,32 10.0.0.1 class data',
      '            ^^^^^^^^',
      '  expected a number',
      '  write it as a number: 0x0a000001',
    ],
  ],
  [
    'a named set',
    '@th,64,32 @magic class data',
    [
      "r:4:11: error: unexpected '@'",
      '  @th,64,32 @magic class data',
      '            ^',
      "  expected a value for '@th,64,32'",
      "  a named set cannot stand here: write the values, '{ a, b-c }'",
    ],
  ],
];

describe('an error in raw payload says where, what and what else', () => {
  it.each(RAW_PAYLOAD)('%s', (_name, lines, expected) => {
    expect(shownErrors(fileOf(lines))).toEqual(expected);
  });
});
