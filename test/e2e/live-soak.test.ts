/** A minute under load: 50,000 frames a second with holds, commits, aborts and rollbacks; `make soak` goes on for longer. */
import { beforeEach, expect, test } from 'vitest';
import { soak } from '../soak/soak.ts';
import { noNetnsReason } from '../support/netns.ts';

const reason = noNetnsReason('sysctl', 'ethtool');
const SECONDS = 60;

beforeEach(({ skip }) => skip(reason !== null, reason ?? ''));

test('under load nothing leaves uncommitted, nothing is lost uncounted, and neither memory nor delay grows', async () => {
  const seed = Number(process.env.HOLDFAST_SEED ?? 1);
  const { findings, status, log, arrived, latenciesMs, rssBytes } = await soak({
    seconds: SECONDS,
    framesPerSecond: 50_000,
    seed,
  });
  expect(findings).toEqual([]);
  const { counters } = status.vms[0]!;
  expect(counters.stillHeld).toBe(0);
  expect(counters.released).toBe(arrived[1]);
  // The load and its troubles were really there.
  expect(arrived[0] + arrived[1]).toBeGreaterThan(SECONDS * 10_000);
  expect(log.epochs.filter((epoch) => epoch.isUndone && epoch.to > epoch.from).length).toBeGreaterThan(5);
  expect(counters.discarded).toBeGreaterThan(0);
  // A heap takes the better part of a minute to find its size; 34 bytes left behind by each frame would be more than this.
  expect(rssBytes[9]! - rssBytes[4]!).toBeLessThan(48 * 2 ** 20);
  const [early, late] = [latenciesMs.slice(0, 5), latenciesMs.slice(5)].map((half) => Math.min(...half));
  expect(late).toBeLessThan(10 * early! + 10);
}, 240_000);
