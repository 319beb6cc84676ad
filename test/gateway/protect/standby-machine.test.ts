/** The machine that waits at a standby. What it loads, and how it runs, tests of whole VMs show. */
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { StandbyMachine } from '../../../gateway/protect/standby-machine.ts';
import { temporaryFolder } from '../../support/run-cli.ts';

const folder = temporaryFolder();

it('a standby that is told to end at once does not start a machine that nobody would end', async () => {
  const started = folder.path('started');
  const command = ['/bin/sh', '-c', `: > '${started}'`];
  const machine = new StandbyMachine({ command, qmp: folder.path('qmp'), ram: null, isWarm: true });
  await machine.stop();
  await sleep(300);
  expect(existsSync(started)).toBe(false);
});
