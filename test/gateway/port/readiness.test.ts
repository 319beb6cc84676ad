import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

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

test('what a listener throws ends the process, as it does everywhere else', () => {
  const parameters = ['--import', 'tsx', '--input-type=module', '--eval', PROGRAM];
  const { status, stderr } = spawnSync(process.execPath, parameters, { encoding: 'utf8', timeout: 20_000 });
  expect(stderr).toContain('Error: a broken invariant');
  expect(status).toBe(1);
});
