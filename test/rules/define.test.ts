import { describe, expect, it } from 'vitest';
import { MAX_TOKENS } from '../../rules/lex.ts';
import { parseRules } from '../../rules/parse.ts';
import type { FieldMatch, Rule } from '../../rules/rule.ts';
import { shownErrors } from './rules.ts';

function rulesOf(text: string): readonly Rule[] {
  const { ruleSet, errors } = parseRules(text, 'r');
  expect(errors).toEqual([]);
  return ruleSet!.outbound;
}

/** `5-9 20` for the rule's first match. */
function valuesOf(definitions: string, match: string): string {
  const { mask, intervals } = rulesOf(`${definitions}\noutbound { ${match} hold }`)[0]!.matches[0] as FieldMatch;
  const values = intervals.map(({ low, high }) => (low === high ? `${low}` : `${low}-${high}`)).join(' ');
  return mask === null ? values : `&${mask} ${values}`;
}

describe('$NAME stands for what was defined', () => {
  it.each([
    ['a value', 'define a = 5', 'udp dport $a', '5'],
    ['a range', 'define a = 5-9', 'udp dport $a', '5-9'],
    ['both ends of a range', 'define a = 5; define b = 9', 'udp dport $a - $b', '5-9'],
    ['a list', 'define a = { 5, 7 }', 'udp dport $a', '5 7'],
    ['a list over several lines', 'define a = {\n 5,  # five\n 7\n , 9,\n}', 'udp dport $a', '5 7 9'],
    ['a list inside a list', 'define a = { 5, 7 }', 'udp dport { $a, 9 }', '5 7 9'],
    ['a list as the last of a list', 'define a = { 5, 7 }', 'udp dport { 1,\n $a\n }', '1 5 7'],
    ['a list of names', 'define a = { 5, 7 }\ndefine b = { $a, 9 }', 'udp dport $b', '5 7 9'],
    [
      'a list of lists of names',
      'define a = { 1 }\ndefine b = { $a, 3 }\ndefine c = { $b, $a }',
      'udp dport $c',
      '1 3',
    ],
    ['an empty list inside a list', 'define a = {}', 'udp dport { $a, 9 }', '9'],
    ['an empty list at the end of a list', 'define a = { }', 'udp dport { 9, $a }', '9'],
    ['a prefix length', 'define a = 8', 'ip saddr 10.0.0.0/$a', '167772160-184549375'],
    ['alternatives behind &', 'define a = syn|ack', 'tcp flags & $a == syn', '&18 2'],
    ['alternatives in parentheses', 'define a = (syn|ack)', 'tcp flags & $a == $a', '&18 18'],
    ['alternatives inside parentheses', 'define a = syn|ack', 'tcp flags & ($a|fin) == syn', '&19 2'],
    ['parentheses inside parentheses', 'define a = (syn|ack)', 'tcp flags & (fin|$a) == syn', '&19 2'],
    ['the whole match', 'define a = udp dport 5', '$a', '5'],
    ['a name with signs in it', 'define a-b.c = 5', 'udp dport $a-b.c', '5'],
    ['what it was redefined as', 'define a = 5\nredefine a = 6', 'udp dport $a', '6'],
    ['what it was when another took it over', 'define a = 5\ndefine b = $a\nredefine a = 6', 'udp dport $b', '5'],
    ['what is defined anew after undefine', 'define a = 5\nundefine a\ndefine a = 6', 'udp dport $a', '6'],
    ['what redefine alone defines', 'redefine a = 6', 'udp dport $a', '6'],
  ])('%s', (_, definitions, match, values) => {
    expect(valuesOf(definitions, match)).toBe(values);
  });

  it('in sets', () => {
    const text =
      'define low = 5\ndefine more = { 20, 30 }\nset s { type inet_service; flags interval; elements = { $low - 9, $more } }';
    expect(valuesOf(text, 'udp dport @s')).toBe('5-9 20 30');
    expect(valuesOf('define all = { 5, 6 }\nset s { type inet_service; elements = $all }', 'udp dport @s')).toBe('5-6');
  });

  it('in tuples', () => {
    const text = 'define who = 192.0.2.1\nset s { type ipv4_addr . inet_service; elements = { $who . 5 } }';
    expect(rulesOf(`${text}\noutbound { ip saddr . udp dport @s hold }`)[0]!.matches).toMatchObject([
      { tuples: [[{ low: 0xc0000201n }, { low: 5n }]] },
    ]);
    const list = 'define pair = 192.0.2.1 . 5\noutbound { ip saddr . udp dport { $pair, 192.0.2.2 . 6 } hold }';
    expect(rulesOf(list)[0]!.matches).toMatchObject([
      {
        tuples: [
          [{}, { low: 5n }],
          [{}, { low: 6n }],
        ],
      },
    ]);
  });

  it('only behind its definition, and inside a block only there', () => {
    const text = 'outbound {\n define a = 5\n udp dport $a hold\n}\ndefine a = 6\ninbound { udp dport $a drop }';
    const { ruleSet, errors } = parseRules(text, 'r');
    expect(errors).toEqual([]);
    expect(ruleSet!.outbound[0]!.matches).toMatchObject([{ intervals: [{ low: 5n }] }]);
    expect(ruleSet!.inbound![0]!.matches).toMatchObject([{ intervals: [{ low: 6n }] }]);
  });

  it('as which a rule shows it: its text is what stands in the file', () => {
    const [first, second] = rulesOf(
      'define a = { 5, 6 }\ndefine b = 7\noutbound {\n  udp dport $a hold\n  udp dport {  $b - 9, $a } pass comment "x"\n}',
    );
    expect(first).toMatchObject({ text: 'udp dport $a hold', place: { line: 4, column: 3 } });
    expect(second).toMatchObject({ text: 'udp dport { $b - 9, $a } pass comment "x"' });
  });

  it('define can still be a value: names of the language are not reserved', () => {
    expect(parseRules('outbound { udp dport {\n define } hold }', 'r').errors).toMatchObject([{ code: 'bad-value' }]);
  });
});

