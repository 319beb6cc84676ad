import { describe, expect, it } from 'vitest';
import { fileOf, type MessageCase, shownErrors } from './rules.ts';

const VALUES: readonly MessageCase[] = [
  [
    'a range that runs backwards',
    'udp dport 20000-10000 class data',
    [
      "r:4:11: error: the range '20000-10000' runs backwards",
      '  udp dport 20000-10000 class data',
      '            ^^^^^^^^^^^',
      "  write '10000-20000'",
    ],
  ],
  [
    'bits behind a prefix',
    'ip saddr 10.0.0.1/8 class data',
    [
      "r:4:10: error: '10.0.0.1/8' has bits set behind its prefix",
      '  ip saddr 10.0.0.1/8 class data',
      '           ^^^^^^^^^^',
      '  the network is 10.0.0.0/8; the one address is 10.0.0.1',
    ],
  ],
  [
    'bits behind an IPv6 prefix',
    'ip6 saddr 2001:db8::1/32 class data',
    [
      "r:4:11: error: '2001:db8::1/32' has bits set behind its prefix",
      '  ip6 saddr 2001:db8::1/32 class data',
      '            ^^^^^^^^^^^^^^',
      '  the network is 2001:db8::/32; the one address is 2001:db8::1',
    ],
  ],
  [
    'a prefix length too long',
    'ip saddr 10.0.0.0/33 class data',
    [
      "r:4:19: error: '33' is not a prefix length for 'ip saddr'",
      '  ip saddr 10.0.0.0/33 class data',
      '                    ^^',
      '  expected a number from 0 to 32',
    ],
  ],
  [
    'a netmask for a prefix length',
    'ip saddr 10.0.0.0/255.0.0.0 class data',
    [
      "r:4:19: error: '255.0.0.0' is not a prefix length for 'ip saddr'",
      '  ip saddr 10.0.0.0/255.0.0.0 class data',
      '                    ^^^^^^^^^',
      '  expected a number from 0 to 32',
      "  write '10.0.0.0/8'",
    ],
  ],
  [
    'a prefix length missing',
    'ip saddr 10.0.0.0/ class data',
    [
      "r:4:20: error: unexpected 'class'",
      '  ip saddr 10.0.0.0/ class data',
      '                     ^^^^^',
      '  expected a prefix length up to 32',
    ],
  ],
  [
    'a port over 65535',
    'udp dport 65536 class data',
    [
      "r:4:11: error: '65536' is too large for 'udp dport'",
      '  udp dport 65536 class data',
      '            ^^^^^',
      '  expected a number up to 65535',
    ],
  ],
  [
    'a VLAN id over 4095',
    'vlan id 4096 class data',
    [
      "r:4:9: error: '4096' is too large for 'vlan id'",
      '  vlan id 4096 class data',
      '          ^^^^',
      '  expected a number up to 4095',
    ],
  ],
  [
    'a number with a leading zero',
    'udp dport 0053 class data',
    [
      "r:4:11: error: '0053' begins with a zero, which nft reads as octal",
      '  udp dport 0053 class data',
      '            ^^^^',
      '  write it without the zero, or in hexadecimal with 0x',
    ],
  ],
  [
    'a negative number',
    'udp dport -5 class data',
    [
      "r:4:11: error: unexpected '-'",
      '  udp dport -5 class data',
      '            ^',
      "  expected a port for 'udp dport'",
      '  no value is negative',
    ],
  ],
  [
    'a prefix on a number',
    'ip ttl 64/8 class data',
    [
      "r:4:8: error: 'ip ttl' takes no prefix length",
      '  ip ttl 64/8 class data',
      '         ^^^^',
      "  write a range: 'low-high'",
    ],
  ],
  [
    'a bad IPv4 address',
    'ip saddr 10.0.0.256 class data',
    [
      "r:4:10: error: '10.0.0.256' is not an IPv4 address",
      '  ip saddr 10.0.0.256 class data',
      '           ^^^^^^^^^^',
      '  expected an IPv4 address like 192.0.2.1',
      '  each of the four numbers is at most 255',
    ],
  ],
  [
    'an IPv4 address with leading zeros',
    'ip saddr 010.0.0.1 class data',
    [
      "r:4:10: error: '010.0.0.1' is not an IPv4 address",
      '  ip saddr 010.0.0.1 class data',
      '           ^^^^^^^^^',
      '  expected an IPv4 address like 192.0.2.1',
      '  leave out the leading zeros',
    ],
  ],
  [
    'an address with a port',
    'ip saddr 10.0.0.1:80 class data',
    [
      "r:4:10: error: '10.0.0.1:80' is not an IPv4 address",
      '  ip saddr 10.0.0.1:80 class data',
      '           ^^^^^^^^^^^',
      '  expected an IPv4 address like 192.0.2.1',
      '  the port is a match of its own: udp dport or tcp dport',
    ],
  ],
  [
    'a host name',
    'ip saddr example.com class data',
    [
      "r:4:10: error: 'example.com' is not an IPv4 address",
      '  ip saddr example.com class data',
      '           ^^^^^^^^^^^',
      '  expected an IPv4 address like 192.0.2.1',
      '  names are not looked up: write the address',
    ],
  ],
  [
    'an IPv6 address for ip',
    'ip saddr fe80::1 class data',
    [
      "r:4:10: error: 'fe80::1' is an IPv6 address, 'ip saddr' reads IPv4 ones",
      '  ip saddr fe80::1 class data',
      '           ^^^^^^^',
      "  write 'ip6 saddr fe80::1'",
    ],
  ],
  [
    'an IPv4 address for ip6',
    'ip6 daddr 10.0.0.1 class data',
    [
      "r:4:11: error: '10.0.0.1' is an IPv4 address, 'ip6 daddr' reads IPv6 ones",
      '  ip6 daddr 10.0.0.1 class data',
      '            ^^^^^^^^',
      "  write 'ip daddr 10.0.0.1'",
    ],
  ],
  [
    'a bad IPv6 address',
    'ip6 daddr 2001:db8:::1 class data',
    [
      "r:4:11: error: '2001:db8:::1' is not an IPv6 address",
      '  ip6 daddr 2001:db8:::1 class data',
      '            ^^^^^^^^^^^^',
      '  expected an IPv6 address like 2001:db8::1',
    ],
  ],
  [
    'a bad MAC address',
    'ether saddr 00:11:22 class data',
    [
      "r:4:13: error: '00:11:22' is not a MAC address",
      '  ether saddr 00:11:22 class data',
      '              ^^^^^^^^',
      '  expected a MAC address like 02:00:00:00:00:01',
    ],
  ],
  [
    'a MAC address as switches write it',
    'ether saddr 0200.0000.0001 class data',
    [
      "r:4:13: error: '0200.0000.0001' is not a MAC address",
      '  ether saddr 0200.0000.0001 class data',
      '              ^^^^^^^^^^^^^^',
      '  expected a MAC address like 02:00:00:00:00:01',
      "  write '02:00:00:00:00:01'",
    ],
  ],
  [
    'a misspelt service',
    'udp dport htpp class data',
    [
      "r:4:11: error: 'htpp' is not a port",
      '  udp dport htpp class data',
      '            ^^^^',
      '  expected a port, by name or number',
      "  did you mean 'http'?",
    ],
  ],
  [
    'a range of names without blanks',
    'tcp dport ssh-telnet class data',
    [
      "r:4:11: error: 'ssh-telnet' is not a port",
      '  tcp dport ssh-telnet class data',
      '            ^^^^^^^^^^',
      '  expected a port, by name or number',
      "  blanks stand around the '-' behind a name: 'ssh - telnet'",
    ],
  ],
  [
    'a range with a colon',
    'udp dport 5000:6000 class data',
    [
      "r:4:11: error: '5000:6000' is not a port",
      '  udp dport 5000:6000 class data',
      '            ^^^^^^^^^',
      '  expected a port, by name or number',
      "  a range is written '5000-6000'",
    ],
  ],
  [
    'the word range',
    'udp dport range 5 6 class data',
    [
      "r:4:11: error: 'range' is not a port",
      '  udp dport range 5 6 class data',
      '            ^^^^^',
      '  expected a port, by name or number',
      "  a range is 'low-high'",
    ],
  ],
  [
    'any',
    'ip saddr any class data',
    [
      "r:4:10: error: 'any' is not an IPv4 address",
      '  ip saddr any class data',
      '           ^^^',
      '  expected an IPv4 address like 192.0.2.1',
      '  leave the match out',
    ],
  ],
  [
    'the byte of a DSCP',
    'ip dscp 0xb8 class data',
    [
      "r:4:9: error: '0xb8' is too large for 'ip dscp'",
      '  ip dscp 0xb8 class data',
      '          ^^^^',
      '  expected a number up to 63',
      '  the byte 0xb8 has the codepoint 46',
    ],
  ],
  [
    'a MAC address with dashes',
    'ether saddr 02-00-00-00-00-01 class data',
    [
      "r:4:13: error: '02' is not a MAC address",
      '  ether saddr 02-00-00-00-00-01 class data',
      '              ^^',
      '  expected a MAC address like 02:00:00:00:00:01',
      "  its bytes are separated by ':'",
    ],
  ],
  [
    'a misspelt ICMP type',
    'icmp type echo-rply class data',
    [
      "r:4:11: error: 'echo-rply' is not an ICMP type",
      '  icmp type echo-rply class data',
      '            ^^^^^^^^^',
      '  expected an ICMP type, by name or number',
      "  did you mean 'echo-reply'?",
    ],
  ],
  [
    'a misspelt protocol',
    'ip protocol upd class data',
    [
      "r:4:13: error: 'upd' is not a protocol",
      '  ip protocol upd class data',
      '              ^^^',
      '  expected a protocol, by name or number',
      "  did you mean 'udp'?",
    ],
  ],
  [
    'a misspelt DSCP',
    'ip dscp af1 class data',
    [
      "r:4:9: error: 'af1' is not a DSCP",
      '  ip dscp af1 class data',
      '          ^^^',
      '  expected a DSCP, by name or number',
      "  did you mean 'af11'?",
    ],
  ],
  [
    'a misspelt IGMP type',
    'igmp type membership-quary class data',
    [
      "r:4:11: error: 'membership-quary' is not an IGMP type",
      '  igmp type membership-quary class data',
      '            ^^^^^^^^^^^^^^^^',
      '  expected an IGMP type, by name or number',
      "  did you mean 'membership-query'?",
    ],
  ],
  [
    'a misspelt chunk',
    'sctp chunk initt class data',
    [
      "r:4:12: error: 'initt' is not an SCTP chunk type",
      '  sctp chunk initt class data',
      '             ^^^^^',
      '  expected an SCTP chunk type, by name or number',
      "  did you mean 'init'?",
    ],
  ],
  [
    'a chunk anywhere, as in nft',
    'sctp chunk init exists class data',
    [
      "r:4:17: error: 'sctp chunk' is the type of the first chunk; nft's form, which looks at any, is not part of the language",
      '  sctp chunk init exists class data',
      '                  ^^^^^^',
      "  write 'sctp chunk NAME' alone",
    ],
  ],
  [
    'a value missing',
    'udp dport class data',
    [
      "r:4:11: error: unexpected 'class'",
      '  udp dport class data',
      '            ^^^^^',
      "  expected a port for 'udp dport'",
    ],
  ],
  [
    'one equals sign',
    'udp dport = 5 class data',
    [
      "r:4:11: error: unexpected '='",
      '  udp dport = 5 class data',
      '            ^',
      "  expected a value for 'udp dport'",
      "  write '=='",
    ],
  ],
  [
    'not',
    'udp dport not 5 class data',
    [
      "r:4:11: error: unexpected 'not'",
      '  udp dport not 5 class data',
      '            ^^^',
      "  expected a value for 'udp dport'",
      "  write '!='",
    ],
  ],
  [
    'in',
    'udp dport in { 5, 6 } class data',
    [
      "r:4:11: error: unexpected 'in'",
      '  udp dport in { 5, 6 } class data',
      '            ^^',
      "  expected a value for 'udp dport'",
      "  leave 'in' out: a set follows the field, '{ a, b }'",
    ],
  ],
  [
    'an exclamation mark',
    'udp dport ! 5 class data',
    [
      "r:4:11: error: unexpected '!'",
      '  udp dport ! 5 class data',
      '            ^',
      "  expected a value for 'udp dport'",
      "  write '!='",
    ],
  ],
  [
    'a set without braces',
    'udp dport 5, 6 class data',
    [
      "r:4:12: error: unexpected ','",
      '  udp dport 5, 6 class data',
      '             ^',
      '  expected a match, a class or a verdict',
      "  several values go in braces: '{ a, b }'",
    ],
  ],
  [
    'two values',
    'udp dport 5060 5061 class data',
    [
      "r:4:16: error: unexpected '5061'",
      '  udp dport 5060 5061 class data',
      '                 ^^^^',
      '  expected a match, a class or a verdict',
      "  several values go in braces: '{ a, b }'",
    ],
  ],
  [
    'a second comparison',
    'udp length > 20 < 100 class data',
    [
      "r:4:17: error: unexpected '<'",
      '  udp length > 20 < 100 class data',
      '                  ^',
      '  expected a match, a class or a verdict',
      "  a range is 'low-high'; for a second comparison write 'udp length' again",
    ],
  ],
  [
    'a comparison that nothing satisfies',
    'udp length < 0 class data',
    [
      "r:4:14: error: no 'udp length' is below 0",
      '  udp length < 0 class data',
      '               ^',
      "  did you mean '== 0'?",
    ],
  ],
  [
    'a comparison with a range',
    'udp length > 5-9 class data',
    [
      "r:4:14: error: '>' compares with one value, not with a range",
      '  udp length > 5-9 class data',
      '               ^^^',
      "  write 'low-high' without '>', or one value",
    ],
  ],
  [
    'a comparison with a set',
    'udp length > { 5 } class data',
    [
      "r:4:14: error: unexpected '{'",
      '  udp length > { 5 } class data',
      '               ^',
      "  expected one value after '>'",
      "  a set goes with '==' or '!='",
    ],
  ],
  [
    'a comparison with a named set',
    'udp length > @sizes class data',
    [
      "r:4:14: error: unexpected '@'",
      '  udp length > @sizes class data',
      '               ^',
      "  expected a value for 'udp length'",
      "  a set goes with '==' or '!='",
    ],
  ],
  [
    'an empty set',
    'udp dport { } class data',
    [
      'r:4:11: error: an empty set matches nothing',
      '  udp dport { } class data',
      '            ^^^',
      '  expected at least one value',
    ],
  ],
  [
    'a set in a set',
    'udp dport { 5, { 6, 7 } } class data',
    [
      "r:4:16: error: unexpected '{'",
      '  udp dport { 5, { 6, 7 } } class data',
      '                 ^',
      "  expected a port for 'udp dport'",
      '  sets do not nest: write one element for each value',
    ],
  ],
  [
    'a named set in a set',
    'udp dport { @media, 5 } class data',
    [
      "r:4:13: error: unexpected '@'",
      '  udp dport { @media, 5 } class data',
      '              ^',
      "  expected a port for 'udp dport'",
      "  a named set stands alone: write '@NAME' without braces, in a rule of its own",
    ],
  ],
  [
    'a star',
    'udp dport { * } class data',
    [
      "r:4:13: error: unexpected '*'",
      '  udp dport { * } class data',
      '              ^',
      "  expected a port for 'udp dport'",
      "  there is no '*': for any value write '0-65535'",
    ],
  ],
  [
    "nft's map",
    'udp dport vmap { 5 : drop, 6 : accept }',
    [
      "r:4:11: error: unexpected 'vmap'",
      '  udp dport vmap { 5 : drop, 6 : accept }',
      '            ^^^^',
      "  expected a value for 'udp dport'",
      "  write one rule for each value, or one for each verdict with a set: '{ a, b }'",
    ],
  ],
  [
    'a map without its word',
    'udp dport { 5 : drop }',
    [
      "r:4:15: error: unexpected ':'",
      '  udp dport { 5 : drop }',
      '                ^',
      "  expected ',' or '}' in the set",
      '  there are no maps: write one rule for each verdict',
    ],
  ],
];

describe('an error in values says where, what and what else', () => {
  it.each(VALUES)('%s', (_name, lines, expected) => {
    expect(shownErrors(fileOf(lines))).toEqual(expected);
  });
});
