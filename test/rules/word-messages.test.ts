import { describe, expect, it } from 'vitest';
import { fileOf, type MessageCase, shownErrors } from './rules.ts';

const WORDS: readonly MessageCase[] = [
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
    'a sign from mathematics',
    'udp dport ≠ 5 drop',
    ["r:4:11: error: unexpected '≠'", '  udp dport ≠ 5 drop', '            ^', "  write '!='"],
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

describe('an error in the words of matches says where, what and what else', () => {
  it.each(WORDS)('%s', (_name, lines, expected) => {
    expect(shownErrors(fileOf(lines))).toEqual(expected);
  });
});
