/**
 * `make soak`: a gateway under load for as long as one likes (`only=load`), then 500 kills and 200 failovers of each kind.
 *
 *   npx tsx test/soak/run.ts [only=load|kills|failovers] [time=30m] [seed=1] [rate=50000]
 */
import { seconds } from '../support/duration.ts';
import { noNetnsReason } from '../support/netns.ts';
import { repeat, SUITES } from './repeat.ts';
import { soak } from './soak.ts';

const given: Record<string, string> = Object.fromEntries(process.argv.slice(2).map((arg) => arg.split('=', 2)));
const time = seconds(given.time ?? '30m');
const seed = Number(given.seed ?? 1);
const rate = Number(given.rate ?? 50_000);
const only = given.only ?? '';
const sections = ['load', ...SUITES.map(({ name }) => name)];
if (!(time > 0) || !Number.isSafeInteger(seed) || !(rate > 0) || !['', ...sections].includes(only)) {
  console.error(`usage: make soak time=30m seed=INTEGER only=${sections.join('|')}`);
  process.exit(2);
}
const reason = noNetnsReason('sysctl', 'ethtool');
if (reason !== null) {
  console.log(`soak: skipped: ${reason}`);
  process.exit(0);
}
/** What one run's lists of arrivals take of memory is bounded. */
const MOST_SECONDS = 600;
for (let left = only === '' || only === 'load' ? time : 0, run = 0; left > 0; left -= MOST_SECONDS, run++) {
  const { findings, arrived, log, latenciesMs, rssBytes } = await soak({
    seconds: Math.min(left, MOST_SECONDS),
    framesPerSecond: rate,
    seed: seed + run,
  });
  console.log(
    `soak: seed ${seed + run}: ${arrived[0]} data and ${arrived[1]} control frames arrived, ${log.epochs.length} epochs,`,
    `${log.epochs.filter((epoch) => epoch.isUndone).length} rolled back; RSS MB by tenths`,
    rssBytes.map((bytes) => Math.round(bytes / 1e6)).join(' '),
    '; delay ms',
    latenciesMs.map((ms) => ms.toFixed(2)).join(' '),
  );
  for (const finding of findings) console.log(`soak: ${finding}`);
  if (findings.length > 0) process.exitCode = 1;
}
for (const suite of SUITES) {
  if (only !== '' && only !== suite.name) continue;
  if (!repeat(suite, seed)) process.exitCode = 1;
}
