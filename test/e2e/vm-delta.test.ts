/** A VM whose memory is a shared file: what has changed there is its checkpoint. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { CountingClient } from '../support/counting-client.ts';
import { bootedGuest, noGuestReason } from '../support/guest.ts';
import { noNetnsReason, until } from '../support/netns.ts';
import { Random } from '../support/random.ts';
import { runs } from '../support/runs.ts';
import { type CliProcess, VmScene } from '../support/vm-scene.ts';

const seed = Number(process.env.HOLDFAST_SEED ?? 1);
const MINUTE_MS = 60_000;
const PATIENCE_MS = 40_000;
/** Checkpoints follow each other closely: most kills come while one is on its way. */
const PACE = { kind: 'fixed', intervalMs: 20 } as const;

let reason: string | null;
let booted: string;
let scene: VmScene;
let client: CountingClient | null;

beforeAll(async () => {
  reason = noNetnsReason('sysctl') ?? noGuestReason();
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

async function started(delta = true): Promise<void> {
  scene = new VmScene({ rules: 'hold-all', delta, standbyFlags: ['--silence', '60s'] });
  await scene.start(booted);
}

async function counting(): Promise<CountingClient> {
  client = await scene.counting();
  client.start();
  return client;
}

async function answered(count: number): Promise<void> {
  const of = client!;
  const from = of.answers;
  await until(() => of.violation !== null || of.answers >= from + count, 'answers', PATIENCE_MS);
  expect(of.violation).toBeNull();
}

async function allAnswered(): Promise<void> {
  const of = client!;
  of.pause();
  await until(() => of.violation !== null || of.answers >= of.sent, 'the last answers', PATIENCE_MS);
  expect(of.violation).toBeNull();
  expect(of.answers).toBe(of.sent);
}

test(
  `one TCP connection at 1 kHz survives the death of the VM's machine, again and again (seed ${seed})`,
  async () => {
    await started();
    const random = new Random(seed);
    const times: number[] = [];
    const moments = [
      () => scene.sealed(),
      () => scene.says('sealed'),
      () => scene.says('committed'),
      () => sleep(random.below(300)),
    ];
    for (let i = 0; i < runs(10); i++) {
      scene.protect({ pace: PACE });
      await scene.commits(1);
      if (client === null) await counting();
      await answered(100);
      await moments[random.below(moments.length)]!();
      scene.killMachine();
      times.push((await scene.moved()).runningMs);
      expect(client!.violation, `failover ${i + 1}`).toBeNull();
      expect(await scene.outcome).toBe('gone');
      await scene.startStandby();
    }
    scene.protect({ pace: PACE });
    await answered(100);
    await allAnswered();
    console.log(`${times.length} failovers; from the driver's word to a running VM: ${times.join(', ')} ms`);
  },
  6 * MINUTE_MS,
);

/** Waits until a driver's command tells of so many more commits. */
async function committed(driver: CliProcess, count: number): Promise<void> {
  const commits = () => driver.events.filter(({ event }) => event === 'committed').length;
  const wanted = commits() + count;
  await until(() => driver.isOver || commits() >= wanted, 'commits', PATIENCE_MS);
  expect(driver.isOver, `${driver.stdout.slice(-500)} ${driver.stderr}`).toBe(false);
}

test(
  `drivers and standbys that are killed in the middle leave a whole checkpoint (seed ${seed})`,
  async () => {
    await started();
    const random = new Random(seed);
    const someMoment = () => (random.below(2) === 0 ? scene.sealed() : sleep(random.below(200)));
    const wrong = scene.protectByCommand();
    await wrong.says('the standby keeps changes of memory');
    await wrong.kill();
    let driver = scene.protectByCommand('--copy', 'delta');
    await committed(driver, 1);
    await counting();
    for (let i = 0; i < runs(2); i++) {
      await answered(50);
      await someMoment();
      await driver.kill();
      driver = scene.protectByCommand('--copy', 'delta');
      await committed(driver, 2);
      await someMoment();
      await scene.standby.kill();
      await scene.startStandby();
      await committed(driver, 2);
    }
    await answered(50);
    await someMoment();
    // Nobody is left but what the standby had when it was killed.
    await scene.standby.kill();
    await driver.kill();
    scene.killMachine();
    await scene.startStandby();
    await scene.askStandby((link) => link.call('failover', {}, PATIENCE_MS));
    await scene.moved();
    await scene.startStandby();
    scene.protect({ pace: PACE });
    await answered(100);
    await allAnswered();
  },
  4 * MINUTE_MS,
);

test(
  'where the memory of a machine is not a shared file, that is said, and the machine runs on',
  async () => {
    await started(false);
    const driver = scene.protectByCommand('--copy', 'delta');
    expect(await driver.ended).toBe(2);
    expect(driver.stderr).toContain("the machine's memory must be one shared file");
    expect(await scene.machineStatus()).toBe('running');
  },
  2 * MINUTE_MS,
);
