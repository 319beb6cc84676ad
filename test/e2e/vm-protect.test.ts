/** What else may die around a VM in QEMU, and how protection ends. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { allAnswered, answered, committed, PATIENCE_MS } from '../support/answers.ts';
import type { CountingClient } from '../support/counting-client.ts';
import { until } from '../support/netns.ts';
import { Random } from '../support/random.ts';
import { holdfast } from '../support/run-cli.ts';
import { runs } from '../support/runs.ts';
import { VmTest } from '../support/vm-test.ts';

const seed = Number(process.env.HOLDFAST_SEED ?? 1);
const MINUTE_MS = 60_000;

/** A driver that is killed is away for a moment; nobody takes its machine for dead then. */
const SCENE = { rules: 'hold-all', standbyFlags: ['--silence', '60s'] } as const;

const vm = new VmTest('ping');

/** The VM's machine dies, and clients go on with the one at its standby, which is protected then. */
async function goesOn(client: CountingClient): Promise<void> {
  vm.scene.killMachine();
  await vm.scene.moved();
  await protectedAnew(client);
}

/** The VM is at its standby: clients go on there once it is protected. */
async function protectedAnew(client: CountingClient): Promise<void> {
  await vm.scene.unprotect();
  await vm.scene.startStandby();
  vm.scene.protect();
  await answered(client, 200);
  await allAnswered(client);
  await vm.keep();
}

test(
  `a driver that is killed in the middle leaves a VM that its successor protects (seed ${seed})`,
  async () => {
    const random = new Random(seed);
    const scene = await vm.started(SCENE);
    let driver = scene.protectByCommand();
    await committed(driver, 1);
    const client = await vm.counting();
    for (let i = 0; i < runs(5); i++) {
      await answered(client, 50);
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
    await protectedAnew(client);
  },
  8 * MINUTE_MS,
);

test(
  'a gateway that is killed and started anew goes on with the term, and releases nothing that is not committed',
  async () => {
    const scene = await vm.started(SCENE);
    scene.protect();
    await scene.commits(1);
    const { term } = scene.driver!.status;
    const client = await vm.counting();
    const random = new Random(seed);
    for (let i = 0; i < runs(3); i++) {
      await answered(client, 50);
      await sleep(random.below(300));
      await scene.gateway.kill();
      scene.gateway = scene.startGateway(scene.place);
      await scene.gateway.says('ready');
      await scene.commits(2);
      expect(scene.driver!.status.term, 'the term is the same').toBe(term);
    }
    await goesOn(client);
  },
  4 * MINUTE_MS,
);

test(
  'a standby that dies leaves a VM whose frames wait, until there is another standby',
  async () => {
    const scene = await vm.started(SCENE);
    scene.protect({ leaseMs: 1000, patienceMs: 4000 });
    await scene.commits(1);
    const client = await vm.counting();
    await answered(client, 100);
    await scene.standby.kill();
    await until(() => scene.driver!.status.state === 'degraded', 'the driver to notice', PATIENCE_MS);
    // What had been committed by then may still be on its way, also in a gateway that is not let run.
    await scene.client(scene.place).call('status', {});
    await until(() => performance.now() - client.arrivals.at(-1)! > 500, 'silence', PATIENCE_MS);
    const before = client.answers;
    await sleep(1000);
    expect(client.answers, 'nothing leaves without a standby').toBe(before);
    expect(await scene.machineStatus()).toBe('running');
    await scene.startStandby();
    await scene.commits(1);
    await answered(client, 100);
    await goesOn(client);
  },
  4 * MINUTE_MS,
);

test(
  'a machine that lives while its VM goes on elsewhere is fenced, and told so',
  async () => {
    const scene = await vm.started(SCENE);
    const driver = scene.protectByCommand();
    await committed(driver, 1);
    const client = await vm.counting();
    await answered(client, 100);
    const standby = `unix:${scene.path(`standby${scene.place + 1}`)}`;
    const { code, stderr } = await holdfast(['standby', 'failover', standby, '--json'], { timeoutMs: PATIENCE_MS });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(await driver.ended).toBe(1);
    expect(driver.events).toContainEqual(expect.objectContaining({ event: 'state', state: 'fenced' }));
    expect(await scene.machineStatus()).toBe('paused');
    scene.killMachine();
    await scene.moved();
    await protectedAnew(client);
  },
  4 * MINUTE_MS,
);

test(
  'where replication is stopped protection ends, and the standby waits for the next driver',
  async () => {
    const scene = await vm.started(SCENE);
    await scene.standby.kill();
    // More than passes between two words of a driver on a busy machine.
    await scene.startStandby('--silence', '3s');
    scene.protect();
    await scene.commits(1);
    const { term } = scene.driver!.status;
    await scene.client(scene.place).call('replication.stop', { vm: 'vm0', term, held: 'release' });
    expect(await scene.outcome).toBe('released');
    // Nobody is heard, and nobody is taken for dead.
    await sleep(3500);
    expect(await scene.askStandby((link) => link.call('status', {}))).toMatchObject({ state: 'ended' });
    scene.protect();
    await scene.commits(1);
    expect(scene.driver!.status.term).toBe(term + 1);
    await scene.unprotect();
    await scene.standby.kill();
    await scene.startStandby();
    await vm.keep();
  },
  2 * MINUTE_MS,
);

test(
  'a machine that is told to end is no failure',
  async () => {
    const scene = await vm.started(SCENE);
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
