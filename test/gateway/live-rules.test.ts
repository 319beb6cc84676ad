import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compileTables } from '../../classifier/classifier.ts';
import { RuleCompiler } from '../../gateway/live-rules/compiler.ts';
import { parseSources } from '../../rules/sources.ts';
import { until } from '../support/host-rig.ts';
import { LiveRulesRig, ME, rulesOf, statesOf, textsOf } from '../support/live-rules-rig.ts';
import { runs, SEED } from '../support/runs.ts';

let rig: LiveRulesRig;
beforeEach(() => {
  rig = new LiveRulesRig();
  rig.write('vm.rules', rulesOf(WEB, REST));
});
afterEach(() => rig.close());

const WEB = 'tcp dport 80 class control';
const DNS = 'udp dport 53 class data';
const REST = 'default class control';
const text = (...rules: readonly string[]) => ({
  kind: 'text' as const,
  sources: { file: rig.path('vm.rules'), texts: new Map([[rig.path('vm.rules'), rulesOf(...rules)]]) },
});

describe('a change of live rules', () => {
  test('takes force as the next generation, and is told', async () => {
    const rules = await rig.open();
    expect([rules.generation.number, rules.source]).toEqual([1, 'file']);
    expect(await rules.apply(text(WEB, DNS, REST), ME)).toMatchObject({ generation: 2, handle: 3, stored: true });
    expect(textsOf(rules)).toEqual([WEB, DNS, REST]);
    expect(rules.source).toBe('edited');
    expect(rig.changes).toEqual([{ vm: 'vm0', change: 'applied', generation: 2, ...ME }]);
    await rules.apply(text(WEB, REST), ME);
    expect(rules.source).toBe('file');
  });

  test('with errors names all of them, and the old generation stays', async () => {
    const rules = await rig.open();
    const before = rules.generation;
    await expect(rules.apply(text('tcp dprt 1 pass', 'udp dport x pass'), ME)).rejects.toMatchObject({
      code: 'rules-invalid',
      errors: [
        { line: 4, column: 7 },
        { line: 5, column: 13 },
      ],
    });
    expect(rules.generation).toBe(before);
    expect(statesOf(rules)).toEqual(['1 in-force']);
  });

  test('that is only checked is not made, but warnings are told', async () => {
    const rules = await rig.open();
    const checked = await rules.apply(text(WEB, WEB, REST), ME, { checkOnly: true });
    expect(checked.generation).toBe(1);
    expect(checked.warnings.map(({ code }) => code)).toContain('duplicate-rule');
    expect(textsOf(rules)).toEqual([WEB, REST]);
  });

  test('of one rule leaves the others their handles', async () => {
    const rules = await rig.open();
    expect(await rules.edit({ kind: 'insert', rule: DNS, before: 2 }, ME)).toMatchObject({ generation: 2, handle: 3 });
    expect(await rules.edit({ kind: 'add', rule: 'arp operation 1 pass' }, ME)).toMatchObject({ handle: 4 });
    expect(await rules.edit({ kind: 'delete', handle: 1 }, ME)).toMatchObject({ handle: null });
    const handles = rules.generation.ruleSet.outbound.map((rule) => `${rule.handle} ${rule.text}`);
    expect(handles).toEqual([`3 ${DNS}`, '4 arp operation 1 pass', `2 ${REST}`]);
    await expect(rules.edit({ kind: 'delete', handle: 1 }, ME)).rejects.toMatchObject({ code: 'unknown-handle' });
    await expect(rules.edit({ kind: 'replace', handle: 2, rule: 'a\nb' }, ME)).rejects.toMatchObject({
      code: 'no-statement',
    });
  });

  test('is refused where another generation is in force than the one that is expected', async () => {
    const rules = await rig.open();
    const both = [1, 2].map(() => rules.edit({ kind: 'add', rule: DNS }, ME, { expected: 1 }));
    const answers = await Promise.allSettled(both);
    expect(answers).toMatchObject([{ status: 'fulfilled' }, { reason: { code: 'generation-changed' } }]);
  });

  test('many at once are made one after the other, each on what the one before left', async () => {
    const rules = await rig.open();
    const added = Array.from({ length: 40 }, (_, i) =>
      rules.edit({ kind: 'add', rule: `udp dport ${i + 1} pass` }, ME),
    );
    expect((await Promise.all(added)).map(({ generation }) => generation)).toEqual(added.map((_, i) => i + 2));
    expect(textsOf(rules)).toEqual([WEB, ...added.map((_, i) => `udp dport ${i + 1} pass`), REST]);
  });

  test('more than can wait are refused', async () => {
    const rules = await rig.open();
    const all = Array.from({ length: 300 }, () => rules.apply(text(WEB, REST), ME, { checkOnly: true }));
    const refused = (await Promise.allSettled(all)).filter(({ status }) => status === 'rejected');
    expect(refused).toHaveLength(44);
    expect(refused[0]).toMatchObject({ reason: { code: 'overloaded' } });
  });
});

