/** An application inside a VM that tells the gateway which of its datagrams are media, through QEMU's virtio-serial port. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { HostClient } from '../../gateway/host/client.ts';
import { sockaddr, UdpSocket } from '../soak/udp.ts';
import { CliProcess } from '../support/cli-process.ts';
import { guestCommand, noGuestReason, VM_GUEST } from '../support/guest.ts';
import { leaveNetns, Netns, noNetnsReason, until } from '../support/netns.ts';
import { HOLDFAST } from '../support/run-cli.ts';

const reason = noNetnsReason('sysctl') ?? noGuestReason();
const BOOT_MS = 90_000;
const WAIT_MS = 30_000;
const CLIENT = '10.77.0.2';
const DATAGRAMS = 5;
/** A rule that counts what the guest answers, for its kernel sends frames of its own accord. */
const ANSWERS = `udp sport ${VM_GUEST.datagrams} class control`;

let folder: string;
let network: Netns;
let hosts: Netns;
let machine: ChildProcess;
let console: string;
let gateway: CliProcess;
let host: HostClient;
let client: UdpSocket;
let requests = 0;

beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  folder = mkdtempSync(join(tmpdir(), 'holdfast-application-'));
  network = new Netns('app-network');
  hosts = new Netns('app-hosts');
  hosts.veth('outside', network, 'eth0');
  network.run('ip', 'addr', 'add', `${CLIENT}/24`, 'dev', 'eth0');
  network.run('ip', 'neigh', 'add', VM_GUEST.ip4, 'lladdr', VM_GUEST.mac, 'nud', 'permanent', 'dev', 'eth0');
  network.enter();
  client = new UdpSocket(CLIENT, 5004);
  leaveNetns();
});
afterEach(async () => {
  leaveNetns();
  client?.close();
  host?.close();
  machine?.kill('SIGKILL');
  await gateway?.kill();
  network?.delete();
  hosts?.delete();
  rmSync(folder, { recursive: true, force: true });
});

async function startGateway(): Promise<void> {
  const rules = join(folder, 'app.rules');
  writeFileSync(
    rules,
    `class data pass
class control hold
set media { type inet_service; flags timeout; timeout 1h }
outbound {
  ether type arp pass
  udp sport @media class data
  ${ANSWERS}
  default class control
}
`,
  );
  const config = join(folder, 'config.yaml');
  writeFileSync(
    config,
    `control: ${folder}/control
vms:
  vm0: { replicated: true, inside: "stream-connect:unix:${folder}/wire", outside: outside, rules: ${rules} }
listen:
  - { unix: ${folder}/application, role: guest, vms: vm0 }
`,
  );
  const child = spawn('ip', ['netns', 'exec', hosts.name, process.execPath, HOLDFAST, 'run', '--config', config]);
  gateway = new CliProcess(child);
  await gateway.says('ready');
  host = new HostClient({ path: `${folder}/control`, client: 'test', firstBackoffMs: 5 });
}

/** Boots the guest with a virtio-serial port that leads to its gateway. */
async function boot(): Promise<void> {
  const [program, ...parameters] = guestCommand(join(folder, 'wire'));
  const more = [
    ...['-device', 'virtio-serial-pci', '-chardev', `socket,id=app,path=${folder}/application,server=off,reconnect=1`],
    ...['-device', 'virtserialport,chardev=app,name=org.holdfast.guest.0'],
    ...['-chardev', 'stdio,id=s0'],
  ];
  const withApplication = parameters.map((word) => word.replace('panic=-1', 'panic=-1 rdinit=/application'));
  machine = spawn(program!, [...withApplication, ...more]);
  console = '';
  machine.stdout!.on('data', (text) => (console += text));
  machine.stderr!.on('data', (text) => (console += text));
  await startGateway();
  const isUp = () => console.includes('counter ready') && console.includes('application ready');
  await until(isUp, 'the guest to boot', BOOT_MS).catch((error) => {
    throw new Error(`${error.message}: ${console.slice(-2000)}`);
  });
}

