/** Floods from either side: the host is still answered, memory stays, drops are counted, and control keeps its share of the buffer. */
import { appendFileSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { VmStatus } from '../../gateway/host/api.ts';
import type { HostClient } from '../../gateway/host/client.ts';
import type { VmClient } from '../../gateway/host/vm-client.ts';
import { PcapWriter } from '../../pcaps/pcap-writer.ts';
import { GUEST, LiveScene, NETWORK, type RunningGateway } from '../support/live-scene.ts';
import { type Netns, noNetnsReason, type Program, until } from '../support/netns.ts';
import { UdpHand } from '../support/udp-hand.ts';

const reason = noNetnsReason('sysctl', 'tcpreplay');
const CONTROL = 7001;
const RULES = `class control hold
outbound {
  udp dport ${CONTROL} class control
  default class control
}`;
const EMPTY_MS = 30_000;
/** A flood lasts at least so long, and until it has done what it is for. */
const LEAST_MS = 5000;
const MOST_MS = 60_000;
const LEAST_FRAMES = 20_000;
/** A seal that is answered, however busy the machine is, has read all that the guest sent before it. */
const SEAL_MS = 5000;
/** For the heap, and for what the kernel maps; what each frame of a flood left behind would be many times that. */
const MOST_GROWTH_BYTES = 32 * 2 ** 20;

let scene: LiveScene;
let gateway: RunningGateway;
let client: HostClient;
let guest: UdpHand;
let network: UdpHand;

beforeEach(async ({ skip }) => {
  skip(reason !== null, reason ?? '');
  scene = new LiveScene();
  scene.addAddresses(false);
  // Nobody has to ask for an address: the kernels send nothing of their own.
  scene.introduce();
  gateway = await scene.run('--rules', scene.file('flood.rules', RULES), '--buffer-bytes', '8M');
  client = scene.client();
  guest = new UdpHand(scene.guest, GUEST.ip4, 6000);
  network = new UdpHand(scene.network, NETWORK.ip4, CONTROL);
});
afterEach(async () => {
  guest?.close();
  network?.close();
  await scene?.delete();
});

/** As many frames as the machine can send, until it is stopped. */
function flood(from: 'guest' | 'network', frame: Uint8Array): Program {
  const path = scene.file(`${from}.pcap`, '');
  const writer = new PcapWriter((chunk) => appendFileSync(path, chunk));
  for (let i = 0; i < 1000; i++) writer.writePacket(0, i * 1000, frame, 0, frame.length, frame.length);
  writer.flush();
  const flags = ['-q', '--topspeed', '--preload-pcap', '--loop', '100000000'];
  return scene[from].start('tcpreplay', ...flags, '-i', 'eth0', path);
}

async function vm(): Promise<VmStatus> {
  return (await client.call('status', {})).vms[0]!;
}

/** Does something again and again while a flood lasts. @returns how often */
async function during(
  flooding: Program,
  round: (n: number) => Promise<void>,
  isEnough: (vm: VmStatus, rounds: number) => boolean,
) {
  const begin = performance.now();
  for (let rounds = 0; ; ) {
    await round(rounds++);
    const ms = performance.now() - begin;
    if (ms > LEAST_MS && isEnough(await vm(), rounds)) {
      await flooding.stop();
      return rounds;
    }
    if (ms > MOST_MS) throw new Error(`waited ${MOST_MS} ms for a flood: ${JSON.stringify(await vm())}`);
  }
}

/** One of the kernel's own counters of a device. */
function counted(netns: Netns, device: string, name: 'tx_packets' | 'tx_dropped'): number {
  return Number(netns.run('cat', `/sys/class/net/${device}/statistics/${name}`));
}

/** What the guest has sent was read, or its loss was counted. @returns how many frames the kernel has lost on the way, and behind the gateway */
async function accounted(): Promise<{ before: number; behind: number }> {
  const { vms, ports } = await client.call('status', {});
  const lost = ports.find(({ side }) => side === 'inside')!.counters.lost!;
  expect(vms[0]!.counters.outbound + lost).toBe(counted(scene.guest, 'eth0', 'tx_packets'));
  // Its queue between two devices is of one length for all of them, and tells only who put a frame there.
  const before = lost + counted(scene.guest, 'eth0', 'tx_dropped');
  return { before, behind: counted(scene.gateway, 'outside', 'tx_dropped') };
}

/** Commits until nothing is held, and what was let go has left. */
async function untilEmpty(host: VmClient): Promise<void> {
  const end = performance.now() + EMPTY_MS;
  do {
    if (performance.now() > end) throw new Error(`waited ${EMPTY_MS} ms for the transmit buffer to be empty`);
    await host.commit((await host.seal()).epoch);
    await new Promise((resolve) => setTimeout(resolve, 100));
  } while ((await vm()).counters.stillHeld > 0);
}

function rss(): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${gateway.pid}/status`, 'utf8'))?.[1]) * 1024;
}

/** An Ethernet frame to everybody, whose type says nothing to anybody. */
function unknownFrame(): Uint8Array {
  const frame = new Uint8Array(60).fill(0xff, 0, 6);
  frame.set([0x02, 0, 0, 0, 0, 0x0b, 0x88, 0xb5], 6);
  return frame;
}

test('a guest that floods the gateway with what cannot be classified takes no space of its control frames', async () => {
  const host = client.vm('vm0');
  await host.start();
  const arrived: string[] = [];
  let sent = 0;
  const control = () => guest.send(NETWORK.ip4, CONTROL, `control ${sent++}`);
  control();
  await host.commit((await host.seal()).epoch);
  const before = rss();
  const seals = await during(
    flood('guest', unknownFrame()),
    async () => {
      for (let n = 0; n < 5; n++) {
        control();
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      // The guest is not paused here, so that a seal never finds the port empty.
      const { epoch } = await host.seal(20);
      await host.commit(epoch);
      arrived.push(...network.take());
    },
    ({ counters, reasons }, rounds) =>
      rounds > 3 && counters.outbound > LEAST_FRAMES && (reasons['unclassified-full'] ?? 0) > 1000,
  );
  await untilEmpty(host);
  expect(seals).toBeGreaterThan(3);
  expect(rss() - before).toBeLessThan(MOST_GROWTH_BYTES);
  const { reasons, counters } = await vm();
  expect(counters.outbound).toBeGreaterThan(LEAST_FRAMES);
  expect(reasons['unclassified-full']).toBeGreaterThan(1000);
  expect(reasons['buffer-full'] ?? 0).toBe(0);
  expect(counters.outbound).toBe(counters.passed + counters.released + counters.dropped + counters.discarded);
  // All that was read of the guest's own is there, in its order; what the kernel could not keep for us, the port has counted.
  const lost = await accounted();
  await until(() => {
    arrived.push(...network.take());
    return arrived.length >= reasons.rule! - lost.behind;
  }, 'what has left to arrive');
  const numbers = arrived.map((text) => Number(text.split(' ')[1]));
  expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
  expect(reasons.rule! - numbers.length).toBeLessThanOrEqual(lost.behind);
  expect(sent - reasons.rule!).toBeLessThanOrEqual(lost.before);
  expect(numbers.length).toBeLessThanOrEqual(reasons.rule!);
});

test('a network that floods the gateway does not keep the host from being answered', async () => {
  const host = client.vm('vm0');
  await host.start();
  await host.commit((await host.seal()).epoch);
  const before = rss();
  const seals = await during(
    flood('network', unknownFrame()),
    async (n) => {
      guest.send(NETWORK.ip4, CONTROL, `control ${n}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(await host.seal(SEAL_MS)).toMatchObject({ drained: true });
      await host.commit(host.openEpoch - 1);
    },
    ({ counters }, rounds) => rounds > 10 && counters.inbound > LEAST_FRAMES,
  );
  await untilEmpty(host);
  expect(seals).toBeGreaterThan(10);
  expect(rss() - before).toBeLessThan(MOST_GROWTH_BYTES);
  const { counters, reasons } = await vm();
  expect(counters.inbound).toBeGreaterThan(LEAST_FRAMES);
  expect(counters.inboundPassed + counters.inboundDropped).toBe(counters.inbound);
  const lost = await accounted();
  const arrived: string[] = [];
  await until(() => {
    arrived.push(...network.take());
    return arrived.length >= reasons.rule! - lost.behind;
  }, 'what has left to arrive');
  const numbers = arrived.map((text) => Number(text.split(' ')[1]));
  expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
  expect(numbers.length).toBeLessThanOrEqual(reasons.rule!);
  expect(seals - reasons.rule!).toBeLessThanOrEqual(lost.before);
});
