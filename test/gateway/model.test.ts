import fc from 'fast-check';
import { expect, test } from 'vitest';
import { REASON_NAMES } from '../../classifier/verdict.ts';
import { runSchedule, type Tally } from '../support/run-schedule.ts';
import { runs, SEED } from '../support/runs.ts';
import { schedules } from '../support/schedule.ts';

const numRuns = runs(500);

/** Reasons that these schedules cannot bring about: no such frames, no checksum that anybody looks at, no `app` in the rules. */
const OUT_OF_REACH = ['unjudged', 'malformed', 'too-many-headers', 'bad-checksum', 'fragment-no-l4', 'undecided'];

test('the gateway does what the model does, whatever the VM, the network, the host and the operator do', () => {
  const tally: Tally = {};
  fc.assert(
    fc.property(schedules, (schedule) => runSchedule(schedule, {})),
    { numRuns, ...SEED },
  );
  // These are always the same: what is asked for below must be among them.
  fc.assert(
    fc.property(schedules, (schedule) => runSchedule(schedule, tally)),
    { numRuns, seed: 1 },
  );
  // A model that is never asked the hard questions agrees with everything.
  const asked = Object.keys(tally);
  if (numRuns >= 500) {
    expect(asked).toEqual(
      expect.arrayContaining([
        ...REASON_NAMES.filter((name) => !OUT_OF_REACH.includes(name)),
        ...['passed', 'held', 'released', 'discarded', 'dropped', 'inboundPassed', 'inboundDropped'],
        ...[
          'start',
          'seal',
          'commit',
          'abort',
          'rollback',
          'failover',
          'fail',
          'stop',
          'takeover',
          'quiesce',
          'resume',
        ],
        ...['not-replicated', 'stale-term', 'epoch-not-open', 'epoch-not-sealed', 'epoch-sealed', 'epoch-aborted'],
        'output-already-released',
      ]),
    );
  }
});
