import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeIntervals } from '../../rules/intervals.ts';
import { type ParseResult, parseRules } from '../../rules/parse.ts';
import type { Interval, Match, NamedSet } from '../../rules/rule.ts';
import { shownErrors } from './rules.ts';

function parse(sets: string, rule = 'udp dport 9 hold'): ParseResult {
  return parseRules(`${sets}\noutbound {\n${rule}\n}\n`, 'r');
}

function setOf(text: string): NamedSet {
  const { ruleSet, errors } = parse(text);
  expect(errors).toEqual([]);
  return ruleSet!.sets[0]!;
}

function matchOf(sets: string, match: string): Match {
  const { ruleSet, errors } = parse(sets, `${match} hold`);
  expect(errors).toEqual([]);
  return ruleSet!.outbound[0]!.matches[0]!;
}

function one(value: bigint): Interval {
  return { low: value, high: value };
}

describe('a named set', () => {
  it('has a name, a place, types and elements', () => {
    expect(setOf('set media { type inet_service; flags interval; elements = { 16384-32767, sip } }')).toEqual({
      name: 'media',
      place: { file: 'r', line: 1, column: 5 },
      types: ['inet_service'],
      isDynamic: false,
      timeoutMs: null,
      maxElements: 1_048_576,
      elements: [
        { intervals: [{ low: 16384n, high: 32767n }], timeoutMs: null },
        { intervals: [one(5060n)], timeoutMs: null },
      ],
    });
  });

  it('may span lines, end its lines with ; or not, and have comments', () => {
    const set = setOf(
      [
        'set s {',
        '  type ipv4_addr . inet_service   # who',
        '  comment "those that answer"; flags interval',
        '  elements = {',
        '    192.0.2.1 . 53 comment "first, of two",',
        '    10.0.0.0/8 . 1-5,',
        '  }',
        '}',
      ].join('\n'),
    );
    expect(set.elements.map(({ intervals }) => intervals)).toEqual([
      [one(0xc0000201n), one(53n)],
      [
        { low: 0x0a000000n, high: 0x0affffffn },
        { low: 1n, high: 5n },
      ],
    ]);
  });

  it('may have elements in several statements', () => {
    expect(setOf('set s { type inet_proto; elements = { tcp }; elements = { udp } }').elements).toHaveLength(2);
  });

  it.each([
    ['flags timeout', null],
    ['flags dynamic', null],
    ['timeout 1d2h3m4s', 93_784_000],
    ['flags timeout; timeout 500ms', 500],
    ['flags dynamic, timeout; timeout 30s', 30_000],
    ['timeout "5m"', 300_000],
  ])('is dynamic with %s', (body, timeoutMs) => {
    const expected = { isDynamic: true, timeoutMs, maxElements: 65_535, elements: [] };
    expect(setOf(`set s { type ipv6_addr; ${body} }`)).toMatchObject(expected);
  });

  it.each(['', 'flags constant', 'flags interval', 'size 5', 'auto-merge'])('is static with %j', (body) => {
    expect(setOf(`set s { type ether_addr; ${body} }`).isDynamic).toBe(false);
  });

  it('gives elements their own timeouts, and has a size', () => {
    const elements = '{ 192.0.2.1 timeout 5s comment "x", 192.0.2.2 }';
    expect(setOf(`set s { type ipv4_addr; flags timeout; size 10; elements = ${elements} }`)).toMatchObject({
      maxElements: 10,
      elements: [{ timeoutMs: 5000 }, { timeoutMs: null }],
    });
  });

  it('takes its types from fields', () => {
    const types = ['ipv4_addr', 'inet_service', 'inet_proto'];
    expect(setOf('set s { typeof ip saddr . udp dport . meta l4proto }').types).toEqual(types);
    expect(setOf('set s { typeof ether daddr . ip6 daddr }').types).toEqual(['ether_addr', 'ipv6_addr']);
  });

  it('may be named like a word of the language', () => {
    expect(setOf('set outbound { type ipv4_addr }').name).toBe('outbound');
  });

  it('warns of an element that stands there twice', () => {
    const set = 'set s { type ipv4_addr . inet_service; elements = { 1.1.1.1 . 5,\n1.1.1.1 . 5 } }';
    const { errors, warnings } = parse(set);
    expect(errors).toEqual([]);
    expect(warnings).toContainEqual(
      expect.objectContaining({
        ...{ code: 'duplicate-element', line: 2, column: 1, length: 11 },
        ...{ message: 'this element stands in line 1 already', related: { file: 'r', line: 1, column: 53 } },
      }),
    );
  });

  it('is listed as unused where no match refers to it', () => {
    const { ruleSet } = parse('set a { type inet_service }\nset b { type inet_service }', 'udp dport @b hold');
    expect(ruleSet!.unusedSets).toEqual(['a']);
  });
});

