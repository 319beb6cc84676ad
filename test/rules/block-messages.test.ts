import { describe, expect, it } from 'vitest';
import { type MessageCase, shownErrors } from './rules.ts';

const FILES: readonly MessageCase[] = [
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
