import { describe, expect, it } from 'vitest';
import { fileOf, shownErrors } from './rules.ts';

type Case = readonly [string, string, readonly string[]];

/** Lines inside `outbound`, of which the first is line 4, and all that is said about them. */
const RULES: readonly Case[] = [
  [
    'an unknown word',
    'tpc dport 80 class data',
    [
      "r:4:1: error: unknown word 'tpc'",
      '  tpc dport 80 class data',
      '  ^^^',
      '  expected a match, a class or a verdict',
      "  did you mean 'tcp'?",
    ],
  ],
  [
    'an unknown field',
    'ip sadr 192.0.2.1 class data',
    [
      "r:4:4: error: 'ip' has no field 'sadr'",
      '  ip sadr 192.0.2.1 class data',
      '     ^^^^',
      "  expected saddr, daddr, protocol, dscp, ttl, length or frag-off after 'ip'",
      "  did you mean 'saddr'?",
    ],
  ],
  [
    'a field of another protocol',
    'udp flags syn class data',
    [
      "r:4:1: error: 'udp flags' is not part of the language",
      '  udp flags syn class data',
      '  ^^^^^^^^^',
      "  UDP has no flags; for TCP's write 'tcp flags'",
    ],
  ],
  [
    'ports without a transport',
    'ip dport 80 class data',
    [
      "r:4:4: error: 'ip' has no field 'dport'",
      '  ip dport 80 class data',
      '     ^^^^^',
      "  expected saddr, daddr, protocol, dscp, ttl, length or frag-off after 'ip'",
      "  ports belong to the transport: write 'tcp dport', 'udp dport', or 'th dport' for either",
    ],
  ],
  [
    'a field that is only elsewhere',
    'tcp protocol 6 class data',
    [
      "r:4:5: error: 'tcp' has no field 'protocol'",
      '  tcp protocol 6 class data',
      '      ^^^^^^^^',
      "  expected sport, dport or flags after 'tcp'",
      "  write 'ip protocol'",
    ],
  ],
  [
    'a field of nft that has no word here',
    'ip id 5 class data',
    [
      "r:4:1: error: 'ip id' is not part of the language",
      '  ip id 5 class data',
      '  ^^^^^',
      "  write its bits: 'ether type ip @nh,32,16 VALUE'",
    ],
  ],
  [
    'a field that has another name here',
    'meta protocol ip class data',
    [
      "r:4:1: error: 'meta protocol' is not part of the language",
      '  meta protocol ip class data',
      '  ^^^^^^^^^^^^^',
      "  write 'ether type'",
    ],
  ],
  [
    "nft's mark",
    'meta mark 5 class data',
    [
      "r:4:1: error: 'meta mark' is not part of the language",
      '  meta mark 5 class data',
      '  ^^^^^^^^^',
      '  match what the host can set in the frame: ip dscp or vlan pcp',
    ],
  ],
  [
    "nft's interface name",
    'iifname "eth0" class data',
    [
      "r:4:1: error: 'iifname' is not part of the language",
      '  iifname "eth0" class data',
      '  ^^^^^^^',
      "  leave it out: a rule set serves one VM, and 'outbound' is what comes from it",
    ],
  ],
  [
    'a field without its protocol',
    'dport 80 class data',
    [
      "r:4:1: error: 'dport' is not part of the language",
      '  dport 80 class data',
      '  ^^^^^',
      "  write 'udp dport', 'tcp dport', or 'th dport' for either",
    ],
  ],
  [
    "tcpdump's host",
    'host 10.0.0.1 class data',
    [
      "r:4:1: error: 'host' is not part of the language",
      '  host 10.0.0.1 class data',
      '  ^^^^',
      "  write 'ip saddr' or 'ip daddr'; 'or' takes two rules",
    ],
  ],
  [
    "tcpdump's and",
    'udp dport 5 and ip ttl 5 class data',
    [
      "r:4:13: error: 'and' is not part of the language",
      '  udp dport 5 and ip ttl 5 class data',
      '              ^^^',
      '  leave it out: all matches of a rule must be true',
    ],
  ],
  [
    "C's and",
    'udp dport 5 && ip ttl 5 class data',
    [
      "r:4:13: error: unexpected '&'",
      '  udp dport 5 && ip ttl 5 class data',
      '              ^',
      '  expected a match, a class or a verdict',
      '  leave it out: all matches of a rule must be true',
    ],
  ],
  [
    'or',
    'udp dport 5 or udp dport 6 class data',
    [
      "r:4:13: error: 'or' is not part of the language",
      '  udp dport 5 or udp dport 6 class data',
      '              ^^',
      "  write two rules, or a set: '{ a, b }'",
    ],
  ],
  [
    'an unknown class',
    'udp dport 5 class dat',
    [
      "r:4:19: error: class 'dat' is not defined",
      '  udp dport 5 class dat',
      '                    ^^^',
      "  did you mean 'data'?",
    ],
  ],
  [
    'a class that is nowhere near',
    'udp dport 5 class voice',
    [
      "r:4:19: error: class 'voice' is not defined",
      '  udp dport 5 class voice',
      '                    ^^^^^',
      "  define it outside the block: 'class voice hold', or pass, or drop",
    ],
  ],
  [
    'no class and no verdict',
    'udp dport 5',
    [
      'r:4:11: error: this rule names no class and no verdict',
      '  udp dport 5',
      '            ^',
      "  expected 'class NAME', pass, hold or drop",
      "  a rule is matches, then 'class NAME' or a verdict",
    ],
  ],
  [
    'no match',
    'class data',
    [
      'r:4:1: error: a rule without a match would be tried on every frame',
      '  class data',
      '  ^^^^^',
      "  write 'default' before it, at the end of the block",
    ],
  ],
  [
    'a misspelt verdict',
    'udp dport 5 pas',
    [
      "r:4:13: error: unknown word 'pas'",
      '  udp dport 5 pas',
      '              ^^^',
      '  expected a match, a class or a verdict',
      "  did you mean 'pass'?",
    ],
  ],
  [
    'a verdict in capitals',
    'udp dport 5 DROP',
    [
      "r:4:13: error: unknown word 'DROP'",
      '  udp dport 5 DROP',
      '              ^^^^',
      '  expected a match, a class or a verdict',
      "  did you mean 'drop'?",
    ],
  ],
  [
    "nft's accept",
    'udp dport 5 accept',
    [
      "r:4:13: error: 'accept' is not part of the language",
      '  udp dport 5 accept',
      '              ^^^^^^',
      "  write 'pass'",
    ],
  ],
  [
    "nft's reject",
    'udp dport 5 reject',
    [
      "r:4:13: error: 'reject' is not part of the language",
      '  udp dport 5 reject',
      '              ^^^^^^',
      "  write 'drop': nothing is ever sent back",
    ],
  ],
  [
    "nft's counter",
    'udp dport 5 counter pass',
    [
      "r:4:13: error: 'counter' is not part of the language",
      '  udp dport 5 counter pass',
      '              ^^^^^^^',
      '  leave it out: every rule counts its frames and bytes',
    ],
  ],
  [
    "nft's counter with numbers",
    'udp dport 5 counter packets 0 bytes 0 pass',
    [
      "r:4:13: error: 'counter' is not part of the language",
      '  udp dport 5 counter packets 0 bytes 0 pass',
      '              ^^^^^^^',
      '  leave it out: every rule counts its frames and bytes',
    ],
  ],
  [
    "nft's log",
    'udp dport 5 log drop',
    [
      "r:4:13: error: 'log' is not part of the language",
      '  udp dport 5 log drop',
      '              ^^^',
      "  leave it out: 'holdfast explain' tells which rule a frame hits",
    ],
  ],
  [
    "nft's limit",
    'udp dport 5 limit rate 5/second drop',
    [
      "r:4:13: error: 'limit' is not part of the language",
      '  udp dport 5 limit rate 5/second drop',
      '              ^^^^^',
      '  leave it out: rules read one frame at a time and keep no rate',
    ],
  ],
  [
    "nft's jump",
    'udp dport 5 jump voice',
    [
      "r:4:13: error: 'jump' is not part of the language",
      '  udp dport 5 jump voice',
      '              ^^^^',
      '  leave it out: there are no chains, the first rule that matches decides',
    ],
  ],
  [
    "nft's ct",
    'ct state new drop',
    [
      "r:4:1: error: 'ct' is not part of the language",
      '  ct state new drop',
      '  ^^',
      '  rules read one frame at a time; for TCP connection state match tcp flags',
    ],
  ],
  [
    "nft's vmap",
    'udp dport vmap { 5 : drop }',
    [
      "r:4:11: error: unexpected 'vmap'",
      '  udp dport vmap { 5 : drop }',
      '            ^^^^',
      "  expected a value for 'udp dport'",
      "  write one rule for each value, or one for each verdict with a set: '{ a, b }'",
    ],
  ],
  [
    "nft's masquerade",
    'ip saddr 10.0.0.1 masquerade',
    [
      "r:4:19: error: 'masquerade' is not part of the language",
      '  ip saddr 10.0.0.1 masquerade',
      '                    ^^^^^^^^^^',
      '  leave it out: nothing rewrites frames here',
    ],
  ],
  [
    "nft's mark set",
    'udp dport 5 meta mark set 1 pass',
    [
      "r:4:13: error: 'meta mark' is not part of the language",
      '  udp dport 5 meta mark set 1 pass',
      '              ^^^^^^^^^',
      '  match what the host can set in the frame: ip dscp or vlan pcp',
    ],
  ],
  [
    "nft's policy",
    'policy accept',
    [
      "r:4:1: error: 'policy' is not part of the language",
      '  policy accept',
      '  ^^^^^^',
      "  write 'default' and a verdict as the last line of the block",
    ],
  ],
  [
    'a string that is not closed',
    'udp dport 5 drop comment "abc',
    [
      'r:4:26: error: this string is not closed',
      '  udp dport 5 drop comment "abc',
      '                           ^^^^',
      "  expected '\"' before the line ends",
    ],
  ],
  [
    'a comment without quotes',
    'udp dport 5 drop comment abc',
    [
      "r:4:26: error: unexpected 'abc'",
      '  udp dport 5 drop comment abc',
      '                           ^^^',
      '  expected the comment in double quotes',
    ],
  ],
  [
    'a comment before the verdict',
    'udp dport 5 comment "abc" drop',
    [
      'r:4:11: error: this rule names no class and no verdict',
      '  udp dport 5 comment "abc" drop',
      '            ^',
      "  expected 'class NAME', pass, hold or drop",
      '  the comment stands last, behind the class or verdict',
    ],
  ],
  [
    'a C comment',
    'udp dport 5 drop // voice',
    [
      "r:4:18: error: unexpected '/'",
      '  udp dport 5 drop // voice',
      '                   ^',
      "  expected 'guard', 'ordered', a comment or the end of the line",
      "  a comment for the reader begins with '#'",
    ],
  ],
  [
    'two rules on one line',
    'udp dport 5 drop udp dport 6 pass',
    [
      "r:4:18: error: unexpected 'udp'",
      '  udp dport 5 drop udp dport 6 pass',
      '                   ^^^',
      "  expected 'guard', 'ordered', a comment or the end of the line",
      '  matches stand before the class or verdict; each rule has its own line',
    ],
  ],
  [
    'two verdicts',
    'udp dport 5 drop pass',
    [
      "r:4:18: error: unexpected 'pass'",
      '  udp dport 5 drop pass',
      '                   ^^^^',
      "  expected 'guard', 'ordered', a comment or the end of the line",
      '  a rule has one class or one verdict; each rule has its own line',
    ],
  ],
  [
    'a class and a verdict',
    'udp dport 5 class data drop',
    [
      "r:4:24: error: unexpected 'drop'",
      '  udp dport 5 class data drop',
      '                         ^^^^',
      "  expected 'guard', 'ordered', a comment or the end of the line",
      '  a rule has one class or one verdict; each rule has its own line',
    ],
  ],
  [
    'two defaults',
    `default hold
default drop`,
    ["r:5:1: error: there is a 'default' already, in line 4", '  default drop', '  ^^^^^^^'],
  ],
  [
    'a rule after default',
    `default hold
udp dport 5 drop`,
    [
      "r:5:1: error: this rule stands after the 'default' of line 4 and would never be tried",
      '  udp dport 5 drop',
      '  ^^^',
      '  move it above',
    ],
  ],
  [
    'default with a match',
    'default udp dport 5 hold',
    [
      "r:4:9: error: unexpected 'udp'",
      '  default udp dport 5 hold',
      '          ^^^',
      "  expected 'class NAME', pass, hold or drop after 'default'",
      "  'default' takes no matches",
    ],
  ],
  [
    'default in the middle of a rule',
    'udp dport 5 default hold',
    [
      "r:4:13: error: unexpected 'default'",
      '  udp dport 5 default hold',
      '              ^^^^^^^',
      '  expected a match, a class or a verdict',
      "  'default' stands alone, on the last line of the block",
    ],
  ],
  [
    'an unknown set',
    'udp sport @media class data',
    [
      "r:4:12: error: there is no set 'media'",
      '  udp sport @media class data',
      '             ^^^^^',
      "  define it outside the block: 'set media { type …; elements = { … } }'",
    ],
  ],
  [
    'a set alone',
    '@media class data',
    [
      "r:4:1: error: the set '@media' stands without a field",
      '  @media class data',
      '  ^^^^^^',
      "  write what to look up: 'udp dport @media'",
    ],
  ],
  [
    'a variable that is not defined',
    'udp sport $MEDIA class data',
    [
      "r:4:11: error: '$MEDIA' is not defined",
      '  udp sport $MEDIA class data',
      '            ^^^^^^',
      "  define it above: 'define MEDIA = …'",
    ],
  ],
  [
    'guard twice',
    'tcp dport 9000 class data guard guard',
    [
      "r:4:33: error: 'guard' stands here twice",
      '  tcp dport 9000 class data guard guard',
      '                                  ^^^^^',
    ],
  ],
  [
    'guard before the class',
    'tcp dport 9000 guard class data',
    [
      "r:4:11: error: the class or verdict stands before 'guard'",
      '  tcp dport 9000 guard class data',
      '            ^^^^',
      "  expected 'class NAME', pass, hold or drop",
      "  a rule is matches, then 'class NAME' or a verdict",
    ],
  ],
  [
    'a misspelt guard',
    'tcp dport 9000 class data gaurd',
    [
      "r:4:27: error: unexpected 'gaurd'",
      '  tcp dport 9000 class data gaurd',
      '                            ^^^^^',
      "  expected 'guard', 'ordered', a comment or the end of the line",
      "  did you mean 'guard'?",
    ],
  ],
  [
    'declared negated',
    'declared != class data',
    [
      "r:4:10: error: unexpected '!='",
      '  declared != class data',
      '           ^^',
      '  expected another match, a class or a verdict',
      "  'declared' takes no value: it is the class of its rule that counts",
    ],
  ],
  [
    'declared with a class',
    'declared data class data',
    [
      "r:4:10: error: unknown word 'data'",
      '  declared data class data',
      '           ^^^^',
      '  expected a match, a class or a verdict',
    ],
  ],
  [
    'typographic quotes',
    'udp dport 5 drop comment “abc”',
    [
      "r:4:26: error: unexpected '“'",
      '  udp dport 5 drop comment “abc”',
      '                           ^',
      '  write a plain "',
      "r:4:30: error: unexpected '”'",
      '  udp dport 5 drop comment “abc”',
      '                               ^',
      '  write a plain "',
    ],
  ],
  [
    'a dash from a document',
    'udp dport 5–9 drop',
    ["r:4:12: error: unexpected '–'", '  udp dport 5–9 drop', '             ^', "  write a plain '-'"],
  ],
  [
    'a no-break space',
    'udp\u00a0dport 5 drop',
    [
      "r:4:4: error: unexpected '\u00a0'",
      '  udp\u00a0dport 5 drop',
      '     ^',
      '  this is not a plain blank: replace it',
    ],
  ],
  [
    'a set that is not closed',
    'udp dport { 5060, 5061 class data',
    [
      "r:4:24: error: unexpected 'class'",
      '  udp dport { 5060, 5061 class data',
      '                         ^^^^^',
      "  expected ',' or '}' in the set",
      "  is the '}' of the set missing?",
    ],
  ],
  [
    'a place behind a tab',
    '\tudp dport 70000 class data',
    [
      "r:4:12: error: '70000' is too large for 'udp dport'",
      '  \tudp dport 70000 class data',
      '  \t          ^^^^^',
      '  expected a number up to 65535',
    ],
  ],
  [
    'guard for UDP',
    'udp dport 5 class data guard',
    [
      "r:4:24: error: 'guard' is for TCP, which 'udp dport' rules out here",
      '  udp dport 5 class data guard',
      '                         ^^^^^',
      "  leave 'guard' out",
    ],
  ],
  [
    "nft's random numbers",
    'numgen random mod 2 0 drop',
    [
      "r:4:1: error: 'numgen' is not part of the language",
      '  numgen random mod 2 0 drop',
      '  ^^^^^^',
      '  leave it out: the same frame always gets the same verdict',
    ],
  ],
  [
    "nft's clock",
    'hour 8 drop',
    [
      "r:4:1: error: 'hour' is not part of the language",
      '  hour 8 drop',
      '  ^^^^',
      '  leave it out: rules know no clock',
    ],
  ],
  [
    "nft's routes",
    'fib daddr type local drop',
    [
      "r:4:1: error: 'fib' is not part of the language",
      '  fib daddr type local drop',
      '  ^^^',
      '  routes are not known here: match addresses',
    ],
  ],
  [
    "nft's set update",
    'update @rtp { ip saddr } pass',
    [
      "r:4:1: error: 'update' is not part of the language",
      '  update @rtp { ip saddr } pass',
      '  ^^^^^^',
      '  the host adds elements to sets, rules do not',
    ],
  ],
  [
    'if',
    'if udp dport 5 drop',
    [
      "r:4:1: error: 'if' is not part of the language",
      '  if udp dport 5 drop',
      '  ^^',
      '  leave it out: a rule is its matches, then a class or a verdict',
    ],
  ],
  [
    'a protocol alone',
    'udp class data',
    [
      "r:4:5: error: unexpected 'class'",
      '  udp class data',
      '      ^^^^^',
      "  expected sport, dport or length after 'udp'",
      "  for any packet of it write 'meta l4proto udp'",
    ],
  ],
  [
    'a value without its field',
    'tcp syn class data',
    [
      "r:4:5: error: 'tcp' has no field 'syn'",
      '  tcp syn class data',
      '      ^^^',
      "  expected sport, dport or flags after 'tcp'",
      "  write 'tcp flags syn'",
    ],
  ],
  [
    'a number without its field',
    'vlan 5 class data',
    [
      "r:4:6: error: 'vlan' has no field '5'",
      '  vlan 5 class data',
      '       ^',
      "  expected id or pcp after 'vlan'",
      "  write 'vlan id 5'",
    ],
  ],
  [
    "tcpdump's dst",
    'ether dst 02:00:00:00:00:01 class data',
    [
      "r:4:1: error: 'ether dst' is not part of the language",
      '  ether dst 02:00:00:00:00:01 class data',
      '  ^^^^^^^^^',
      "  write 'ether daddr'",
    ],
  ],
  [
    'another word for a field',
    'ip proto tcp class data',
    [
      "r:4:1: error: 'ip proto' is not part of the language",
      '  ip proto tcp class data',
      '  ^^^^^^^^',
      "  write 'ip protocol'",
    ],
  ],
  [
    'a class in quotes',
    'udp dport 5 class "data"',
    [
      "r:4:19: error: unexpected 'data'",
      '  udp dport 5 class "data"',
      '                    ^^^^^^',
      '  expected the name of a class',
      '  leave the quotes out',
    ],
  ],
  [
    'single quotes',
    "udp dport 5 drop comment 'abc'",
    [
      "r:4:26: error: unexpected '''",
      "  udp dport 5 drop comment 'abc'",
      '                           ^',
      '  write a plain "',
      "r:4:30: error: unexpected '''",
      "  udp dport 5 drop comment 'abc'",
      '                               ^',
      '  write a plain "',
    ],
  ],
  [
    'a sign from mathematics',
    'udp dport ≠ 5 drop',
    ["r:4:11: error: unexpected '≠'", '  udp dport ≠ 5 drop', '            ^', "  write '!='"],
  ],
  [
    'the verdict first',
    'drop udp dport 5',
    [
      'r:4:1: error: a rule without a match would be tried on every frame',
      '  drop udp dport 5',
      '  ^^^^',
      "  write 'default' before it, at the end of the block",
      "r:4:6: error: unexpected 'udp'",
      '  drop udp dport 5',
      '       ^^^',
      "  expected 'guard', 'ordered', a comment or the end of the line",
      '  matches stand before the class or verdict; each rule has its own line',
    ],
  ],
  [
    'a value without any field',
    'app rtp 5004 class data',
    [
      "r:4:9: error: unexpected '5004'",
      '  app rtp 5004 class data',
      '          ^^^^',
      '  expected a match, a class or a verdict',
      "  a value stands behind its field: 'udp dport 5004'",
    ],
  ],
];