describe('a match on a static set', () => {
  it('is written out, sorted and merged', () => {
    const set = 'set s { type inet_service; flags interval; elements = { 30, 6-9, 5 } }';
    expect(matchOf(set, 'udp dport @s')).toEqual({
      kind: 'field',
      field: 'udp.dport',
      mask: null,
      negated: false,
      intervals: [{ low: 5n, high: 9n }, one(30n)],
    });
    expect(matchOf(set, 'th sport != @s')).toMatchObject({ field: 'th.sport', negated: true });
  });

  it('may stand above the set', () => {
    const text = 'outbound { tcp sport @s hold }\nset s { type inet_service; elements = { 5 } }';
    expect(parseRules(text, 'r').ruleSet!.outbound[0]!.matches).toMatchObject([{ intervals: [one(5n)] }]);
  });

  it('becomes tuples where the set is a concatenation', () => {
    const set = 'set s { type ipv4_addr . inet_service; elements = { 1.1.1.1 . 5, 1.1.1.2 . 6 } }';
    expect(matchOf(set, 'ip saddr . udp dport != @s')).toEqual({
      kind: 'concat',
      fields: ['ip.saddr', 'udp.dport'],
      negated: true,
      tuples: [
        [one(0x01010101n), one(5n)],
        [one(0x01010102n), one(6n)],
      ],
    });
  });

  it('has no intervals and no tuples where the set is empty', () => {
    expect(matchOf('set s { type inet_service }', 'udp dport @s')).toMatchObject({ kind: 'field', intervals: [] });
    const pairs = 'set s { type ipv4_addr . inet_service }';
    expect(matchOf(pairs, 'ip saddr . udp dport @s')).toMatchObject({ kind: 'concat', tuples: [] });
  });

  it('shares the intervals with all matches on the set', () => {
    const { ruleSet } = parse('set s { type inet_service; elements = { 5 } }', 'udp dport @s hold\ntcp dport @s hold');
    const [first, second] = ruleSet!.outbound.map(({ matches }) => (matches[0] as { intervals: unknown }).intervals);
    expect(first).toBe(second);
  });

  it('selects what the same values in braces select, for any elements', () => {
    const port = fc.nat(65535);
    const range = fc.tuple(port, port).map(([a, b]) => (a <= b ? `${a}-${b}` : `${b}-${a}`));
    const elements = fc.array(fc.oneof(port.map(String), range), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(elements, (list) => {
        const set = `set s { type inet_service; flags interval; auto-merge; elements = { ${list.join(', ')} } }`;
        expect(matchOf(set, 'udp dport @s')).toEqual(matchOf('', `udp dport { ${list.join(', ')} }`));
      }),
      { numRuns: 200 },
    );
  });
});

describe('a match on a dynamic set', () => {
  it('is looked up at run time', () => {
    const set = 'set s { type ipv4_addr . inet_service; flags timeout; elements = { 1.1.1.1 . 5 } }';
    const expected = { kind: 'set', fields: ['ip.daddr', 'tcp.sport'], set: 's', negated: false };
    expect(matchOf(set, 'ip daddr . tcp sport @s')).toEqual(expected);
  });
});

describe('intervals of a set', () => {
  it('are refused exactly where two different ones overlap', () => {
    const range = fc
      .tuple(fc.nat(40), fc.nat(6))
      .map(([low, more]) => ({ low: BigInt(low), high: BigInt(low + more) }));
    const count = (list: readonly Interval[]) => list.reduce((sum, { low, high }) => sum + high - low + 1n, 0n);
    fc.assert(
      fc.property(fc.array(range, { minLength: 1, maxLength: 6 }), (list) => {
        const different = new Map(list.map((interval) => [`${interval.low}-${interval.high}`, interval]));
        const { errors } = parse(
          `set s { type inet_service; flags interval; elements = { ${[...different.keys()].join(', ')} } }`,
        );
        const overlap = count([...different.values()]) !== count(mergeIntervals(list));
        expect(errors.some(({ code }) => code === 'overlap')).toBe(overlap);
      }),
      { numRuns: 300 },
    );
  });
});

const TIME = "expected a time like '30s', '1500ms' or '1d2h3m4s'";
const TYPES = 'ipv4_addr, ipv6_addr, ether_addr, inet_service, inet_proto';

