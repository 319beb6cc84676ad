import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { LiveRules } from '../../gateway/live-rules/live-rules.ts';
import { until } from '../support/host-rig.ts';
import { LiveRulesRig, ME, rulesOf, textsOf } from '../support/live-rules-rig.ts';

let rig: LiveRulesRig;
beforeEach(() => {
  rig = new LiveRulesRig();
});
afterEach(() => rig.close());

const ONE = 'tcp dport 80 class control';
const TWO = 'udp dport 53 class data';
const REST = 'default class control';

async function opened(): Promise<LiveRules> {
  rig.write('vm.rules', rulesOf(ONE, REST));
  return rig.open();
}

const inForce = (rules: LiveRules, ...texts: string[]) => until(() => textsOf(rules).join() === texts.join());

/** Long enough for the file to be looked at several times. */
const aWhile = () => new Promise((resolve) => setTimeout(resolve, 500));

describe('the rule file that the configuration names', () => {
  test('takes force when it is written in place', async () => {
    const rules = await opened();
    rig.write('vm.rules', rulesOf(TWO, REST));
    await inForce(rules, TWO, REST);
    expect(rig.changes).toMatchObject([{ change: 'applied', generation: 2, who: 'file' }]);
    expect([rules.source, rules.fileTrouble]).toEqual(['file', null]);
  });

  test('takes force when an editor puts another file in its place, as vim and sed -i do', async () => {
    const rules = await opened();
    renameSync(rig.path('vm.rules'), rig.path('vm.rules~'));
    rig.write('vm.rules', rulesOf(TWO, REST));
    unlinkSync(rig.path('vm.rules~'));
    await inForce(rules, TWO, REST);
    renameSync(rig.write('sedA1B2C3', rulesOf(ONE, TWO, REST)), rig.path('vm.rules'));
    await inForce(rules, ONE, TWO, REST);
    expect(rules.generation.number).toBe(3);
  });

  test('takes force when a symbolic link on the way to it is changed, as Kubernetes does', async () => {
    mkdirSync(rig.path('..one'));
    mkdirSync(rig.path('..two'));
    rig.write('..one/k8s.rules', rulesOf(ONE, REST));
    rig.write('..two/k8s.rules', rulesOf(TWO, REST));
    symlinkSync('..one', rig.path('..data'));
    symlinkSync('..data/k8s.rules', rig.path('k8s.rules'));
    const rules = await rig.open('k8s.rules');
    symlinkSync('..two', rig.path('..data_tmp'));
    renameSync(rig.path('..data_tmp'), rig.path('..data'));
    rmSync(rig.path('..one'), { recursive: true });
    await inForce(rules, TWO, REST);
  });

  test('takes force once it is written whole: what stands there before is refused or not even looked at', async () => {
    const rules = await opened();
    const whole = rulesOf(TWO, ONE, REST);
    writeFileSync(rig.path('vm.rules'), '');
    for (let at = 0; at < whole.length; at += 10) {
      appendFileSync(rig.path('vm.rules'), whole.slice(at, at + 10));
      await new Promise((resolve) => setTimeout(resolve, 8));
    }
    await inForce(rules, TWO, ONE, REST);
    expect(rig.changes.filter(({ change }) => change === 'applied')).toHaveLength(1);
  });

  test('with errors is not applied, which is told once; what is in force stays until it is right again', async () => {
    const rules = await opened();
    rig.write('vm.rules', rulesOf('tcp dprt 1 pass', REST));
    await until(() => rig.changes.length > 0);
    await aWhile();
    expect(rig.changes).toMatchObject([{ change: 'refused', generation: 1, who: 'file' }]);
    expect(rig.changes[0]!.what).toContain("'tcp' has no field 'dprt'");
    expect([textsOf(rules), rules.fileTrouble]).toEqual([[ONE, REST], rig.changes[0]!.what]);
    expect(rig.logged.filter((line) => line.includes('not applied'))).toHaveLength(1);
    rig.write('vm.rules', rulesOf(TWO, REST));
    await inForce(rules, TWO, REST);
    expect(rules.fileTrouble).toBeNull();
  });

  test('that is deleted leaves in force what is, and says so; it counts again when it is back', async () => {
    const rules = await opened();
    unlinkSync(rig.path('vm.rules'));
    await until(() => rig.changes.length > 0);
    expect(rig.changes).toMatchObject([{ change: 'file-gone', generation: 1 }]);
    expect(rules.fileTrouble).toContain('there is no such file');
    rig.write('vm.rules', rulesOf(ONE, REST));
    await until(() => rules.fileTrouble === null);
    expect(rules.generation.number).toBe(1);
    rig.write('vm.rules', rulesOf(TWO, REST));
    await inForce(rules, TWO, REST);
  });

  test('is not waited for where a pipe takes its place, or that of a file it includes', async () => {
    const rules = await opened();
    unlinkSync(rig.path('vm.rules'));
    execFileSync('mkfifo', [rig.path('vm.rules'), rig.path('pipe')]);
    await until(() => rules.fileTrouble?.includes('it is no regular file') === true);
    unlinkSync(rig.path('vm.rules'));
    rig.write('vm.rules', `include "pipe"\n${rulesOf(TWO, REST)}`);
    await until(() => rules.fileTrouble?.includes('vm.rules:1:9: error:') === true);
    rig.write('vm.rules', rulesOf(TWO, REST));
    await inForce(rules, TWO, REST);
  });

  test('touched or written again with the same text is no change', async () => {
    const rules = await opened();
    rig.write('vm.rules', rulesOf(ONE, REST));
    await aWhile();
    expect([rules.generation.number, rig.changes]).toEqual([1, []]);
  });

  test('wins over what was edited over the host interface, and over a change that waits to be confirmed', async () => {
    const rules = await opened();
    await rules.edit({ kind: 'add', rule: TWO }, ME);
    await rules.edit({ kind: 'delete', handle: 1 }, ME, { confirmWithinMs: 60_000 });
    expect(rules.source).toBe('edited');
    rig.write('vm.rules', rulesOf('udp dport 9 drop', REST));
    await inForce(rules, 'udp dport 9 drop', REST);
    expect([rules.source, rules.confirmLeftMs]).toEqual(['file', null]);
    expect(rules.history.map(({ origin, state }) => `${origin.who} ${state}`)).toEqual([
      'config replaced',
      'operator replaced',
      'operator reverted',
      'file in-force',
    ]);
  });
});

describe('included files', () => {
  test('are watched, too, also those that a pattern finds later', async () => {
    mkdirSync(rig.path('more'));
    rig.write('names.rules', 'define PORT = 80\n');
    rig.write(
      'vm.rules',
      'class control hold\ninclude "names.rules"\noutbound {\n  tcp dport $PORT pass\n  include "more/*.rules"\n  default class control\n}\n',
    );
    const rules = await rig.open();
    const ports = () => rules.generation.ruleSet.outbound.length;
    expect(ports()).toBe(2);
    rig.write('more/a.rules', 'udp dport 1 pass\n');
    await until(() => ports() === 3);
    rig.write('more/a.rules', 'udp dport 1 pass\nudp dport 2 pass\n');
    await until(() => ports() === 4);
    rig.write('names.rules', 'define PORT = { 80, 443 }\n');
    const before = rules.generation.number;
    await until(() => rules.generation.number > before);
    expect([...rules.sources.texts.values()][1]).toBe('define PORT = { 80, 443 }\n');
  });
});

test('a shipped set is not watched', async () => {
  const rules = await rig.open('vm.rules', { path: 'hold-all' });
  expect([rules.source, rules.path]).toEqual(['shipped', 'hold-all']);
});
