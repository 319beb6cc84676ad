import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { RulesInvalidError } from '../../rules/errors.ts';
import {
  loadRules,
  MAX_RULE_BYTES,
  RulesUnreadableError,
  SHIPPED_SETS,
  shippedRules,
  shippedRulesPath,
} from '../../rules/load.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-rules-'));
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe('loading rules', () => {
  it('gives the rule set with the source it came from', async () => {
    const path = write('good.rules', 'outbound {\n  default hold\n}\n');
    const loaded = await loadRules(path);
    expect(loaded).toMatchObject({ file: path, text: 'outbound {\n  default hold\n}\n', warnings: [] });
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
      text: readFileSync(path, 'utf8'),
    });
  });

  it('reports bytes that are not UTF-8 at their place', async () => {
    const path = write('latin1.rules', Uint8Array.of(...Buffer.from('outbound {\n'), 0xe9, 0x0a, 0x7d));
    await expect(loadRules(path)).rejects.toMatchObject({
      errors: [{ code: 'unknown-character', line: 2, column: 1, hint: 'the file is not UTF-8 text' }],
    });
  });

  it('says why a file cannot be read', async () => {
    await expect(loadRules(join(folder, 'none.rules'))).rejects.toThrow(/none\.rules': there is no such file$/);
    await expect(loadRules('telefony')).rejects.toThrow("no such file (did you mean the shipped set 'telephony'?)");
    await expect(loadRules(folder)).rejects.toThrow('it is a directory');
    await expect(loadRules(join(folder, 'none.rules'))).rejects.toBeInstanceOf(RulesUnreadableError);
  });

  it('refuses a file that is too large', async () => {
    const path = write('large.rules', new Uint8Array(MAX_RULE_BYTES + 1));
    await expect(loadRules(path)).rejects.toMatchObject({ code: 'rules-unreadable' });
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

  it.each(SHIPPED_SETS)('%s passes no TCP, ARP, routing or neighbour discovery', async (name) => {
    const { ruleSet } = await shippedRules(name);
    const passing = ruleSet.outbound.filter(({ verdict }) => verdict === 'pass');
    const required = passing.map((rule) =>
      rule.matches.map((match) => (match.kind === 'app' ? match.app : match.field)),
    );
    for (const fields of required) {
      expect(fields.some((field) => ['rtp', 'icmp.type', 'icmpv6.type'].includes(field))).toBe(true);
    }
    for (const match of passing.flatMap((rule) => rule.matches)) {
      if (match.kind === 'field' && match.field === 'icmp.type')
        expect(match.intervals).toEqual([{ low: 0n, high: 0n }]);
      if (match.kind === 'field' && match.field === 'icmpv6.type')
        expect(match.intervals).toEqual([{ low: 129n, high: 129n }]);
    }
  });

  it('hold-all passes nothing at all', async () => {
    const { ruleSet } = await shippedRules('hold-all');
    expect(ruleSet.outbound.map(({ verdict, isDefault }) => [verdict, isDefault])).toEqual([['hold', true]]);
  });
});
