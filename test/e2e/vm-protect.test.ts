/** What else may die around a VM in QEMU, and how protection ends. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { allAnswered, answered, committed } from '../support/answers.ts';
import type { CountingClient } from '../support/counting-client.ts';
import { bootedGuest, noGuestReason } from '../support/guest.ts';
import { noNetnsReason, until } from '../support/netns.ts';
import { Random } from '../support/random.ts';
import { holdfast } from '../support/run-cli.ts';
import { runs } from '../support/runs.ts';
import { VmScene } from '../support/vm-scene.ts';

const seed = Number(process.env.HOLDFAST_SEED ?? 1);
const MINUTE_MS = 60_000;
const PATIENCE_MS = 40_000;

let reason: string | null;
let booted: string;
let scene: VmScene;
let client: CountingClient | null;

beforeAll(async () => {
  reason = noNetnsReason('sysctl', 'ping') ?? noGuestReason();
  if (reason === null) booted = await bootedGuest();
}, 8 * MINUTE_MS);
beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  client = null;
});
afterEach(async () => {
  client?.close();
  await scene?.delete();
}, MINUTE_MS);

test(
  `a driver that is killed in the middle leaves a VM that its successor protects (seed ${seed})`,
  async () => {
    const random = new Random(seed);
    scene = new VmScene({ rules: 'hold-all', standbyFlags: ['--silence', '60s'] });
    await scene.start(booted);
    let driver = scene.protectByCommand();
    await committed(driver, 1);
    client = await scene.counting();
    client.start();
    for (let i = 0; i < runs(5); i++) {
      await answered(client!, 50);
      if (random.below(2) === 0) await scene.sealed();
      else await sleep(random.below(300));
      await driver.kill();
      driver = scene.protectByCommand();
      await committed(driver, 2);
      expect(driver.events).toContainEqual(expect.objectContaining({ event: 'term', term: 1, how: 'attached' }));
    }
    scene.killMachine();
    await scene.moved();
    expect(await driver.ended).toBe(1);
    await scene.startStandby();
    driver = scene.protectByCommand();
    await answered(client!, 200);
    await allAnswered(client!);
  },
  8 * MINUTE_MS,
);

test(
  'a gateway that is killed and started anew goes on with the term, and releases nothing that is not committed',
  async () => {
    scene = new VmScene({ rules: 'hold-all' });
    await scene.start(booted);
    scene.protect();
    await scene.commits(1);
    client = await scene.counting();
    client.start();
    const random = new Random(seed);
    for (let i = 0; i < runs(3); i++) {
      await answered(client!, 50);
      await sleep(random.below(300));
      await scene.gateway.kill();
      scene.gateway = scene.startGateway(0);
      await scene.gateway.says('ready');
      await scene.commits(2);
      expect(scene.driver!.status.term, 'the term is the same').toBe(1);
    }
    scene.killMachine();
    await scene.moved();
    await scene.startStandby();
    scene.protect();
    await answered(client!, 200);
    await allAnswered(client!);
  },
  4 * MINUTE_MS,
);

test(
  'a standby that dies leaves a VM whose frames wait, until there is another standby',
  async () => {
    scene = new VmScene({ rules: 'hold-all' });
    await scene.start(booted);
    scene.protect({ leaseMs: 1000, patienceMs: 4000 });
    await scene.commits(1);
    client = await scene.counting();
    client.start();
    await answered(client!, 100);
    await scene.standby.kill();
    await until(() => scene.driver!.status.state === 'degraded', 'the driver to notice', PATIENCE_MS);
    const before = client.answers;
    await sleep(1000);
    expect(client.answers, 'nothing leaves without a standby').toBe(before);
    expect(await scene.machineStatus()).toBe('running');
    await scene.startStandby();
    await scene.commits(1);
    await answered(client!, 100);
    scene.killMachine();
    await scene.moved();
    await scene.startStandby();
    scene.protect();
    await allAnswered(client!);
  },
  4 * MINUTE_MS,
);

test(
  'a machine that lives while its VM goes on elsewhere is fenced, and told so',
  async () => {
    scene = new VmScene({ rules: 'hold-all' });
    await scene.start(booted);
    const driver = scene.protectByCommand();
    await committed(driver, 1);
    client = await scene.counting();
    client.start();
    await answered(client!, 100);
    const { code, stderr } = await holdfast(['standby', 'failover', `unix:${scene.path('standby1')}`, '--json'], {
      timeoutMs: PATIENCE_MS,
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(await driver.ended).toBe(1);
    expect(driver.events).toContainEqual(expect.objectContaining({ event: 'state', state: 'fenced' }));
    expect(await scene.machineStatus()).toBe('paused');
    await scene.moved();
    await scene.startStandby();
    scene.protect();
    await answered(client!, 200);
    await allAnswered(client!);
  },
  4 * MINUTE_MS,
);

test(
  'a machine that is told to end is no failure',
  async () => {
    scene = new VmScene({ rules: 'hold-all' });
    await scene.start(booted);
    // QEMU may end without saying so while it is being copied.
    scene.protect({ pace: { kind: 'fixed', intervalMs: 10_000 } });
    await scene.commits(1);
    await sleep(500);
    scene.killMachine('SIGTERM');
    expect(await scene.outcome).toBe('ended');
    await scene.standby.says('"state":"ended"');
    expect(scene.standby.stdout).not.toContain('failing-over');
  },
  2 * MINUTE_MS,
);

test(
  'where replication is stopped protection ends, and the standby waits for the next driver',
  async () => {
    scene = new VmScene({ rules: 'hold-all', standbyFlags: ['--silence', '1s'] });
    await scene.start(booted);
    scene.protect();
    await scene.commits(1);
    const host = scene.client(0);
    await host.call('replication.stop', { vm: 'vm0', term: 1, held: 'release' });
    expect(await scene.outcome).toBe('released');
    // Nobody is heard, and nobody is taken for dead.
    await sleep(2000);
    expect(await scene.askStandby((link) => link.call('status', {}))).toMatchObject({ state: 'ended' });
    scene.protect();
    await scene.commits(1);
    expect(scene.driver!.status.term).toBe(2);
  },
  2 * MINUTE_MS,
);
