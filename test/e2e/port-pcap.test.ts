/** The pcap port: its process comes and goes with the device, and the gateway stays. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PacketPort } from '../../gateway/port/packet.ts';
import { PcapPort } from '../../gateway/port/pcap.ts';
import { Forwarding } from '../gateway/port/forwarding.ts';
import { anyClock, brief, frameOf, PortHand } from '../gateway/port/hands.ts';
import { bulkOver } from '../support/bulk.ts';
import { leaveNetns, Netns, noNetnsReason, until } from '../support/netns.ts';
import { missingPackage } from '../support/packages.ts';

const reason = noNetnsReason('sysctl', 'tc', 'ethtool', 'socat', 'ss') ?? missingPackage('cap');
const FRAME = frameOf(100, 1);
const BULK_BYTES = 30_000_000;

let netns: Netns;
let ports: { close(): void }[] = [];

beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  netns = new Netns('pcap');
  netns.enter();
});
afterEach(() => {
  for (const port of ports) port.close();
  ports = [];
  leaveNetns();
  netns?.delete();
});

function open(device: string): PcapPort {
  const port = new PcapPort(device, anyClock(), { nodeArguments: ['--import', 'tsx'] });
  ports.push(port);
  return port;
}

async function pair(): Promise<{ near: PcapPort; far: PacketPort }> {
  netns.veth('near', netns, 'far');
  const near = open('near');
  const far = new PacketPort('far', anyClock());
  ports.push(far);
  await isUp(near);
  return { near, far };
}

async function isUp(port: PcapPort): Promise<void> {
  await until(() => port.link === 'up', 'the pcap process', 60_000);
}

async function travels(near: PcapPort, far: PacketPort): Promise<void> {
  await new PortHand(near).send([FRAME]);
  expect((await new PortHand(far).takeAll(1)).map(brief)).toEqual([brief(FRAME)]);
  await new PortHand(far).send([FRAME, FRAME]);
  expect((await new PortHand(near).takeAll(2)).map(brief)).toEqual([brief(FRAME), brief(FRAME)]);
}

/** Processes that have the device open for this test. */
function children(): number[] {
  const isChild = (pid: string) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      const parent = /^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1];
      return Number(parent) === process.pid && words.some((word) => word.includes('pcap-child'));
    } catch {
      return false;
    }
  };
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isChild(name))
    .map(Number);
}

test('a device that goes down ends the pcap process, not this one; it is started again when the device is up', async () => {
  const { near, far } = await pair();
  await travels(near, far);
  netns.run('ip', 'link', 'set', 'near', 'down');
  await until(() => near.link === 'down' && near.restarts === 1, 'the process to end');
  expect(new PortHand(near).offer([FRAME, FRAME])).toBe(2);
  expect(near.counters.byName()).toMatchObject({ linkDown: 2, refused: 0 });
  // Nothing is tried while the device is down.
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect([children(), near.restarts]).toEqual([[], 1]);
  netns.run('ip', 'link', 'set', 'near', 'up');
  await isUp(near);
  await until(() => far.link === 'up', 'the far link');
  await travels(near, far);
});

test('a pcap process that is killed is replaced; the port says why it is down', async () => {
  const { near, far } = await pair();
  const troubles: (string | null)[] = [];
  near.onLink = () => troubles.push(near.trouble);
  const [child] = children();
  process.kill(child!, 'SIGKILL');
  await until(() => troubles.includes('the pcap process ended: SIGKILL'), 'the port to notice');
  await isUp(near);
  expect([near.trouble, near.restarts]).toEqual([null, 1]);
  expect(children()).toHaveLength(1);
  expect(troubles.at(-1)).toBeNull();
  await travels(near, far);
});

test('a device that is deleted and made again while it is a port is waited for', async () => {
  const { near, far } = await pair();
  netns.run('ip', 'link', 'del', 'near');
  await until(() => near.link === 'absent', 'the device to be gone');
  expect(near.trouble).toBe('waiting for network device near');
  netns.veth('near', netns, 'far');
  await isUp(near);
  await until(() => far.link === 'up', 'the far link');
  await travels(near, far);
});

test('a port that is closed leaves no process, no folder, and its device as it was', async () => {
  const mine = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
  const { TMPDIR } = process.env;
  process.env.TMPDIR = mine;
  try {
    const { near } = await pair();
    const [child] = children();
    const folders = () => readdirSync(mine).filter((name) => name.startsWith('holdfast-pcap-'));
    expect(folders()).toHaveLength(1);
    near.close();
    await until(() => !existsSync(`/proc/${child}`), 'the process to be gone');
    expect(folders()).toEqual([]);
    expect(netns.run('tc', 'qdisc', 'show', 'dev', 'near')).not.toContain('clsact');
  } finally {
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
    rmSync(mine, { recursive: true, force: true });
  }
});

test('frames that the device does not take are counted, and those around them go', async () => {
  const { near, far } = await pair();
  await new PortHand(near).send([frameOf(60, 1), frameOf(1515, 2), frameOf(60, 3)]);
  expect(await new PortHand(far).takeAll(2)).toHaveLength(2);
  await until(() => near.counters.get('sent') === 2, 'the count');
  expect(near.counters.byName()).toMatchObject({ sent: 2, tooLong: 1, invalid: 0 });
});

test('what another program sends through the device is not read, and a change of the MTU does no harm', async () => {
  const { near, far } = await pair();
  const other = new PacketPort('near', anyClock());
  ports.push(other);
  await new PortHand(other).send([frameOf(90, 7)]);
  await new PortHand(far).takeAll(1);
  netns.run('ip', 'link', 'set', 'far', 'mtu', '9000');
  netns.run('ip', 'link', 'set', 'near', 'mtu', '9000');
  await until(() => far.mtu === 9000, 'the MTU');
  netns.run('ip', 'link', 'set', 'near', 'mtu', '1500');
  await until(() => near.mtu === 1500, 'the MTU');
  await new PortHand(far).send([FRAME]);
  expect((await new PortHand(near).takeAll(1)).map(brief)).toEqual([brief(FRAME)]);
  expect(near.counters.byName()).toMatchObject({ received: 1, lost: 0 });
});

test('TCP between two kernels goes through, with checksums that their stacks left unfinished', async () => {
  const client = new Netns('pcap-client');
  const server = new Netns('pcap-server');
  try {
    for (const [device, far, address] of [
      ['inside', client, '10.76.0.1/24'],
      ['outside', server, '10.76.0.2/24'],
    ] as const) {
      netns.veth(device, far, 'eth0');
      far.run('ip', 'addr', 'add', address, 'dev', 'eth0');
      for (const offload of ['tso', 'gso', 'gro']) far.run('ethtool', '-K', 'eth0', offload, 'off');
    }
    const inside = open('inside');
    const outside = open('outside');
    await isUp(inside);
    await isUp(outside);
    new Forwarding(inside, outside);
    expect(await bulkOver(server, client, '10.76.0.2', BULK_BYTES)).toBe(BULK_BYTES);
    expect(inside.counters.byName()).toMatchObject({ invalid: 0, tooLong: 0 });
  } finally {
    client.delete();
    server.delete();
  }
});
