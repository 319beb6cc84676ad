import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Tests that `make soak` runs more often than `make test` does, each time with other dice. */
interface Suite {
  readonly name: string;
  readonly files: readonly string[];
  readonly steps: number;
  /** Of each step, times what `make test` does. A step takes less than 10 minutes. */
  readonly runs: number;
}

export const SUITES: readonly Suite[] = [
  // 20 kills a run.
  { name: 'kills', files: ['test/gateway/durable/kill.test.ts', 'test/e2e/live-kill.test.ts'], steps: 5, runs: 5 },
  // 10 failovers a run of each kind.
  {
    name: 'failovers',
    files: ['vm-failover', 'vm-disk', 'vm-chaos', 'vm-partition', 'vm-services'].map(
      (name) => `test/e2e/${name}.test.ts`,
    ),
    steps: 20,
    runs: 1,
  },
];

interface Progress {
  readonly seed: number;
  readonly done: number;
  /** Seeds of the steps that failed. */
  readonly failed: readonly number[];
}

/**
 * Runs the steps of a suite. What has been done is kept in `reports/`: told to end (SIGINT) between two steps or in one, it goes
 * on there the next time, with the same seed.
 * @returns whether every step has passed
 */
export function repeat({ name, files, steps, runs }: Suite, seed: number): boolean {
  const path = join(ROOT, 'reports', `soak-${name}.json`);
  let progress = progressIn(path, seed);
  if (progress.done > 0) console.log(`soak: ${name}: goes on after ${progress.done} of ${steps} steps`);
  while (progress.done < steps) {
    const stepSeed = seed + progress.done;
    const env = { ...process.env, HOLDFAST_RUNS: String(runs), HOLDFAST_SEED: String(stepSeed) };
    const startedAt = performance.now();
    const { status, signal } = spawnSync('npx', ['vitest', 'run', '--retry=0', '--reporter=dot', ...files], {
      cwd: ROOT,
      env,
      stdio: 'inherit',
    });
    if (signal !== null) return false;
    const failed = status === 0 ? progress.failed : [...progress.failed, stepSeed];
    progress = { seed, done: progress.done + 1, failed };
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, JSON.stringify(progress));
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    const how = status === 0 ? 'passed' : `FAILED: HOLDFAST_RUNS=${runs} HOLDFAST_SEED=${stepSeed}`;
    console.log(`soak: ${name}: step ${progress.done} of ${steps} in ${seconds} s: ${how}`);
  }
  rmSync(path);
  return progress.failed.length === 0;
}

function progressIn(path: string, seed: number): Progress {
  const none = { seed, done: 0, failed: [] };
  if (!existsSync(path)) return none;
  const found: Progress = JSON.parse(readFileSync(path, 'utf8'));
  return found.seed === seed ? found : none;
}
