import { describe, expect, it } from 'vitest';
import { formatRuleError } from '../../rules/errors.ts';
import { includedPath, includeFrom, MAX_INCLUDE_DEPTH, MAX_INCLUDED_FILES, wildcardOf } from '../../rules/include.ts';
import { type ParseResult, parseRules } from '../../rules/parse.ts';

/** The first file is the main one. */
function parseFiles(files: Readonly<Record<string, string>>): ParseResult {
  const [file, text] = Object.entries(files)[0]!;
  return parseRules(text, file, { resolve: includeFrom(new Map(Object.entries(files))) });
}

function places({ ruleSet }: ParseResult): readonly string[] {
  return ruleSet!.outbound.map(({ place }) => `${place.file}:${place.line}:${place.column}`);
}

describe('include', () => {
  it('puts classes, sets and definitions of another file here, whose places name that file', () => {
    const result = parseFiles({
      'conf/main.rules':
        'include "parts/names.rules"\noutbound {\n  udp dport $sip class data\n  udp sport @media hold\n}\n',
      'conf/parts/names.rules': 'class data pass\ndefine sip = 5060\nset media { type inet_service; elements = { 5 } }',
    });
    expect(result.errors).toEqual([]);
    expect(result.ruleSet!.classes).toMatchObject([{ place: { file: 'conf/parts/names.rules', line: 1, column: 7 } }]);
    expect(result.ruleSet!.sets).toMatchObject([{ place: { file: 'conf/parts/names.rules', line: 3, column: 5 } }]);
    expect(places(result)).toEqual(['conf/main.rules:3:3', 'conf/main.rules:4:3']);
    expect([...result.sources.keys()]).toEqual(['conf/main.rules', 'conf/parts/names.rules']);
  });

  it('puts rules into a block, in place', () => {
    const result = parseFiles({
      m: 'outbound {\n  udp dport 1 hold\n  include "a"; udp dport 3 hold\n}',
      a: '\n udp dport 2 hold',
    });
    expect(places(result)).toEqual(['m:2:3', 'a:2:2', 'm:3:16']);
    expect(result.ruleSet!.outbound.map(({ text }) => text)).toEqual([1, 2, 3].map((port) => `udp dport ${port} hold`));
  });

  it('takes all files of a pattern, by name, or none', () => {
    const result = parseFiles({
      'd/m': 'outbound {\n include "*.r"\n include "none/*"\n include "?[0-1]"\n}',
      'd/b.r': 'udp dport 2 hold',
      'd/a.r': 'udp dport 1 hold',
      'd/.c.r': 'udp dport 9 hold',
      'd/e/c.r': 'udp dport 9 hold',
      'd/x1': 'udp dport 3 hold',
      'd/x2': 'udp dport 9 hold',
    });
    expect(places(result)).toEqual(['d/a.r:1:1', 'd/b.r:1:1', 'd/x1:1:1']);
  });

  it('may name a file twice', () => {
    const result = parseFiles({ m: 'outbound { include "a"; include "a" }', a: 'udp dport 1 hold' });
    expect(places(result)).toEqual(['a:1:1', 'a:1:1']);
  });

  it('reads as deep as the limit and no deeper', () => {
    const files: Record<string, string> = {};
    for (let depth = 0; depth <= MAX_INCLUDE_DEPTH; depth++) files[`f${depth}`] = `include "f${depth + 1}"`;
    files.f0 = 'outbound { include "f1" }';
    files[`f${MAX_INCLUDE_DEPTH}`] = 'udp dport 1 hold';
    expect(places(parseFiles(files))).toEqual([`f${MAX_INCLUDE_DEPTH}:1:1`]);
    files[`f${MAX_INCLUDE_DEPTH}`] = `include "f${MAX_INCLUDE_DEPTH + 1}"`;
    files[`f${MAX_INCLUDE_DEPTH + 1}`] = 'udp dport 1 hold';
    expect(parseFiles(files).errors).toMatchObject([
      { code: 'include-depth', file: 'f16', line: 1, column: 9, message: 'includes are nested more than 16 deep' },
    ]);
  });

  it('stops at too many files, however they multiply', () => {
    const files: Record<string, string> = { m: 'outbound { include "f0" }' };
    for (let depth = 0; depth < 14; depth++) files[`f${depth}`] = `include "f${depth + 1}"\n`.repeat(4);
    files.f14 = 'udp dport 1 hold';
    const { errors } = parseFiles(files);
    expect(errors).toMatchObject([
      { code: 'too-large', message: `more than ${MAX_INCLUDED_FILES} files are included` },
    ]);
  });
});

