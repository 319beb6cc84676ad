import { describe, expect, it } from 'vitest';
import { type MessageCase, shownErrors } from './rules.ts';

const SETS: readonly MessageCase[] = [
  [
    "a typo in a set's name",
    `set media {
  type inet_service
  flags interval
  elements = { 1-2 }
}
outbound {
  udp dport @meda pass
}`,
    [
      "r:7:14: error: there is no set 'meda'",
      '    udp dport @meda pass',
      '               ^^^^',
      "  did you mean 'media'?",
    ],
  ],
  [
    'a set without a type',
    `set media {
  elements = { 1 }
}
outbound {
  udp dport @media pass
}`,
    [
      'r:2:3: error: how to read the elements is said by the type, which is not known here',
      '    elements = { 1 }',
      '    ^^^^^^^^',
      "  write 'type …' above 'elements'",
    ],
  ],
  [
    'a set with an unknown type',
    `set media {
  type ipv4_adr
}
outbound {
  ip saddr @media pass
}`,
    [
      "r:2:8: error: 'ipv4_adr' is not a type of set elements",
      '    type ipv4_adr',
      '         ^^^^^^^^',
      '  expected a type: ipv4_addr, ipv6_addr, ether_addr, inet_service, inet_proto',
      "  did you mean 'ipv4_addr'?",
    ],
  ],
  [
    'a set type that nft has',
    `set media {
  type mark
}
outbound {
  ip saddr @media pass
}`,
    [
      "r:2:8: error: 'mark' is not a type of set elements",
      '    type mark',
      '         ^^^^',
      '  expected a type: ipv4_addr, ipv6_addr, ether_addr, inet_service, inet_proto',
    ],
  ],
  [
    'a range in a set without the flag',
    `set media {
  type inet_service
  elements = { 1-2 }
}
outbound {
  udp dport @media pass
}`,
    [
      "r:3:16: error: '1-2' is more than one value",
      '    elements = { 1-2 }',
      '                 ^^^',
      "  add 'flags interval' to the set",
    ],
  ],
  [
    'a wrong element in a set',
    `set hosts {
  type ipv4_addr
  elements = { ::1, 10.0.0.1/8, 70000 }
}
outbound {
  ip saddr @hosts pass
}`,
    [
      "r:3:16: error: '::1' is an IPv6 address, 'ipv4_addr' reads IPv4 ones",
      '    elements = { ::1, 10.0.0.1/8, 70000 }',
      '                 ^^^',
      "  write 'type ipv6_addr'",
      "r:3:21: error: '10.0.0.1/8' has bits set behind its prefix",
      '    elements = { ::1, 10.0.0.1/8, 70000 }',
      '                      ^^^^^^^^^^',
      '  the network is 10.0.0.0/8; the one address is 10.0.0.1',
      "r:3:33: error: '70000' is not an IPv4 address",
      '    elements = { ::1, 10.0.0.1/8, 70000 }',
      '                                  ^^^^^',
      '  expected an IPv4 address like 192.0.2.1',
    ],
  ],
  [
    'a port set for addresses',
    `set hosts {
  type inet_service
  elements = { 5060 }
}
outbound {
  ip saddr @hosts pass
}`,
    [
      "r:6:3: error: set 'hosts' holds 'inet_service', 'ip saddr' is 'ipv4_addr'",
      '    ip saddr @hosts pass',
      '    ^^^^^^^^^^^^^^^',
      '  the set is defined in line 1',
    ],
  ],
  [
    'a set of another width',
    `set pairs {
  type ipv4_addr . inet_service
  elements = { 10.0.0.1 . 5060 }
}
outbound {
  ip saddr @pairs pass
}`,
    [
      "r:6:3: error: set 'pairs' holds 'ipv4_addr . inet_service', 'ip saddr' is 'ipv4_addr'",
      '    ip saddr @pairs pass',
      '    ^^^^^^^^^^^^^^^',
      '  the set is defined in line 1',
    ],
  ],
  [
    'a tuple too short',
    `set pairs {
  type ipv4_addr . inet_service
  elements = { 10.0.0.1 }
}
outbound {
  ip saddr . udp dport @pairs pass
}`,
    [
      "r:3:16: error: this has 1 of the 2 values of 'ipv4_addr . inet_service'",
      '    elements = { 10.0.0.1 }',
      '                 ^^^^^^^^',
      "  expected '.' and a port for 'inet_service' behind it",
    ],
  ],
  [
    'a tuple too long',
    `set pairs {
  type ipv4_addr . inet_service
  elements = { 10.0.0.1 . 5 . 6 }
}
outbound {
  ip saddr . udp dport @pairs pass
}`,
    [
      "r:3:29: error: unexpected '.'",
      '    elements = { 10.0.0.1 . 5 . 6 }',
      '                              ^',
      "  expected 2 values for 'ipv4_addr . inet_service', not more",
    ],
  ],
  [
    'a set defined twice',
    `set a {
  type inet_service
  elements = { 1 }
}
set a {
  type inet_service
}
outbound {
  udp dport @a pass
}`,
    ["r:5:5: error: set 'a' is already defined in line 1", '  set a {', '      ^'],
  ],
  [
    'an option of a set that does not exist',
    `set a {
  typ inet_service
  elements = { 1 }
}
outbound {
  udp dport @a pass
}`,
    [
      "r:2:3: error: 'typ' says nothing about a set",
      '    typ inet_service',
      '    ^^^',
      "  expected 'type', 'flags', 'timeout', 'size', 'elements' or '}'",
      "  did you mean 'type'?",
      'r:3:3: error: how to read the elements is said by the type, which is not known here',
      '    elements = { 1 }',
      '    ^^^^^^^^',
      "  write 'type …' above 'elements'",
    ],
  ],
  [
    'an unknown flag',
    `set a {
  type inet_service
  flags intervall
  elements = { 1 }
}
outbound {
  udp dport @a pass
}`,
    [
      "r:3:9: error: 'intervall' is not a flag of sets",
      '    flags intervall',
      '          ^^^^^^^^^',
      '  expected constant, dynamic, interval, timeout',
      "  did you mean 'interval'?",
    ],
  ],
  [
    'elements without an equals sign',
    `set a {
  type inet_service
  elements { 1 }
}
outbound {
  udp dport @a pass
}`,
    ["r:3:12: error: unexpected '{'", '    elements { 1 }', '             ^', "  expected '=' after 'elements'"],
  ],
  [
    'a timeout without a unit',
    `set a {
  type inet_service
  flags timeout
  timeout 30
}
outbound {
  udp dport @a pass
}`,
    [
      "r:4:11: error: '30' is not a time",
      '    timeout 30',
      '            ^^',
      "  expected a time like '30s', '1500ms' or '1d2h3m4s'",
      "  say the unit: '30s'",
    ],
  ],
  [
    'an empty set',
    `set a {
  type inet_service
  flags timeout
  elements = { }
}
outbound {
  udp dport @a pass
}`,
    [
      'r:4:14: error: an empty set matches nothing',
      '    elements = { }',
      '               ^^^',
      '  expected at least one value',
    ],
  ],
  [
    'a set that is not closed',
    `set a {
  type inet_service
  elements = { 1 }
outbound {
  udp dport @a pass
}`,
    [
      "r:1:7: error: this set is not closed: '}' is missing",
      '  set a {',
      '        ^',
      "  'outbound' begins in line 4, and stands outside of sets",
    ],
  ],
  [
    'set without a name',
    `set {
  type inet_service
}
outbound {
}`,
    ["r:1:5: error: unexpected '{'", '  set {', '      ^', '  expected the name of the set'],
  ],
  [
    'a map',
    `map m {
  type inet_service : verdict
}
outbound {
}`,
    [
      "r:1:1: error: 'map' is not part of the language",
      '  map m {',
      '  ^^^',
      "  write one rule for each value, or one for each verdict with a set: '{ a, b }'",
    ],
  ],
  [
    'define without a value',
    'define X =\noutbound {\n  udp dport $X pass\n}',
    ['r:1:11: error: unexpected end of line', '  define X =', '            ^', "  expected what '$X' stands for"],
  ],
  [
    'define without an equals sign',
    'define X 5\noutbound {\n  udp dport $X pass\n}',
    ["r:1:10: error: unexpected '5'", '  define X 5', '           ^', "  expected '=' after 'X'"],
  ],
  [
    'a define used above it',
    'outbound {\n  udp dport $X pass\n}\ndefine X = 5',
    [
      "r:2:13: error: '$X' is not defined here",
      '    udp dport $X pass',
      '              ^^',
      '  its definition in line 4 must stand above',
    ],
  ],
  [
    'define twice',
    'define X = 5\ndefine X = 6\noutbound {\n  udp dport $X pass\n}',
    [
      "r:2:8: error: '$X' is already defined in line 1",
      '  define X = 6',
      '         ^',
      "  to change it from here on write 'redefine'",
    ],
  ],
  [
    'a wrong value in a define',
    'define X = 70000\noutbound {\n  udp dport $X pass\n}',
    [
      "r:3:13: error: '70000' is too large for 'udp dport', in '$X' of line 1",
      '    udp dport $X pass',
      '              ^^',
      '  expected a number up to 65535',
    ],
  ],
  [
    'a typo in a variable',
    'define MEDIA = 5060\noutbound {\n  udp dport $MEDA pass\n}',
    [
      "r:3:13: error: '$MEDA' is not defined",
      '    udp dport $MEDA pass',
      '              ^^^^^',
      "  did you mean 'MEDIA'?",
    ],
  ],
];

describe('an error in named sets and definitions says where, what and what else', () => {
  it.each(SETS)('%s', (_name, text, expected) => {
    expect(shownErrors(text)).toEqual(expected);
  });
});
