/**
 * Runs random schedules of the gateway against its model until the time is over:
 *
 *   npx tsx test/fuzz/model.ts [time=60] [seed=N]
 *
 * `time` in seconds. Ends with 1 and the shrunk schedule when the two disagree.
 */
import fc from 'fast-check';
import { gapsBehindOneThatStays, mixedOperations } from '../support/buffer-model.ts';
import { runSchedule, type Tally } from '../support/run-schedule.ts';
import { schedules } from '../support/schedule.ts';

const RUNS_PER_ROUND = 500;
/** A run of half a minute or more does not end with fewer, however slow the machine. */
const LEAST_RUNS = 10_000;

const given: Record<string, string> = Object.fromEntries(process.argv.slice(2).map((arg) => arg.split('=', 2)));
const timeSeconds = Number(given.time ?? 60);
const seed = Number(given.seed ?? Math.floor(Math.random() * 2 ** 31));
if (!(timeSeconds > 0) || !Number.isSafeInteger(seed)) {
  console.error('usage: model.ts [time=SECONDS] [seed=INTEGER]');
  process.exit(2);
}

const end = performance.now() + timeSeconds * 1000;
const tally: Tally = {};
let runs = 0;
let failed = false;
const gateway = fc.property(schedules, (schedule) => runSchedule(schedule, tally));
const least = timeSeconds >= 30 ? LEAST_RUNS : 0;
for (let round = 0; (performance.now() < end || runs < least) && !failed; round++) {
  check(gateway, RUNS_PER_ROUND, seed + round);
  // The transmit buffer alone as well: its rare corners take longer schedules than the whole gateway gets.
  check(mixedOperations, RUNS_PER_ROUND / 10, seed + round);
  check(gapsBehindOneThatStays, RUNS_PER_ROUND / 10, seed + round);
}

function check<T>(property: fc.IProperty<T>, numRuns: number, from: number): void {
  const result = fc.check(property, { numRuns, seed: from });
  runs += result.numRuns;
  if (!result.failed) return;
  failed = true;
  console.error(fc.defaultReportMessage(result));
  console.error(result.errorInstance);
}

const rows = Object.entries(tally).sort((a, b) => b[1] - a[1]);
console.log(rows.map(([name, count]) => `${name} ${count}`).join(', '));
console.log(`model: ${runs} schedules, seed=${seed}: ${failed ? 'a property broke' : 'all agree'}`);
process.exitCode = failed ? 1 : 0;
