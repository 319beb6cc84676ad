import { chmodSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeFrame } from '../support/frames.ts';
import { until } from '../support/host-rig.ts';
import { rulesOf } from '../support/live-rules-rig.ts';
import { RulesHostRig } from '../support/rules-host-rig.ts';
import { type CliOptions, holdfast, jsonLines, pcapOf } from '../support/run-cli.ts';
import { HOLD, PASS } from '../support/scene.ts';

const DATA = 'udp dport 5000 class data';
const REST = 'default class control';
let rig: RulesHostRig;

beforeEach(async () => {
  rig = await new RulesHostRig().begin(rulesOf(DATA, REST));
});
afterEach(() => rig.close());

function cli(args: readonly string[], options: CliOptions = {}) {
  return holdfast(args, { ...options, env: { HOLDFAST_CONTROL: rig.rig.path, ...options.env } });
}

const rules = (...args: readonly string[]) => cli(['rules', ...args]);

describe('holdfast rules', () => {
  it('lists rules with their handles and counts', async () => {
    rig.scene.send(1, PASS);
    const { code, stdout, stderr } = await rules('list');
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toBe(`vm0: generation 1, as in ${rig.path('vm.rules')}
outbound
  handle  frames  bytes  last hit                  verdict  rule
       1       1     46  2026-09-21T14:13:20.000Z  pass     udp dport 5000 class data
       2       0      0  -                         hold     default class control
`);
    expect(jsonLines((await rules('list', '--json')).stdout)).toMatchObject([
      { vm: 'vm0', generation: 1, source: 'file', rules: [{ handle: 1, frames: 1 }, { handle: 2 }] },
    ]);
  });

  it('adds, inserts, replaces and deletes rules', async () => {
    expect(await rules('add', 'udp', 'dport', '5001', 'class', 'data')).toMatchObject({
      code: 0,
      stdout: 'vm0: generation 2 is in force, rule 3\n',
    });
    expect(await rules('insert', 'tcp dport 22 hold', '--before', '2')).toMatchObject({ code: 0 });
    expect(await rules('replace', '1', 'udp dport 5000 drop')).toMatchObject({ code: 0 });
    expect(await rules('delete', '3')).toMatchObject({ code: 0, stdout: 'vm0: generation 5 is in force\n' });
    expect(await rules('add', 'udp dport 9 drop', '--inbound')).toMatchObject({ code: 0 });
    const { stdout } = await rules('list');
    expect(stdout.replace(/ {2,}/g, ' ').split('\n').slice(2)).toEqual([
      ' handle frames bytes last hit verdict rule',
      ' 5 0 0 - drop udp dport 5000 drop',
      ' 4 0 0 - hold tcp dport 22 hold',
      ' 2 0 0 - hold default class control',
      'inbound',
      ' handle frames bytes last hit verdict rule',
      ' 6 0 0 - drop udp dport 9 drop',
      '',
    ]);
    expect(stdout).toContain(`generation 6, edited: ${rig.path('vm.rules')} says otherwise`);
  });

  it('that have errors are refused with each of them under its place: exit 1, and nothing is changed', async () => {
    const { code, stdout, stderr } = await rules('add', 'udp dprt 5001 pass');
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain(`${rig.path('vm.rules')}:5:7: error: 'udp' has no field 'dprt'`);
    expect(stderr).toContain('\n    udp dprt 5001 pass\n        ^^^^\n');
    expect(stderr).toContain('holdfast: 1 error; nothing is changed\n');
    const json = await rules('add', 'udp dprt 5001 pass', '--json');
    expect(jsonLines(json.stdout)[0]).toMatchObject({
      error: { code: 'rules-invalid', errors: [{ line: 5, column: 7 }] },
    });
    expect(rig.rules.generation.number).toBe(1);
  });

  it.each<[string[], number, string]>([
    [['delete', '9'], 1, 'unknown-handle: there is no rule with handle 9'],
    [['rollback', '9'], 1, 'unknown-generation: '],
    [['confirm'], 1, 'nothing-to-confirm: '],
    [['delete', '1', '--vm', 'x'], 1, "unknown-vm: there is no VM 'x'"],
    [['delete', 'x'], 2, 'expected a whole number'],
    [['apply', 'nothing.rules'], 2, 'there is no such file'],
    [['apply', 'web', '--yes'], 2, '--yes, --addr and --verify-checksums go with --replay'],
    [['apply', 'web', '--audit', '--check'], 2, '--audit changes nothing'],
    [['list', '--control', '/nowhere/control'], 2, 'no gateway answers'],
  ])('%s is refused in one line', async (args, code, words) => {
    const result = await rules(...args);
    expect([result.code, result.stdout]).toEqual([code, '']);
    expect(result.stderr).toMatch(/^holdfast: [^\n]+\n$/);
    expect(result.stderr).toContain(words);
  });

  it('apply takes a file with those that it includes; check only asks', async () => {
    rig.write('names.rules', 'define PORT = 5001\n');
    const path = rig.write('new.rules', `include "names.rules"\n${rulesOf('udp dport $PORT class data', REST)}`);
    expect(await rules('check', path)).toMatchObject({
      code: 0,
      stdout: 'vm0: the change would be made; nothing is changed\n',
    });
    expect(rig.rules.generation.number).toBe(1);
    expect(await rules('apply', path)).toMatchObject({ code: 0, stdout: 'vm0: generation 2 is in force, rule 3\n' });
    expect(await cli(['rules', 'apply', '-'], { stdin: rulesOf(REST) })).toMatchObject({ code: 0 });
    const bad = await cli(['rules', 'apply', '-'], { stdin: 'outbound {\n' });
    expect([bad.code, rig.rules.generation.number]).toEqual([1, 3]);
  });

  it('apply --confirm-within goes back by itself, unless it is confirmed', async () => {
    expect((await rules('delete', '1', '--confirm-within', '60s')).stdout).toBe(
      'vm0: generation 2 is in force; it goes back in 60 s unless: holdfast rules confirm\n',
    );
    expect((await rules('list')).stdout).toContain('goes back in 60 s unless it is confirmed\n');
    expect(await rules('confirm')).toMatchObject({ code: 0 });
    await rules('add', DATA, '--confirm-within', '60s');
    rig.nowMs += 60_000;
    rig.rules.tick();
    const { stdout } = await rules('history');
    expect(stdout.split('\n').map((line) => line.trim().split(/ {2,}/).slice(0, 3))).toEqual([
      ['generation', 'at', 'state'],
      ['1', '2026-09-21T14:13:20.000Z', 'replaced'],
      ['2', '2026-09-21T14:13:20.000Z', 'replaced'],
      ['3', '2026-09-21T14:13:20.000Z', 'reverted'],
      ['4', '2026-09-21T14:14:20.000Z', 'in-force'],
      [''],
    ]);
    expect(stdout).toContain('holdfast command line (uid ');
    expect(await rules('rollback', '1')).toMatchObject({ code: 0 });
  });

  it('diff compares with what is in force, and generations', async () => {
    await rules('delete', '1');
    const { code, stdout } = await rules('diff', '--from', '1');
    expect([code, stdout]).toEqual([1, `--- generation 1\n+++ generation 2\n@@ outbound @@\n- 4: ${DATA}  (pass)\n`]);
    expect(await rules('diff', rig.path('vm.rules'))).toMatchObject({ code: 1 });
    expect(await rules('diff', rig.path('vm.rules'), '--from', '1')).toMatchObject({ code: 0, stdout: '' });
  });

  it('edit puts the text through an editor, and keeps what it cannot apply', async () => {
    const editor = (script: string) => {
      const path = rig.write('editor.sh', `#!/bin/sh\n${script}\n`);
      chmodSync(path, 0o755);
      return { env: { EDITOR: path, VISUAL: '', TMPDIR: edits } };
    };
    const edits = rig.path('edits');
    mkdirSync(edits);
    const same = await cli(['rules', 'edit'], editor('true'));
    expect(same).toMatchObject({ code: 0, stderr: 'holdfast: the text is as it was: nothing is changed\n' });
    const done = await cli(['rules', 'edit'], editor(`sed -i s/5000/5002/ "$1"`));
    expect(done).toMatchObject({ code: 0, stdout: 'vm0: generation 2 is in force, rule 3\n' });
    expect(readdirSync(edits)).toEqual([]);
    const wrong = await cli(['rules', 'edit'], editor(`sed -i s/dport/dprt/ "$1"`));
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain("'udp' has no field 'dprt'");
    const [, kept] = /what was edited is in (\/\S+\/vm0\.rules)\n/.exec(wrong.stderr)!;
    expect(existsSync(kept!)).toBe(true);
    const broken = await cli(['rules', 'edit'], editor('exit 3'));
    expect([broken.code, broken.stderr.includes('exit code 3'), rig.rules.generation.number]).toEqual([1, true, 2]);
  });

  it('apply --replay shows first which frames would be judged otherwise, and does not go on unasked', async () => {
    const frames = [0, 1, 0].map((colour, i) => ({
      bytes: makeFrame({ kind: 'udp', flow: 0, colour, vlan: 0, pad: 0 }, i).bytes,
    }));
    const capture = rig.write('frames.pcap', pcapOf(frames));
    const path = rig.write('new.rules', rulesOf('udp dport 5000 drop', REST));
    const asked = await rules('apply', path, '--replay', capture);
    expect([asked.code, rig.rules.generation.number]).toEqual([2, 1]);
    expect(asked.stdout).toContain('2 of 3 frames are judged differently');
    expect(asked.stderr).toContain('nobody is there to be asked: use --yes');
    const agreed = await rules('apply', path, '--replay', capture, '--yes');
    expect([agreed.code, rig.rules.generation.number]).toEqual([0, 2]);
    for (const i of [0, 1, 2]) rig.scene.put(i, i === 1 ? HOLD : PASS);
    rig.scene.vm.turn();
    expect(rig.scene.vm.counters.get('dropped')).toBe(2);
  });

  it('apply --audit counts what rules would do; audit shows it', async () => {
    expect(await rules('audit')).toMatchObject({ code: 1, stdout: 'vm0: no rules were audited yet\n' });
    const path = rig.write('new.rules', rulesOf('udp dport 5000 drop', REST));
    expect(await rules('apply', path, '--audit')).toMatchObject({ code: 0 });
    rig.scene.send(1, PASS);
    rig.scene.send(2, HOLD);
    const { code, stdout } = await rules('audit');
    expect(code).toBe(0);
    expect(stdout).toContain('vm0: auditing, 2 frames\n');
    expect(stdout.replace(/ {2,}/g, ' ')).toContain(' outbound pass drop 1 46\n');
    expect(stdout).toContain(
      `pass -> drop: 10.0.0.1.6000 > 10.0.0.254.5000 udp 4 B\n    ${DATA} -> udp dport 5000 drop\n`,
    );
    expect((await rules('audit', '--end')).stdout).toContain('vm0: the last audit, 2 frames\n');
    rig.scene.send(3, PASS);
    expect(jsonLines((await rules('audit', '--json')).stdout)[0]).toMatchObject({
      auditing: false,
      audit: { frames: 2 },
    });
    expect(rig.scene.left()).toEqual([1, 2, 3]);
  });
});