describe('a change that waits to be confirmed', () => {
  test('is taken back in time by itself, as a new generation, and the file on disk says so', async () => {
    const rules = await rig.open();
    await rules.apply(text(DNS, REST), ME, { confirmWithinMs: 60 });
    expect([statesOf(rules), rules.confirmLeftMs]).toEqual([['1 replaced', '2 pending'], 60]);
    await expect(rules.edit({ kind: 'add', rule: DNS }, ME)).rejects.toMatchObject({ code: 'confirm-pending' });
    // Until then the timer finds that it is not time yet.
    rig.nowMs += 60;
    await until(() => rules.generation.number === 3);
    expect(textsOf(rules)).toEqual([WEB, REST]);
    expect(statesOf(rules)).toEqual(['1 replaced', '2 reverted', '3 in-force']);
    expect(rig.changes.at(-1)).toMatchObject({ change: 'reverted', generation: 3, who: 'holdfast' });
    await expect(rules.confirm(ME)).rejects.toMatchObject({ code: 'nothing-to-confirm' });
  });

  test('stays once it is confirmed', async () => {
    const rules = await rig.open();
    await rules.apply(text(DNS, REST), ME, { confirmWithinMs: 80 });
    expect(await rules.confirm(ME)).toMatchObject({ generation: 2, stored: true });
    rig.nowMs += 80;
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect([rules.generation.number, statesOf(rules)]).toEqual([2, ['1 replaced', '2 in-force']]);
  });

  test('gives way to a rollback; one that waits itself goes back to what was confirmed', async () => {
    const rules = await rig.open();
    await rules.edit({ kind: 'add', rule: DNS }, ME);
    await rules.apply(text(REST), ME, { confirmWithinMs: 1000 });
    await rules.rollback(1, ME, { confirmWithinMs: 1000 });
    expect(statesOf(rules)).toEqual(['1 replaced', '2 replaced', '3 reverted', '4 pending']);
    rig.nowMs += 1000;
    rules.tick();
    expect(textsOf(rules)).toEqual([WEB, DNS, REST]);
  });

  test('does not survive the end of the process', async () => {
    const rules = await rig.open();
    await rules.edit({ kind: 'add', rule: DNS }, ME);
    await rules.apply(text(REST), ME, { confirmWithinMs: 60_000 });
    await rules.close();
    const again = await rig.open();
    expect([again.generation.number, textsOf(again)]).toEqual([4, [WEB, DNS, REST]]);
    expect(statesOf(again)).toEqual(['1 replaced', '2 replaced', '3 reverted', '4 in-force']);
    expect(again.history.at(-1)!.origin).toEqual({
      who: 'holdfast',
      what: 'generation 3 was not confirmed before the gateway ended',
    });
    expect(again.generation.ruleSet.outbound.map(({ handle }) => handle)).toEqual([1, 3, 2]);
  });
});

