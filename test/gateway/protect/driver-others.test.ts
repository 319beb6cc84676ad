/** What a driver does when somebody else pauses its machine, lets it run, or starts it again. */
import { renameSync, rmSync, symlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DriverRig } from '../../support/driver-rig.ts';
import { temporaryFolder } from '../../support/run-cli.ts';

/** Long enough for whatever must not happen. */
const SOON_MS = 100;

const folder = temporaryFolder();
let made = 0;
let rig: DriverRig;

beforeEach(async () => {
  rig = await DriverRig.open(folder.path(`others${made++}`));
});
afterEach(() => rig.close());

it.each([
  ['copied paused', false, 'paused'],
  ['copied live', true, 'paused'],
  ['copied paused', false, 'io-error'],
  ['copied live', true, 'guest-panicked'],
] as const)(
  'a machine that is %s and was not paused for a checkpoint stays paused, and that is said',
  async (_, isLive, status) => {
    rig.protect({ isLive });
    await rig.commits(1);
    await rig.until(() => {
      if (rig.machine.status === 'running') rig.machine.stop(status);
      return rig.driver!.status.state === 'degraded';
    }, 'the driver to notice');
    expect(rig.driver!.status.trouble).toContain(status);
    const { resumedAt } = rig.machine;
    const [runs, seals] = [resumedAt.length, rig.told('sealed').length];
    await sleep(SOON_MS);
    expect([rig.machine.status, resumedAt.length, rig.told('sealed').length]).toEqual([status, runs, seals]);
    rig.machine.cont();
    await rig.commits(1);
    expect(rig.driver!.status.state).toBe('protected');
  },
);

it('a machine that its owner pauses while it is copied live stays paused', async () => {
  rig.machine.copyMs = SOON_MS;
  rig.protect({ isLive: true });
  await rig.commits(1);
  await rig.until(() => rig.machine.status === 'running', 'the machine to run');
  rig.machine.stop();
  const runs = rig.machine.resumedAt.length;
  await rig.until(() => rig.driver!.status.state === 'degraded', 'the driver to notice');
  await sleep(SOON_MS);
  expect(rig.machine.resumedAt).toHaveLength(runs);
  expect(rig.machine.status).not.toBe('running');
  rig.machine.cont();
  await rig.commits(1);
});

it.each([
  ['when it has been paused', 0],
  ['before the copy is complete', SOON_MS],
])('where somebody else lets the machine run %s, nothing of that checkpoint counts', async (_, copyMs) => {
  rig.protect();
  await rig.commits(1);
  rig.machine.copyMs = copyMs;
  let epoch = 0;
  // What the guest sends then is read before the seal is answered.
  rig.beforeSeal = async () => {
    if (epoch !== 0) return;
    epoch = rig.driver!.status.last!.epoch + 1;
    rig.machine.cont();
    await sleep(2 * SOON_MS);
  };
  await rig.until(() => rig.told('aborted').length > 0, 'the checkpoint to fail');
  expect(rig.told('aborted')).toMatchObject([{ epoch, why: expect.stringContaining('somebody else') }]);
  expect(rig.done).toContain(`abort ${epoch}`);
  expect(rig.done).not.toContain(`kept ${epoch}`);
  await rig.commits(1);
});

it('a machine that was shut down and started again is not told to end when it dies later', async () => {
  rig.protect();
  await rig.commits(1);
  rig.machine.reboot();
  await rig.commits(1);
  rig.machine.die();
  expect(await rig.outcome).toBe('gone');
  expect(rig.done.findLast((what) => what !== 'renew')).toBe('gone');
});

it('a machine whose socket cannot be asked is not taken for dead', async () => {
  rig.protect();
  await rig.commits(1);
  rig.machine.die();
  symlinkSync(rig.machine.qmp, `${rig.machine.qmp}.loop`);
  renameSync(`${rig.machine.qmp}.loop`, rig.machine.qmp);
  await rig.until(() => rig.driver!.status.state === 'degraded', 'the driver to notice');
  await sleep(SOON_MS);
  expect(rig.done).not.toContain('gone');
  rmSync(rig.machine.qmp);
  expect(await rig.outcome).toBe('gone');
});