/** A line above `outbound`, which is empty, and what is said about it but for the line and its caret. */
const MESSAGES: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'a range in a set of single values',
    'set s { type inet_service; elements = { 5-9 } }',
    ["r:1:41: error: '5-9' is more than one value", "add 'flags interval' to the set"],
  ],
  [
    'a prefix in a dynamic set of single values',
    'set s { type ipv4_addr; flags timeout; elements = { 10.0.0.0/8 } }',
    ["r:1:53: error: '10.0.0.0/8' is more than one value", "add 'flags interval, timeout' to the set"],
  ],
  [
    'intervals that overlap',
    'set s { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 10.1.0.0/16 } }',
    ["r:1:66: error: '10.1.0.0/16' overlaps '10.0.0.0/8' of line 1", "leave one out, or add 'auto-merge' to the set"],
  ],
  [
    'a timeout in a static set',
    'set s { type ipv4_addr; elements = { 192.0.2.1 timeout 5s } }',
    ['r:1:48: error: an element of this set cannot have a timeout', "add 'timeout' to the set's 'flags'"],
  ],
  [
    'a time without a unit',
    'set s { type ipv4_addr; timeout 30 }',
    ["r:1:33: error: '30' is not a time", TIME, "say the unit: '30s'"],
  ],
  ['a timeout of nothing', 'set s { type ipv4_addr; timeout 0s }', ['r:1:33: error: a timeout of nothing', TIME]],
  [
    'units the wrong way round',
    'set s { type ipv4_addr; timeout 3s1m }',
    ["r:1:33: error: '3s1m' is not a time", TIME],
  ],
  [
    'a constant set with timeouts',
    'set s { type ipv4_addr; flags constant, timeout }',
    [
      "r:1:31: error: 'constant' elements cannot come and go, and this set is dynamic",
      "leave 'constant' or the timeouts out",
    ],
  ],
  [
    'more elements than the size',
    'set s { type inet_service; size 1; elements = { 5, 6 } }',
    ['r:1:52: error: this set has 2 elements and a size of 1'],
  ],
  [
    'a size of nothing',
    'set s { type inet_service; size 0 }',
    ["r:1:33: error: '0' is not a size of sets", 'expected a number from 1 to 1048576'],
  ],
  [
    'types that are glued together',
    'set s { type ipv4_addr.inet_service }',
    [
      "r:1:14: error: 'ipv4_addr.inet_service' is not a type of set elements",
      `expected a type: ${TYPES}`,
      "blanks stand around the '.': 'ipv4_addr . inet_service'",
    ],
  ],
  [
    'elements above the type',
    'set s { elements = { 5 }; flags interval }',
    [
      'r:1:9: error: how to read the elements is said by the type, which is not known here',
      "write 'type …' above 'elements'",
    ],
  ],
  [
    'a set without a type',
    'set s { flags interval }',
    ["r:1:1: error: set 's' has no type", `expected 'type' and ${TYPES}; several with ' . ' between them`],
  ],
  [
    'a type that only rules read',
    'set s { typeof ip ttl }',
    ["r:1:16: error: no set holds values of 'ip ttl'", "write its values in the rule: '{ a, b }'"],
  ],
  [
    'a second type',
    'set s { type ipv4_addr; type inet_service }',
    [
      'r:1:25: error: this set has a type already',
      "an element of several values has a type like 'ipv4_addr . inet_service'",
    ],
  ],
  [
    'an option of nft that is not needed',
    'set s { type ipv4_addr; gc-interval 5s }',
    ["r:1:25: error: 'gc-interval' is not part of the language", 'leave it out: an element is gone at its time'],
  ],
  [
    'an element of too many values',
    'set s { type inet_service; elements = { 5 . 6 } }',
    [
      "r:1:43: error: unexpected '.'",
      "expected one value for 'inet_service'",
      "for elements of several values write 'type inet_service . …'",
    ],
  ],
  [
    'an element of too few values',
    'set s { type ipv4_addr . inet_service; elements = { 192.0.2.1 } }',
    [
      "r:1:53: error: this has 1 of the 2 values of 'ipv4_addr . inet_service'",
      "expected '.' and a port for 'inet_service' behind it",
    ],
  ],
  [
    'an element with a misspelt option',
    'set s { type inet_service; flags timeout; elements = { 5 timout 6s } }',
    ["r:1:58: error: unexpected 'timout'", "expected ',', 'timeout', 'comment' or '}'", "did you mean 'timeout'?"],
  ],
  [
    'a name with its sign',
    'set @s { type inet_service }',
    ["r:1:5: error: unexpected '@'", 'expected the name of the set', "write it without '@' here"],
  ],
  [
    'a name that starts with a digit',
    'set 9s { type inet_service }',
    ["r:1:5: error: '9s' cannot name a set", "expected a letter, then letters, digits, '_' and '-', at most 64 in all"],
  ],
  [
    'a second set of a name',
    'set s { type ipv4_addr }; set s { type ipv4_addr }',
    ["r:1:31: error: set 's' is already defined in line 1"],
  ],
  [
    'empty elements',
    'set s { type ipv4_addr; elements = { } }',
    ['r:1:36: error: an empty set matches nothing', 'expected at least one value'],
  ],
  [
    'elements without =',
    'set s { type ipv4_addr; elements { } }',
    ["r:1:34: error: unexpected '{'", "expected '=' after 'elements'"],
  ],
];

