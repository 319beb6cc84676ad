import { mkdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { RulesInvalidError } from '../../rules/errors.ts';
import {
  loadRules,
  MAX_RULE_BYTES,
  RulesUnreadableError,
  SHIPPED_SETS,
  shippedRules,
  shippedRulesPath,
} from '../../rules/load.ts';
import type { Match } from '../../rules/rule.ts';
import { temporaryFolder } from '../support/run-cli.ts';

const { path: pathOf, write } = temporaryFolder();

describe('loading rules', () => {
  it('gives the rule set with the source it came from', async () => {
    const path = write('good.rules', 'outbound {\n  default hold\n}\n');
    const loaded = await loadRules(path);
    expect(loaded).toMatchObject({ file: path, text: 'outbound {\n  default hold\n}\n', warnings: [] });
    expect(loaded.sources).toEqual(new Map([[path, loaded.text]]));
    expect(loaded.ruleSet.outbound).toHaveLength(1);
  });

  it('throws invalid rules with all errors, the source and the first place', async () => {
    const path = write('bad.rules', 'outbound {\n  udp dport 70000 hold\n  pas\n}\n');
    const error = await loadRules(path).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RulesInvalidError);
    expect(error).toMatchObject({
      code: 'rules-invalid',
      message: `${path}:2:13: error: '70000' is too large for 'udp dport' (and 1 more)`,
      errors: [{ code: 'out-of-range' }, { code: 'unknown-keyword' }],
      sources: new Map([[path, readFileSync(path, 'utf8')]]),
    });
  });

  it('reports bytes that are not UTF-8 at their place', async () => {
    const path = write('latin1.rules', Uint8Array.of(...Buffer.from('outbound {\n'), 0xe9, 0x0a, 0x7d));
    await expect(loadRules(path)).rejects.toMatchObject({
      errors: [{ code: 'unknown-character', line: 2, column: 1, hint: 'the file is not UTF-8 text' }],
    });
  });

  it.each([
    ['a comment', '# caf', ' and more\noutbound { default hold }\n', 1, 6],
    ['a comment behind a rule', 'outbound {\n  default hold # ', '\n}\n', 2, 18],
    ['a string', 'outbound {\n  default hold comment "a', 'b"\n}\n', 2, 26],
    ['the name of an included file', 'outbound { }\ninclude "', '"\n', 2, 10],
    ['a comment of a set', 'set s {\n  type ipv4_addr\n  comment "', '"\n}\noutbound { }\n', 3, 12],
  ])('reports them also in %s', async (_, before, behind, line, column) => {
    const path = write('damaged.rules', Buffer.concat([Buffer.from(before), Uint8Array.of(0xe9), Buffer.from(behind)]));
    const error = await loadRules(path).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RulesInvalidError);
    const { errors } = error as RulesInvalidError;
    expect(errors.filter((one) => one.code === 'unknown-character')).toMatchObject([
      {
        code: 'unknown-character',
        file: path,
        line,
        column,
        length: 1,
        message: "unexpected '\ufffd'",
        hint: 'the file is not UTF-8 text',
      },
    ]);
    const whole = write('whole.rules', `${before}\u00e9${behind}`);
    const codes = await loadRules(whole).then(
      () => [],
      (reason: RulesInvalidError) => reason.errors.map(({ code }) => code),
    );
    expect(codes).not.toContain('unknown-character');
  });

  it('says why a file cannot be read', async () => {
    await expect(loadRules(pathOf('none.rules'))).rejects.toThrow(/none\.rules': there is no such file$/);
    await expect(loadRules('telefony')).rejects.toThrow("no such file (did you mean the shipped set 'telephony'?)");
    await expect(loadRules(pathOf('.'))).rejects.toThrow('it is a directory');
    await expect(loadRules(pathOf('none.rules'))).rejects.toBeInstanceOf(RulesUnreadableError);
  });

  it('refuses a file that is too large', async () => {
    const path = write('large.rules', new Uint8Array(MAX_RULE_BYTES + 1));
    await expect(loadRules(path)).rejects.toMatchObject({ code: 'rules-unreadable' });
  });
});

