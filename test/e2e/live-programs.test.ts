/**
 * `holdfast run` between real programs in two namespaces. tcpdump on both sides is the witness: what it saw leave the guest is
 * compared, byte for byte, with what it saw arrive in the network.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { VmStatus } from '../../gateway/host/api.ts';
import type { HostClient } from '../../gateway/host/client.ts';
import type { VmClient } from '../../gateway/host/vm-client.ts';
import { GUEST, LiveScene, NETWORK } from '../support/live-scene.ts';
import { noNetnsReason, until } from '../support/netns.ts';
import { TRACES } from '../support/run-cli.ts';
import { type SeenFrame, Wire } from '../support/wire.ts';

const PROGRAMS = [
  'ping',
  'dig',
  'dnsmasq',
  'curl',
  'iperf3',
  'sipp',
  'tcpdump',
  'ethtool',
  'sysctl',
  'python3',
  'tcpreplay',
  'taskset',
  'busybox',
  'ss',
];
const reason = noNetnsReason(...PROGRAMS);
/** What sipp plays as media; its own scenario looks for them in ./pcap. */
const SAMPLES = '/usr/share/sip-tester';

const READ_MS = 30_000;

let scene: LiveScene;
let sent: Wire;
let arrived: Wire;

beforeAll(() => {
  // Everything that this process starts, too: between two processors a veth pair does not keep the order of frames.
  const [, allowed] = /^Cpus_allowed_list:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))!;
  spawnSync('taskset', ['-acp', allowed!, String(process.pid)]);
});
beforeEach(async ({ skip }) => {
  skip(reason !== null, reason ?? '');
  scene = new LiveScene(false);
  sent = await Wire.tap(scene.guest, 'eth0', 'out');
  arrived = await Wire.tap(scene.network, 'eth0', 'in');
});
afterEach(async () => {
  await scene?.delete();
});

/** Every program that a user would try first. Each fails if its answer does not come. */
const CONVERSATIONS: Readonly<Record<string, () => Promise<void>>> = {
  'ping over IPv4': async () => void (await scene.guest.start('ping', '-c', '3', '-i', '0.2', NETWORK.ip4).done()),
  'ping over IPv6': async () => void (await scene.guest.start('ping', '-c', '3', '-i', '0.2', NETWORK.ip6).done()),
  // Recorded, because not every kernel has VLAN devices: ping and ARP over a VLAN, and over one within another.
  'frames with VLAN tags': async () => {
    const said = await scene.guest
      .start('tcpreplay', '-q', '-p', '500', '-i', 'eth0', `${TRACES}arp-nd-vlan.pcap`)
      .done();
    expect(said).toContain('Failed packets:            0');
  },
  DNS: async () => {
    const flags = ['--no-daemon', '--no-resolv', '--no-hosts', '--conf-file=/dev/null', '--user=root', '--pid-file='];
    const server = scene.network.start('dnsmasq', ...flags, '--address=/holdfast.test/192.0.2.77', '--log-facility=-');
    await server.says('started');
    const answer = await scene.guest.start('dig', '+short', '+tries=20', `@${NETWORK.ip4}`, 'holdfast.test').done();
    expect(answer.trim()).toBe('192.0.2.77');
    await server.stop();
  },
  'HTTP to a server in the guest': async () => {
    const page = 'a page of the guest\n'.repeat(20_000);
    scene.file('index.html', page);
    const server = scene.guest.start('busybox', 'httpd', '-f', '-vv', '-p', '8080', '-h', scene.folder);
    await until(() => scene.guest.run('ss', '-tln').includes(':8080'), 'the server to listen');
    expect(await scene.network.start('curl', '-s', `http://${GUEST.ip4}:8080/index.html`).done()).toBe(page);
    await server.stop('SIGTERM');
  },
  'TCP over IPv4': () => iperf(NETWORK.ip4),
  'TCP over IPv6': () => iperf(NETWORK.ip6),
  'UDP over IPv4': () => iperf(NETWORK.ip4, '-u', '-b', '2M', '-l', '1000'),
  'UDP over IPv6': () => iperf(NETWORK.ip6, '-u', '-b', '2M', '-l', '1000'),
  'a call with SIP and RTP': async () => {
    mkdirSync(`${scene.folder}/pcap`);
    for (const name of ['g711a', 'dtmf_2833_1'])
      copyFileSync(`${SAMPLES}/${name}.pcap`, `${scene.folder}/pcap/${name}.pcap`);
    const called = ['-sn', 'uas', '-rtp_echo', '-mp', '16384', '-i', NETWORK.ip4, '-m', '1', '-nostdin'];
    const server = scene.network.start('sh', '-c', `cd ${scene.folder} && exec sipp ${called.join(' ')}`);
    await until(() => scene.network.run('ss', '-uln').includes(':5060'), 'the one who is called to listen', 30_000);
    const caller = ['-sn', 'uac_pcap', '-mp', '16384', '-i', GUEST.ip4, '-m', '1', '-nostdin', '-d', '500'];
    const command = `cd ${scene.folder} && exec sipp ${[...caller, NETWORK.ip4].join(' ')}`;
    await scene.guest.start('sh', '-c', command).done();
    await server.done();
  },
};

async function iperf(address: string, ...flags: string[]): Promise<void> {
  const server = scene.network.start('iperf3', '-s', '-1', '--forceflush');
  await server.says('listening');
  const amount = flags.length === 0 ? ['-n', '2M'] : ['-t', '1'];
  await scene.guest.start('iperf3', '-c', address, ...amount, ...flags).done();
  await server.done();
}

/** All of them, one after the other; the call, which lasts longest, beside the others. */
async function everyProgramTalks(): Promise<void> {
  const { 'a call with SIP and RTP': call, ...others } = CONVERSATIONS;
  const called = call!();
  // Whatever fails first is told.
  called.catch(() => {});
  for (const talk of Object.values(others)) await talk();
  await called;
}

