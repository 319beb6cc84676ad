import { expect, it } from 'vitest';
import { GroupSync } from '../../../gateway/disk/group-sync.ts';

/** Syncs that end when they are told to. */
function byHand(): { sync: () => Promise<void>; begun: () => number; end: (error?: Error) => Promise<void> } {
  const ends: ((error?: Error) => void)[] = [];
  let begun = 0;
  return {
    sync: () => {
      begun++;
      return new Promise((resolve, reject) => {
        ends.push((error) => (error === undefined ? resolve() : reject(error)));
      });
    },
    begun: () => begun,
    end: async (error) => {
      ends.shift()!(error);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

it('those who ask while a sync is under way share the next one', async () => {
  const { sync, begun, end } = byHand();
  const group = new GroupSync(sync);
  const done: string[] = [];
  const ask = (name: string) => group.request().then(() => done.push(name));
  const all = [ask('first')];
  await new Promise((resolve) => setImmediate(resolve));
  all.push(ask('second'), ask('third'));
  await new Promise((resolve) => setImmediate(resolve));
  expect(begun()).toBe(1);
  await end();
  expect(done).toEqual(['first']);
  expect(begun()).toBe(2);
  all.push(ask('fourth'));
  await end();
  expect(done).toEqual(['first', 'second', 'third']);
  await end();
  await Promise.all(all);
  expect([begun(), done.length]).toEqual([3, 4]);
});

it('a sync that fails fails for those who asked for it, and for nobody else', async () => {
  const { sync, end } = byHand();
  const group = new GroupSync(sync);
  const first = expect(group.request()).rejects.toThrow('no');
  await new Promise((resolve) => setImmediate(resolve));
  const second = group.request();
  await end(new Error('no'));
  await first;
  await end();
  await second;
});
