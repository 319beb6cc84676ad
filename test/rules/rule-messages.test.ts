import { describe, expect, it } from 'vitest';
import { fileOf, type MessageCase, shownErrors } from './rules.ts';

const RULES: readonly MessageCase[] = [
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
];

describe('an error in a rule says where, what and what else', () => {
  it.each(RULES)('%s', (_name, lines, expected) => {
    expect(shownErrors(fileOf(lines))).toEqual(expected);
  });
});