/** Checks what the gateway says of itself against what was seen on both sides. @returns both sides' frames */
async function proven(vm: VmStatus, out: SeenFrame[]): Promise<{ out: SeenFrame[]; in: SeenFrame[] }> {
  const frames = { out, in: await arrived.frames() };
  const left = countsOf(frames.out);
  for (const { hash } of frames.in) {
    expect(left.get(hash) ?? 0, 'a frame came out that did not go in').toBeGreaterThan(0);
    left.set(hash, left.get(hash)! - 1);
  }
  const { counters } = vm;
  expect(counters.outbound).toBe(frames.out.length);
  expect(counters.passed + counters.released).toBe(frames.in.length);
  expect(counters.outbound).toBe(
    counters.passed + counters.released + counters.discarded + counters.dropped + counters.stillHeld,
  );
  expect(counters.held).toBe(counters.released + counters.discarded + counters.stillHeld);
  return frames;
}

/**
 * What each conversation said, in its order. Between two of them tcpdump's order is not the wire's: two processors may show it their
 * frames in one order and send them in the other.
 */
function byFlow(frames: readonly SeenFrame[]): Record<string, string[]> {
  const flows: Record<string, string[]> = {};
  for (const { bytes, hash } of frames) {
    // MAC addresses and EtherType; of IPv4 protocol, addresses and ports; of IPv6 and of tagged frames the same or more.
    const addresses = bytes[12] === 0x08 ? [bytes[23]!, ...bytes.subarray(26, 38)] : bytes.subarray(20, 58);
    const flow = Buffer.from([...bytes.subarray(0, 14), ...addresses]).toString('hex');
    flows[flow] ??= [];
    flows[flow].push(hash);
  }
  return flows;
}

function countsOf(frames: readonly SeenFrame[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { hash } of frames) counts.set(hash, (counts.get(hash) ?? 0) + 1);
  return counts;
}

async function vmOf(client: HostClient): Promise<VmStatus> {
  return (await client.call('status', {})).vms[0]!;
}

/**
 * The guest says no more, not even the neighbour discovery of its kernel, and the gateway has read what it said.
 * @returns what that was
 */
async function silence(): Promise<SeenFrame[]> {
  scene.guest.run('ip', 'link', 'set', 'eth0', 'down');
  const out = await sent.frames();
  await vmOnce(({ counters }) => counters.outbound >= out.length, 'the gateway to have read all frames');
  return out;
}

/** @returns what the gateway says, once it is so */
async function vmOnce(isSo: (vm: VmStatus) => boolean, what: string): Promise<VmStatus> {
  const client = scene.client();
  const end = performance.now() + READ_MS;
  for (;;) {
    const vm = await vmOf(client);
    if (isSo(vm)) return vm;
    if (performance.now() > end) throw new Error(`waited ${READ_MS} ms for ${what}: ${JSON.stringify(vm.counters)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A host that takes a checkpoint every few milliseconds. When each epoch was sealed and committed, by this machine's clock. */
class Driver {
  readonly sealed: number[] = [];
  readonly asked: number[] = [];
  readonly #vm: VmClient;
  #isOver = false;
  #work: Promise<void> = Promise.resolve();

  constructor(vm: VmClient) {
    this.#vm = vm;
  }

  begin(): void {
    this.#work = this.#run();
    // A scene that ends early takes the connection away; who waits for the work is told all the same.
    this.#work.catch(() => {});
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#work;
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      const { epoch } = await this.#vm.seal();
      // Whole milliseconds, rounded to the safe side: later here, earlier below.
      this.sealed[epoch] = (Date.now() + 1) / 1000;
      await new Promise((resolve) => setTimeout(resolve, 5));
      this.asked[epoch] = Date.now() / 1000;
      await this.#vm.commit(epoch);
    }
  }
}

test('off: everything flows, in its order, and nothing else', async () => {
  await scene.run();
  scene.addAddresses();
  await everyProgramTalks();
  const out = await silence();
  const frames = await proven(await vmOf(scene.client()), out);
  expect(byFlow(frames.in)).toEqual(byFlow(frames.out));
});

describe('on: a host commits every few milliseconds', () => {
  test.each(['telephony', 'hold-all'])('every program has its answer under %s', async (rules) => {
    await scene.run('--rules', rules);
    const vm = scene.client().vm('vm0');
    await vm.start();
    const driver = new Driver(vm);
    driver.begin();
    scene.addAddresses();
    await everyProgramTalks();
    await driver.end();
    const out = await silence();
    const { counters } = await vmOf(scene.client());
    expect(counters.released).toBeGreaterThan(100);
    await vm.stop('release');
    const status = await vmOnce((now) => now.counters.stillHeld === 0, 'what was held to have left');
    const frames = await proven(status, out);
    if (rules !== 'hold-all') return;
    expect(status.counters.passed).toBe(0);
    // Held frames leave in the order in which they came, and none before its epoch's commit was asked for.
    expect(byFlow(frames.in)).toEqual(byFlow(frames.out));
    const left = new Map<string, SeenFrame[]>();
    for (const frame of frames.in) left.set(frame.hash, [...(left.get(frame.hash) ?? []), frame]);
    const epochs = driver.sealed.length - 1;
    for (const { time, hash } of frames.out) {
      const epoch = driver.sealed.findIndex((sealed, at) => at > 0 && sealed >= time);
      const { time: leftAt } = left.get(hash)!.shift()!;
      if (epoch > 0 && epoch <= epochs) expect(leftAt).toBeGreaterThanOrEqual(driver.asked[epoch]!);
    }
  });
});
