/** The network between two hosts is cut, both ways or one, and heals, while both can reach the VM's clients. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { allAnswered, answered, committed } from '../support/answers.ts';
import type { CliProcess } from '../support/cli-process.ts';
import type { CountingClient } from '../support/counting-client.ts';
import { bootedGuest, noGuestReason } from '../support/guest.ts';
import { noNetnsReason, until } from '../support/netns.ts';
import { Random } from '../support/random.ts';
import { runs } from '../support/runs.ts';
import { TwoHosts } from '../support/two-hosts.ts';

const seed = Number(process.env.HOLDFAST_SEED ?? 1);
const MINUTE_MS = 60_000;
const PATIENCE_MS = 40_000;

let reason: string | null;
let booted: string;
let hosts: TwoHosts | null;
let client: CountingClient | null;

beforeAll(async () => {
  reason = noNetnsReason('sysctl', 'ping', 'tcpdump', 'openssl', 'nft') ?? noGuestReason();
  if (reason === null) booted = await bootedGuest();
}, 8 * MINUTE_MS);
beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  hosts = null;
  client = null;
});
afterEach(async () => {
  client?.close();
  await hosts?.delete();
}, MINUTE_MS);

/** Protected, with a client that counts. */
async function started(two: TwoHosts): Promise<{ readonly driver: CliProcess; readonly client: CountingClient }> {
  hosts = two;
  await two.scene.start(booted);
  const driver = two.driver();
  await committed(driver, 1, 'at first');
  client = await two.scene.counting();
  client.start();
  await two.watch();
  await answered(client, 100, 'before the cut');
  return { driver, client };
}

function stateOf(driver: CliProcess): unknown {
  return driver.events.findLast(({ event }) => event === 'state')?.state;
}

/** @returns how long neither has sent, ms; null: the other host never did */
async function silenceBetween(two: TwoHosts): Promise<number | null> {
  const [before, after] = await two.vmFrames();
  expect(before.length).toBeGreaterThan(0);
  if (after.length === 0) return null;
  const betweenMs = Math.round((after[0]! - before.at(-1)!) * 1000);
  expect(betweenMs, 'the old side has fallen silent before the new one speaks').toBeGreaterThan(0);
  return betweenMs;
}

/**
 * The network stays cut until the VM goes on at the other host; then it heals.
 * @returns how long neither has sent, ms
 */
async function takenOver(two: TwoHosts, driver: CliProcess, client: CountingClient): Promise<number | null> {
  const { scene } = two;
  await scene.standby.says('"state":"active"');
  await answered(client, 200, 'at the other host');
  expect(driver.isOver, 'the old host is alive and does not know').toBe(false);
  expect(await scene.machineStatus()).toBe('running');
  const { vms } = await scene.client(0).call('status', {});
  expect(vms[0], 'its gateway holds everything').toMatchObject({ state: 'on', leaseLapsed: true });
  two.heal();
  expect(await driver.ended, 'the old host is told').toBe(1);
  expect(stateOf(driver)).toBe('fenced');
  expect(await scene.machineStatus()).toBe('paused');
  await scene.moved();
  await answered(client, 200, 'when the network has healed');
  await allAnswered(client);
  const betweenMs = await silenceBetween(two);
  expect(betweenMs, 'the other host has sent').not.toBeNull();
  return betweenMs;
}

test(
  `a short cut is nothing, and after a long one the VM goes on at the other host when its old one has fallen silent (seed ${seed})`,
  async () => {
    const random = new Random(seed);
    const two = new TwoHosts({ patience: '2s', silence: '10s', lease: '8s' });
    const { driver, client } = await started(two);
    const { scene } = two;
    two.cut();
    await sleep(random.below(1000));
    two.heal();
    await committed(driver, 2, 'after a short cut');

    for (const [cut, which] of [
      [() => two.cut(), 'both ways'],
      [() => two.cutOneWay(0), 'to the driver'],
      [() => two.cutOneWay(1), 'to the standby'],
    ] as const) {
      cut();
      await until(() => stateOf(driver) === 'degraded', `the driver to notice a cut ${which}`, PATIENCE_MS);
      two.heal();
      await committed(driver, 2, `after a cut ${which}`);
      expect(stateOf(driver)).toBe('protected');
      await answered(client, 100, `after a cut ${which}`);
    }
    expect(scene.standby.stdout).not.toContain('failing-over');

    two.cut();
    const betweenMs = await takenOver(two, driver, client);
    console.log(`from the last frame of the old host to the first one of the new host: ${betweenMs} ms`);
  },
  6 * MINUTE_MS,
);

test.each([
  ['driver', 0],
  ['standby', 1],
] as const)(
  'where the %s hears the other no more, and is heard, the VM goes on at the other host when its old one has fallen silent',
  async (_, deaf) => {
    const two = new TwoHosts({ patience: '2s', silence: '4s', lease: '4s' });
    const { driver, client } = await started(two);
    two.cutOneWay(deaf);
    const betweenMs = await takenOver(two, driver, client);
    console.log(`${betweenMs} ms between the last frame of the old host and the first one of the new host`);
  },
  4 * MINUTE_MS,
);

test(
  `a cut heals at any moment, also in the middle of a takeover: one host has the VM (seed ${seed})`,
  async () => {
    const random = new Random(seed);
    const told: string[] = [];
    for (let i = 0; i < runs(1); i++) {
      const two = new TwoHosts({ patience: '2s', silence: '4s', lease: '4s' });
      const { driver, client } = await started(two);
      two.cut();
      // The takeover is decided after 4 s, and happens after some 6.5 s.
      const afterMs = 3000 + random.below(4500);
      await sleep(afterMs);
      two.heal();
      const commits = () => driver.events.filter(({ event }) => event === 'committed').length;
      const before = commits();
      await until(() => driver.isOver || commits() > before, `an end after ${afterMs} ms`, PATIENCE_MS);
      if (driver.isOver) {
        expect(stateOf(driver)).toBe('fenced');
        await two.scene.moved();
      }
      await answered(client, 200, 'when the network has healed');
      await allAnswered(client);
      told.push(`after ${afterMs} ms: ${driver.isOver ? 'taken over' : 'protected again'}`);
      const betweenMs = await silenceBetween(two);
      expect(betweenMs === null).toBe(!driver.isOver);
      client.close();
      await two.delete();
    }
    console.log(`${told.join(', ')} (seed ${seed})`);
  },
  20 * MINUTE_MS,
);
