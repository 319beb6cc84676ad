/** The gateway's process is killed, and another takes its place: what was held is there again, and nothing has left. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { VmStatus } from '../../gateway/host/api.ts';
import type { HostClient } from '../../gateway/host/client.ts';
import { GUEST, LiveScene, NETWORK, type RunningGateway } from '../support/live-scene.ts';
import { noNetnsReason, until } from '../support/netns.ts';
import { UdpHand } from '../support/udp-hand.ts';

const reason = noNetnsReason('sysctl');
const DATA = 7000;
const CONTROL = 7001;
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
let gateway: RunningGateway;
let client: HostClient;
let flags: string[];

beforeEach(async ({ skip }) => {
  skip(reason !== null, reason ?? '');
  scene = new LiveScene();
  scene.addAddresses(false);
  // Where everything is held, a question for an address would be, too.
  scene.introduce();
  guest = new UdpHand(scene.guest, GUEST.ip4, 6000);
  data = new UdpHand(scene.network, NETWORK.ip4, DATA);
  control = new UdpHand(scene.network, NETWORK.ip4, CONTROL);
  flags = ['--rules', scene.file('live.rules', RULES)];
});
afterEach(async () => {
  for (const hand of [guest, data, control]) hand?.close();
  await scene?.delete();
});

async function begin(): Promise<void> {
  gateway = await scene.run(...flags);
  client = scene.client();
}

async function killAndBegin(): Promise<void> {
  await gateway.kill();
  await begin();
}

async function vm(): Promise<VmStatus> {
  return (await client.call('status', {})).vms[0]!;
}

/** Sends a control frame and waits until it is held, which is the `frames`th. */
async function hold(text: string, frames: number): Promise<void> {
  guest.send(NETWORK.ip4, CONTROL, text);
  while ((await vm()).heldFrames < frames) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function arrives(hand: UdpHand, ...texts: string[]): Promise<void> {
  const got: string[] = [];
  await until(() => {
    got.push(...hand.take());
    return got.length >= texts.length;
  }, texts.join(' '));
  expect(got).toEqual(texts);
}

/** What the network has, after the gateway has said that it is done. */
async function nothing(hand: UdpHand): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(hand.take()).toEqual([]);
}

test('with its buffer in a file it has term, epochs and frames, waits for the host, and the host goes on', async () => {
  flags.push('--buffer', 'file');
  await begin();
  await client.vm('vm0').start();
  await hold('one', 1);
  await client.vm('vm0').attach();
  const host = client.vm('vm0');
  await host.attach();
  await host.seal();
  await hold('two', 2);
  await host.seal();
  await hold('three', 3);
  // Twice, with no host in between: the term can still be gone on with.
  await killAndBegin();
  await killAndBegin();
  const found = await vm();
  expect(found).toMatchObject({ state: 'waiting', term: 1, openEpoch: 3, sealedEpochs: [1, 2], committedEpoch: 0 });
  expect(found).toMatchObject({ heldFrames: 3, recovered: { frames: 3, resentFrames: 0, lostFrames: 0 } });
  // Nobody has said hello: data waits too.
  guest.send(NETWORK.ip4, DATA, 'data');
  while ((await vm()).heldFrames < 4) await new Promise((resolve) => setTimeout(resolve, 5));
  await nothing(data);
  await nothing(control);
  const next = client.vm('vm0');
  await next.attach();
  expect(await next.commit(1)).toMatchObject({ releasedFrames: 1 });
  await arrives(control, 'one');
  expect((await vm()).state).toBe('on');
  await next.seal();
  await next.commit(3);
  await arrives(control, 'two', 'three');
  await arrives(data, 'data');
});

