import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ControlRig } from '../support/control-rig.ts';
import { jsonLines } from '../support/run-cli.ts';

let rig: ControlRig;

beforeEach(async () => {
  rig = new ControlRig();
  await rig.listen();
});
afterEach(() => rig.close());

describe('holdfast set', () => {
  it('adds, lists and deletes elements, with the time that they have left', async () => {
    const added = await rig.cli(['set', 'add', 'media', '192.0.2.1 . 5060', '10.0.0.0/8 . 1-100', '--timeout', '30s']);
    expect(added).toMatchObject({ code: 0, stdout: 'media: 2 added\n', stderr: '' });
    rig.scene.rig.clock.advanceTo(rig.scene.rig.clock.nowNs() + 10e9);
    const listed = await rig.cli(['set', 'list', 'media']);
    expect(listed.stdout.split('\n').sort()).toEqual(
      ['', 'media: 2 elements', '  192.0.2.1 . 5060  for 20 s', '  10.0.0.0/8 . 1-100  for 20 s'].sort(),
    );
    const deleted = await rig.cli(['set', 'delete', 'media', '192.0.2.1 . 5060']);
    expect(deleted).toMatchObject({ code: 0, stdout: 'media: 1 deleted\n' });
    const json = await rig.cli(['set', 'list', 'media', '--json']);
    expect(jsonLines(json.stdout)).toEqual([
      {
        set: 'media',
        types: ['ipv4_addr', 'inet_service'],
        isDynamic: true,
        timeoutMs: null,
        maxElements: 3,
        elements: 1,
        refused: 0,
        listed: [{ element: '10.0.0.0/8 . 1-100', remainingMs: 20_000 }],
      },
    ]);
  });

  it('says which sets there are', async () => {
    const { code, stdout } = await rig.cli(['set', 'list']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/media +ipv4_addr \. inet_service +0 +3/);
    expect(stdout).toMatch(/ports +inet_service +1 +in the rules/);
  });

  it('that is full refuses elements: exit 1', async () => {
    const elements = ['10.0.0.1 . 1', '10.0.0.1 . 2', '10.0.0.1 . 3', '10.0.0.1 . 4'];
    const { code, stdout } = await rig.cli(['set', 'add', 'media', ...elements]);
    expect([code, stdout]).toEqual([1, 'media: 3 added, 1 refused: the set is full\n']);
    const limited = await rig.cli(['set', 'list', 'media', '--limit', '2', '--json']);
    expect(jsonLines(limited.stdout)[0]).toMatchObject({ elements: 3, listed: [{}, {}] });
  });

  it('does not have what was to be deleted: exit 1', async () => {
    const { code, stdout } = await rig.cli(['set', 'delete', 'media', '10.0.0.1 . 1']);
    expect([code, stdout]).toEqual([1, 'media: 0 deleted, 1 not there\n']);
  });

  it.each<[string[], string]>([
    [['add', 'media', '10.0.0.1'], "'elements[0]'"],
    [['add', 'media', '10.0.0.1 . 99999'], "'elements[0]'"],
    [['add', 'ports', '5'], 'are part of the rules'],
    [['list', 'nix'], "the rules have no set 'nix'"],
    [['add', 'media'], "missing required argument 'element'"],
    [['add', 'media', '10.0.0.1 . 1', '--timeout', '0s'], 'above 0'],
  ])('%j makes no sense: exit 2', async (args, words) => {
    const { code, stdout, stderr } = await rig.cli(['set', ...args]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^holdfast: [^\n]+\n$/);
    expect(stderr).toContain(words);
  });
});