describe('an error', () => {
  it('in an included file is shown with its line', () => {
    const result = parseFiles({ m: 'class data pass\noutbound { include "a" }', a: '\n  udp dport 70000 class data' });
    expect(result.errors.map((error) => formatRuleError(error, result.sources))).toEqual([
      "a:2:13: error: '70000' is too large for 'udp dport'\n    udp dport 70000 class data\n              ^^^^^\n  expected a number up to 65535",
    ]);
  });

  it('about two files names the other one', () => {
    const { errors } = parseFiles({
      m: 'class data pass\ninclude "a"\noutbound { udp dport $p hold }\ndefine p = 5\nset s { type inet_service }',
      a: 'class data drop\ndefine p = 70000\nset s { type inet_service }',
    });
    expect(errors.map(({ file, line, message }) => `${file}:${line} ${message}`)).toEqual([
      "m:3 '70000' is too large for 'udp dport', in '$p' of line 2 of 'a'",
      "m:4 '$p' is already defined in line 2 of 'a'",
      "m:5 set 's' is already defined in line 3 of 'a'",
      "a:1 class 'data' is already defined in line 1 of 'm'",
    ]);
  });

  it('in several files: those of the main one first', () => {
    const { errors } = parseFiles({ m: 'outbound { include "a"; include "b"\n tpc }', a: 'upd', b: 'xx' });
    expect(errors.map(({ file }) => file)).toEqual(['m', 'a', 'b']);
  });

  it.each([
    ['include "b"', "cannot include 'b': there is no such file", 9],
    ['include ""', "cannot include '': it has no name", 9],
    ['include "*/b"', "cannot include '*/b': a pattern may stand in the last part of the path only", 9],
    ['include "m"', "a file cannot include itself: 'm' → 'm'", 9],
    ['include "x/../a"', "a file cannot include itself: 'm' → 'a' → 'm'", 9],
    ['include a', "unexpected 'a'", 9],
    ['include', 'unexpected end of line', 8],
    ['include "a" "b"', 'unexpected \'"b"\'', 13],
  ])('%s', (line, message, column) => {
    const { errors } = parseFiles({ m: `${line}\noutbound {}`, a: 'include "m"' });
    const where = line.includes('..') ? { file: 'a', line: 1 } : { file: 'm', line: 1 };
    expect(errors).toMatchObject([{ ...where, column, message: message.replaceAll('"', '') }]);
  });

  it('where no files can be had at all', () => {
    expect(parseRules('include "a"\noutbound { }', 'm').errors).toMatchObject([
      { code: 'include-failed', message: "cannot include 'a': there are no files to include here" },
    ]);
  });

  it('of a block that an included file leaves open points into that file', () => {
    const { errors } = parseFiles({ m: 'include "a"\ninbound { }', a: 'outbound {\n udp dport 1 hold' });
    expect(errors).toMatchObject([
      { file: 'a', line: 1, column: 10, hint: "'inbound' begins in line 2 of 'm', and stands outside of blocks" },
    ]);
  });
});

describe('warnings', () => {
  it('about definitions are for the main file only: others may be shared', () => {
    const { warnings } = parseFiles({ m: 'include "a"\ndefine x = 5\noutbound { default hold }', a: 'define y = 5' });
    expect(warnings.map(({ message }) => message)).toEqual(["nothing uses '$x'"]);
  });
});

describe('the path of an include', () => {
  it.each([
    ['b', 'a', 'b'],
    ['b', 'conf/a', 'conf/b'],
    ['b', '/etc/conf/a', '/etc/conf/b'],
    ['./b', 'conf/a', 'conf/b'],
    ['../b', 'conf/a', 'b'],
    ['../../b', 'conf/a', '../b'],
    ['../b', '../a', '../../b'],
    ['../../b', '/conf/a', '/b'],
    ['/b//c/./d', 'conf/a', '/b/c/d'],
    ['b', '<stdin>', 'b'],
    ['.', 'a', '.'],
    ['', 'a', '.'],
    ['conf/..', '<stdin>', '.'],
    ['.', 'conf/a', 'conf'],
    ['/', 'conf/a', '/'],
  ])('%s in %s is %s', (path, from, expected) => {
    expect(includedPath(path, from)).toBe(expected);
  });

  it.each([
    ['*', 'a.rules', true],
    ['*', '.a', false],
    ['.*', '.a', true],
    ['*.rules', 'a.rules', true],
    ['*.rules', 'a.rules.bak', false],
    ['a*b*c', 'aXbYbZc', true],
    ['a*b*c', 'aXbYbZ', false],
    ['a?', 'a', false],
    ['a?', 'ab', true],
    ['[a-c]1', 'b1', true],
    ['[!a-c]1', 'b1', false],
    ['[^a-c]1', 'd1', true],
    ['[]]', ']', true],
    ['[a-]', '-', true],
    ['[', '[', true],
    ['a.b*', 'aXb', false],
    ['*a', 'b'.repeat(1000), false],
  ])('the pattern %s and %s: %s', (pattern, name, expected) => {
    const wildcard = wildcardOf(`d/${pattern}`);
    expect(wildcard).toMatchObject({ folder: 'd/' });
    expect((wildcard as { matches(name: string): boolean }).matches(name)).toBe(expected);
  });

  it('a pattern of many stars ends in time', () => {
    const wildcard = wildcardOf(`${'*a'.repeat(200)}b`) as { matches(name: string): boolean };
    expect(wildcard.matches('a'.repeat(255))).toBe(false);
  });
});
