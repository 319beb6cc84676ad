import { spawnSync } from 'node:child_process';
import koffi from 'koffi';
import { afterEach, expect, test } from 'vitest';
import { Readiness } from '../../../gateway/port/readiness.ts';

const c = koffi.load(null);
const eventfd = c.func('int eventfd(unsigned int, int)');
const close = c.func('int close(int)');
const MODULE = new URL('../../../gateway/port/readiness.ts', import.meta.url).pathname;
/** An eventfd that is readable from the beginning; the third call fails. */
const PROGRAM = `
import koffi from 'koffi';
import { Readiness } from '${MODULE}';
const fd = koffi.load(null).func('int eventfd(unsigned int, int)')(1, 0);
let calls = 0;
new Readiness(fd, () => {
  calls++;
  if (calls === 3) throw new Error('a broken invariant');
}, () => {});
`;

const open: number[] = [];
afterEach(() => {
  for (const fd of open.splice(0)) close(fd);
});

/** @returns a descriptor that is always readable */
function readable(): number {
  const fd = eventfd(1, 0) as number;
  open.push(fd);
  return fd;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test('what a listener throws ends the process, as it does everywhere else', () => {
  const parameters = ['--import', 'tsx', '--input-type=module', '--eval', PROGRAM];
  const { status, stderr } = spawnSync(process.execPath, parameters, { encoding: 'utf8', timeout: 20_000 });
  expect(stderr).toContain('Error: a broken invariant');
  expect(status).toBe(1);
});

test('each watch hears of its own descriptor, again and again, until it is closed', async () => {
  const calls = [0, 0];
  const [first, second] = calls.map(
    (_, i) =>
      new Readiness(
        readable(),
        () => calls[i]!++,
        () => {},
      ),
  );
  while (calls[0]! < 10 || calls[1]! < 10) await turn();
  first!.close();
  const [before, other] = calls as [number, number];
  while (calls[1]! < other + 10) await turn();
  expect(calls[0]).toBe(before);
  second!.close();
});

test('a descriptor can be watched and let go thousands of times, within one turn of the loop', async () => {
  const fd = readable();
  for (let n = 0; n < 10_000; n++)
    new Readiness(
      fd,
      () => {},
      () => {},
    ).close();
  let calls = 0;
  const last = new Readiness(
    fd,
    () => calls++,
    () => {},
  );
  while (calls === 0) await turn();
  last.close();
});
