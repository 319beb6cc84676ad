/** `holdfast protect`, before there is a gateway. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer, type Server } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CliProcess } from '../../support/cli-process.ts';
import { FakeMachine } from '../../support/fake-machine.ts';
import { HostRig } from '../../support/host-rig.ts';
import { HOLDFAST, holdfast, temporaryFolder } from '../../support/run-cli.ts';

const folder = temporaryFolder();
let made = 0;
let machine: FakeMachine;
let rig: HostRig;
let running: CliProcess[];
let mute: Server | null;

beforeEach(() => {
  machine = new FakeMachine(folder.path(`machine${made++}`));
  rig = new HostRig();
  running = [];
  mute = null;
});
afterEach(async () => {
  for (const one of running) await one.kill();
  machine.die();
  mute?.close();
  await rig.close().catch(() => {});
});

function protect(control: string, ...flags: readonly string[]): CliProcess {
  const parameters = [
    'protect',
    '--qmp',
    machine.qmp,
    '--standby',
    `unix:${folder.path('none')}`,
    '--control',
    control,
  ];
  const child: ChildProcess = spawn(process.execPath, [HOLDFAST, ...parameters, ...flags]);
  const one = new CliProcess(child);
  running.push(one);
  return one;
}

it('waits for a gateway that is not there yet, says so once, and goes on when it is', async () => {
  const command = protect(rig.path);
  await command.says(`starting: waiting: no gateway answers at ${rig.path} (there is no such socket)`);
  // More than one attempt.
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect(command.isOver).toBe(false);
  await rig.listen();
  // The next thing that is missing.
  await command.says('degraded: the standby cannot be reached');
  expect(command.stdout.match(/waiting/g)).toHaveLength(1);
  await command.kill('SIGTERM');
  expect(await command.ended).toBe(0);
});

it('waits for a gateway that takes the connection and says nothing', async () => {
  const path = folder.path('mute');
  mute = createServer((socket) => socket.on('error', () => {}));
  await new Promise<void>((resolve) => mute!.listen(path, resolve));
  const command = protect(path, '--json');
  await command.says('does not answer');
  expect(command.events).toEqual([
    { event: 'state', state: 'starting', why: `waiting: the gateway at ${path} does not answer` },
  ]);
  await command.kill('SIGTERM');
  expect(await command.ended).toBe(0);
});

it('ends cleanly when it is told to while it waits', async () => {
  const command = protect(rig.path, '--json');
  await command.says('waiting');
  command.child.kill('SIGTERM');
  expect(await command.ended).toBe(0);
  expect(command.events.at(-1)).toEqual({ event: 'state', state: 'stopped', why: 'told to stop' });
  expect(command.stderr).toBe('');
});

it('does not wait where a gateway cannot help', async () => {
  await rig.listen();
  const common = ['protect', '--qmp', machine.qmp, '--standby', `unix:${folder.path('none')}`];
  const wrongVm = await holdfast([...common, '--control', rig.path, '--vm', 'vm9']);
  expect(wrongVm).toMatchObject({ code: 1, stdout: '' });
  expect(wrongVm.stderr).toContain("the gateway has no VM 'vm9'");
  const notFolder = await holdfast([...common, '--control', `${machine.qmp}/control`]);
  expect(notFolder).toMatchObject({ code: 2, stdout: '' });
  expect(notFolder.stderr).toContain('no gateway answers at');
});
