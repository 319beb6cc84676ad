import { describe, expect, it } from 'vitest';
import { fileOf, shownErrors } from './rules.ts';

type Case = readonly [string, string, readonly string[]];

const VALUES: readonly Case[] = [
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

const FLAGS_AND_MASKS: readonly Case[] = [
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

const RAW_PAYLOAD: readonly Case[] = [
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

const CONCATENATIONS: readonly Case[] = [
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

const APPLICATIONS: readonly Case[] = [
  [
    'an unknown one',
    'app spi class data',
    [
      "r:4:5: error: unknown application 'spi'",
      '  app spi class data',
      '      ^^^',
      '  expected bgp, sip, http, ssh, dhcp, quic, wireguard, dns, tls, rtcp or rtp',
      "  did you mean 'sip'?",
    ],
  ],
  [
    'under another name',
    'app https class data',
    [
      "r:4:5: error: unknown application 'https'",
      '  app https class data',
      '      ^^^^^',
      '  expected bgp, sip, http, ssh, dhcp, quic, wireguard, dns, tls, rtcp or rtp',
      "  write 'app tls'",
    ],
  ],
  [
    'a set of them',
    'app { sip, rtp } class data',
    [
      "r:4:5: error: unexpected '{'",
      '  app { sip, rtp } class data',
      '      ^',
      '  expected bgp, sip, http, ssh, dhcp, quic, wireguard, dns, tls, rtcp or rtp',
      '  write one rule for each application',
    ],
  ],
  [
    'none',
    'app class data',
    [
      "r:4:5: error: unexpected 'class'",
      '  app class data',
      '      ^^^^^',
      '  expected bgp, sip, http, ssh, dhcp, quic, wireguard, dns, tls, rtcp or rtp',
    ],
  ],
  [
    'an unknown type',
    'app bgp type opn class data',
    [
      "r:4:14: error: 'bgp' has no type 'opn'",
      '  app bgp type opn class data',
      '               ^^^',
      "  expected a type of 'bgp': open, update, notification, keepalive, route-refresh or mixed",
      "  did you mean 'open'?",
    ],
  ],
  [
    'a type of another application',
    'app sip type invite class data',
    [
      "r:4:14: error: 'sip' has no type 'invite'",
      '  app sip type invite class data',
      '               ^^^^^^',
      "  expected a type of 'sip': request, response or mixed",
    ],
  ],
  [
    'types where there are none',
    'app rtp type voice class data',
    [
      "r:4:9: error: 'app rtp' has no message types",
      '  app rtp type voice class data',
      '          ^^^^',
      "  leave 'type …' out; applications with types: bgp, sip, http, wireguard, dns, tls",
    ],
  ],
  [
    'negated before the type',
    'app != bgp type keepalive class data',
    [
      "r:4:1: error: '!=' before the application does not go with a type",
      '  app != bgp type keepalive class data',
      '  ^^^^^^^^^^',
      "  write 'app bgp type != …': it is bgp, and of another type",
    ],
  ],
  [
    'no type',
    'app bgp type class data',
    [
      "r:4:14: error: unexpected 'class'",
      '  app bgp type class data',
      '               ^^^^^',
      "  expected a type of 'bgp': open, update, notification, keepalive, route-refresh or mixed",
    ],
  ],
  [
    'types without braces',
    'app bgp type open, update class data',
    [
      "r:4:18: error: unexpected ','",
      '  app bgp type open, update class data',
      '                   ^',
      '  expected a match, a class or a verdict',
      "  several types go in braces: '{ a, b }'",
    ],
  ],
];

describe('an error in applications says where, what and what else', () => {
  it.each(APPLICATIONS)('%s', (_name, lines, expected) => {
    expect(shownErrors(fileOf(lines))).toEqual(expected);
  });
});
