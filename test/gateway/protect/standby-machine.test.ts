/** The machine that waits at a standby. What it loads, and how it runs, tests of whole VMs show. */
import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { QmpClient } from '../../../gateway/protect/qmp.ts';
import { StandbyMachine } from '../../../gateway/protect/standby-machine.ts';
import { FakeQemu } from '../../support/fake-qemu.ts';
import { until } from '../../support/netns.ts';
import { withoutPrograms } from '../../support/programs.ts';
import { temporaryFolder } from '../../support/run-cli.ts';

const QEMU = 'qemu-system-x86_64';
/** For what a busy computer does. */
const LIMIT_MS = 60_000;

const folder = temporaryFolder();

/** @returns a connection to a machine that is being started */
async function connected(path: string): Promise<QmpClient> {
  for (const end = performance.now() + LIMIT_MS; ; await sleep(20)) {
    try {
      return await QmpClient.connect(path);
    } catch (error) {
      if (performance.now() > end) throw error;
    }
  }
}

it('a standby that is told to end at once does not start a machine that nobody would end', async () => {
  const started = folder.path('started');
  const command = ['/bin/sh', '-c', `: > '${started}'`];
  const machine = new StandbyMachine({ command, qmp: folder.path('qmp'), ram: null, disks: [], isWarm: true });
  await machine.stop();
  await sleep(300);
  expect(existsSync(started)).toBe(false);
});

it('a file where its QMP socket would be stays, and no machine is started that would take its place', async () => {
  const started = folder.path('beside');
  const qmp = folder.write('notes', 'of somebody');
  const command = ['/bin/sh', '-c', `: > '${started}'`];
  const machine = new StandbyMachine({ command, qmp, ram: null, disks: [], isWarm: true });
  const why = await new Promise((resolve) => {
    machine.onExit = resolve;
  });
  expect(why).toBe(`${qmp} is there and is no socket`);
  await machine.stop();
  expect([readFileSync(qmp, 'utf8'), existsSync(started)]).toEqual(['of somebody', false]);
});

it.each([
  ['is started at once', true],
  ['is started when it is needed', false],
])('a machine that is there already, and may be the VM, is left alone and told of, where one %s', async (_, isWarm) => {
  const qmp = folder.path(`vm-${isWarm}`);
  const vm = new FakeQemu(qmp);
  vm.answers.set('query-status', () => ({ return: { status: 'running' } }));
  const machine = new StandbyMachine({ command: ['/bin/false'], qmp, ram: null, disks: [], isWarm });
  const ends: string[] = [];
  machine.onExit = (why) => ends.push(why);
  await machine.looked;
  expect([machine.occupied, machine.pid]).toEqual([`a machine is running at ${qmp}: it may be the VM`, null]);
  vm.die();
  await until(() => machine.occupied === null, 'another look', LIMIT_MS);
  await machine.stop();
  expect(ends.slice(0, 1)).toEqual(isWarm ? [`a machine is running at ${qmp}: it may be the VM`] : []);
});

it('one that does not answer may be the VM, too', async () => {
  const qmp = folder.path('mute');
  const mute = createServer((socket) => socket.on('error', () => {}));
  await new Promise<void>((resolve) => mute.listen(qmp, resolve));
  const machine = new StandbyMachine({ command: ['/bin/false'], qmp, ram: null, disks: [], isWarm: false });
  await machine.looked;
  expect(machine.occupied).toContain('it may be the VM');
  await machine.stop();
  mute.close();
});

it('a machine that has loaded an image is replaced where a newer one is to be loaded, and only then', async ({
  skip,
}) => {
  const missing = withoutPrograms(QEMU);
  skip(missing !== null, missing ?? '');
  // It runs nothing.
  const command = [QEMU, '-machine', 'q35,accel=tcg', '-m', '32', '-nodefaults', '-display', 'none'];
  const [image, newer, socket] = [folder.path('image'), folder.path('newer'), folder.path('source')];
  const source = spawn(QEMU, [...command.slice(1), '-S', '-qmp', `unix:${socket},server=on,wait=off`], {
    stdio: 'ignore',
  });
  try {
    const qmp = await connected(socket);
    await qmp.execute('migrate', { uri: `exec:cat > '${image}'` });
    const isDone = async () => (await qmp.execute<{ status: string }>('query-migrate')).status === 'completed';
    for (const end = performance.now() + LIMIT_MS; !(await isDone()) && performance.now() < end; ) await sleep(20);
    qmp.close();
  } finally {
    source.kill('SIGKILL');
  }
  copyFileSync(image, newer);
  const ends: string[] = [];
  const machine = new StandbyMachine({ command, qmp: folder.path('waiting'), ram: null, disks: [], isWarm: true });
  machine.onExit = (why) => ends.push(why);
  try {
    await machine.load(image, []);
    const { pid } = machine;
    await machine.load(image, []);
    expect(machine.pid, 'it has loaded that one').toBe(pid);
    await machine.load(newer, []);
    expect(machine.pid).not.toBe(pid);
    expect([machine.state, ends]).toEqual(['warm', []]);
  } finally {
    await machine.stop();
  }
});