describe('an error in a set says where, what and what else', () => {
  it.each(MESSAGES)('%s', (_, line, expected) => {
    const lines = shownErrors(`${line}\noutbound { }\n`);
    expect(lines.filter((_, index) => index !== 1 && index !== 2).map((text) => text.trimStart())).toEqual(expected);
  });

  function codes(text: string): readonly (readonly [number, string])[] {
    return parseRules(text, 'r').errors.map(({ line, code }) => [line, code]);
  }

  it('all errors of a set at once, and each bad element', () => {
    const text = [
      'set s { type ipv4_addr . inet_service; flags intervall; polcy x',
      '  elements = { foo . 5, 192.0.2.1 . 70000, 192.0.2.2 . 7 }; size many }',
      'outbound { ip saddr . udp dport @s hold }',
    ].join('\n');
    expect(codes(text)).toEqual([
      [1, 'unknown-keyword'],
      [1, 'unknown-keyword'],
      [2, 'bad-value'],
      [2, 'out-of-range'],
      [2, 'out-of-range'],
    ]);
  });

  it('an element that cannot be read hides neither the rest of the set nor that of the file', () => {
    const elements = '{\n 5 (6),\n 7 timeout 5s comment "x"\n }';
    expect(codes(`set s { type inet_service; elements = ${elements}\n flags intervl }\noutbound { tpc }`)).toEqual([
      [2, 'syntax'],
      [3, 'missing-flag'],
      [5, 'unknown-keyword'],
      [6, 'unknown-keyword'],
    ]);
  });

  it('elements that are not closed do not hide the block below', () => {
    expect(codes('set s { type inet_service; elements = { 5, 6\noutbound { tpc\n udp dport @s hold }')).toEqual([
      [1, 'missing-brace'],
      [2, 'syntax'],
      [2, 'unknown-keyword'],
    ]);
  });

  it('a set that is not closed points at its brace and says what begins below', () => {
    expect(shownErrors('set s {\n  type ipv4_addr\n\noutbound { ip saddr @s hold }\n')).toEqual([
      "r:1:7: error: this set is not closed: '}' is missing",
      '  set s {',
      '        ^',
      "  'outbound' begins in line 4, and stands outside of sets",
    ]);
  });
});

describe('an error in a match on a set says where, what and what else', () => {
  const SETS = 'set media { type inet_service }\nset rtp { type ipv4_addr . inet_service; flags timeout }';

  it.each([
    ['udp dport @meda hold', ["r:4:12: error: there is no set 'meda'", "did you mean 'media'?"]],
    [
      'udp dport @calls hold',
      [
        "r:4:12: error: there is no set 'calls'",
        "define it outside the block: 'set calls { type …; elements = { … } }'",
      ],
    ],
    [
      'ip saddr @media hold',
      ["r:4:1: error: set 'media' holds 'inet_service', 'ip saddr' is 'ipv4_addr'", 'the set is defined in line 1'],
    ],
    [
      'udp sport @rtp hold',
      [
        "r:4:1: error: set 'rtp' holds 'ipv4_addr . inet_service', 'udp sport' is 'inet_service'",
        'the set is defined in line 2',
      ],
    ],
    ['ip ttl @media hold', ["r:4:1: error: no set holds values of 'ip ttl'", "write them in the rule: '{ a, b }'"]],
  ])('%s', (rule, expected) => {
    const lines = shownErrors(`${SETS}\noutbound {\n${rule}\n}`);
    expect(lines.filter((_, index) => index !== 1 && index !== 2).map((text) => text.trimStart())).toEqual(expected);
  });

  it('nothing where the set itself is wrong and says so', () => {
    expect(parse('set s { type ipv5_addr }', 'ip saddr @s hold').errors.map(({ code }) => code)).toEqual(['set-type']);
  });
});
