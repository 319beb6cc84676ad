import { expect } from 'vitest';
import type { CliProcess } from './cli-process.ts';
import type { CountingClient } from './counting-client.ts';
import { until } from './netns.ts';

export const PATIENCE_MS = 40_000;

/** A client gets so many more answers, and they are those that cannot be undone. */
export async function answered(client: CountingClient, count: number, when = ''): Promise<void> {
  const from = client.answers;
  await until(() => client.violation !== null || client.answers >= from + count, `answers ${when}`, PATIENCE_MS);
  expect(client.violation, when).toBeNull();
}

/** A client asks no more, and has got each answer once. */
export async function allAnswered(client: CountingClient): Promise<void> {
  client.pause();
  await until(() => client.violation !== null || client.answers >= client.sent, 'the last answers', PATIENCE_MS);
  expect(client.violation).toBeNull();
  expect(client.answers).toBe(client.sent);
}

/** Waits until a driver's command tells of so many more commits. */
export async function committed(driver: CliProcess, count: number, when = ''): Promise<void> {
  const commits = () => driver.events.filter(({ event }) => event === 'committed').length;
  const wanted = commits() + count;
  await until(() => driver.isOver || commits() >= wanted, `commits ${when}`, PATIENCE_MS);
  expect(driver.isOver, `${when}: ${driver.stdout.slice(-500)} ${driver.stderr}`).toBe(false);
}
