/** A running gateway and its host: what leaves when, with several epochs in flight, and when the host is gone. */
import { existsSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { VmStatus } from '../../gateway/host/api.ts';
import type { HostClient } from '../../gateway/host/client.ts';
import { GUEST, LiveScene, NETWORK } from '../support/live-scene.ts';
import { noNetnsReason, until } from '../support/netns.ts';
import { UdpHand } from '../support/udp-hand.ts';

const reason = noNetnsReason('ping', 'sysctl', 'ethtool');
const DATA = 7000;
const CONTROL = 7001;
const LEASE_MS = 1000;
const RULES = `class data pass
class control hold
outbound {
  udp dport ${DATA} class data
  ether type arp class data
  default class control
}`;

let scene: LiveScene;
let guest: UdpHand;
let data: UdpHand;
let control: UdpHand;
let client: HostClient;

beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  scene = new LiveScene();
  scene.addAddresses(false);
  scene.introduce();
  guest = new UdpHand(scene.guest, GUEST.ip4, 6000);
  data = new UdpHand(scene.network, NETWORK.ip4, DATA);
  control = new UdpHand(scene.network, NETWORK.ip4, CONTROL);
});
afterEach(async () => {
  for (const hand of [guest, data, control]) hand?.close();
  await scene?.delete();
});

async function begin(...flags: string[]): Promise<void> {
  await scene.run('--rules', scene.file('live.rules', RULES), ...flags);
  client = scene.client();
}

async function vm(): Promise<VmStatus> {
  return (await client.call('status', {})).vms[0]!;
}

/** Waits until the gateway has read as many frames of the guest's UDP as were sent. */
async function held(frames: number): Promise<void> {
  let status = await vm();
  while (status.heldFrames < frames) status = await vm();
}

/** Sends control frames, and one of data behind them, which must arrive: then the gateway has had all of them. */
async function send(...texts: string[]): Promise<void> {
  for (const text of texts) guest.send(NETWORK.ip4, CONTROL, text);
  guest.send(NETWORK.ip4, DATA, 'mark');
  await arrives(data, 'mark');
}

async function arrives(hand: UdpHand, ...texts: string[]): Promise<void> {
  const got: string[] = [];
  await until(() => {
    got.push(...hand.take());
    return got.length >= texts.length;
  }, texts.join(' '));
  expect(got).toEqual(texts);
}

/** The network's own view, after the gateway has said that it is done. */
async function nothing(hand: UdpHand): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(hand.take()).toEqual([]);
}

describe.each([2, 5])('%i epochs in flight', (epochs) => {
  test("commit(1) lets exactly epoch 1's frames go, in their order; then each commit its own", async () => {
    await begin();
    const host = client.vm('vm0');
    await host.start();
    for (let epoch = 1; epoch <= epochs; epoch++) {
      await send(`${epoch}a`, `${epoch}b`, `${epoch}c`);
      expect(await host.seal()).toMatchObject({ epoch, drained: true, heldFrames: epoch * 3 });
    }
    await send('open');
    await nothing(control);
    expect((await vm()).sealedEpochs).toEqual(Array.from({ length: epochs }, (_, i) => i + 1));
    for (let epoch = 1; epoch <= epochs; epoch++) {
      expect((await host.commit(epoch)).releasedFrames).toBe(3);
      await arrives(control, `${epoch}a`, `${epoch}b`, `${epoch}c`);
      await nothing(control);
    }
    expect((await vm()).counters).toMatchObject({ held: epochs * 3 + 1, released: epochs * 3, stillHeld: 1 });
  });
});

test('a commit of the newest epoch speaks for all before it', async () => {
  await begin();
  const host = client.vm('vm0');
  await host.start();
  for (const text of ['one', 'two', 'three']) {
    await send(text);
    await host.seal();
  }
  await host.commit(3);
  await arrives(control, 'one', 'two', 'three');
});