/** The application in the guest asks the gateway. @returns its answer's result, or its error's code */
async function ask(method: string, params: object): Promise<unknown> {
  const id = ++requests;
  machine.stdin!.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
  const answer = () =>
    console
      .split(/\r?\n/)
      .slice(0, -1)
      .filter((line) => line.startsWith('answer: {'))
      .map((line) => JSON.parse(line.slice('answer: '.length)))
      .find((one) => one.id === id);
  await until(() => answer() !== undefined, `the gateway's answer to ${method}`, WAIT_MS).catch((error) => {
    throw new Error(`${error.message}: ${console.slice(-1000)}`);
  });
  const { result, error } = answer();
  return result ?? error.data?.code ?? error.code;
}

/** The client asks the guest, whose answers come from the port that becomes media. */
function send(what: string): void {
  const bytes = Buffer.from(what);
  for (let n = 0; n < DATAGRAMS; n++) client.send(sockaddr(VM_GUEST.ip4, VM_GUEST.datagrams), bytes, bytes.length);
}

/** @returns what the guest answered since the last call, without its numbers */
function arrived(): string[] {
  const into = Buffer.alloc(2048);
  const answers: string[] = [];
  for (let length = client.receive(into); length > 0; length = client.receive(into)) {
    answers.push(into.toString('latin1', 0, length).replace(/^\d+ /, ''));
  }
  return answers;
}

async function heldFrames(): Promise<number> {
  return (await host.call('status', {})).vms[0]!.heldFrames;
}

async function heldAnswers(): Promise<number> {
  const { rules } = await host.call('rules.list', {});
  return rules.find(({ text }) => text === ANSWERS)!.frames;
}

/** Waits until so many answers are held, of a guest that sends no more of them than it is asked for. */
async function untilHeld(answers: number): Promise<void> {
  const end = performance.now() + WAIT_MS;
  while ((await heldAnswers()) < answers) {
    if (performance.now() > end) throw new Error(`waited ${WAIT_MS} ms for ${answers} answers to be held`);
    await sleep(5);
  }
  expect(await heldAnswers()).toBe(answers);
  expect(await heldFrames()).toBeGreaterThanOrEqual(answers);
}

async function untilArrived(count: number): Promise<string[]> {
  const answers: string[] = [];
  await until(() => answers.push(...arrived()) >= count, `${count} answers`, WAIT_MS);
  return answers;
}

test('datagrams of a port that the application declares as media pass at once, and no longer when it takes that back', async () => {
  await boot();
  await host.call('replication.start', { vm: 'vm0', leaseMs: 0 });
  send('first');
  await untilHeld(DATAGRAMS);
  expect(arrived()).toEqual([]);

  const media = { vm: 'vm0', set: 'media', elements: [String(VM_GUEST.datagrams)] };
  expect(await ask('set.add', { ...media, timeoutMs: 600_000 })).toMatchObject({ added: 1 });
  send('second');
  expect(await untilArrived(DATAGRAMS)).toEqual(Array(DATAGRAMS).fill('second'));

  expect(await ask('set.delete', media)).toMatchObject({ deleted: 1 });
  send('third');
  await untilHeld(2 * DATAGRAMS);
  expect(arrived()).toEqual([]);
}, 240_000);

test('the application can ask for nothing else, and finds its gateway again after that was killed', async () => {
  await boot();
  const { term } = await host.call('replication.start', { vm: 'vm0', leaseMs: 0 });
  expect(await ask('checkpoint.seal', { vm: 'vm0', term, epoch: 1 })).toBe('forbidden');
  expect(await ask('rules.apply', { vm: 'vm0', text: 'outbound { default pass }' })).toBe('forbidden');
  expect(await ask('status', {})).toBe('forbidden');
  expect(await ask('set.add', { vm: 'other', set: 'media', elements: ['1'] })).toBe('forbidden');

  host.close();
  await gateway.kill();
  await startGateway();
  expect(await ask('set.add', { vm: 'vm0', set: 'media', elements: ['7001'] })).toMatchObject({ added: 1 });
}, 240_000);
