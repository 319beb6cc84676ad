import { afterEach, expect, test } from 'vitest';
import { BusyPoll } from '../../../gateway/port/busy-poll.ts';

const open: BusyPoll[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

function poll(hasFrames: () => boolean, ready: () => void): BusyPoll {
  const one = new BusyPoll({ hasFrames, ready });
  open.push(one);
  return one;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test('however many frames there are, each port has one call between two turns of the event loop', async () => {
  const calls = [0, 0];
  for (const k of [0, 1])
    poll(
      () => true,
      () => calls[k]!++,
    );
  await turn();
  for (let n = 0; n < 50; n++) {
    const before = [...calls];
    await turn();
    expect(calls).toEqual(before.map((count) => count + 1));
  }
});

test('while nothing comes the event loop turns, too', async () => {
  let asked = 0;
  poll(
    () => ++asked < 0,
    () => {},
  );
  for (let n = 0; n < 20; n++) await turn();
  expect(asked).toBeGreaterThan(20);
});

test('frames are seen without a timer or a descriptor', async () => {
  let waiting = 0;
  let seen = 0;
  poll(
    () => waiting > 0,
    () => {
      seen += waiting;
      waiting = 0;
    },
  );
  await turn();
  waiting = 3;
  await turn();
  await turn();
  expect(seen).toBe(3);
});

test('who was closed is not asked again, not even within the round', async () => {
  let isClosed = false;
  poll(
    () => true,
    () => {
      isClosed = true;
      second.close();
    },
  );
  const second = poll(
    () => {
      expect(isClosed).toBe(false);
      return false;
    },
    () => {},
  );
  for (let n = 0; n < 10; n++) await turn();
  expect(isClosed).toBe(true);
});

test('a port that was closed stops the spinning, and the next one begins it again', async () => {
  let calls = 0;
  const first = poll(
    () => true,
    () => calls++,
  );
  while (calls < 3) await turn();
  first.close();
  const before = calls;
  for (let n = 0; n < 10; n++) await turn();
  expect(calls).toBe(before);
  poll(
    () => true,
    () => calls++,
  );
  while (calls < before + 3) await turn();
});
