import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Reports } from '../../rules/errors.ts';
import { formatRules } from '../../rules/format.ts';
import { includeFrom } from '../../rules/include.ts';
import { lex } from '../../rules/lex.ts';
import { SHIPPED_SETS, shippedRulesPath } from '../../rules/load.ts';
import { parseRules } from '../../rules/parse.ts';
import { runs, SEED } from '../support/runs.ts';

/** What a file means: all that is read from it but places and the words themselves. Claims show in the warnings. */
function meaningOf(text: string): unknown {
  const { ruleSet, errors, warnings } = parseRules(text, 'x', { resolve: includeFrom(INCLUDED) });
  const told = [...errors, ...warnings].map(({ code, severity }) => `${severity} ${code}`).sort();
  const shown = JSON.stringify(ruleSet, (key, value) => {
    if (key === 'place' || key === 'text') return undefined;
    return typeof value === 'bigint' ? `${value}n` : value;
  });
  return { told, ruleSet: shown };
}

const INCLUDED = new Map([['names.rules', 'define included = 7\n']]);

/** Without the blanks at their ends, in their order. */
function commentsOf(text: string): string[] {
  let end = 0;
  const comments: string[] = [];
  for (const token of lex(text, new Reports(''))) {
    const gap = text.slice(end, token.start);
    if (gap.includes('#')) comments.push(gap.slice(gap.indexOf('#')).trimEnd());
    end = token.end;
  }
  return comments;
}

function wordsOf(text: string): string[] {
  return lex(text, new Reports(''))
    .filter(({ kind, text: word }) => kind !== 'newline' && !(kind === 'punctuation' && word === ';'))
    .map(({ kind, text: word }) => `${kind} ${word}`);
}

/** Holds of every valid file. */
function judge(text: string): void {
  const formatted = formatRules(text);
  expect(meaningOf(formatted)).toEqual(meaningOf(text));
  expect(commentsOf(formatted)).toEqual(commentsOf(text));
  expect(wordsOf(formatted)).toEqual(wordsOf(text));
  expect(formatRules(formatted)).toBe(formatted);
  expect(formatted).not.toMatch(/[ \t]\n|\n\n\n|^\n|\n\n$|\t/);
}

const MESSY = `

class data pass # leaves at once
class\tcontrol   hold; class junk drop# never
include "names.rules"



set media { type inet_service; flags interval; elements={16384-32767,$low - 40000} }
set  rtp   {   # live

  typeof ip saddr . udp sport; flags timeout
      timeout 30s

  elements = {
  192.0.2.1 . 5060 timeout 5s comment "one,{two}",# first
# alone
  10.0.0.1 . 5 }
}
define low = 40000
define list = { 5060,
5061 } # two
outbound # from the VM
{

  # above
  udp dport {5,$list,$included} class data comment "x"; tcp dport 80 hold guard # behind
  udp sport @media \\
    udp length > 20 class data ordered
  tcp flags & (syn|fin) != 0 class control;# flags


  ip saddr . udp sport @rtp class data
  ; ; # nothing
  app != sip drop }
inbound { tcp dport {
   22, # one
   23
 } class junk; default pass } # the end
# last`;

describe('formatting', () => {
  it('indents by two, puts one statement on a line, aligns classes, verdicts and comments', () => {
    const low = MESSY.replace('define low = 40000\n', '').replace('include', 'define low = 33000\ninclude');
    expect(parseRules(low, 'x', { resolve: includeFrom(INCLUDED) }).errors).toEqual([]);
    expect(formatRules(low)).toBe(`class data    pass  # leaves at once
class control hold
class junk    drop  # never
define low = 33000
include "names.rules"

set media { type inet_service; flags interval; elements = { 16384-32767, $low - 40000 } }
set rtp {  # live
  typeof ip saddr . udp sport; flags timeout
  timeout 30s
  elements = {
    192.0.2.1 . 5060 timeout 5s comment "one,{two}",  # first
    # alone
    10.0.0.1 . 5 }
}
define list = { 5060,
  5061 }  # two
outbound  # from the VM
{
  # above
  udp dport { 5, $list, $included }   class data   comment "x"
  tcp dport 80                        hold guard  # behind
  udp sport @media \\
      udp length > 20 class data ordered
  tcp flags & (syn|fin) != 0          class control  # flags

  ip saddr . udp sport @rtp           class data
  ;  # nothing
  app != sip                          drop
}
inbound {
  tcp dport {
    22,  # one
    23
  } class junk
  default   pass
}  # the end
# last
`);
    judge(low);
  });

  it('leaves a line that is too wide for the column outside of it', () => {
    const wide = `ip daddr { ${Array.from({ length: 8 }, (_, i) => `192.0.2.${i}`).join(', ')} }`;
    expect(formatRules(`outbound {\n${wide} hold\nudp dport 5 hold\ntcp dport 80 drop\n}\n`)).toBe(
      `outbound {\n  ${wide}   hold\n  udp dport 5    hold\n  tcp dport 80   drop\n}\n`,
    );
  });

  it('writes line ends of other systems as its own', () => {
    expect(formatRules('outbound {\r\n  default hold # x\r\n}\r\n')).toBe('outbound {\n  default   hold  # x\n}\n');
  });

  it.each(['', '\n\n', '# only this', 'outbound {}', 'outbound { default hold }'])(
    'ends %j with one line end',
    (text) => {
      expect(formatRules(text)).toMatch(text.trim() === '' ? /^$/ : /[^\n]\n$/);
      judge(text);
    },
  );

  it('moves no comment to where it would say that frames are held, and none away from there', () => {
    const claim = '# @holds udp dport 5';
    for (const text of [
      `outbound {\nudp dport 5 pass ${claim}\n}\n`,
      `outbound ${claim}\n{\nudp dport 5 pass\n}\n`,
      `outbound {\nudp dport 5 pass; ; ${claim}\n}\n`,
      `outbound {\nudp dport { 5, ${claim}\n} pass\n}\n`,
      `outbound {\nudp dport 5 pass \\\n${claim}\n}\n`,
      `outbound {\nudp dport { 5 \\\n${claim}\n} pass\n}\n`,
      `outbound\n${claim}\n{\nudp dport 5 pass\n}\n`,
      `outbound { udp dport 5 pass } ${claim}`,
      `outbound { udp dport 5 pass }\n${claim}`,
      `outbound { udp dport 5 pass } \\\n${claim}`,
    ]) {
      judge(text);
    }
  });

  it.each(SHIPPED_SETS)('leaves the shipped set %s as it is', (name) => {
    const text = readFileSync(shippedRulesPath(name), 'utf8');
    judge(text);
    expect(formatRules(text)).toBe(text);
  });
});

