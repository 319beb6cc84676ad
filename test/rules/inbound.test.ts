import { describe, expect, it } from 'vitest';
import { parseRules } from '../../rules/parse.ts';
import { shownErrors } from './rules.ts';

describe('the inbound block', () => {
  it('has rules of its own, whose handles go on after the outbound ones', () => {
    const text = 'inbound {\n tcp dport 22 drop\n default pass\n}\noutbound {\n udp dport 5 hold\n default hold\n}';
    const { ruleSet, errors } = parseRules(text, 'r');
    expect(errors).toEqual([]);
    expect(ruleSet!.outbound.map(({ handle, verdict }) => [handle, verdict])).toEqual([
      [1, 'hold'],
      [2, 'hold'],
    ]);
    expect(ruleSet!.inbound!.map(({ handle, verdict, isDefault }) => [handle, verdict, isDefault])).toEqual([
      [3, 'drop', false],
      [4, 'pass', true],
    ]);
  });

  it('may be empty, which is not the same as none', () => {
    expect(parseRules('outbound { }\ninbound { }', 'r').ruleSet!.inbound).toEqual([]);
    expect(parseRules('outbound { }', 'r').ruleSet!.inbound).toBeNull();
  });

  it('alone does not do', () => {
    expect(parseRules('inbound { }', 'r').errors).toMatchObject([{ code: 'no-outbound' }]);
  });

  it('takes classes that pass or drop', () => {
    const text =
      'class data pass\nclass junk drop\noutbound { }\ninbound { udp dport 5 class data; default class junk }';
    expect(parseRules(text, 'r').ruleSet!.inbound!.map(({ verdict }) => verdict)).toEqual(['pass', 'drop']);
  });

  it('keeps its own default, and nothing after it', () => {
    const text = 'outbound { default hold }\ninbound { default pass; udp dport 5 drop; default drop }';
    expect(parseRules(text, 'r').errors.map(({ code }) => code)).toEqual(['after-default', 'second-default']);
  });
});

describe('an error says where, what and what else', () => {
  it.each([
    ['udp dport 5 hold', ['r:4:13: error: inbound frames cannot be held', 'expected pass or drop']],
    ['default hold', ['r:4:9: error: inbound frames cannot be held', 'expected pass or drop']],
    [
      'udp dport 5 class control',
      [
        "r:4:19: error: inbound frames cannot be held, and class 'control' is 'hold' by line 2",
        'expected pass or drop',
        "name the verdict here, or a class of its own: 'class control-in drop'",
      ],
    ],
    [
      'tcp dport 5 pass guard',
      [
        "r:4:18: error: 'guard' is for outbound rules",
        'leave it out: the guard of an outbound rule watches both directions of its connections',
      ],
    ],
    [
      'udp dport 5 pass ordered',
      [
        "r:4:18: error: 'ordered' is for outbound rules",
        'leave it out: inbound frames are never held, so they keep their order',
      ],
    ],
    ['udp dport 5 class contrl', ["r:4:19: error: class 'contrl' is not defined", "did you mean 'control'?"]],
  ])('%s', (rule, expected) => {
    const lines = shownErrors(`outbound { }\nclass control hold\ninbound {\n${rule}\n}`);
    expect(lines.filter((_, index) => index !== 1 && index !== 2).map((text) => text.trimStart())).toEqual(expected);
  });

  it('a second block', () => {
    const { errors } = parseRules('outbound { }\ninbound { }\ninbound { }', 'r');
    expect(errors).toMatchObject([
      {
        code: 'second-inbound',
        line: 3,
        message: "there is an 'inbound' block already, in line 2",
        related: { line: 2 },
      },
    ]);
  });

  it('a brace that is missing 200 lines above the next block', () => {
    const rules = Array.from({ length: 200 }, (_, i) => `  udp dport ${i} hold`);
    expect(shownErrors(['outbound {', ...rules, 'inbound {', '  default pass', '}'].join('\n'))).toEqual([
      "r:1:10: error: this block is not closed: '}' is missing",
      '  outbound {',
      '           ^',
      "  'inbound' begins in line 202, and stands outside of blocks",
    ]);
  });

  it.each(['set s { type inet_service }', 'class data pass', 'outbound { }'])(
    'a brace that is missing above %s',
    (next) => {
      const { errors } = parseRules(
        `inbound {\n udp dport 5 pass\n${next}\n${next.startsWith('o') ? '' : 'outbound { }'}`,
        'r',
      );
      expect(errors).toMatchObject([{ code: 'missing-brace', line: 1, column: 9, related: { line: 3, column: 1 } }]);
    },
  );
});