describe('rules that outlive the process', () => {
  test('keep text, number, handles and history', async () => {
    const rules = await rig.open();
    await rules.edit({ kind: 'insert', rule: DNS }, ME);
    await rules.edit({ kind: 'delete', handle: 1 }, ME);
    const { history } = rules;
    await rules.close();
    const again = await rig.open();
    expect([again.generation.number, textsOf(again), again.source]).toEqual([3, [DNS, REST], 'edited']);
    expect(again.history).toEqual(history);
    expect(await again.edit({ kind: 'add', rule: WEB }, ME)).toMatchObject({ generation: 4, handle: 4 });
    expect(await again.rollback(1, ME)).toMatchObject({ generation: 5 });
    expect(textsOf(again)).toEqual([WEB, REST]);
  });

  test('give way to the file if that has changed meanwhile, and not if it cannot be applied', async () => {
    const rules = await rig.open();
    await rules.edit({ kind: 'add', rule: DNS }, ME);
    await rules.close();
    rig.write('vm.rules', 'outbound {\n');
    const broken = await rig.open();
    expect([broken.generation.number, textsOf(broken)]).toEqual([2, [WEB, DNS, REST]]);
    expect(broken.fileTrouble).toContain('vm.rules:1:10: error:');
    await broken.close();
    rig.write('vm.rules', rulesOf('udp dport 9 drop', REST));
    const again = await rig.open();
    expect([again.generation.number, textsOf(again), again.source]).toEqual([3, ['udp dport 9 drop', REST], 'file']);
    expect(again.history.at(-1)!.origin.who).toBe('file');
  });

  test('do not stand in for a file of another name', async () => {
    rig.write('vm.rules', rulesOf('udp dport 5001 pass', 'default hold'));
    await (await rig.open()).close();
    await expect(rig.open('vn.rules')).rejects.toThrow("vn.rules': there is no such file");
    rig.write('vm.rules', 'outbound {');
    expect(textsOf(await rig.open())).toEqual(['udp dport 5001 pass', 'default hold']);
  });

  test('without anything that could be in force there are none', async () => {
    await expect(rig.open('none.rules')).rejects.toMatchObject({ code: 'rules-unreadable' });
    rig.write('vm.rules', 'outbound {\n');
    await expect(rig.open()).rejects.toMatchObject({ code: 'rules-invalid' });
  });

  test('a last line that was never finished counts for nothing', async () => {
    const rules = await rig.open();
    await rules.edit({ kind: 'add', rule: DNS }, ME);
    await rules.close();
    const path = rig.path('vm0.rules-history');
    appendFileSync(path, readFileSync(path, 'utf8').split('\n').at(-2)!.slice(0, -5));
    const again = await rig.open();
    expect([again.generation.number, rig.logged.filter((line) => line.includes('damaged'))]).toEqual([2, []]);
  });

  test.each([
    ['a flipped bit', (bytes: Buffer) => bytes.fill(bytes[400]! ^ 4, 400, 401)],
    ['something else', () => Buffer.from('hello\n')],
    ['nothing', () => Buffer.alloc(0)],
  ])('a damaged history is kept aside, numbers go on: %s', async (name, damage) => {
    const rules = await rig.open();
    await rules.edit({ kind: 'add', rule: DNS }, ME);
    await rules.close();
    const path = rig.path('vm0.rules-history');
    const damaged = damage(readFileSync(path));
    writeFileSync(path, damaged);
    const again = await rig.open();
    expect(textsOf(again)).toEqual([WEB, REST]);
    expect(again.generation.number).toBe(name === 'a flipped bit' ? 2 : 1);
    expect(rig.logged.some((line) => line.includes(`kept as ${path}.damaged`))).toBe(true);
    expect(readFileSync(`${path}.damaged`)).toEqual(damaged);
    await again.edit({ kind: 'add', rule: DNS }, ME);
  });

  test('whatever becomes of the history, the gateway begins with the last rules or the file, and never in between', async () => {
    const rules = await rig.open();
    for (let i = 1; i <= 4; i++) await rules.edit({ kind: 'add', rule: `udp dport ${i} pass` }, ME);
    await rules.close();
    const path = rig.path('vm0.rules-history');
    const whole = readFileSync(path);
    const texts = rules.history.map((entry) => [...entry.sources.texts.values()][0]);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(whole.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        async (at, bits, cuts) => {
          const damaged = Uint8Array.from(cuts ? whole.subarray(0, at) : whole);
          if (!cuts) damaged[at]! ^= bits;
          writeFileSync(path, damaged);
          const again = await rig.open();
          const { number } = again.generation;
          const text = [...again.sources.texts.values()][0];
          await again.close();
          // A line that was cut off was never answered for: then it is the text of an earlier one. So is a last line without its end.
          const isUnended = cuts || at === whole.length - 1;
          if (isUnended && number <= 5) expect(texts).toContain(text);
          else expect(text).toBe(texts[0]);
          expect(number).toBeGreaterThan(0);
        },
      ),
      { ...SEED, numRuns: runs(40) },
    );
  });

  test('the file stays small, however often rules change', async () => {
    const rules = await rig.open();
    for (let i = 0; i < 30; i++)
      await rules.apply(text(`udp dport ${i + 1} pass comment "${'x'.repeat(60_000)}"`, REST), ME);
    await rules.rollback(1, ME);
    expect(readdirSync(rig.folder).sort()).toEqual(['vm.rules', 'vm0.rules-history']);
    await rules.close();
    const again = await rig.open();
    expect([again.generation.number, again.history.length]).toEqual([32, 32]);
  });
});

describe('the compiling thread', () => {
  test('survives a task that breaks it, and is begun anew when it has ended', async () => {
    const compiler = new RuleCompiler();
    const nothing = { kind: 'text', sources: { file: 'a', texts: new Map() } } as const;
    const right = { kind: 'text', sources: { file: 'a', texts: new Map([['a', rulesOf(REST)]]) } } as const;
    await expect(compiler.compile(nothing)).rejects.toMatchObject({ code: 'compile-failed' });
    const both = [compiler.compile(right), compiler.compile(nothing)];
    expect((await Promise.allSettled(both)).map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    await compiler.close();
    await expect(compiler.compile(right)).rejects.toMatchObject({ code: 'compile-failed' });
  });

  test('hands over thousands of rules with all that compiling them here would make', async () => {
    const many = Array.from({ length: 1500 }, (_, i) => `udp dport ${i + 1} ip saddr 10.0.0.${i % 250} class data`);
    const file = 'many.rules';
    const text = `${rulesOf(...many, REST)}inbound {\n  tcp dport { 1, 2 } drop\n  default pass\n}\n`;
    const sources = { file, texts: new Map([[file, text]]) };
    const { ruleSet, tables, warnings } = await rig.compiler.compile({ kind: 'text', sources });
    const here = parseSources(sources);
    expect({ ruleSet, warnings }).toEqual(here);
    expect(tables).toEqual(compileTables(here.ruleSet));
  });
});