test('with its buffer in memory the frames are gone, counted, and none of them leaves', async () => {
  await begin();
  const host = client.vm('vm0');
  await host.start();
  await hold('one', 1);
  await host.seal();
  await killAndBegin();
  expect(await vm()).toMatchObject({
    state: 'waiting',
    term: 1,
    heldFrames: 0,
    recovered: { frames: 0, lostFrames: 1 },
  });
  guest.send(NETWORK.ip4, DATA, 'data');
  while ((await vm()).heldFrames < 1) await new Promise((resolve) => setTimeout(resolve, 5));
  await nothing(data);
  const next = client.vm('vm0');
  await next.start();
  expect(next.term).toBe(2);
  await nothing(control);
});

test('a rollback after the restart discards what is beyond it', async () => {
  flags.push('--buffer', 'file');
  await begin();
  const host = client.vm('vm0');
  await host.start();
  await hold('kept', 1);
  await host.seal();
  await hold('undone', 2);
  await killAndBegin();
  const next = client.vm('vm0');
  await next.attach();
  expect(await next.rollback(1)).toMatchObject({ discardedFrames: 1, releasedFrames: 1 });
  await arrives(control, 'kept');
  await nothing(control);
});

test('what was committed when the process died, and had not left, leaves when there is a link', async () => {
  flags.push('--buffer', 'file');
  scene.gateway.run('ip', 'link', 'set', 'outside', 'name', 'later');
  const waiting = scene.start('--inside', 'inside', '--outside', 'outside', ...flags);
  await until(() => waiting.stderr.includes('waiting for network device outside'), 'the gateway to wait', 30_000);
  client = scene.client();
  const host = client.vm('vm0');
  await host.start();
  await hold('one', 1);
  await host.seal();
  expect(await host.commit(1)).toMatchObject({ releasedFrames: 1 });
  expect((await vm()).counters).toMatchObject({ released: 0, stillHeld: 1 });
  await waiting.kill();
  scene.gateway.run('ip', 'link', 'set', 'later', 'down');
  scene.gateway.run('ip', 'link', 'set', 'later', 'name', 'outside');
  scene.gateway.run('ip', 'link', 'set', 'outside', 'up');
  await begin();
  await arrives(control, 'one');
});

test('a VM that was off stays off; one that was stopped does too', async () => {
  await begin();
  await killAndBegin();
  expect((await vm()).state).toBe('off');
  const host = client.vm('vm0');
  await host.start();
  await host.stop('release');
  await killAndBegin();
  expect(await vm()).toMatchObject({ state: 'off', term: 1 });
});

test('another process takes over: the first ends by itself, terms, epochs and frames are kept', async () => {
  flags.push('--buffer', 'file');
  await begin();
  const host = client.vm('vm0');
  await host.start();
  await hold('one', 1);
  await host.seal();
  await hold('two', 2);
  const before = gateway;
  gateway = scene.start('--inside', 'inside', '--outside', 'outside', ...flags, '--takeover');
  await gateway.says('ready');
  expect(await before.ended).toBe(0);
  await until(() => /took over: no frame moved for \d+ ms/.test(gateway.stderr), 'the gateway to say what it did');
  client = scene.client();
  expect(await vm()).toMatchObject({ state: 'waiting', term: 1, sealedEpochs: [1], heldFrames: 2 });
  const next = client.vm('vm0');
  await next.attach();
  await next.commit(1);
  await arrives(control, 'one');
  guest.send(NETWORK.ip4, DATA, 'data');
  await arrives(data, 'data');
  expect((await vm()).state).toBe('on');
  console.log(/took over: .*ms/.exec(gateway.stderr)?.[0]);
});

test('with nothing to take over, or rules that are invalid, nothing happens to the gateway that runs', async () => {
  const lonely = scene.start('--inside', 'inside', '--outside', 'outside', ...flags, '--takeover');
  expect(await lonely.ended).toBe(2);
  expect(lonely.stderr).toContain('there is nothing to take over: no gateway answers');
  await begin();
  const bad = scene.file('bad.rules', 'outbound { udp dprt 5 pass }');
  const refused = scene.start('--inside', 'inside', '--outside', 'outside', '--rules', bad, '--takeover');
  expect(await refused.ended).toBe(2);
  expect((await vm()).state).toBe('off');
});
