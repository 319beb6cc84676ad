/** A VM that goes on behind another port, seen by a real bridge and a real client; the machine that it was on still sends. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LiveClock } from '../../gateway/live-clock.ts';
import { LiveVm } from '../../gateway/live-vm.ts';
import { DEFAULT_LIMITS } from '../../gateway/occupancy.ts';
import { PortError } from '../../gateway/port/port-error.ts';
import { parsePortSpec } from '../../gateway/port/spec.ts';
import { leaveNetns, Netns, noNetnsReason, type Program, until } from '../support/netns.ts';
import { generationOfText } from '../support/replay-frames.ts';
import { tsharkFields, withoutTshark } from '../support/tshark.ts';
import { endOf } from '../support/wire.ts';

const reason = noNetnsReason('sysctl', 'ping', 'bridge', 'tcpdump') ?? withoutTshark;
const MAC = '02:00:00:00:00:0a';
const WRONG_MAC = '02:00:00:00:00:99';
const VM = { ip4: '10.77.0.2', ip6: 'fd77::2' };
const CLIENT = { ip4: '10.77.0.1', ip6: 'fd77::1' };
/** By which a capture tells who sent a packet. */
const TTL = { a: 71, b: 72 };
const RULES = 'outbound { udp dport 9 hold; default pass }';

let lan: Netns;
let client: Netns;
let gateway: Netns;
let a: Netns;
let b: Netns;
let live: LiveVm;
let folder: string;

beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  folder = mkdtempSync(join(tmpdir(), 'holdfast-failover-'));
  [lan, client, gateway, a, b] = ['lan', 'client', 'gateway', 'a', 'b'].map(
    (name) => new Netns(`failover-${name}`),
  ) as [Netns, Netns, Netns, Netns, Netns];
  lan.run('ip', 'link', 'add', 'br0', 'type', 'bridge');
  lan.quietUp('br0');
  lan.veth('client', client, 'eth0');
  lan.veth('other', lan, 'elsewhere');
  lan.veth('vm', gateway, 'outside');
  for (const port of ['client', 'other', 'vm']) lan.run('ip', 'link', 'set', port, 'master', 'br0');
  address(client, CLIENT);
  for (const [machine, port, ttl] of [
    [a, 'insideA', TTL.a],
    [b, 'insideB', TTL.b],
  ] as const) {
    gateway.veth(port, machine, 'eth0');
    machine.run('ip', 'link', 'set', 'eth0', 'address', MAC);
    machine.run('sysctl', '-qw', `net.ipv4.ip_default_ttl=${ttl}`);
    machine.run('sysctl', '-qw', `net.ipv6.conf.all.hop_limit=${ttl}`);
    machine.run('sysctl', '-qw', `net.ipv6.conf.eth0.hop_limit=${ttl}`);
    address(machine, VM);
  }
  gateway.enter();
  const config = {
    name: 'vm0',
    replicated: false,
    pairs: [{ inside: parsePortSpec('insideA'), outside: parsePortSpec('outside') }],
    rules: null,
    limits: DEFAULT_LIMITS,
    buffer: 'memory',
    pacing: 'burst',
    overflow: 'drop',
    announce: [],
  } as const;
  const generation = generationOfText(RULES);
  const isTaken = ({ arg }: { arg: string }) => arg === 'outside';
  live = new LiveVm(config, { clock: new LiveClock(), generation, onLink: () => {}, isTaken });
});
afterEach(() => {
  live?.close();
  leaveNetns();
  for (const netns of [lan, client, gateway, a, b]) netns?.delete();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

function address(netns: Netns, { ip4, ip6 }: typeof VM): void {
  netns.run('sysctl', '-qw', 'net.ipv6.conf.eth0.disable_ipv6=0');
  netns.run('ip', 'addr', 'add', `${ip4}/24`, 'dev', 'eth0');
  netns.run('ip', 'addr', 'add', `${ip6}/64`, 'dev', 'eth0', 'nodad');
}

/** @returns the TTL of the answer, by which one knows who gave it */
async function ping(from: Netns, to: string): Promise<number> {
  const output = await from.start('ping', '-n', '-c', '1', '-W', '5', to).done();
  return Number(/(?:ttl|hlim)=(\d+)/.exec(output)![1]);
}

async function pings(from: Netns, to: typeof VM): Promise<number[]> {
  return [await ping(from, to.ip4), await ping(from, to.ip6)];
}

/** The port of the bridge behind which it believes the VM to be. */
function learned(): string | undefined {
  const lines = lan.run('bridge', 'fdb', 'show', 'br', 'br0').split('\n');
  return lines.find((line) => line.startsWith(MAC) && !line.includes('permanent'))?.split(' ')[2];
}

/** The MAC addresses that the client has for the VM. */
function neighbours(): string[] {
  const entries: { dst: string; lladdr?: string }[] = JSON.parse(
    client.run('ip', '-j', 'neigh', 'show', 'dev', 'eth0'),
  );
  return [VM.ip4, VM.ip6].map((ip) => entries.find(({ dst }) => dst === ip)?.lladdr ?? '');
}

async function capture(netns: Netns, device: string): Promise<{ program: Program; path: string }> {
  const path = join(folder, `${device}.pcap`);
  const program = netns.start('tcpdump', '--immediate-mode', '-U', '-Z', 'root', '-i', device, '-w', path);
  await program.says('listening');
  return { program, path };
}

/** The VM sends bytes by UDP. */
async function datagram(from: Netns, port: number, text: string): Promise<void> {
  const { ip4 } = CLIENT;
  const program = `const s = require('node:dgram').createSocket('udp4'); s.send('${text}', ${port}, '${ip4}', () => s.close())`;
  await from.start(process.execPath, '-e', program).done();
}

test('the bridge and the client find the standby, and nothing of the old machine reaches the wire any more', async () => {
  const { vm, insidePorts } = live;
  expect(await pings(client, VM)).toEqual([TTL.a, TTL.a]);
  // The kernel would ask again some seconds later whether the client is still there, and that frame would be held with the others.
  const [{ address: clientMac }] = JSON.parse(client.run('ip', '-j', 'link', 'show', 'eth0'));
  for (const ip of [CLIENT.ip4, CLIENT.ip6]) {
    a.run('ip', 'neigh', 'replace', ip, 'lladdr', clientMac, 'nud', 'permanent', 'dev', 'eth0');
  }
  const { term } = vm.start('now');
  const wire = await capture(client, 'eth0');
  await datagram(a, 9, 'committed');
  await until(() => vm.txBuffer.frames === 1, 'the datagram to be held');
  vm.seal(term, 1);
  await datagram(a, 9, 'rolled-back');
  await until(() => vm.txBuffer.frames === 2, 'the next to be held');
  expect(learned()).toBe('vm');
  // Bridge and client come to believe something else meanwhile, as they do when the VM moves between hosts.
  lan.run('bridge', 'fdb', 'replace', MAC, 'dev', 'other', 'master', 'dynamic');
  client.run('ip', 'neigh', 'replace', VM.ip4, 'lladdr', WRONG_MAC, 'nud', 'stale', 'dev', 'eth0');
  client.run('ip', 'neigh', 'replace', VM.ip6, 'lladdr', WRONG_MAC, 'nud', 'stale', 'dev', 'eth0');
  expect([learned(), neighbours()]).toEqual(['other', [WRONG_MAC, WRONG_MAC]]);

  const answer = insidePorts.failover(term, 1, 'insideB');
  live.settle();
  expect(answer).toMatchObject({ term: 2, openEpoch: 3, discardedFrames: 1, releasedFrames: 1 });
  expect(answer.announced).toEqual(expect.arrayContaining([VM.ip4, VM.ip6]));
  // The standby has not said a word: only the announcements can have told them.
  await until(() => learned() === 'vm' && neighbours().every((mac) => mac === MAC), 'the announcements to be heard');
  await until(() => vm.nextDueNs() === Number.POSITIVE_INFINITY, 'all announcements');

  // The old machine has its neighbour's address still, and sends for all it is worth.
  const flood = [CLIENT.ip4, CLIENT.ip6].map((ip) => a.start('ping', '-n', '-i', '0.01', '-c', '2000', '-W', '1', ip));
  await datagram(a, 10, 'from-the-dead');
  expect(await pings(client, VM)).toEqual([TTL.b, TTL.b]);
  expect(await pings(b, CLIENT)).toHaveLength(2);
  await datagram(b, 10, 'from-the-living');
  await until(() => vm.counters.reasonsByName().fenced! >= 50, 'frames of the old machine to be dropped');
  await Promise.all(flood.map((program) => program.stop('SIGTERM')));
  await new Promise((resolve) => setTimeout(resolve, 50));
  await endOf(wire.program);

  const packets = await tsharkFields(wire.path, [
    'eth.src',
    'ip.ttl',
    'ipv6.hlim',
    'udp.dstport',
    'udp.payload',
    'arp.isgratuitous',
    'icmpv6.type',
    'ipv6.dst',
  ] as const);
  const ofVm = packets.filter((packet) => packet['eth.src'] === MAC);
  const texts = ofVm
    .map((packet) => Buffer.from(packet['udp.payload'], 'hex').toString())
    .filter((text) => text !== '');
  expect(texts).toEqual(['committed', 'from-the-living']);
  const isOf = (ttl: number) =>
    ofVm.filter((packet) => packet['ip.ttl'] === `${ttl}` || packet['ipv6.hlim'] === `${ttl}`);
  // Of the old machine only what was committed, of the new one its answers and questions.
  expect(isOf(TTL.a).map((packet) => packet['udp.dstport'])).toEqual(['9']);
  expect(isOf(TTL.b).length).toBeGreaterThanOrEqual(5);
  const gratuitous = ofVm.filter((packet) => /1|True/.test(packet['arp.isgratuitous']));
  const advertised = ofVm.filter((packet) => packet['icmpv6.type'] === '136' && packet['ipv6.dst'] === 'ff02::1');
  expect(gratuitous).toHaveLength(5);
  expect(advertised.length).toBeGreaterThanOrEqual(5);
  const { counters } = vm;
  const ends = ['passed', 'released', 'discarded', 'dropped'] as const;
  expect(ends.reduce((sum, name) => sum + counters.get(name), vm.stillHeld)).toBe(counters.get('outbound'));
});

test('nothing that is sent to the VM reaches the old machine any more', async () => {
  expect(await pings(client, VM)).toEqual([TTL.a, TTL.a]);
  const { term } = live.vm.start('now');
  live.insidePorts.failover(term, 0, 'insideB');
  live.settle();
  const old = await capture(a, 'eth0');
  for (let n = 0; n < 5; n++) expect(await pings(client, VM)).toEqual([TTL.b, TTL.b]);
  await endOf(old.program);
  const packets = await tsharkFields(old.path, ['eth.src'] as const);
  expect(packets.filter((packet) => packet['eth.src'] !== MAC)).toEqual([]);
});

test('a standby whose device appears later is waited for; one that must not be a port is refused', async () => {
  expect(await pings(client, VM)).toEqual([TTL.a, TTL.a]);
  const { vm, insidePorts } = live;
  const { term } = vm.start('now');
  gateway.run('ip', 'addr', 'add', '10.99.0.1/24', 'dev', 'insideB');
  expect(() => insidePorts.failover(term, 0, 'insideB')).toThrow(PortError);
  expect([vm.epochs.term, live.ports()[0]!.name]).toEqual([term, 'insideA']);
  expect(await pings(client, VM)).toEqual([TTL.a, TTL.a]);
  gateway.run('ip', 'link', 'set', 'insideB', 'down');
  gateway.run('ip', 'addr', 'flush', 'dev', 'insideB');
  gateway.run('ip', 'link', 'set', 'insideB', 'name', 'unready');
  expect(insidePorts.failover(term, 0, 'insideB').ports[0]).toEqual({ name: 'insideB', state: 'absent' });
  live.settle();
  expect(live.ports()[0]).toMatchObject({
    name: 'insideB',
    link: 'absent',
    trouble: 'waiting for network device insideB',
  });
  gateway.run('ip', 'link', 'set', 'unready', 'name', 'insideB');
  gateway.run('ip', 'link', 'set', 'insideB', 'up');
  await until(() => live.ports()[0]!.link === 'up', 'the device');
  expect(await pings(client, VM)).toEqual([TTL.b, TTL.b]);
});

test('a VM goes back and forth', async () => {
  expect(await pings(client, VM)).toEqual([TTL.a, TTL.a]);
  let { term } = live.vm.start('now');
  for (const [inside, ttl] of [
    ['insideB', TTL.b],
    ['insideA', TTL.a],
    ['insideB', TTL.b],
  ] as const) {
    ({ term } = live.insidePorts.failover(term, 0, inside));
    live.settle();
    expect(await pings(client, VM)).toEqual([ttl, ttl]);
  }
});
