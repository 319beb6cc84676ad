import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { judgeHistory } from '../../support/kill-history.ts';
import { until } from '../../support/netns.ts';
import { Random } from '../../support/random.ts';
import { runs } from '../../support/runs.ts';

const LIFE = fileURLToPath(new URL('../../support/gateway-life.ts', import.meta.url));
const KILLS = runs(20);
/** A life ends when it has written so much at the most, however long that takes: what has happened in it does not depend on the machine. */
const LONGEST_BYTES = 20_000;
const seed = Number(process.env.HOLDFAST_SEED ?? 1);

let folder: string;
const children = new Set<ChildProcess>();

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-life-'));
});
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

function life(...how: readonly (string | number)[]): ChildProcess {
  const child = spawn(process.execPath, ['--import', 'tsx', LIFE, folder, ...how.map(String)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  child.once('exit', () => children.delete(child));
  child.stderr!.on('data', (chunk) => process.stderr.write(chunk));
  return child;
}

/** @returns what the process ended with: its exit code or the signal that killed it */
function ended(child: ChildProcess): Promise<number | string | null> {
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)));
}

function logBytes(): number {
  return statSync(join(folder, 'log')).size;
}

function history() {
  return judgeHistory(readFileSync(join(folder, 'log'), 'utf8'));
}

test(
  `a gateway that is killed ${KILLS} times at random moments loses no stored frame, sends none before its commit, and keeps the order of flows`,
  async () => {
    const random = new Random(seed);
    for (let n = 0; n < KILLS; n++) {
      const child = life(seed * 1000 + n, 'live');
      const over = ended(child);
      const isReady = new Promise<void>((resolve) => child.stdout!.once('data', () => resolve()));
      await Promise.race([isReady, over]);
      const end = logBytes() + random.below(LONGEST_BYTES);
      await until(() => logBytes() >= end || !children.has(child), 'a life to be long enough');
      child.kill('SIGKILL');
      expect(await over).toBe('SIGKILL');
    }
    expect(await ended(life(seed, 'end'))).toBe(0);
    const seen = history();
    expect(seen.recoveries).toBe(KILLS + 1);
    expect(seen.sent).toBeGreaterThan(0);
    expect(seen.discarded).toBeGreaterThan(0);
    // Each batch that was on its way may have left twice, and no other frame.
    expect(seen.sentTwice).toBeLessThanOrEqual(seen.resent);
  },
  KILLS * 20_000,
);

test('a gateway that is killed during the release of 100,000 frames sends at most one batch again, and is told which', async () => {
  const frames = 100_000;
  expect(await ended(life(seed, 'hold', frames))).toBe(0);
  const random = new Random(seed + 1);
  const batches = Math.ceil(frames / 64);
  expect(await ended(life(seed, 'release', random.below(batches >> 1), 'after'))).toBe('SIGKILL');
  expect(await ended(life(seed, 'release', random.below(batches >> 2), 'before'))).toBe('SIGKILL');
  expect(await ended(life(seed, 'end'))).toBe(0);
  const seen = history();
  expect(seen.sent).toBe(frames);
  // The batch that had left, and the one that had not: nobody can tell them apart.
  expect([seen.sentTwice, seen.resent]).toEqual([64, 128]);
}, 400_000);
