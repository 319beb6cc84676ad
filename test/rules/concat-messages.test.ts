import { describe, expect, it } from 'vitest';
import { fileOf, type MessageCase, shownErrors } from './rules.ts';

const CONCATENATIONS: readonly MessageCase[] = [
  [
    'of two IP versions',
    'ip saddr . ip6 daddr { 10.0.0.1 . ::1 } class data',
    [
      "r:4:12: error: conflicting protocols: no frame has both 'ip saddr' and 'ip6 daddr'",
      '  ip saddr . ip6 daddr { 10.0.0.1 . ::1 } class data',
      '             ^^^^^^^^^',
      '  write one rule for each protocol',
    ],
  ],
  [
    'of two transports',
    'udp sport . tcp dport { 1 . 2 } class data',
    [
      "r:4:13: error: conflicting protocols: no frame has both 'udp sport' and 'tcp dport'",
      '  udp sport . tcp dport { 1 . 2 } class data',
      '              ^^^^^^^^^',
      '  write one rule for each protocol',
    ],
  ],
  [
    'of one field twice',
    'ip saddr . ip saddr { 10.0.0.1 . 10.0.0.2 } class data',
    [
      "r:4:12: error: 'ip saddr' stands twice in this concatenation",
      '  ip saddr . ip saddr { 10.0.0.1 . 10.0.0.2 } class data',
      '             ^^^^^^^^',
      '  did you mean the other direction, saddr and daddr, sport and dport?',
    ],
  ],
  [
    'with flags',
    'ip saddr . tcp flags { 10.0.0.1 . syn } class data',
    [
      "r:4:12: error: 'tcp flags' cannot be part of a concatenation: flags are compared under a mask",
      '  ip saddr . tcp flags { 10.0.0.1 . syn } class data',
      '             ^^^^^^^^^',
      "  write it as a match of its own beside the concatenation: 'tcp flags & (syn|ack) == syn'",
    ],
  ],
  [
    'with a mask',
    'ip saddr . udp dport & 1 { 10.0.0.1 . 1 } class data',
    [
      "r:4:22: error: unexpected '&'",
      '  ip saddr . udp dport & 1 { 10.0.0.1 . 1 } class data',
      '                       ^',
      "  expected a value for 'ip saddr . udp dport'",
      '  a concatenation compares whole values: write the masked match on its own, beside it',
    ],
  ],
  [
    'with a mask before the dot',
    'ip saddr & 255.0.0.0 . udp dport { 10.0.0.0 . 1 } class data',
    [
      "r:4:22: error: unexpected '.'",
      '  ip saddr & 255.0.0.0 . udp dport { 10.0.0.0 . 1 } class data',
      '                       ^',
      "  expected a value for 'ip saddr'",
      '  a concatenation compares whole values: write the masked match on its own, beside it',
    ],
  ],
  [
    'with raw payload',
    '@th,0,16 . ip saddr { 5 . 10.0.0.1 } class data',
    [
      "r:4:10: error: unexpected '.'",
      '  @th,0,16 . ip saddr { 5 . 10.0.0.1 } class data',
      '           ^',
      "  expected a value for '@th,…'",
      '  raw payload goes into no concatenation: write it as a match of its own',
    ],
  ],
  [
    'with an application',
    'ip saddr . app { 10.0.0.1 . sip } class data',
    [
      "r:4:12: error: unexpected 'app'",
      '  ip saddr . app { 10.0.0.1 . sip } class data',
      '             ^^^',
      "  expected a field after '.', like 'udp dport'",
      '  only fields go into a concatenation: write this as a match of its own',
    ],
  ],
  [
    'without blanks',
    'ip saddr.udp dport { 10.0.0.1 . 53 } class data',
    [
      "r:4:4: error: 'ip' has no field 'saddr.udp'",
      '  ip saddr.udp dport { 10.0.0.1 . 53 } class data',
      '     ^^^^^^^^^',
      "  expected saddr, daddr, protocol, dscp, ttl, length or frag-off after 'ip'",
      "  in a concatenation blanks stand around the '.': 'ip saddr . udp'",
    ],
  ],
  [
    'of values without blanks',
    'ip saddr . udp dport { 10.0.0.1.53 } class data',
    [
      "r:4:24: error: '10.0.0.1.53' is not an IPv4 address",
      '  ip saddr . udp dport { 10.0.0.1.53 } class data',
      '                         ^^^^^^^^^^^',
      '  expected an IPv4 address like 192.0.2.1',
      "  in a concatenation blanks stand around the '.': '192.0.2.1 . 53'",
    ],
  ],
  [
    'that names the second field too late',
    'ip saddr 10.0.0.1 . 53 class data',
    [
      "r:4:19: error: unexpected '.'",
      '  ip saddr 10.0.0.1 . 53 class data',
      '                    ^',
      '  expected a match, a class or a verdict',
      "  a concatenation names all its fields first: 'ip saddr . FIELD { VALUE . VALUE }'",
    ],
  ],
  [
    'an element too short',
    'ip saddr . udp dport { 10.0.0.1, 10.0.0.2 . 53 } class data',
    [
      "r:4:24: error: this has 1 of the 2 values of 'ip saddr . udp dport'",
      '  ip saddr . udp dport { 10.0.0.1, 10.0.0.2 . 53 } class data',
      '                         ^^^^^^^^',
      "  expected '.' and a port for 'udp dport' behind it",
    ],
  ],
  [
    'an element too long',
    'ip saddr . udp dport { 10.0.0.1 . 53 . 54 } class data',
    [
      "r:4:38: error: unexpected '.'",
      '  ip saddr . udp dport { 10.0.0.1 . 53 . 54 } class data',
      '                                       ^',
      "  expected 2 values for 'ip saddr . udp dport', not more",
    ],
  ],
  [
    'a set in an element',
    'ip saddr . udp dport { 10.0.0.1 . { 53, 54 } } class data',
    [
      "r:4:35: error: unexpected '{'",
      '  ip saddr . udp dport { 10.0.0.1 . { 53, 54 } } class data',
      '                                    ^',
      "  expected a port for 'udp dport'",
      '  sets do not nest: write one element for each value',
    ],
  ],
  [
    'a star in an element',
    'ip saddr . udp dport { 10.0.0.1 . * } class data',
    [
      "r:4:35: error: unexpected '*'",
      '  ip saddr . udp dport { 10.0.0.1 . * } class data',
      '                                    ^',
      "  expected a port for 'udp dport'",
      "  there is no '*': for any value write '0-65535'",
    ],
  ],
  [
    'a comparison',
    'ip saddr . udp dport > 10.0.0.1 . 53 class data',
    [
      "r:4:22: error: unexpected '>'",
      '  ip saddr . udp dport > 10.0.0.1 . 53 class data',
      '                       ^',
      "  expected a value for 'ip saddr . udp dport'",
      "  a concatenation compares with '==' or '!='; its elements may be ranges",
    ],
  ],
  [
    'several elements without braces',
    'ip saddr . udp dport 10.0.0.1 . 53, 10.0.0.2 . 53 class data',
    [
      "r:4:35: error: unexpected ','",
      '  ip saddr . udp dport 10.0.0.1 . 53, 10.0.0.2 . 53 class data',
      '                                    ^',
      '  expected a match, a class or a verdict',
      "  several elements go in braces: '{ a . b, c . d }'",
    ],
  ],
  [
    'no values',
    'ip saddr . udp dport class data',
    [
      "r:4:22: error: unexpected 'class'",
      '  ip saddr . udp dport class data',
      '                       ^^^^^',
      "  expected an IPv4 address for 'ip saddr'",
    ],
  ],
];

describe('an error in concatenations says where, what and what else', () => {
  it.each(CONCATENATIONS)('%s', (_name, lines, expected) => {
    expect(shownErrors(fileOf(lines))).toEqual(expected);
  });
});