const BLANK = fc.constantFrom(' ', '  ', '\t', ' \\\n', '   ');
const NEWLINE = fc.constantFrom(
  '\n',
  '\n\n',
  '\n\n\n',
  '\r\n',
  ' # a comment\n',
  '\n# alone\n',
  '\n  # @holds udp dport 9\n',
);
const END = fc.oneof(NEWLINE, fc.constantFrom(';', '; ', ';\n', ' ;; # odd\n'));
const VALUE = fc.constantFrom('5', '7-9', '0x10', '1000 - 2000', '$value');

/** Words with any blanks between them. */
function spaced(words: readonly string[]): fc.Arbitrary<string> {
  return fc.array(BLANK, { minLength: words.length, maxLength: words.length }).map((blanks) => {
    return words.map((word, i) => (i === 0 ? word : blanks[i]! + word)).join('');
  });
}

const SET = fc
  .array(fc.tuple(VALUE, fc.constantFrom(',', ', ', ' ,\n', ', # five\n', ',\n\n  # alone\n')), {
    minLength: 1,
    maxLength: 4,
  })
  .map((items) => `{${items.map(([value, comma]) => value + comma).join('')}}`);
const MATCH = fc.oneof(
  fc
    .tuple(fc.constantFrom('udp dport', 'tcp sport !=', 'ip ttl'), fc.oneof(VALUE, SET))
    .map((parts) => parts.join(' ')),
  fc.constantFrom(
    'tcp flags & (syn|ack) == syn',
    'ip saddr 10.0.0.0/8',
    '@th,64,32 5',
    'app sip',
    'udp sport @named',
    'ip saddr . udp dport { 192.0.2.1 . 53,192.0.2.2 . 54 }',
  ),
);
const OUTCOME = fc.constantFrom(
  'pass',
  'hold',
  'drop',
  'class data',
  'class data ordered',
  'class junk comment "a { b } # c"',
);
const RULE = fc
  .tuple(fc.array(MATCH, { minLength: 1, maxLength: 3 }), OUTCOME)
  .chain(([matches, outcome]) => spaced([...matches, ...outcome.split(/ (?=class|comment|ordered)/)]));
const TOP = fc.constantFrom(
  'class other hold',
  'define more = { 5, 6 }',
  'define more = 5 # why',
  'set second { type inet_service; elements = { 5,6 } }',
  'set third {\n type inet_service\n elements = { 5 }\n}',
  '# alone',
);
const FILE = fc
  .record({
    rules: fc.array(fc.tuple(RULE, END), { maxLength: 6 }),
    tops: fc.uniqueArray(TOP, { maxLength: 4, selector: (text) => text.slice(0, 6) }),
    newline: NEWLINE,
    open: fc.constantFrom('outbound {', 'outbound{\n', 'outbound # c\n{', 'outbound\n\n{ # d\n'),
    isLastOpen: fc.boolean(),
  })
  .map(({ rules, tops, newline, open, isLastOpen }) => {
    const head = [
      'define value = 77',
      'class data pass',
      'class junk drop',
      'set named { type inet_service; elements = { 3 } }',
    ];
    const block = `${open}${rules.map(([rule, end]) => rule + end).join('')} default hold}`;
    return [...head, ...tops, block].join(newline) + (isLastOpen ? '' : newline);
  });

describe('whatever the file, formatting it', () => {
  it('keeps what it means, every word and every comment, and done again changes nothing', () => {
    let valid = 0;
    fc.assert(
      fc.property(FILE, (text) => {
        if (parseRules(text, 'x').ruleSet === null) return;
        valid++;
        judge(text);
      }),
      { numRuns: runs(1000), ...SEED },
    );
    expect(valid).toBeGreaterThan(runs(1000) / 2);
  });

  it.each(SHIPPED_SETS)('does so for %s with lines cut out, doubled and broken', (name) => {
    const lines = readFileSync(shippedRulesPath(name), 'utf8').split('\n');
    const edit = fc.tuple(fc.nat(lines.length - 1), fc.constantFrom('cut', 'double', 'break', 'comment', 'squeeze'));
    fc.assert(
      fc.property(fc.array(edit, { maxLength: 5 }), (edits) => {
        const changed = [...lines];
        for (const [at, how] of edits) {
          const line = changed[at]!;
          if (how === 'cut') changed[at] = '';
          else if (how === 'double') changed[at] = `${line}\n${line}`;
          else if (how === 'break') changed[at] = line.replace(/ +/, '\n');
          else if (how === 'comment') changed[at] = `${line} # more`;
          else changed[at] = line.replace(/ *([{},]) */g, '$1');
        }
        const text = changed.join('\n');
        if (parseRules(text, 'x').ruleSet !== null) judge(text);
      }),
      { numRuns: runs(200), ...SEED },
    );
  });
});