describe('loading rules that include others', () => {
  mkdirSync(pathOf('parts'));
  write('parts/b.part', 'udp dport 2 hold');
  write('parts/a.part', 'udp dport 1 hold\ninclude "../last"');
  write('last', 'udp dport 9 hold');

  function fails(name: string, content: string): Promise<unknown> {
    return loadRules(write(name, content)).catch((reason: unknown) => reason);
  }

  it('reads them relative to the file in which they are named', async () => {
    const main = write('main.rules', 'outbound {\n include "parts/*.part"\n default hold\n}');
    const { ruleSet, sources } = await loadRules(main);
    const files = ruleSet.outbound.map(({ place }) => place.file);
    expect(files).toEqual([pathOf('parts/a.part'), pathOf('last'), pathOf('parts/b.part'), main]);
    expect(new Set(sources.keys())).toEqual(new Set(files));
  });

  it('reads them by absolute paths', async () => {
    const main = write('absolute.rules', `outbound { include "${pathOf('last')}" }`);
    expect((await loadRules(main)).ruleSet.outbound).toHaveLength(1);
  });

  it('takes none for a pattern that nothing matches, also in a folder that is not there', async () => {
    const main = write('none.pattern', 'outbound { include "*.none"; include "nowhere/*"; default hold }');
    expect((await loadRules(main)).ruleSet.outbound).toHaveLength(1);
  });

  it('leaves folders out that a pattern matches', async () => {
    const main = write('folders.rules', 'outbound { include "part*"; default hold }');
    expect((await loadRules(main)).ruleSet.outbound).toHaveLength(1);
  });

  it('says at its place why one cannot be read', async () => {
    expect(await fails('missing.rules', 'outbound { }\ninclude "nothing"')).toMatchObject({
      errors: [
        { code: 'include-failed', line: 2, column: 9, message: "cannot include 'nothing': there is no such file" },
      ],
    });
    expect(await fails('folder.rules', 'outbound { }\ninclude "parts"')).toMatchObject({
      errors: [{ message: "cannot include 'parts': it is a directory" }],
    });
    for (const path of ['.', './', '..', 'parts/..']) {
      expect(await fails('dot.rules', `outbound { }\ninclude "${path}"`)).toMatchObject({
        errors: [{ code: 'include-failed', message: `cannot include '${path}': it is a directory` }],
      });
    }
  });

  it('finds a file that includes itself', async () => {
    expect(await fails('self.rules', 'outbound { }\ninclude "parts/../self.rules"')).toMatchObject({
      errors: [{ code: 'include-cycle', line: 2 }],
    });
  });

  it('counts all of them together, and never reads a file without an end to its end', async () => {
    write('half', `#${' '.repeat(MAX_RULE_BYTES / 2)}`);
    const errors = [
      { code: 'include-failed', line: 3, message: expect.stringContaining('larger than 16777216 bytes') },
    ];
    expect(await fails('two.rules', 'outbound { }\ninclude "half"\ninclude "half"')).toMatchObject({ errors });
    expect(await fails('zero.rules', 'outbound { }\n\ninclude "/dev/zero"')).toMatchObject({ errors });
  });
});

describe('the shipped rule sets', () => {
  it.each(SHIPPED_SETS)('%s has neither errors nor warnings, and a default', async (name) => {
    const { ruleSet, warnings, file } = await shippedRules(name);
    expect(warnings).toEqual([]);
    expect(file).toBe(shippedRulesPath(name));
    expect(ruleSet.outbound.at(-1)).toMatchObject({ isDefault: true, verdict: 'hold' });
  });

  it.each(SHIPPED_SETS)('%s opens with what it assumes, what it holds and what its user risks', (name) => {
    const opening = readFileSync(shippedRulesPath(name), 'utf8').split('\n\n', 1)[0]!;
    expect(opening.split('\n').every((line) => line.startsWith('#'))).toBe(true);
    for (const word of [`# ${name}:`, 'Assumes', 'Holds', 'The risk']) expect(opening).toContain(word);
  });

  it('are found by their bare names', async () => {
    expect(await loadRules('hold-all')).toEqual(await shippedRules('hold-all'));
  });

  // What router passes for others is in sets.test.ts.
  const others = SHIPPED_SETS.filter((name) => name !== 'router');
  it.each(others)('%s passes no TCP, ARP, routing or neighbour discovery', async (name) => {
    const { ruleSet } = await shippedRules(name);
    // What a rule with 'guard' would pass is held until its bytes are known to be safe.
    const passing = ruleSet.outbound.filter(({ verdict, guard }) => verdict === 'pass' && !guard);
    for (const { matches, text } of passing) {
      expect(matches.some(isHarmless), text).toBe(true);
    }
  });

  it('hold-all passes nothing at all', async () => {
    const { ruleSet } = await shippedRules('hold-all');
    expect(ruleSet.outbound.map(({ verdict, isDefault }) => [verdict, isDefault])).toEqual([['hold', true]]);
  });
});

/** A match that nothing but media, questions to DNS and NTP, and answers to pings gets through. */
function isHarmless(match: Match): boolean {
  if (match.kind === 'app') return match.app === 'rtp' && !match.negated;
  if (match.kind !== 'field' || match.negated || match.mask !== null) return false;
  const values = match.intervals.map(({ low, high }) => `${low}-${high}`).join();
  const harmless: Readonly<Record<string, string>> = {
    'icmp.type': '0-0',
    'icmpv6.type': '129-129',
    'udp.dport': '53-53 123-123',
    // As shipped, a router's own traffic and all that it forwards is held: the lists are to be filled in.
    'ip.saddr': `${0x7f000000}-${0x7fffffff}`,
    'ip6.saddr': '1-1',
  };
  return harmless[match.field]?.split(' ').includes(values) ?? false;
}