describe('an error in a rule says where, what and what else', () => {
  it.each(RULES)('%s', (_name, lines, expected) => {
    expect(shownErrors(fileOf(lines))).toEqual(expected);
  });
});

const FILES: readonly Case[] = [
  [
    'a class defined twice',
    `class a pass
class a hold
outbound {
}`,
    ["r:2:7: error: class 'a' is already defined in line 1", '  class a hold', '        ^'],
  ],
  [
    'a class whose verdict is misspelt',
    `class a hodl
outbound {
}`,
    [
      "r:1:9: error: 'hodl' is not a verdict",
      '  class a hodl',
      '          ^^^^',
      '  expected pass, hold or drop',
      "  did you mean 'hold'?",
    ],
  ],
  [
    'a class with an equals sign',
    `class a = hold
outbound {
}`,
    [
      "r:1:9: error: unexpected '='",
      '  class a = hold',
      '          ^',
      "  expected a verdict for class 'a': pass, hold or drop",
      "  write 'class a hold', or pass, or drop",
    ],
  ],
  [
    "a class whose verdict is nft's",
    `class a accept
outbound {
}`,
    ["r:1:9: error: 'accept' is not part of the language", '  class a accept', '          ^^^^^^', "  write 'pass'"],
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
      "  expected a verdict for class 'a': pass, hold or drop",
    ],
  ],
  [
    'a class named like a verdict',
    `class pass hold
outbound {
}`,
    ["r:1:7: error: 'pass' cannot name a class: it is a word of the language", '  class pass hold', '        ^^^^'],
  ],
  [
    'a misspelt block',
    `outbond {
  udp dport 5 pas
}`,
    [
      "r:1:1: error: unknown word 'outbond'",
      '  outbond {',
      '  ^^^^^^^',
      "  expected 'class NAME verdict', 'set NAME { … }', 'outbound { … }' or 'inbound { … }'",
      "  did you mean 'outbound'?",
      "r:2:15: error: unknown word 'pas'",
      '    udp dport 5 pas',
      '                ^^^',
      '  expected a match, a class or a verdict',
      "  did you mean 'pass'?",
    ],
  ],
  [
    "nft's output",
    `output {
  udp dport 5 pass
}`,
    [
      "r:1:1: error: 'output' is not part of the language",
      '  output {',
      '  ^^^^^^',
      "  write 'outbound { … }': what comes from the VM",
      "r:3:2: error: there is no 'outbound' block",
      '  }',
      '   ^',
      "  write 'outbound { … }' around the rules",
    ],
  ],
  [
    'two outbound blocks',
    `outbound {
}
outbound {
}`,
    [
      "r:3:1: error: there is an 'outbound' block already, in line 1",
      '  outbound {',
      '  ^^^^^^^^',
      '  put its rules into that one',
    ],
  ],
  [
    'a block that is not closed',
    `class data pass
outbound {
  udp dport 5 drop`,
    ["r:2:10: error: this block is not closed: '}' is missing", '  outbound {', '           ^'],
  ],
  [
    'a brace missing some lines above',
    `class data pass
outbound {
  udp dport {
    5060,
    5060,
    5060,
  tcp dport 80 class data
  udp dport 6 pass
}`,
    [
      "r:7:3: error: 'tcp' is not a port",
      '    tcp dport 80 class data',
      '    ^^^',
      '  expected a port, by name or number',
    ],
  ],
  [
    'a brace too many',
    `outbound {
}
}`,
    ["r:3:1: error: this '}' closes nothing", '  }', '  ^'],
  ],
  [
    'a rule outside the block',
    `outbound {
}
udp dport 5 drop`,
    [
      "r:3:1: error: 'udp' begins a rule, and this is outside any block",
      '  udp dport 5 drop',
      '  ^^^',
      "  rules stand inside 'outbound { … }'",
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
      "r:1:1: error: 'table' is not part of the language",
      '  table netdev t {',
      '  ^^^^^',
      "  there are no tables: write 'outbound { … }'",
    ],
  ],
  [
    'an nft ruleset with a hook',
    `outbound {
  type filter hook ingress device eth0 priority 0; policy accept;
  udp dport 5 drop
}`,
    [
      "r:2:3: error: 'type' is not part of the language",
      '    type filter hook ingress device eth0 priority 0; policy accept;',
      '    ^^^^',
      '  leave it out: there are no chains, the first rule that matches decides',
      "r:2:52: error: 'policy' is not part of the language",
      '    type filter hook ingress device eth0 priority 0; policy accept;',
      '                                                     ^^^^^^',
      "  write 'default' and a verdict as the last line of the block",
    ],
  ],
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
  [
    'an include that nobody can read',
    `include "x.rules"
outbound {
}`,
    [
      "r:1:9: error: cannot include 'x.rules': there are no files to include here",
      '  include "x.rules"',
      '          ^^^^^^^^^',
    ],
  ],
  [
    'an include without quotes',
    `include x.rules
outbound {
}`,
    [
      "r:1:9: error: unexpected 'x.rules'",
      '  include x.rules',
      '          ^^^^^^^',
      '  expected the name of a file in double quotes',
    ],
  ],
  [
    'hold in inbound',
    `inbound {
  tcp dport 5 hold
}
outbound {
}`,
    [
      'r:2:15: error: inbound frames cannot be held',
      '    tcp dport 5 hold',
      '                ^^^^',
      '  expected pass or drop',
    ],
  ],
  [
    'a holding class in inbound',
    `class c hold
inbound {
  tcp dport 5 class c
}
outbound {
  udp dport 5 class c
}`,
    [
      "r:3:21: error: inbound frames cannot be held, and class 'c' is 'hold' by line 1",
      '    tcp dport 5 class c',
      '                      ^',
      '  expected pass or drop',
      "  name the verdict here, or a class of its own: 'class c-in drop'",
    ],
  ],
  [
    'two inbound blocks',
    `inbound {
}
inbound {
}
outbound {
}`,
    [
      "r:3:1: error: there is an 'inbound' block already, in line 1",
      '  inbound {',
      '  ^^^^^^^',
      '  put its rules into that one',
    ],
  ],
  [
    'guard in inbound',
    `inbound {
  tcp dport 5 pass guard
}
outbound {
}`,
    [
      "r:2:20: error: 'guard' is for outbound rules",
      '    tcp dport 5 pass guard',
      '                     ^^^^^',
      '  leave it out: the guard of an outbound rule watches both directions of its connections',
    ],
  ],
  [
    'flush ruleset',
    `flush ruleset
outbound {
}`,
    [
      "r:1:1: error: 'flush' is not part of the language",
      '  flush ruleset',
      '  ^^^^^',
      '  a rule file always replaces the whole rule set: leave this out',
    ],
  ],
  [
    'a shell line',
    `#!/usr/sbin/nft -f
add rule ip filter output udp dport 5 accept
outbound {
}`,
    [
      "r:2:1: error: 'add' is not part of the language",
      '  add rule ip filter output udp dport 5 accept',
      '  ^^^',
      "  commands are no rules: write the rule alone, inside 'outbound { … }'",
    ],
  ],
  [
    'no outbound block',
    'class a pass',
    [
      "r:1:13: error: there is no 'outbound' block",
      '  class a pass',
      '              ^',
      "  write 'outbound { … }' around the rules",
    ],
  ],
  [
    'an empty file',
    '',
    ["r:1:1: error: there is no 'outbound' block", '  ', '  ^', "  write 'outbound { … }' around the rules"],
  ],
];

describe('an error around the rules says where, what and what else', () => {
  it.each(FILES)('%s', (_name, text, expected) => {
    expect(shownErrors(text)).toEqual(expected);
  });
});
