import { describe, expect, it } from 'vitest';
import { fileOf, type MessageCase, shownErrors } from './rules.ts';

const FLAGS_AND_MASKS: readonly MessageCase[] = [
  [
    'a misspelt flag',
    'tcp flags sny class data',
    [
      "r:4:11: error: 'sny' is not a TCP flag",
      '  tcp flags sny class data',
      '            ^^^',
      '  expected a TCP flag, by name or number',
      "  did you mean 'syn'?",
    ],
  ],
  [
    'a mask without parentheses',
    'tcp flags & syn|ack == syn class data',
    [
      "r:4:16: error: unexpected '|'",
      '  tcp flags & syn|ack == syn class data',
      '                 ^',
      '  expected the mask in parentheses',
      "  write '& (syn|ack) == …'; without them nft reads something else",
    ],
  ],
  [
    'a mask without comparison',
    'tcp flags & syn class data',
    [
      "r:4:17: error: unexpected 'class'",
      '  tcp flags & syn class data',
      '                  ^^^^^',
      "  expected '==' or '!=' after the mask",
      "  for 'any of these flags' write '& (syn|fin) != 0'",
    ],
  ],
  [
    'flags from a set',
    'tcp flags @media class data',
    [
      "r:4:11: error: unexpected '@'",
      '  tcp flags @media class data',
      '            ^',
      "  expected a value for 'tcp flags'",
      "  write the flags: '{ syn, syn|ack }'; no named set has them",
    ],
  ],
  [
    'a value outside the mask',
    'ip frag-off & 0x1fff == 0x2001 class data',
    [
      'r:4:25: error: 0x2001 has bits outside the mask 0x1fff: no masked value can be this',
      '  ip frag-off & 0x1fff == 0x2001 class data',
      '                          ^^^^^^',
      "  write '0x1', or a mask that keeps them: '& 0x3fff'",
    ],
  ],
  [
    'an address outside the mask',
    'ip saddr & 255.255.255.0 == 10.0.0.1 class data',
    [
      'r:4:29: error: 10.0.0.1 has bits outside the mask 255.255.255.0: no masked value can be this',
      '  ip saddr & 255.255.255.0 == 10.0.0.1 class data',
      '                              ^^^^^^^^',
      "  write '10.0.0.0', or a mask that keeps them: '& 255.255.255.1'",
    ],
  ],
  [
    'a mask the wrong way round',
    'ip saddr & 0.0.0.255 == 10.0.0.0 class data',
    [
      'r:4:25: error: 10.0.0.0 has bits outside the mask 0.0.0.255: no masked value can be this',
      '  ip saddr & 0.0.0.255 == 10.0.0.0 class data',
      '                          ^^^^^^^^',
      "  did you mean '& 255.255.255.0'?",
    ],
  ],
  [
    'a range outside the mask',
    'ip ttl & 0x0f == 0x10-0x1f class data',
    [
      'r:4:18: error: the mask 0xf leaves no value in this range',
      '  ip ttl & 0x0f == 0x10-0x1f class data',
      '                   ^^^^^^^^^',
      '  the largest that it leaves is 0xf',
    ],
  ],
  [
    'a prefix length for a mask',
    'ip saddr & 24 == 10.0.0.0 class data',
    [
      "r:4:12: error: '24' is not a mask for 'ip saddr'",
      '  ip saddr & 24 == 10.0.0.0 class data',
      '             ^^',
      '  expected a mask written as an IPv4 address or in hexadecimal',
      "  for a prefix write 'ip saddr ADDRESS/24'",
    ],
  ],
  [
    'a prefix and a mask',
    'ip saddr & 255.255.255.0 == 10.0.0.0/24 class data',
    [
      'r:4:29: error: a prefix cannot stand behind a mask: nft would change the mask',
      '  ip saddr & 255.255.255.0 == 10.0.0.0/24 class data',
      '                              ^^^^^^^^^^^',
      "  write a range, 'low-high', or the prefix without the mask",
    ],
  ],
  [
    'a mask too wide',
    'ip ttl & 0x1ff == 5 class data',
    [
      "r:4:10: error: '0x1ff' is too large for 'ip ttl'",
      '  ip ttl & 0x1ff == 5 class data',
      '           ^^^^^',
      '  expected a number up to 255',
    ],
  ],
  [
    'a mask and nothing else',
    'ip frag-off & 0x2000 class data',
    [
      "r:4:22: error: unexpected 'class'",
      '  ip frag-off & 0x2000 class data',
      '                       ^^^^^',
      '  expected a value after the mask',
      "  for 'any of these bits' write 'ip frag-off & 0x2000 != 0'",
    ],
  ],
  [
    'or without parentheses',
    'tcp dport & 1|2 == 1 class data',
    [
      "r:4:14: error: unexpected '|'",
      '  tcp dport & 1|2 == 1 class data',
      '               ^',
      '  expected the mask in parentheses',
      "  write '& (a|b) == …'; without them nft reads something else",
    ],
  ],
  [
    'exclusive or',
    'ip saddr ^ 10.0.0.1 == 0.0.0.0 class data',
    [
      "r:4:10: error: unexpected '^'",
      '  ip saddr ^ 10.0.0.1 == 0.0.0.0 class data',
      '           ^',
      "  expected a value for 'ip saddr'",
      "  the only operation on a value is '&': 'field & MASK == VALUE'",
    ],
  ],
  [
    'a shift',
    'ip dscp << 2 == 5 class data',
    [
      "r:4:9: error: unexpected '<'",
      '  ip dscp << 2 == 5 class data',
      '          ^',
      "  expected a value for 'ip dscp'",
      "  the only operation on a value is '&': 'field & MASK == VALUE'",
    ],
  ],
  [
    'a named set behind a mask',
    'ip saddr & 255.255.255.0 == @nets class data',
    [
      "r:4:29: error: unexpected '@'",
      '  ip saddr & 255.255.255.0 == @nets class data',
      '                              ^',
      "  expected a value for 'ip saddr'",
      "  a named set takes no mask: write the values, '{ a, b-c }'",
    ],
  ],
];

describe('an error in flags and masks says where, what and what else', () => {
  it.each(FLAGS_AND_MASKS)('%s', (_name, lines, expected) => {
    expect(shownErrors(fileOf(lines))).toEqual(expected);
  });
});
