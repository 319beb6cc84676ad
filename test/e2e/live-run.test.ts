/** What surrounds `holdfast run`: configuration, rights, supervision, metrics, logs. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readCapabilities } from '../../gateway/capabilities.ts';
import { LiveScene, NETWORK } from '../support/live-scene.ts';
import { noNetnsReason, until } from '../support/netns.ts';

const reason = noNetnsReason('sysctl', 'ping', 'curl');
const CAP_NET_ADMIN = 1n << 12n;
const CAP_NET_RAW = 1n << 13n;

let scene: LiveScene;

beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  scene = new LiveScene();
  scene.addAddresses(false);
});
afterEach(async () => {
  await scene?.delete();
});

function ping(): void {
  scene.guest.run('ping', '-c', '1', '-w', '30', NETWORK.ip4);
}

function textIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

test('no thread keeps more rights than ports need, and devices that come back are opened with these', async () => {
  const gateway = await scene.run();
  const tasks = readdirSync(`/proc/${gateway.pid}/task`).map((task) => `/proc/${gateway.pid}/task/${task}/status`);
  // A thread may end while it is looked at.
  const statuses = tasks.map(textIfThere).filter((text) => text !== null);
  expect(statuses.length).toBeGreaterThan(1);
  for (const status of statuses) {
    const sets = readCapabilities(status);
    expect(sets.permitted & ~(CAP_NET_ADMIN | CAP_NET_RAW)).toBe(0n);
    expect(sets.bounding & ~(CAP_NET_ADMIN | CAP_NET_RAW)).toBe(0n);
    expect(sets.noNewPrivileges).toBe(true);
  }
  ping();
  scene.gateway.run('ip', 'link', 'del', 'outside');
  await until(() => gateway.stderr.includes('waiting for network device outside'), 'the gateway to miss its device');
  const missed = gateway.stderr.length;
  scene.gateway.veth('outside', scene.network, 'eth0');
  scene.network.run('ip', 'addr', 'add', `${NETWORK.ip4}/24`, 'dev', 'eth0');
  await until(() => gateway.stderr.includes('the outside port is up', missed), 'the device to be back');
  // It has another address now.
  scene.guest.run('ip', 'neigh', 'flush', 'all');
  ping();
});

test('a configuration file says everything, and every error of it is told at once', async () => {
  const config = (outside: string) => `control: ${scene.control}
log: { level: info, format: json }
metrics: 127.0.0.1:0
vms:
  web1:
    ports: [{ inside: inside, outside: ${outside} }]
    rules: hold-all
`;
  const path = scene.file('holdfast.yaml', config('outside'));
  const gateway = scene.startWith('--config', path);
  await gateway.says('ready');
  expect(gateway.stdout).toMatch(/^ready \S+ vms=web1 control=\S+ metrics=http:\/\/127\.0\.0\.1:\d+\/metrics\n$/);
  ping();
  expect((await scene.client().call('hello', { client: 'test', protocol: 1 })).vms[0]).toMatchObject({ vm: 'web1' });
  expect(await gateway.stop()).toBe(0);
  writeFileSync(path, `${config("''")}    colour: red\n`);
  const refused = scene.startWith('--config', path);
  expect(await refused.ended).toBe(2);
  expect(refused.stderr.split('\n').filter((line) => line.startsWith(path))).toHaveLength(2);
});

test("metrics and health are served in the gateway's own namespace", async () => {
  const gateway = await scene.run('--metrics', '127.0.0.1:0');
  ping();
  const [, url] = /metrics=(\S+)/.exec(gateway.stdout)!;
  const text = scene.gateway.run('curl', '-sS', url!);
  expect(text).toMatch(/^holdfast_outbound_frames_total\{vm="vm0"\} [1-9]/m);
  expect(scene.gateway.run('curl', '-sS', url!.replace('metrics', 'healthz'))).toBe('ok\n');
  scene.gateway.run('ip', 'link', 'set', 'outside', 'down');
  await until(() => gateway.stderr.includes("the outside port's link is down"), 'the gateway to see it');
  expect(scene.gateway.run('curl', '-sS', url!.replace('metrics', 'healthz'))).toContain(
    'outside port outside is down',
  );
});

test('logs are JSON lines on standard error, one for each thing that happened', async () => {
  const gateway = await scene.run('--log-format', 'json');
  await gateway.stop();
  const lines = gateway.stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.map(({ msg }) => msg)).toEqual(expect.arrayContaining(['ready: all ports are there', 'told to end']));
  expect(lines.length).toBeLessThan(10);
});

test('two gateways do not share a control socket or a state folder', async () => {
  await scene.run();
  const second = scene.start('--inside', 'inside', '--outside', 'outside');
  expect(await second.ended).toBe(2);
  expect(second.stderr).toMatch(/in use|another (gateway|process)/);
});