test('after a rollback the frames of later epochs never come, and newer ones do', async () => {
  await begin();
  const host = client.vm('vm0');
  await host.start();
  await send('kept');
  await host.seal();
  await send('undone');
  await host.seal();
  await send('undone too');
  expect(await host.rollback(1)).toMatchObject({ discardedFrames: 2, releasedFrames: 1 });
  await arrives(control, 'kept');
  await send('newer');
  const { epoch } = await host.seal();
  await host.commit(epoch);
  await arrives(control, 'newer');
  expect((await vm()).counters).toMatchObject({ held: 4, released: 2, discarded: 2, stillHeld: 0 });
});

test('when the host is gone control never leaves, and after the lease nothing does', async () => {
  await begin();
  const host = client.vm('vm0');
  await host.start({ leaseMs: 60_000 });
  await send('before');
  // What was held stays held, and nothing has to be sent before this one lapses.
  await host.start({ leaseMs: LEASE_MS });
  const heardAt = performance.now();
  await host.seal();
  let status = await vm();
  expect(status.leaseLapsed && performance.now() - heardAt < LEASE_MS, 'lapsed too early').toBe(false);
  while (!status.leaseLapsed) status = await vm();
  guest.send(NETWORK.ip4, DATA, 'data, too late');
  guest.send(NETWORK.ip4, CONTROL, 'control');
  await held(3);
  await nothing(data);
  await nothing(control);
  status = await vm();
  expect(status.reasons.lease).toBe(1);
  expect(status.counters.stillHeld).toBe(3);
  // The host comes back with its term: data flows again, what was held waits for its commit.
  const late = ['data, too late'];
  for (let isBack = false; !isBack; ) {
    await host.seal();
    const text = `data ${late.length}`;
    guest.send(NETWORK.ip4, DATA, text);
    let got: string[] = [];
    // On a machine that stands still for so long the lease lapses once more.
    while (got.length === 0 && (await vm()).reasons.lease === late.length) got = data.take();
    isBack = got.length > 0;
    if (isBack) expect(got).toEqual([text]);
    else late.push(text);
  }
  await host.commit((await host.seal()).epoch);
  await arrives(control, 'before', 'control');
  await arrives(data, ...late);
});

test('a replicated VM that nobody hosts sends nothing until its host attaches', async () => {
  // It does not know the network's address, and goes on asking for it for as long as the host takes.
  scene.guest.run('ip', 'neigh', 'del', NETWORK.ip4, 'dev', 'eth0');
  scene.guest.run('sysctl', '-qw', 'net.ipv4.neigh.eth0.mcast_solicit=30');
  await begin('--replicated');
  expect((await vm()).state).toBe('waiting');
  guest.send(NETWORK.ip4, CONTROL, 'control');
  guest.send(NETWORK.ip4, DATA, 'data');
  // The guest's question for the network's address is held too, and what it would send waits in the guest.
  await held(1);
  await nothing(data);
  const host = client.vm('vm0');
  await host.start();
  await host.seal();
  await host.commit(1);
  await arrives(data, 'data');
  await nothing(control);
});

test('a gateway that is started before its interfaces waits for them, says so, and forwards when they are there', async () => {
  scene.gateway.run('ip', 'link', 'set', 'inside', 'name', 'later');
  const gateway = scene.start('--inside', 'inside', '--outside', 'outside');
  await until(
    () => gateway.stderr.includes('waiting for network device inside'),
    'the gateway to say what it waits for',
    60_000,
  );
  expect(gateway.stdout).toBe('');
  scene.gateway.run('ip', 'link', 'set', 'later', 'down');
  scene.gateway.run('ip', 'link', 'set', 'later', 'name', 'inside');
  scene.gateway.run('ip', 'link', 'set', 'inside', 'up');
  await gateway.says('ready');
  scene.guest.run('ping', '-c', '1', '-w', '30', NETWORK.ip4);
});

test('SIGTERM ends it cleanly: the devices are as they were, the socket is gone', async () => {
  await scene.gateway.settled();
  const before = scene.gateway.run('ip', '-d', 'link');
  const gateway = await scene.run();
  scene.guest.run('ping', '-c', '1', '-w', '30', NETWORK.ip4);
  expect(await gateway.stop()).toBe(0);
  expect(scene.gateway.run('ip', '-d', 'link')).toBe(before);
  expect(existsSync(scene.control)).toBe(false);
});
