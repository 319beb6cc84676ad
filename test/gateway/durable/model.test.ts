import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StateDir } from '../../../gateway/durable/state-dir.ts';
import { runSchedule, type Tally } from '../../support/run-schedule.ts';
import { runs, SEED } from '../../support/runs.ts';
import { schedules } from '../../support/schedule.ts';

test('with its frames in a file the gateway does what the model does, whatever happens', () => {
  const tally: Tally = {};
  fc.assert(
    fc.property(schedules, (schedule) => {
      const folder = mkdtempSync(join(tmpdir(), 'holdfast-model-'));
      const dir = new StateDir(folder, () => 0);
      let vms = 0;
      const options = { ...schedule.options, store: () => dir.openVm(`vm${vms++}`, 'file') };
      try {
        runSchedule({ ...schedule, options }, tally);
      } finally {
        dir.close();
        rmSync(folder, { recursive: true });
      }
    }),
    { numRuns: runs(100), ...SEED },
  );
  expect(Object.keys(tally)).toEqual(expect.arrayContaining(['held', 'released', 'discarded', 'rollback', 'commit']));
});
