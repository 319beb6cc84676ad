import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { VirtualClock } from '../../gateway/clock.ts';
import { Standstill } from '../../gateway/standstill.ts';

const MS = 1e6;
let clock: VirtualClock;
let standstill: Standstill;

beforeEach(() => {
  vi.useFakeTimers();
  clock = new VirtualClock();
  standstill = new Standstill(clock);
});
afterEach(() => {
  standstill.close();
  vi.useRealTimers();
});

/** The loop turns for so long, its timers on time. */
function run(ms: number): void {
  for (let done = 0; done < ms; done++) {
    clock.advanceTo(clock.nowNs() + MS);
    vi.advanceTimersByTime(1);
  }
}

/** Nothing runs for so long. */
function stop(ms: number): void {
  clock.advanceTo(clock.nowNs() + ms * MS);
}

it('what a loop that turns reads was sent now', () => {
  for (const ms of [0, 1, 49, 1, 149]) {
    run(ms);
    expect(standstill.sentNs()).toBe(clock.nowNs());
  }
});

it('what is read after a standstill was sent when it began, or later, until the loop has turned for a while', () => {
  run(100);
  stop(151);
  expect(standstill.sentNs()).toBe(100 * MS);
  // The timers come behind the sockets, or before them.
  vi.advanceTimersByTime(50);
  expect(standstill.sentNs()).toBe(100 * MS);
  run(49);
  expect(standstill.sentNs()).toBe(100 * MS);
  run(1);
  expect(standstill.sentNs()).toBe(clock.nowNs());
});

it('a timer that is a little late is no standstill', () => {
  run(100);
  stop(150);
  expect(standstill.sentNs()).toBe(250 * MS);
  vi.advanceTimersByTime(50);
  expect(standstill.sentNs()).toBe(250 * MS);
});

it('two standstills in a row: what nobody had read in between was sent when the first began, or later', () => {
  run(50);
  stop(1000);
  vi.advanceTimersByTime(50);
  stop(2000);
  expect(standstill.sentNs()).toBe(50 * MS);
  // The loop came to its sockets, and to its timers again.
  vi.advanceTimersByTime(50);
  expect(standstill.sentNs()).toBe(1050 * MS);
  run(50);
  expect(standstill.sentNs()).toBe(clock.nowNs());
});
