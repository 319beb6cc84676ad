import { expect, it } from 'vitest';
import { type Pace, restMs, untilNext } from '../../../gateway/protect/pace.ts';

/** @param heldAt from when on frames wait, ms after the last checkpoint began @returns how long it waited */
async function waited(
  pace: Pace,
  sinceMs: number,
  heldAt = Number.POSITIVE_INFINITY,
  overAt = heldAt * 2,
): Promise<number> {
  let now = sinceMs;
  const sleep = async (ms: number) => {
    now += ms;
  };
  await untilNext(
    pace,
    sinceMs,
    async () => (now >= heldAt ? 1 : 0),
    sleep,
    () => now >= overAt,
  );
  return now;
}

const ADAPTIVE = { kind: 'adaptive', leastMs: 50, mostMs: 1000 } as const;

it('a fixed pace counts from the beginning of the last checkpoint', async () => {
  expect(await waited({ kind: 'fixed', intervalMs: 100 }, 30)).toBe(100);
  expect(await waited({ kind: 'fixed', intervalMs: 100 }, 300)).toBe(300);
});

it('an adaptive pace goes at once when frames wait, but not before the least time', async () => {
  expect(await waited(ADAPTIVE, 0, 0)).toBe(50);
  expect(await waited(ADAPTIVE, 80, 0)).toBe(80);
  expect(await waited(ADAPTIVE, 0, 320)).toBe(350);
});

it('an adaptive pace goes after the most time, whether frames wait or not, and ends when it is over', async () => {
  expect(await waited(ADAPTIVE, 0)).toBe(1000);
  expect(await waited(ADAPTIVE, 970)).toBe(1000);
  expect(await waited(ADAPTIVE, 0, Number.POSITIVE_INFINITY, 200)).toBe(200);
});

it('a machine runs as long as it was paused before it is paused again', () => {
  expect(restMs({ copyMs: 0, pauseMs: 150, commitMs: 160 })).toBe(140);
  expect(restMs({ copyMs: 80, pauseMs: 3, commitMs: 90 })).toBe(0);
});
