import { describe, expect, it } from 'vitest';
import { formatRuleError } from '../../rules/errors.ts';
import { parseRules } from '../../rules/parse.ts';
import { fileOf } from './rules.ts';

function shown(text: string): string {
  return parseRules(text, 'r')
    .errors.map((error) => formatRuleError(error, text))
    .join('\n');
}

/** Lines inside `outbound`, of which the first is line 4, and all that is said about them. */
const RULES: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'an unknown word',
    'tpc dport 80 class data',
    [
      `r:4:1: error: unknown word 'tpc'`,
      '  tpc dport 80 class data',
      '  ^^^',
      '  expected a match, a class or a verdict',
      `  did you mean 'tcp'?`,
    ],
  ],
  [
    'an unknown field',
    'ip sadr 192.0.2.1 class data',
    [
      `r:4:4: error: 'ip' has no field 'sadr'`,
      '  ip sadr 192.0.2.1 class data',
      '     ^^^^',
      `  expected saddr, daddr or protocol after 'ip'`,
      `  did you mean 'saddr'?`,
    ],
  ],
  [
    'a field that comes later',
    'ip ttl 4 class data',
    [
      `r:4:1: error: 'ip ttl' is not supported yet`,
      '  ip ttl 4 class data',
      '  ^^^^^^',
      `  expected saddr, daddr or protocol after 'ip'`,
    ],
  ],
  [
    'a field that has another name here',
    'meta protocol ip class data',
    [
      `r:4:1: error: 'meta protocol' is not part of the language`,
      '  meta protocol ip class data',
      '  ^^^^^^^^^^^^^',
      `  write 'ether type'`,
    ],
  ],
  [
    'a field without its protocol',
    'dport 80 class data',
    [
      `r:4:1: error: 'dport' is not part of the language`,
      '  dport 80 class data',
      '  ^^^^^',
      `  write 'udp dport', 'tcp dport', or 'th dport' for either`,
    ],
  ],
  [
    'a reversed range',
    'udp dport 9-5 class data',
    [`r:4:11: error: the range '9-5' runs backwards`, '  udp dport 9-5 class data', '            ^^^', `  write '5-9'`],
  ],
  [
    'a port above 65535',
    'udp dport 70000 class data',
    [
      `r:4:11: error: '70000' is too large for 'udp dport'`,
      '  udp dport 70000 class data',
      '            ^^^^^',
      '  expected a number up to 65535',
    ],
  ],
  [
    'a VLAN id above 4095',
    'vlan id { 5, 5000 } class data',
    [
      `r:4:14: error: '5000' is too large for 'vlan id'`,
      '  vlan id { 5, 5000 } class data',
      '               ^^^^',
      '  expected a number up to 4095',
    ],
  ],
  [
    'a leading zero',
    'udp dport 053 class data',
    [
      `r:4:11: error: '053' begins with a zero, which nft reads as octal`,
      '  udp dport 053 class data',
      '            ^^^',
      '  write it without the zero, or in hexadecimal with 0x',
    ],
  ],
  [
    'host bits in a prefix',
    'ip saddr 10.0.0.1/8 class data',
    [
      `r:4:10: error: '10.0.0.1/8' has bits set behind its prefix`,
      '  ip saddr 10.0.0.1/8 class data',
      '           ^^^^^^^^^^',
      '  the network is 10.0.0.0/8; the one address is 10.0.0.1',
    ],
  ],
  [
    'host bits in an IPv6 prefix',
    'ip6 saddr fe80::1/10 class data',
    [
      `r:4:11: error: 'fe80::1/10' has bits set behind its prefix`,
      '  ip6 saddr fe80::1/10 class data',
      '            ^^^^^^^^^^',
      '  the network is fe80::/10; the one address is fe80::1',
    ],
  ],
  [
    'a prefix that is too long',
    'ip saddr 10.0.0.0/33 class data',
    [
      `r:4:19: error: '33' is not a prefix length for 'ip saddr'`,
      '  ip saddr 10.0.0.0/33 class data',
      '                    ^^',
      '  expected a number from 0 to 32',
    ],
  ],
  [
    'a prefix of a port',
    'udp dport 80/4 class data',
    [
      `r:4:11: error: 'udp dport' takes no prefix length`,
      '  udp dport 80/4 class data',
      '            ^^^^',
      `  write a range: 'low-high'`,
    ],
  ],
  [
    'a bad IPv4 address',
    'ip saddr 10.0.0.256 class data',
    [
      `r:4:10: error: '10.0.0.256' is not an IPv4 address`,
      '  ip saddr 10.0.0.256 class data',
      '           ^^^^^^^^^^',
      '  expected an IPv4 address like 192.0.2.1',
    ],
  ],
  [
    'an IPv6 address for ip',
    'ip saddr fe80::1 class data',
    [
      `r:4:10: error: 'fe80::1' is an IPv6 address, 'ip saddr' reads IPv4 ones`,
      '  ip saddr fe80::1 class data',
      '           ^^^^^^^',
      `  write 'ip6 saddr fe80::1'`,
    ],
  ],
  [
    'an IPv4 address for ip6',
    'ip6 daddr 10.0.0.1 class data',
    [
      `r:4:11: error: '10.0.0.1' is an IPv4 address, 'ip6 daddr' reads IPv6 ones`,
      '  ip6 daddr 10.0.0.1 class data',
      '            ^^^^^^^^',
      `  write 'ip daddr 10.0.0.1'`,
    ],
  ],
  [
    'a bad MAC address',
    'ether saddr 00:11:22 class data',
    [
      `r:4:13: error: '00:11:22' is not a MAC address`,
      '  ether saddr 00:11:22 class data',
      '              ^^^^^^^^',
      '  expected a MAC address like 02:00:00:00:00:01',
    ],
  ],
  [
    'a misspelt service',
    'udp dport htpp class data',
    [
      `r:4:11: error: 'htpp' is not a port`,
      '  udp dport htpp class data',
      '            ^^^^',
      '  expected a port, by name or number',
      `  did you mean 'http'?`,
    ],
  ],
  [
    'a misspelt ICMP type',
    'icmp type echo-rply class data',
    [
      `r:4:11: error: 'echo-rply' is not an ICMP type`,
      '  icmp type echo-rply class data',
      '            ^^^^^^^^^',
      '  expected an ICMP type, by name or number',
      `  did you mean 'echo-reply'?`,
    ],
  ],
  [
    'a misspelt flag',
    'tcp flags sny class data',
    [
      `r:4:11: error: 'sny' is not a TCP flag`,
      '  tcp flags sny class data',
      '            ^^^',
      '  expected a TCP flag, by name or number',
      `  did you mean 'syn'?`,
    ],
  ],
  [
    'a mask without parentheses',
    'tcp flags & syn|ack == syn class data',
    [
      `r:4:16: error: unexpected '|'`,
      '  tcp flags & syn|ack == syn class data',
      '                 ^',
      '  expected the mask in parentheses',
      `  write '& (syn|ack) == …'; without them nft reads something else`,
    ],
  ],
  [
    'a mask without comparison',
    'tcp flags & syn class data',
    [
      `r:4:17: error: unexpected 'class'`,
      '  tcp flags & syn class data',
      '                  ^^^^^',
      `  expected '==' or '!=' after the mask`,
    ],
  ],
  [
    'a mask on a port',
    'tcp dport & 1 == 1 class data',
    [
      `r:4:11: error: unexpected '&'`,
      '  tcp dport & 1 == 1 class data',
      '            ^',
      `  expected a value for 'tcp dport'`,
      `  write a set or a range: '{ a, b-c }'`,
    ],
  ],
  [
    'a comparison that nothing satisfies',
    'udp length < 0 class data',
    [`r:4:14: error: no 'udp length' is below 0`, '  udp length < 0 class data', '               ^'],
  ],
  [
    'a comparison with a range',
    'udp length > 5-9 class data',
    [
      `r:4:14: error: '>' compares with one value, not with a range`,
      '  udp length > 5-9 class data',
      '               ^^^',
    ],
  ],
  [
    'a comparison with a set',
    'udp length > { 5 } class data',
    [
      `r:4:14: error: unexpected '{'`,
      '  udp length > { 5 } class data',
      '               ^',
      `  expected one value after '>'`,
      `  a set goes with '==' or '!='`,
    ],
  ],
  [
    'one equals sign',
    'udp dport = 5 class data',
    [
      `r:4:11: error: unexpected '='`,
      '  udp dport = 5 class data',
      '            ^',
      `  expected a value for 'udp dport'`,
      `  write '=='`,
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
    'a set without braces',
    'udp dport 5, 6 class data',
    [
      `r:4:12: error: unexpected ','`,
      '  udp dport 5, 6 class data',
      '             ^',
      '  expected a match, a class or a verdict',
      `  several values go in braces: '{ a, b }'`,
    ],
  ],
  [
    'a set that is not closed',
    'udp dport { 5, 6 class data',
    [
      `r:4:18: error: unexpected 'class'`,
      '  udp dport { 5, 6 class data',
      '                   ^^^^^',
      `  expected ',' or '}' in the set`,
    ],
  ],
  [
    'a value missing',
    'udp dport class data',
    [
      `r:4:11: error: unexpected 'class'`,
      '  udp dport class data',
      '            ^^^^^',
      `  expected a port for 'udp dport'`,
    ],
  ],
  [
    'an unknown application',
    'app spi class data',
    [
      `r:4:5: error: unknown application 'spi'`,
      '  app spi class data',
      '      ^^^',
      '  expected sip or rtp',
      `  did you mean 'sip'?`,
    ],
  ],
  [
    'an application that comes later',
    'app dns class data',
    [
      `r:4:5: error: the application 'dns' is not supported yet`,
      '  app dns class data',
      '      ^^^',
      '  expected sip or rtp',
      '  match its ports instead',
    ],
  ],
  [
    'an unknown class',
    'udp dport 5 class dat',
    [
      `r:4:19: error: class 'dat' is not defined`,
      '  udp dport 5 class dat',
      '                    ^^^',
      `  did you mean 'data'?`,
    ],
  ],
  [
    'no class and no verdict',
    'udp dport 5',
    [
      'r:4:11: error: this rule names no class and no verdict',
      '  udp dport 5',
      '            ^',
      `  expected 'class NAME', pass, hold or drop`,
      `  a rule is matches, then 'class NAME' or a verdict`,
    ],
  ],
  [
    'no match',
    'class data',
    [
      'r:4:1: error: a rule without a match would be tried on every frame',
      '  class data',
      '  ^^^^^',
      `  write 'default' before it, at the end of the block`,
    ],
  ],
  [
    'a misspelt verdict',
    'udp dport 5 pas',
    [
      `r:4:13: error: unknown word 'pas'`,
      '  udp dport 5 pas',
      '              ^^^',
      '  expected a match, a class or a verdict',
      `  did you mean 'pass'?`,
    ],
  ],
  [
    `nft's accept`,
    'udp dport 5 accept',
    [
      `r:4:13: error: 'accept' is not part of the language`,
      '  udp dport 5 accept',
      '              ^^^^^^',
      `  write 'pass'`,
    ],
  ],
  [
    `nft's reject`,
    'udp dport 5 reject',
    [
      `r:4:13: error: 'reject' is not part of the language`,
      '  udp dport 5 reject',
      '              ^^^^^^',
      `  write 'drop': nothing is ever sent back`,
    ],
  ],
  [
    `nft's counter`,
    'udp dport 5 counter pass',
    [
      `r:4:13: error: 'counter' is not part of the language`,
      '  udp dport 5 counter pass',
      '              ^^^^^^^',
      '  leave it out: every rule counts its frames and bytes',
    ],
  ],
  [
    `nft's log`,
    'udp dport 5 log drop',
    [
      `r:4:13: error: 'log' is not part of the language`,
      '  udp dport 5 log drop',
      '              ^^^',
      `  leave it out: 'holdfast explain' tells which rule a frame hits`,
    ],
  ],
  [
    `nft's jump`,
    'udp dport 5 jump voice',
    [
      `r:4:13: error: 'jump' is not part of the language`,
      '  udp dport 5 jump voice',
      '              ^^^^',
      '  leave it out: there are no chains, the first rule that matches decides',
    ],
  ],
  [
    `nft's ct`,
    'ct state new drop',
    [
      `r:4:1: error: 'ct' is not part of the language`,
      '  ct state new drop',
      '  ^^',
      '  rules read one frame at a time; for TCP connection state match tcp flags',
    ],
  ],
  [
    'a string that is not closed',
    'udp dport 5 drop comment "abc',
    [
      'r:4:26: error: this string is not closed',
      '  udp dport 5 drop comment "abc',
      '                           ^^^^',
      `  expected '"' before the line ends`,
    ],
  ],
  [
    'a comment without quotes',
    'udp dport 5 drop comment abc',
    [
      `r:4:26: error: unexpected 'abc'`,
      '  udp dport 5 drop comment abc',
      '                           ^^^',
      '  expected the comment in double quotes',
    ],
  ],
  [
    'two rules on one line',
    'udp dport 5 drop udp dport 6 pass',
    [
      `r:4:18: error: unexpected 'udp'`,
      '  udp dport 5 drop udp dport 6 pass',
      '                   ^^^',
      '  expected a comment or the end of the line',
      '  matches stand before the class or verdict; each rule has its own line',
    ],
  ],
  [
    'two defaults',
    `default hold
default drop`,
    [`r:5:1: error: there is a 'default' already, in line 4`, '  default drop', '  ^^^^^^^'],
  ],
  [
    'a rule after default',
    `default hold
udp dport 5 drop`,
    [
      `r:5:1: error: this rule stands after the 'default' of line 4 and would never be tried`,
      '  udp dport 5 drop',
      '  ^^^',
      '  move it above',
    ],
  ],
  [
    'default with a match',
    'default udp dport 5 hold',
    [
      `r:4:9: error: unexpected 'udp'`,
      '  default udp dport 5 hold',
      '          ^^^',
      `  expected 'class NAME', pass, hold or drop after 'default'`,
      `  'default' takes no matches`,
    ],
  ],
  [
    'a named set in a match',
    'udp sport @media class data',
    [
      `r:4:11: error: unexpected '@'`,
      '  udp sport @media class data',
      '            ^',
      `  expected a value for 'udp sport'`,
      `  named sets are not supported yet: write the values, '{ a, b-c }'`,
    ],
  ],
  [
    'a variable',
    'udp sport $MEDIA class data',
    [
      `r:4:11: error: unexpected '$'`,
      '  udp sport $MEDIA class data',
      '            ^',
      `  expected a value for 'udp sport'`,
      `  'define' is not supported yet: write the value`,
    ],
  ],
  [
    'a concatenation',
    'ip saddr . udp sport @rtp class data',
    [
      `r:4:10: error: unexpected '.'`,
      '  ip saddr . udp sport @rtp class data',
      '           ^',
      `  expected a value for 'ip saddr'`,
      '  concatenations are not supported yet: write one rule for each combination',
    ],
  ],
  [
    'raw payload',
    '@th,64,32 0x5349502f hold',
    [
      `r:4:1: error: unexpected '@'`,
      '  @th,64,32 0x5349502f hold',
      '  ^',
      '  expected a match, a class or a verdict',
      '  raw payload matches and named sets are not supported yet',
    ],
  ],
  [
    'guard',
    'tcp dport 9000 class data guard',
    [
      `r:4:27: error: 'guard' is not supported yet`,
      '  tcp dport 9000 class data guard',
      '                            ^^^^^',
      `  without 'guard' this traffic must be held`,
    ],
  ],
  [
    'declared',
    'declared class data',
    [
      `r:4:1: error: 'declared' is not supported yet`,
      '  declared class data',
      '  ^^^^^^^^',
      '  leave the rule out, its frames fall to the rules below',
    ],
  ],
  [
    'a typographic quote',
    'udp dport 5 drop comment “abc”',
    [
      `r:4:26: error: unexpected '“'`,
      '  udp dport 5 drop comment “abc”',
      '                           ^',
      '  write a plain "',
      `r:4:30: error: unexpected '”'`,
      '  udp dport 5 drop comment “abc”',
      '                               ^',
      '  write a plain "',
    ],
  ],
];

