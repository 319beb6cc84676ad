import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CliProcess, SLOW_MS } from '../support/cli-process.ts';
import { HostRig } from '../support/host-rig.ts';
import { until } from '../support/netns.ts';
import { HOLDFAST, holdfast, temporaryFolder } from '../support/run-cli.ts';

const folder = temporaryFolder();
const LISTEN = ['--listen', `unix:${folder.path('standby')}`];
const IMAGES = ['--images', folder.path('images')];

function standby(flags: readonly string[], ...qemu: readonly string[]) {
  return holdfast(['standby', ...LISTEN, ...IMAGES, ...flags, '--', ...qemu]);
}

/** One that stays, until the test ends. */
async function standing(...parameters: readonly string[]): Promise<CliProcess> {
  const running = new CliProcess(spawn(process.execPath, [HOLDFAST, 'standby', ...parameters]));
  onTestFinished(() => running.kill());
  await running.says('ready');
  return running;
}

it('the network comes to the VM in one of two ways, exit 2', async () => {
  const stderr = 'holdfast: name either --inside, where the gateway will reach the VM, or --takeover\n';
  expect(await standby([], 'qemu')).toMatchObject({ code: 2, stdout: '', stderr });
  expect(await standby(['--takeover', '--inside', 'tap0'], 'qemu')).toMatchObject({ code: 2, stderr });
});

it('a machine that could not read its image, for QEMU starts no program for it, is refused at once, exit 2', async () => {
  const stderr =
    "holdfast: -sandbox with 'spawn=deny' behind --: the machine reads its image through a program, expected 'spawn=allow'\n";
  const sandbox = ['-sandbox', 'on,obsolete=deny,spawn=deny'];
  expect(await standby(['--takeover'], 'qemu', ...sandbox)).toMatchObject({ code: 2, stdout: '', stderr });
});

describe('what would come to light in a failover, or never, is refused at once, exit 2', () => {
  it.each<[string, string[], string, string]>([
    ['a port that there is not', ['--inside', 'tpa:t0'], 'true', "--inside: 'tpa:t0': there is no port 'tpa', only "],
    ['a port that a VM cannot be behind', ['--inside', 'ip:eth0'], 'true', "--inside: 'ip:eth0' cannot be an inside"],
    ['one link twice', ['--inside', 'tap:t0 packet:t0'], 'true', '--inside: t0 is a port already'],
    ['no port', ['--inside', ' '], 'true', '--inside: '],
    [
      'a machine without a program',
      ['--takeover'],
      'no-such-qemu',
      "'no-such-qemu' behind --: there is no such program",
    ],
    ['a folder as a program', ['--takeover'], '/usr/bin', "'/usr/bin' behind --: there is no such program"],
  ])('%s', async (_, flags, qemu, message) => {
    const { code, stdout, stderr } = await standby(flags, qemu);
    expect([code, stdout, stderr]).toEqual([2, '', expect.stringContaining(`holdfast: ${message}`)]);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });
});

it('a word that is no command is said to be none', async () => {
  const { code, stderr } = await holdfast(['standby', 'fail-over', 'unix:/nowhere']);
  expect([code, stderr]).toEqual([2, expect.stringContaining("unknown command 'fail-over'")]);
  expect(stderr, 'those that there are').toContain('run, status, failover, forget');
});

describe('a place that is no place for a socket is refused, and what is there stays, exit 2', () => {
  it.each([
    ['--listen unix:FILE', ['--listen', `unix:${folder.path('file')}`]],
    ['--qmp', [...LISTEN, '--qmp', folder.path('file')]],
  ])('%s is a file', async (option, flags) => {
    folder.write('file', 'of somebody');
    const stderr = `holdfast: ${option.replace('FILE', folder.path('file'))}: ${folder.path('file')} is there and is no socket\n`;
    const ended = await holdfast(['standby', ...IMAGES, '--takeover', ...flags, '--', 'true']);
    expect(ended).toMatchObject({ code: 2, stdout: '', stderr });
    expect(readFileSync(folder.path('file'), 'utf8')).toBe('of somebody');
  });

  it('a folder that is not there', async () => {
    const listen = `unix:${folder.path('nowhere')}/standby`;
    const ended = await holdfast(['standby', ...IMAGES, '--takeover', '--listen', listen, '--', 'true']);
    const stderr = `holdfast: --listen ${listen}: there is no folder ${folder.path('nowhere')}\n`;
    expect(ended).toMatchObject({ code: 2, stdout: '', stderr });
  });

  it('a folder where images would be written', async () => {
    const incoming = folder.path('images/incoming');
    mkdirSync(incoming, { recursive: true });
    const stderr = `holdfast: --images ${folder.path('images')}: ${incoming} is there and is no file\n`;
    expect(await standby(['--takeover'], 'true')).toMatchObject({ code: 2, stdout: '', stderr });
    rmdirSync(incoming);
  });
});

it(
  'a folder of images is of one standby at a time, also of one that is killed, and of one VM',
  async () => {
    const images = ['--images', folder.path('shared'), '--takeover', '--cold'];
    const listen = (name: string) => ['--listen', `unix:${folder.path(name)}`, ...images];
    const first = await standing(...listen('first'), '--', 'true');
    const inUse = `holdfast: --images ${folder.path('shared')}: another standby uses this folder: `;
    const second = await holdfast(['standby', ...listen('second'), '--', 'true']);
    expect(second).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(inUse) });
    await first.kill('SIGKILL');
    const other = await holdfast(['standby', ...listen('second'), '--vm', 'vm1', '--', 'true']);
    const kept = `holdfast: --images ${folder.path('shared')}: images of the VM 'vm0' are kept there, not of 'vm1': `;
    expect(other).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(kept) });
    const third = await standing(...listen('first'), '--', 'true');
    await third.kill('SIGTERM');
    expect(readdirSync(folder.path('shared'))).toEqual(['vm']);
  },
  2 * SLOW_MS,
);

it(
  'one whose gateway has the VM behind more ports than it names says so, and stays',
  async () => {
    const link = { backend: 'tap', link: 'up' as const, trouble: null, mtu: 1500, counters: {} };
    const ports = [0, 1].map((pair) => ({ ...link, vm: 'vm0', pair, side: 'inside' as const, name: `tap${pair}` }));
    const gateway = await new HostRig(undefined, { ports: () => ports }).listen();
    onTestFinished(() => gateway.close());
    const flags = [...LISTEN, '--images', folder.path('misfit'), '--control', gateway.path, '--cold'];
    const one = await standing(...flags, '--inside', 'tap9', '--', 'true');
    const said =
      "holdfast: --inside names one port, and at its gateway 'vm0' has 2 ports inside: a failover would be refused\n";
    await until(() => one.isOver || one.stderr.includes('\n'), 'a word of it', SLOW_MS);
    expect(one.stderr).toBe(said);
    await one.kill('SIGTERM');
    expect(await one.ended).toBe(0);
  },
  2 * SLOW_MS,
);

it(
  'a machine that ends by the same again and again is told of once',
  async () => {
    const program = folder.path('qemu');
    const log = folder.path('starts');
    writeFileSync(program, `#!/bin/sh\necho >> ${log}\nexit 1\n`, { mode: 0o755 });
    folder.write('starts', '');
    const one = await standing(...LISTEN, '--images', folder.path('ends'), '--takeover', '--', program);
    await until(() => readFileSync(log, 'utf8').length >= 3, 'three starts', SLOW_MS);
    const told = one.stdout.split('\n').filter((line) => line.startsWith('the machine here'));
    expect(told).toEqual(['the machine here: the machine ended: exit code 1']);
  },
  SLOW_MS,
);
