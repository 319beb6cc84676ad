/**
 * `make fuzz`, `make soak`: every fuzzer in turn, each for its share of the time, in a process of its own.
 *
 *   npx tsx test/fuzz/run.ts [time=60] [seed=1]
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { seconds } from '../support/duration.ts';

/** Name and share of the time. */
const FUZZERS = [
  ['model', 0.6],
  ['inputs', 0.4],
] as const;

const given: Record<string, string> = Object.fromEntries(process.argv.slice(2).map((arg) => arg.split('=', 2)));
const timeSeconds = seconds(given.time ?? '60');
const seed = Number(given.seed ?? 1);
if (!(timeSeconds > 0) || !Number.isSafeInteger(seed)) {
  console.error('usage: make fuzz time=SECONDS seed=INTEGER');
  process.exit(2);
}

for (const [name, share] of FUZZERS) {
  const script = fileURLToPath(new URL(`${name}.ts`, import.meta.url));
  const args = ['--import', 'tsx', script, `time=${timeSeconds * share}`, `seed=${seed}`];
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
  if (status !== 0) process.exitCode = 1;
}
