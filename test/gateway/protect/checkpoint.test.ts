/** What a driver asks of machine, gateway and standby, in which order, also where one of them fails. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { RequestError, RPC } from '../../../gateway/host/protocol.ts';
import { isDelta } from '../../../gateway/protect/delta-image.ts';
import { RamDelta } from '../../../gateway/protect/ram-delta.ts';
import { DriverRig } from '../../support/driver-rig.ts';
import { temporaryFolder } from '../../support/run-cli.ts';

/** Long enough for whatever is not waited for to happen before. */
const SOON_MS = 60;
/** Timers may be so much early, as others see it. */
const TIMER_MS = 5;

const folder = temporaryFolder();
let made = 0;
let rig: DriverRig;

beforeEach(async () => {
  rig = await DriverRig.open(folder.path(`checkpoint${made++}`));
});
afterEach(() => rig.close());

/** What was done, but for renewals of the lease, which come when they do. */
function done(): string[] {
  return rig.done.filter((what) => what !== 'renew');
}

/** @returns what was done from the machine's pause for an epoch to the end of its checkpoint */
function doneFor(epoch: number): string[] {
  const all = done();
  const end = all.findIndex((what) => what === `commit ${epoch}` || what === `abort ${epoch}`);
  return all.slice(all.lastIndexOf('paused', end), end + 1);
}

/** The standby is slower than the machine. */
async function whenItRuns(): Promise<void> {
  await rig.until(() => rig.machine.status === 'running', 'the machine to run');
  await sleep(SOON_MS);
}

it.each([
  ['paused', false],
  ['live', true],
])(
  'a machine that is copied %s runs on when its epoch is sealed, and frames leave when the standby has it',
  async (_, isLive) => {
    rig.beforeSeal = () => sleep(SOON_MS / 2);
    rig.beforeKept = whenItRuns;
    rig.machine.copyMs = 2 * SOON_MS;
    rig.protect({ isLive });
    await rig.commits(2);
    for (const epoch of [1, 2]) {
      expect(doneFor(epoch)).toEqual(['paused', `sealed ${epoch}`, 'runs', `kept ${epoch}`, `commit ${epoch}`]);
    }
    expect(rig.told('term')).toEqual([{ event: 'term', term: 1, openEpoch: 1, how: 'started' }]);
    expect(done().slice(0, 2), 'what passes before the first seal is in its checkpoint').toEqual([
      'forget',
      'start 1, from first-seal',
    ]);
    expect(rig.told('sealed').slice(0, 2)).toMatchObject([{ epoch: 1 }, { epoch: 2 }]);
  },
);

it("a disk's writes are sealed with the epoch, while the machine is paused, and the standby is known to be there before that", async () => {
  rig.beforeKept = whenItRuns;
  rig.protect({ disk: rig.disks() });
  await rig.commits(1);
  rig.beforeKept = async () => {
    rig.beforeKept = async () => {};
    throw new RequestError(RPC.state, 'image-torn', 'torn on its way');
  };
  await rig.until(() => rig.done.some((what) => what.startsWith('abort')), 'a checkpoint that fails');
  await rig.commits(1);
  const failed = rig.told('aborted')[0]!.epoch;
  expect(done().slice(0, 3)).toEqual(['forget', 'start 1, from first-seal', 'disks: copy']);
  expect(doneFor(1)).toEqual(['paused', 'sealed 1', 'disks: seal', 'runs', 'kept 1', 'commit 1']);
  const after = done().slice(done().indexOf(`abort ${failed}`));
  expect(after[1]).toBe('disks: abort');
  expect(rig.pings, 'one before each checkpoint').toBeGreaterThanOrEqual(3);
});

it('a copy that fails is thrown away, its epoch moves on, and the machine runs', async () => {
  rig.machine.failsCopies = 1;
  rig.protect();
  await rig.commits(1);
  expect(doneFor(1)).toEqual(['paused', 'sealed 1', 'runs', 'abort 1']);
  expect(doneFor(2).at(-1)).toBe('commit 2');
  expect(rig.abandoned).toBe(1);
  expect(rig.told('aborted')).toMatchObject([{ term: 1, epoch: 1, why: 'the machine says: migration failed' }]);
  expect(rig.driver!.status).toMatchObject({ state: 'protected', aborted: 1, trouble: null });
  expect(rig.told('state').map(({ state }) => state)).toEqual(['degraded', 'protected']);
});

it('a copy that fails when the standby has hung up is not laid at the machine', async () => {
  rig.protect();
  await rig.commits(1);
  rig.machine.copyMs = 25 * SOON_MS;
  rig.machine.failsCopies = 1;
  await rig.until(() => rig.machine.failsCopies === 0, 'the copy');
  rig.proxy.down();
  await rig.until(() => rig.driver!.status.state === 'degraded', 'the driver to notice');
  rig.proxy.up();
  await rig.commits(1);
  const told = [...rig.told('state'), ...rig.told('aborted')].map(({ why }) => why);
  expect(told).toContain('the standby hung up');
  expect(told.filter((why) => why.includes('migration'))).toEqual([]);
});

it('copies that fail again and again are made less and less often, until one succeeds', async () => {
  rig.machine.failsCopies = 4;
  rig.protect();
  await rig.commits(1);
  rig.machine.failsCopies = 1;
  await rig.until(() => rig.told('aborted').length === 5, 'one more failure');
  await rig.commits(1);
  expect(rig.told('aborted').map(({ retryMs }) => retryMs)).toEqual([50, 100, 200, 400, 50]);
  const { pausedAt } = rig.machine;
  for (const [i, retryMs] of [50, 100, 200, 400].entries()) {
    expect(pausedAt[i + 1]! - pausedAt[i]!).toBeGreaterThan(retryMs - TIMER_MS);
  }
});

it('where an image is torn on its way the next one is of all memory, in the same session', async () => {
  await rig.close();
  rig = await DriverRig.open(folder.path(`checkpoint${made++}`), true);
  rig.protect({ delta: new RamDelta(null) });
  await rig.commits(1);
  rig.machine.write(3, 9);
  let torn = 0;
  rig.beforeKept = async ({ epoch }) => {
    if (torn > 0) return;
    torn = epoch;
    throw new RequestError(RPC.state, 'image-torn', 'torn on its way');
  };
  const follows: unknown[] = [];
  rig.afterKept = async () => void follows.push(readFileSync(rig.store.newest!.path).readBigUInt64LE(40));
  await rig.commits(2);
  expect(rig.done).toContain(`abort ${torn}`);
  expect(follows[0], 'it follows none').toBe(0n);
  expect(isDelta(rig.store.newest!.path)).toBe(true);
  expect(rig.told('term')).toHaveLength(1);
});

it('a checkpoint that the standby may have is not aborted: the standby is asked, and it is committed', async () => {
  rig.afterKept = async () => {
    rig.afterKept = async () => {};
    throw new RequestError(RPC.state, 'failed', 'it is kept, and something else went wrong');
  };
  rig.protect();
  await rig.commits(1);
  expect(done().slice(2, 7)).toEqual(['paused', 'sealed 1', 'runs', 'kept 1', 'commit 1']);
  expect(rig.told('aborted')).toEqual([]);
  expect(rig.told('term').map(({ how }) => how)).toEqual(['started', 'attached']);
});

it('a machine that will not run on at once: no image of that checkpoint gets its name', async () => {
  rig.machine.refusesCont = 1;
  rig.protect();
  await rig.commits(1);
  expect(doneFor(1)).toEqual(['paused', 'sealed 1', 'runs', 'abort 1']);
  expect(rig.done).not.toContain('kept 1');
});
