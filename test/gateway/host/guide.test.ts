import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { StateError } from '../../../gateway/epoch.ts';
import { EVENT_KINDS } from '../../../gateway/host/api.ts';
import { HostRig } from '../../support/host-rig.ts';
import { Scene } from '../../support/rig.ts';
import { HOLD } from '../../support/scene.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const guide = readFileSync(join(ROOT, 'gateway/host/README.md'), 'utf8');
const [, driver] = /^```ts driver\n(.*?)^```$/ms.exec(guide)!;

test("the guide's driver runs as it stands: epochs are sealed and committed, and their frames leave", async () => {
  const scene = new Scene();
  const rig = await new HostRig(scene).listen();
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-guide-'));
  try {
    const file = join(folder, 'driver.mts');
    writeFileSync(file, driver!.replace('holdfast/client', join(ROOT, 'gateway/host/index.ts')));
    const watcher = rig.client();
    const changes: string[] = [];
    let serial = 0;
    await watcher.subscribe(['epoch'], ({ change }) => {
      changes.push(change);
      if (change === 'seal') scene.send(serial++, HOLD);
    });
    const run = spawn(join(ROOT, 'node_modules/.bin/tsx'), [file, rig.path, 'vm0', '4'], { stdio: 'inherit' });
    const [code] = await once(run, 'close');
    await watcher.call('status', {});
    expect(code).toBe(0);
    expect(changes.filter((change) => change === 'seal')).toHaveLength(4);
    expect(changes.filter((change) => change === 'commit')).toHaveLength(4);
    expect([changes[0], changes.at(-1)]).toEqual(['start', 'stop']);
    expect(scene.left()).toEqual([0, 1, 2, 3]);
    expect(scene.vm.epochs.state).toBe('off');
  } finally {
    await rig.close();
    rmSync(folder, { recursive: true, force: true });
  }
});

test('the driver has 30 lines of code at the most', () => {
  const lines = driver!.split('\n').filter((line) => line.trim() !== '');
  expect(lines.length).toBeLessThanOrEqual(30);
});

test('the guide names every code of a refusal and every kind of event', () => {
  const codes: StateError['code'][] = [
    'not-replicated',
    'stale-term',
    'epoch-not-open',
    'epoch-not-sealed',
    'epoch-sealed',
    'epoch-aborted',
    'output-already-released',
  ];
  for (const name of [...codes, ...EVENT_KINDS, 'unknown-vm', 'overloaded', 'invalid-params']) {
    expect(guide).toContain(`\`${name}\``);
  }
});