/** Text, and what is said about it but for the line and its caret. */
const MESSAGES: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'a bad value points at the use and names the definition',
    'define port = 70000\noutbound {\n  udp dport $port hold\n}',
    ["r:3:13: error: '70000' is too large for 'udp dport', in '$port' of line 1", 'expected a number up to 65535'],
  ],
  [
    'an unknown name',
    'define ports = 5\noutbound { udp dport { 1, $port } hold; tcp dport $ports hold }',
    ["r:2:27: error: '$port' is not defined", "did you mean 'ports'?"],
  ],
  [
    'nothing like it',
    'outbound { udp dport $port hold }',
    ["r:1:22: error: '$port' is not defined", "define it above: 'define port = …'"],
  ],
  [
    'a definition below',
    'outbound { udp dport $port hold }\ndefine port = 5',
    ["r:1:22: error: '$port' is not defined here", 'its definition in line 2 must stand above'],
  ],
  [
    'a definition in another block',
    'outbound {\n define port = 5\n}\ninbound { udp dport $port drop }',
    [
      "r:4:21: error: '$port' is not defined here",
      'its definition in line 2 holds only in its block, or was taken back',
    ],
  ],
  [
    'a name that is longer than meant',
    'define low = 5\noutbound { udp dport $low-9 hold; udp sport $low hold }',
    ["r:2:22: error: '$low-9' is not defined", "blanks stand around the '-' behind a name: '$low - 9'"],
  ],
  [
    'itself',
    'define a = { $a, 5 }\noutbound { udp dport $a hold }',
    ["r:1:14: error: '$a' cannot stand in its own definition"],
  ],
  [
    'a second definition',
    'define a = 5\ndefine a = 6\noutbound { udp dport $a hold }',
    ["r:2:8: error: '$a' is already defined in line 1", "to change it from here on write 'redefine'"],
  ],
  [
    'no value',
    'define a =\noutbound { udp dport $a hold }',
    ['r:1:11: error: unexpected end of line', "expected what '$a' stands for"],
  ],
  ['no =', 'define a 5\noutbound { udp dport $a hold }', ["r:1:10: error: unexpected '5'", "expected '=' after 'a'"]],
  [
    'a list that is not closed',
    'define a = { 5, 6\noutbound { udp dport $a hold }',
    ["r:1:12: error: this list is not closed: '}' is missing"],
  ],
  [
    'undefine of nothing',
    'undefine a\noutbound { }',
    ["r:1:10: error: '$a' is not defined", "define it above: 'define a = …'"],
  ],
];

describe('an error says where, what and what else', () => {
  it.each(MESSAGES)('%s', (_, text, expected) => {
    const lines = shownErrors(text);
    expect(lines.filter((_, index) => index !== 1 && index !== 2).map((line) => line.trimStart())).toEqual(expected);
  });

  it('with the place of the definition as the related one', () => {
    expect(parseRules('define a = x\noutbound { udp dport $a hold }', 'r').errors).toMatchObject([
      { code: 'bad-value', line: 2, column: 22, length: 2, related: { file: 'r', line: 1, column: 8 } },
    ]);
  });
});

describe('definitions that nothing uses', () => {
  it('are a warning', () => {
    const { warnings } = parseRules('define a = 5\ndefine b = $a\noutbound { default hold }', 'r');
    expect(warnings).toMatchObject([{ code: 'unused-define', line: 2, column: 8, message: "nothing uses '$b'" }]);
  });
});

describe('definitions of definitions', () => {
  it('end at the limit of words, however fast they grow', () => {
    let text = 'define a0 = { 1, 2 }\n';
    for (let i = 1; i < 60; i++) text += `define a${i} = { $a${i - 1}, $a${i - 1} }\n`;
    const { errors } = parseRules(`${text}outbound { udp dport $a59 hold }`, 'r');
    expect(errors).toMatchObject([
      { code: 'too-large', message: expect.stringContaining(`more than ${MAX_TOKENS} words`) },
    ]);
  });

  it('a hundred thousand of them are read in the time of their text', () => {
    const text = Array.from({ length: 100_000 }, (_, i) => `define d${i} = ${i % 65_536}`).join('\n');
    expect(parseRules(`${text}\noutbound { udp dport $d99999 hold }`, 'r').errors).toEqual([]);
  });
});
