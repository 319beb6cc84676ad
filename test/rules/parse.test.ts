import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { formatRuleError } from '../../rules/errors.ts';
import { parseRules } from '../../rules/parse.ts';
import { fileOf, rulesOf } from './rules.ts';

const README = readFileSync(new URL('../../rules/README.md', import.meta.url), 'utf8');

describe('a rule file', () => {
  it('gives rules with handle, place, text, class, verdict and comment', () => {
    const text = [
      '# what this is',
      'class data pass',
      'class control hold; class junk drop',
      '',
      'outbound {',
      '\tudp   dport { 5060,',
      '    5061 } class control  comment "a  b"   # why',
      '  ether type 0x88cc drop; app sip class junk',
      '  default class control',
      '}',
    ].join('\n');
    expect(parseRules(text, 'x.rules')).toEqual({
      sources: new Map([['x.rules', text]]),
      errors: [],
      warnings: [expect.objectContaining({ code: 'unused-class', line: 2, column: 7, length: 4 })],
      ruleSet: {
        file: 'x.rules',
        classes: [
          { name: 'data', verdict: 'pass', place: { file: 'x.rules', line: 2, column: 7 } },
          { name: 'control', verdict: 'hold', place: { file: 'x.rules', line: 3, column: 7 } },
          { name: 'junk', verdict: 'drop', place: { file: 'x.rules', line: 3, column: 27 } },
        ],
        sets: [],
        unusedSets: [],
        inbound: null,
        outbound: [
          {
            handle: 1,
            place: { file: 'x.rules', line: 6, column: 2 },
            text: 'udp dport { 5060, 5061 } class control comment "a  b"',
            matches: [
              {
                kind: 'field',
                field: 'udp.dport',
                mask: null,
                negated: false,
                intervals: [{ low: 5060n, high: 5061n }],
              },
            ],
            className: 'control',
            verdict: 'hold',
            isDefault: false,
            guard: false,
            ordered: false,
            comment: 'a  b',
          },
          {
            handle: 2,
            place: { file: 'x.rules', line: 8, column: 3 },
            text: 'ether type 0x88cc drop',
            matches: [
              {
                kind: 'field',
                field: 'ether.type',
                mask: null,
                negated: false,
                intervals: [{ low: 0x88ccn, high: 0x88ccn }],
              },
            ],
            className: null,
            verdict: 'drop',
            isDefault: false,
            guard: false,
            ordered: false,
            comment: null,
          },
          {
            handle: 3,
            place: { file: 'x.rules', line: 8, column: 27 },
            text: 'app sip class junk',
            matches: [{ kind: 'app', app: 'sip', types: null, negated: false }],
            className: 'junk',
            verdict: 'drop',
            isDefault: false,
            guard: false,
            ordered: false,
            comment: null,
          },
          {
            handle: 4,
            place: { file: 'x.rules', line: 9, column: 3 },
            text: 'default class control',
            matches: [],
            className: 'control',
            verdict: 'hold',
            isDefault: true,
            guard: false,
            ordered: false,
            comment: null,
          },
        ],
      },
    });
  });

  it('may define a class below the block that uses it', () => {
    expect(parseRules('outbound { default class late }\nclass late drop', 'x').ruleSet?.outbound[0]?.verdict).toBe(
      'drop',
    );
  });

  it('may have DOS line ends, a byte order mark and a final line without end', () => {
    const text = `\ufeff${fileOf('udp dport 5 class data', 'default class control').trimEnd().replaceAll('\n', '\r\n')}`;
    const { ruleSet, errors } = parseRules(text, 'x');
    expect(errors).toEqual([]);
    expect(ruleSet?.outbound.map((rule) => rule.text)).toEqual(['udp dport 5 class data', 'default class control']);
  });

  it('may go on after a backslash at the end of a line', () => {
    const [rule, next] = rulesOf('udp dport 5 \\', '  class data', 'tcp dport 6 hold');
    expect([rule!.text, next!.place.line]).toEqual(['udp dport 5 class data', 6]);
  });

  it('may have no rules: then everything is held for want of a default', () => {
    expect(parseRules('outbound {\n}\n', 'x')).toEqual({
      ruleSet: { file: 'x', classes: [], sets: [], unusedSets: [], outbound: [], inbound: null },
      errors: [],
      warnings: [],
      sources: new Map([['x', 'outbound {\n}\n']]),
    });
  });

  it.each(README.split('```').filter((block, index) => index % 2 === 1 && /^outbound \{/m.test(block)))(
    'may be what the README shows: %s',
    (block) => {
      const { errors } = parseRules(block, 'README.md');
      expect(errors.map((error) => formatRuleError(error, block))).toEqual([]);
    },
  );

  it('is read on behind a set with an error in it', () => {
    const { errors } = parseRules(fileOf('udp dport { 5 6 } class data', 'tcp dport { 5, } class dat'), 'x');
    expect(errors.map(({ line, code }) => [line, code])).toEqual([
      [4, 'syntax'],
      [5, 'unknown-class'],
    ]);
  });

  it('keeps words with hyphens whole and ranges of numbers apart', () => {
    expect(rulesOf('udp dport 5-6 icmp type echo-reply hold')[0]!.text).toBe('udp dport 5-6 icmp type echo-reply hold');
  });
});
