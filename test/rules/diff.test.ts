import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { areEqual, diffRules } from '../../rules/diff.ts';
import { parseRules } from '../../rules/parse.ts';
import { runs, SEED } from '../support/runs.ts';

function ruleSet(text: string) {
  const { ruleSet: parsed, errors } = parseRules(text, 'x');
  expect(errors).toEqual([]);
  return parsed!;
}

function file(...rules: readonly string[]): string {
  return `class data pass\nclass control hold\noutbound {\n${rules.map((rule) => `  ${rule}\n`).join('')}}\n`;
}

/** `kind changes old-line>new-line` for each rule. */
function differences(before: string, after: string): string[] {
  return diffRules(ruleSet(before), ruleSet(after)).rules.map(
    ({ kind, changes, hasMoved, before: old, after: now }) => {
      const moved = hasMoved && kind !== 'moved' ? ' moved' : '';
      return `${[kind, ...changes].join(' ')}${moved} ${old?.place.line ?? ''}>${now?.place.line ?? ''}`;
    },
  );
}

describe('the difference of two rule sets', () => {
  it('is nothing where only lines, blanks and comments differ', () => {
    const before = file('udp dport 5 hold', 'tcp dport { 5, 7 } class data', 'default hold');
    const after = `# new\n\n${file('udp  dport 5   hold # why', 'tcp dport {5,7} class data', 'default   hold')}`;
    expect(areEqual(diffRules(ruleSet(before), ruleSet(after)))).toBe(true);
  });

  it('names what is added and removed, a removed rule where it stood', () => {
    expect(
      differences(
        file('udp dport 1 hold', 'udp dport 2 hold', 'udp dport 3 hold', 'default hold'),
        file('udp dport 1 hold', 'udp dport 3 hold', 'udp dport 4 hold', 'default hold'),
      ),
    ).toEqual(['removed 5>', 'added >6']);
  });

  it('names as few rules as possible that have moved', () => {
    const rules = ['udp dport 1 hold', 'udp dport 2 hold', 'udp dport 3 hold', 'udp dport 4 hold'];
    expect(differences(file(...rules), file(rules[3]!, ...rules.slice(0, 3)))).toEqual(['moved 7>4']);
  });

  it('knows a rule by its matches where verdict, class, options or comment change', () => {
    const before = file(
      'udp dport 1 hold',
      'udp dport 2 class data',
      'udp dport 3 pass',
      'tcp dport 4 class data',
      'udp dport 5 hold',
      'default hold',
    );
    const after = file(
      'udp dport 1 drop',
      'udp dport 2 class control',
      'udp dport 3 class data',
      'tcp dport 4 class data guard',
      'udp dport 5 hold comment "x"',
      'default pass',
    );
    expect(differences(before, after)).toEqual([
      'changed verdict 4>4',
      'changed verdict class 5>5',
      'changed class 6>6',
      'changed options 7>7',
      'changed comment 8>8',
      'changed verdict 9>9',
    ]);
  });

  it('shows a class whose verdict flips, and all its rules', () => {
    const before = file('udp dport 1 class data', 'default class control');
    const flipped = before.replace('class data pass', 'class data drop');
    expect(differences(before, flipped)).toEqual(['changed verdict 4>4']);
    const { classes } = diffRules(ruleSet(before), ruleSet(`${flipped}class more pass\n`));
    expect(classes).toEqual([
      { name: 'data', before: 'pass', after: 'drop' },
      { name: 'more', before: null, after: 'pass' },
    ]);
  });

  it('shows a set that changes, and rules that use its values', () => {
    const head = (elements: string) =>
      `set s { type inet_service; elements = { ${elements} } }\nset d { type inet_service; flags dynamic; }\n`;
    const body = file('udp dport @s hold', 'udp sport @d hold');
    expect(differences(head('5') + body, head('6') + body)).toEqual(['changed matches 6>6']);
    const { sets } = diffRules(
      ruleSet(head('5') + body),
      ruleSet(head('6').replace('set d', 'set e') + body.replace('@d', '@e')),
    );
    expect(sets).toEqual([
      { name: 's', kind: 'changed' },
      { name: 'd', kind: 'removed' },
      { name: 'e', kind: 'added' },
    ]);
  });

  it('tells an inbound block that comes or goes, and its rules', () => {
    const before = file('default hold');
    const after = `${before}inbound { udp dport 5 drop }\n`;
    const { inboundBlock, rules } = diffRules(ruleSet(before), ruleSet(after));
    expect([inboundBlock, rules.map(({ kind, block }) => `${kind} ${block}`)]).toEqual(['added', ['added inbound']]);
    expect(diffRules(ruleSet(`${before}inbound { }\n`), ruleSet(before))).toMatchObject({
      inboundBlock: 'removed',
      rules: [],
    });
  });

  it('makes the new rules of the old ones, whatever they are', () => {
    const rules = fc.array(fc.tuple(fc.nat(4), fc.constantFrom('hold', 'pass')), { maxLength: 7 });
    const text = (list: readonly (readonly [number, string])[]) =>
      file(...list.map(([port, verdict]) => `udp dport ${port} ${verdict}`));
    fc.assert(
      fc.property(rules, rules, (a, b) => {
        const [before, after] = [ruleSet(text(a)), ruleSet(text(b))];
        const { rules: found } = diffRules(before, after);
        const gone = new Set(found.map(({ before: old }) => old));
        const stayed = before.outbound.filter((rule) => !gone.has(rule)).map((rule) => rule.text);
        const named = new Set(found.map(({ after: now }) => now));
        expect(after.outbound.filter((rule) => !named.has(rule)).map((rule) => rule.text)).toEqual(stayed);
        expect(found.length === 0).toBe(JSON.stringify(a) === JSON.stringify(b));
      }),
      { numRuns: runs(300), ...SEED },
    );
  });
});
