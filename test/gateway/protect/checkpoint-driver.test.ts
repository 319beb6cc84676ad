/** A driver between a machine that says what QEMU says, a gateway with its host interface, and a standby. */
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CheckpointDriver } from '../../../gateway/protect/checkpoint-driver.ts';
import { isDelta } from '../../../gateway/protect/delta-image.ts';
import type { CheckpointReport, DriverEvent } from '../../../gateway/protect/driver-events.ts';
import type { DriverOptions } from '../../../gateway/protect/driver-options.ts';
import { ImageStore } from '../../../gateway/protect/image-store.ts';
import { RamBase } from '../../../gateway/protect/ram-base.ts';
import { RamDelta } from '../../../gateway/protect/ram-delta.ts';
import { Standby } from '../../../gateway/protect/standby.ts';
import type { StandbyOptions } from '../../../gateway/protect/standby-options.ts';
import { StandbyServer } from '../../../gateway/protect/standby-server.ts';
import { IDLE_MACHINE } from '../../support/driver-rig.ts';
import { FakeMachine } from '../../support/fake-machine.ts';
import { HostRig } from '../../support/host-rig.ts';
import { until } from '../../support/netns.ts';
import { temporaryFolder } from '../../support/run-cli.ts';

const PATIENCE_MS = 30_000;
/** Driver and machine see the same moments so much later or earlier. */
const TIMER_MS = 15;

const folder = temporaryFolder();
let made = 0;
let name: string;
let rig: HostRig;
let machine: FakeMachine;
let store: ImageStore;
let standby: Standby;
let server: StandbyServer;
let driver: CheckpointDriver;
let outcome: Promise<unknown>;
let events: DriverEvent[];

/** Before it was said what is kept. */
class OlderStandby extends Standby {
  override get status() {
    const { keepsChanges, ...status } = super.status;
    return status;
  }
}

/** @param keepsChanges as with `--delta` */
async function startStandby(keepsChanges: boolean, Kind: typeof Standby = Standby): Promise<void> {
  const images = folder.path(`${name}-images-${keepsChanges}`);
  store = new ImageStore(images, false, keepsChanges ? new RamBase(images, false, async () => {}) : null);
  const options: StandbyOptions = {
    vm: 'vm0',
    store,
    disks: null,
    machine: IDLE_MACHINE,
    ports: {
      fences: true,
      mayBeMade: false,
      switch: () => Promise.reject(new Error('not here')),
      unprotect: async () => {},
    },
    goesOnUnprotected: false,
    silenceMs: 0,
    fence: null,
    onEvent: () => {},
  };
  standby = new Kind(options);
  server = new StandbyServer(standby);
  await server.listen({ path: folder.path(`${name}.standby`) });
}

async function stopStandby(): Promise<void> {
  await server.close();
  await standby.close();
}

function protect(options: Partial<DriverOptions> = {}): void {
  driver = new CheckpointDriver({
    vm: 'vm0',
    qmp: machine.qmp,
    gateway: rig.client().vm('vm0'),
    heldFrames: async () => 0,
    standby: { path: folder.path(`${name}.standby`) },
    pace: { kind: 'fixed', intervalMs: 1 },
    delta: new RamDelta(null),
    isDeltaOptional: true,
    isLive: null,
    leaseMs: 10_000,
    patienceMs: 10_000,
    downtimeLimitMs: 100,
    confirmTimeoutMs: PATIENCE_MS,
    disk: null,
    onEvent: (event) => events.push(event),
    ...options,
  });
  outcome = driver.run();
}

beforeEach(async () => {
  name = `driver${made++}`;
  events = [];
  machine = new FakeMachine(folder.path(name));
  rig = await new HostRig().listen();
});
afterEach(async () => {
  driver.stop();
  expect(await outcome).toBe(machine.diesUnread ? 'gone' : 'stopped');
  await stopStandby();
  machine.die();
  await rig.close();
});

async function commits(count: number): Promise<void> {
  const wanted = driver.status.committed + count;
  await until(() => driver.status.committed >= wanted, 'commits', PATIENCE_MS);
}

function told<E extends DriverEvent['event']>(event: E): Extract<DriverEvent, { readonly event: E }>[] {
  return events.filter((one): one is Extract<DriverEvent, { readonly event: E }> => one.event === event);
}

