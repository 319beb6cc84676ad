import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runs, SEED } from '../../support/runs.ts';
import { DiskRig, type DiskTally } from './disk-rig.ts';
import { type DiskOp, diskSchedules } from './disk-schedule.ts';
import { folder } from './folders.ts';

const numRuns = runs(60);

async function runSchedule(schedule: readonly DiskOp[], tally: DiskTally): Promise<void> {
  const rig = new DiskRig(folder(), tally);
  await rig.open();
  try {
    for (const op of schedule) await rig.run(op);
  } finally {
    await rig.close();
  }
}

// Slow where flushes are.
test('the disk does what an array of bytes does that is copied at each seal, also where process or machine die', async () => {
  const tally: DiskTally = {};
  await fc.assert(
    fc.asyncProperty(diskSchedules, (schedule) => runSchedule(schedule, {})),
    { numRuns, ...SEED },
  );
  // These are always the same: what is asked for below must be among them.
  await fc.assert(
    fc.asyncProperty(diskSchedules, (schedule) => runSchedule(schedule, tally)),
    { numRuns, seed: 1 },
  );
  if (numRuns < 60) return;
  expect(Object.keys(tally)).toEqual(
    expect.arrayContaining([
      ...['write', 'zero', 'start', 'seal', 'commit', 'abort', 'rollback', 'failover', 'stop', 'durable', 'settle'],
      ...['kill', 'power failure', 'torn'],
      // What a crash loses is a matter of time, and what is refused later depends on it: only what comes often is sure.
      ...['not-replicated', 'stale-term', 'epoch-not-open', 'epoch-not-sealed'],
    ]),
  );
}, 600_000);