describe('an error in a rule says where, what and what else', () => {
  it.each(RULES)('%s', (_name, lines, expected) => {
    expect(shown(fileOf(lines))).toBe(expected.join('\n'));
  });
});

const FILES: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'a class defined twice',
    `class a pass
class a hold
outbound {
}`,
    [`r:2:7: error: class 'a' is already defined in line 1`, '  class a hold', '        ^'],
  ],
  [
    'a class whose verdict is misspelt',
    `class a hodl
outbound {
}`,
    [
      `r:1:9: error: 'hodl' is not a verdict`,
      '  class a hodl',
      '          ^^^^',
      '  expected pass, hold or drop',
      `  did you mean 'hold'?`,
    ],
  ],
  [
    `a class whose verdict is nft's`,
    `class a accept
outbound {
}`,
    [`r:1:9: error: 'accept' is not part of the language`, '  class a accept', '          ^^^^^^', `  write 'pass'`],
  ],
  [
    'a class without a verdict',
    `class a
outbound {
}`,
    [
      'r:1:8: error: unexpected end of line',
      '  class a',
      '         ^',
      `  expected a verdict for class 'a': pass, hold or drop`,
    ],
  ],
  [
    'a class named like a verdict',
    `class pass hold
outbound {
}`,
    [`r:1:7: error: 'pass' cannot name a class: it is a word of the language`, '  class pass hold', '        ^^^^'],
  ],
  [
    'no outbound block',
    `class a pass
`,
    [`r:2:1: error: there is no 'outbound' block`, '  ', '  ^', `  write 'outbound { … }' around the rules`],
  ],
  [
    'an empty file',
    '',
    [`r:1:1: error: there is no 'outbound' block`, '  ', '  ^', `  write 'outbound { … }' around the rules`],
  ],
  [
    'two outbound blocks',
    `outbound {
}
outbound {
}`,
    [
      `r:3:1: error: there is an 'outbound' block already, in line 1`,
      '  outbound {',
      '  ^^^^^^^^',
      '  put its rules into that one',
    ],
  ],
  [
    'a misspelt block, whose rules are checked all the same',
    `outbond {
  udp dport 5 pas
}`,
    [
      `r:1:1: error: unknown word 'outbond'`,
      '  outbond {',
      '  ^^^^^^^',
      `  expected 'class NAME verdict' or 'outbound { … }'`,
      `  did you mean 'outbound'?`,
      `r:2:15: error: unknown word 'pas'`,
      '    udp dport 5 pas',
      '                ^^^',
      '  expected a match, a class or a verdict',
      `  did you mean 'pass'?`,
    ],
  ],
  [
    'a block that is not closed',
    `outbound {
  udp dport 5 drop
`,
    [`r:1:10: error: this block is not closed: '}' is missing`, '  outbound {', '           ^'],
  ],
  [
    'a brace too many',
    `outbound {
}
}`,
    [`r:3:1: error: this '}' closes nothing`, '  }', '  ^'],
  ],
  [
    'a rule outside the block',
    `outbound {
}
udp dport 5 drop`,
    [
      `r:3:1: error: 'udp' begins a rule, and this is outside any block`,
      '  udp dport 5 drop',
      '  ^^^',
      `  rules stand inside 'outbound { … }'`,
    ],
  ],
  [
    'a table',
    `table netdev t {
  chain c {
  }
}
outbound {
}`,
    [
      `r:1:1: error: 'table' is not part of the language`,
      '  table netdev t {',
      '  ^^^^^',
      `  there are no tables: write 'outbound { … }'`,
    ],
  ],
  [
    'a named set',
    `set media {
  type inet_service
  elements = { 1-2 }
}
outbound {
}`,
    [
      `r:1:1: error: 'set' is not supported yet`,
      '  set media {',
      '  ^^^',
      `  write the values where they are used, '{ a, b-c }'`,
    ],
  ],
  [
    'define',
    `define X = 5
outbound {
}`,
    [`r:1:1: error: 'define' is not supported yet`, '  define X = 5', '  ^^^^^^', '  write the value where it is used'],
  ],
  [
    'include',
    `include "x.rules"
outbound {
}`,
    [
      `r:1:1: error: 'include' is not supported yet`,
      '  include "x.rules"',
      '  ^^^^^^^',
      '  put the rules into this file',
    ],
  ],
  [
    'inbound',
    `inbound {
  tcp dport 5 drop
}
outbound {
}`,
    [`r:1:1: error: 'inbound' is not supported yet`, '  inbound {', '  ^^^^^^^', '  inbound frames pass'],
  ],
];

describe('an error around the rules says where, what and what else', () => {
  it.each(FILES)('%s', (_name, text, expected) => {
    expect(shown(text)).toBe(expected.join('\n'));
  });
});