it('a machine that was paused for a checkpoint runs as long before the next one pauses it', async () => {
  await startStandby(false);
  machine.copyMs = 150;
  protect({ delta: null, isDeltaOptional: false });
  await commits(3);
  const reports: readonly CheckpointReport[] = told('committed').slice(0, 2);
  for (const [i, { pauseMs }] of reports.entries()) {
    const pausedMs = machine.resumedAt[i]! - machine.pausedAt[i]!;
    expect(pausedMs, 'the copy is made while it is paused').toBeGreaterThan(machine.copyMs - TIMER_MS);
    // The driver may hear late that the machine is paused.
    expect(pauseMs).toBeGreaterThan(machine.copyMs / 2);
    expect(machine.pausedAt[i + 1]! - machine.resumedAt[i]!).toBeGreaterThan(pauseMs - TIMER_MS);
  }
});

it('left the choice, copies what has changed where the standby keeps that', async () => {
  await startStandby(true);
  protect();
  await commits(1);
  machine.write(7, 9);
  await commits(2);
  expect(told('copies')).toEqual([expect.objectContaining({ are: 'delta' })]);
  expect(machine.leavesSharedRam).toBe(true);
  expect(isDelta(store.newest!.path)).toBe(true);
  expect(readFileSync(folder.path(`${name}-images-true/ram`))[7 * 4096]).toBe(9);
});

it.each([
  ['was started without --delta', Standby],
  ['is too old to say what it keeps', OlderStandby],
])('left the choice, copies all of memory to a standby that %s, and says why', async (_, kind) => {
  await startStandby(false, kind);
  protect();
  await commits(2);
  expect(told('copies')).toEqual([
    expect.objectContaining({ are: 'paused', why: expect.stringContaining('started without --delta') }),
  ]);
  expect(machine.leavesSharedRam).toBe(false);
  expect(readFileSync(store.newest!.path, 'latin1')).toBe('a machine, as QEMU sends it');
});

it('chooses again for each standby that it finds', async () => {
  await startStandby(true);
  protect();
  await commits(1);
  for (const [keepsChanges, are] of [
    [false, 'paused'],
    [true, 'delta'],
  ] as const) {
    await stopStandby();
    await startStandby(keepsChanges);
    await until(() => told('copies').at(-1)?.are === are, `copies that are ${are}`, PATIENCE_MS);
    await commits(2);
    expect(machine.leavesSharedRam).toBe(keepsChanges);
    expect(isDelta(store.newest!.path)).toBe(keepsChanges);
  }
});

it('says what is wrong where the standby keeps changes only and they cannot be found, and goes on when that is mended', async () => {
  machine.isShared = false;
  await startStandby(true);
  protect();
  await until(() => driver.status.state === 'degraded', 'the driver to say so', PATIENCE_MS);
  expect(driver.status.trouble).toContain('keeps only changes of memory (--delta), and the machine');
  expect(driver.status.trouble).toContain('must be one shared file');
  expect(machine.status, 'it runs on').toBe('running');
  await stopStandby();
  await startStandby(false);
  await commits(1);
  expect(driver.status.state).toBe('protected');
});

it('an older standby that takes changes only is named as such, and nothing hangs', async () => {
  await startStandby(true, OlderStandby);
  protect();
  await until(() => driver.status.state === 'degraded', 'the driver to say so', PATIENCE_MS);
  expect(driver.status.trouble).toContain('protect with --copy delta');
  expect(machine.status).toBe('running');
});

it('told to copy changes, does not take a standby that keeps all of memory', async () => {
  await startStandby(false);
  protect({ isDeltaOptional: false });
  await until(() => driver.status.state === 'degraded', 'the driver to say so', PATIENCE_MS);
  expect(driver.status.trouble).toContain('needs --delta');
});

it('what was read of a copy when its machine died is no image, though the machine has said that it was complete', async () => {
  await startStandby(false);
  protect({ delta: null });
  await until(() => events.some(({ event }) => event === 'committed'), 'a checkpoint', PATIENCE_MS);
  const whole = store.newest!;
  machine.diesUnread = true;
  expect(await outcome).toBe('gone');
  await until(() => standby.status.state === 'failed', 'the standby to be told', PATIENCE_MS);
  expect(store.newest!.bytes).toBe(whole.bytes);
});