describe('holdfast explain --live', () => {
  it('prints frames as they pass, with the rule that decided', async () => {
    const live = cli(['explain', '--live', 'udp', 'dport', '5000', '--count', '2', '--control', rig.rig.path]);
    await until(() => rig.scene.vm.forwarder.tap !== null);
    rig.scene.send(1, HOLD);
    rig.scene.send(2, PASS);
    rig.scene.send(3, PASS);
    expect(await live).toMatchObject({
      code: 0,
      stderr: '',
      stdout: [1, 2]
        .map(() => `1790000000.000000000 out pass data rule 10.0.0.1.6000 > 10.0.0.254.5000 udp 4 B [4: ${DATA}]\n`)
        .join(''),
    });
    await until(() => rig.scene.vm.forwarder.tap === null);
  });

  it.each<[string[], number, string]>([
    [['--live', 'udp dprt 5'], 2, 'invalid-params: '],
    [['--live', '--rules', 'web'], 2, '--rules is for captures, not for --live'],
    [['--live', '--rate', '5000'], 2, 'perSecond'],
    [['--rate', '5', 'x.pcap'], 2, '--rate goes with --live'],
    [[], 2, "missing required argument 'capture'"],
  ])('%s is refused in one line', async (args, code, words) => {
    const result = await cli(['explain', ...args]);
    expect([result.code, result.stdout]).toEqual([code, '']);
    expect(result.stderr).toMatch(/^holdfast: [^\n]+\n$/);
    expect(result.stderr).toContain(words);
  });
});
