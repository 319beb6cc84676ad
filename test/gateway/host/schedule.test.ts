import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CodecDoor } from '../../support/door.ts';
import { runSchedule, type Tally } from '../../support/run-schedule.ts';
import { runs, SEED } from '../../support/runs.ts';
import { schedules } from '../../support/schedule.ts';

const numRuns = runs(300);

test('whatever hosts ask in lines of JSON, frames and answers are those of the model', () => {
  const tally: Tally = {};
  fc.assert(
    fc.property(schedules, (schedule) => runSchedule(schedule, tally, (rig) => new CodecDoor(rig))),
    // Always the same ones: what is asked for below must be among them. The schedules of the model test are new each time.
    { numRuns, seed: 1, ...SEED },
  );
  if (numRuns < 300) return;
  const asked = ['start', 'takeover', 'seal', 'commit', 'abort', 'rollback', 'failover', 'stop', 'quiesce', 'resume'];
  const refused = ['not-replicated', 'stale-term', 'epoch-not-open', 'epoch-not-sealed', 'epoch-sealed'];
  const rest = ['epoch-aborted', 'output-already-released', 'lease', 'waiting', 'released', 'discarded'];
  expect(Object.keys(tally)).toEqual(expect.arrayContaining([...asked, ...refused, ...rest]));
});
