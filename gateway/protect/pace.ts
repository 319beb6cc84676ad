import type { CheckpointReport } from './driver-events.ts';

/** When the next checkpoint begins: so long after the last one began. */
export type Pace =
  | { readonly kind: 'fixed'; readonly intervalMs: number }
  /** As soon as control frames wait, but not before `leastMs`; where none do, after `mostMs`. */
  | { readonly kind: 'adaptive'; readonly leastMs: number; readonly mostMs: number };

/** @returns milliseconds until a machine has run as long as its last checkpoint paused it: protection leaves it half of its time */
export function restMs({
  copyMs,
  pauseMs,
  commitMs,
}: Pick<CheckpointReport, 'copyMs' | 'pauseMs' | 'commitMs'>): number {
  const ranMs = commitMs - copyMs - pauseMs;
  return Math.max(0, pauseMs - ranMs);
}

/**
 * Waits until the next checkpoint may begin.
 * @param sinceMs how long ago the last one began
 * @param heldFrames how many frames wait for a checkpoint now
 * @param sleep resolves after so many milliseconds, or earlier: then `isOver` says whether to go on waiting
 */
export async function untilNext(
  pace: Pace,
  sinceMs: number,
  heldFrames: () => Promise<number>,
  sleep: (ms: number) => Promise<void>,
  isOver: () => boolean,
): Promise<void> {
  if (pace.kind === 'fixed') {
    await sleep(Math.max(0, pace.intervalMs - sinceMs));
    return;
  }
  const { leastMs, mostMs } = pace;
  await sleep(Math.max(0, leastMs - sinceMs));
  for (let waitedMs = Math.max(leastMs, sinceMs); waitedMs < mostMs && !isOver(); waitedMs += leastMs) {
    if ((await heldFrames()) > 0) return;
    await sleep(Math.min(leastMs, mostMs - waitedMs));
  }
}
