/** What a standby knows of the lease under which its VM runs, also after it was started anew. */
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { StandbyLease } from '../../../gateway/protect/standby-lease.ts';
import { temporaryFolder } from '../../support/run-cli.ts';

const folders = temporaryFolder();
let made = 0;

function newFolder(): string {
  const folder = folders.path(`lease${made++}`);
  mkdirSync(folder);
  return folder;
}

const SAID = { term: 3, patienceMs: 500, leaseMs: 1000 };

it.each([false, true])('what a driver has said is known to the next process (synced: %s)', (syncs) => {
  const folder = newFolder();
  const lease = new StandbyLease(folder, syncs);
  expect([lease.known, lease.trouble]).toEqual([null, null]);
  lease.said({ ...SAID, term: 2 });
  lease.said(SAID);
  const next = new StandbyLease(folder, syncs);
  expect([next.known, next.trouble]).toEqual([SAID, null]);
  expect(readdirSync(folder)).toEqual(['lease']);
});

it.each([
  ['a shorter one', { patienceMs: 400, leaseMs: 900 }, { patienceMs: 500, leaseMs: 1000 }],
  ['a longer one', { patienceMs: 600, leaseMs: 2000 }, { patienceMs: 600, leaseMs: 2000 }],
  ['one without end', { patienceMs: 500, leaseMs: 0 }, { patienceMs: 500, leaseMs: 0 }],
] as const)(
  'a lease is granted when its term begins: a driver that says %s later in it does not shorten it',
  (_, later, longest) => {
    const folder = newFolder();
    new StandbyLease(folder, false).said(SAID);
    const lease = new StandbyLease(folder, false);
    lease.said({ term: 3, ...later });
    lease.said(SAID);
    expect(lease.known).toEqual({ term: 3, ...longest });
    expect(new StandbyLease(folder, false).known).toEqual(lease.known);
    lease.said({ term: 4, patienceMs: 1, leaseMs: 1 });
    expect(lease.known, 'of another term').toEqual({ term: 4, patienceMs: 1, leaseMs: 1 });
  },
);

it.each([
  ['cut short', '{"term":3,"patie', 'JSON'],
  ['empty', '', 'JSON'],
  ['no object', '"3"', 'expected an object'],
  ['without a lease', '{"term":3,"patienceMs":500}', 'leaseMs: is missing'],
  ['of another kind', '{"term":3,"patienceMs":500,"leaseMs":-1}', 'leaseMs: expected an integer'],
])(
  'a file that is %s says nothing of a lease: that is told in one line, until a driver says it again',
  (_, text, why) => {
    const folder = newFolder();
    writeFileSync(`${folder}/lease`, text);
    const lease = new StandbyLease(folder, false);
    expect(lease.known).toBeNull();
    expect(lease.trouble).toMatch(/^\/.*\/lease: [^\n]+$/);
    expect(lease.trouble).toContain(why);
    lease.said(SAID);
    expect([lease.known, lease.trouble]).toEqual([SAID, null]);
  },
);

it('what there is no room for is refused, and told, until it can be kept', () => {
  const folder = newFolder();
  const lease = new StandbyLease(folder, false);
  lease.said(SAID);
  symlinkSync('/dev/full', `${folder}/lease.new`);
  const why = `${folder}/lease: ENOSPC: no space left on device, write`;
  expect(() => lease.said({ ...SAID, term: 4 })).toThrow(why);
  expect([lease.known, lease.trouble]).toEqual([SAID, why]);
  rmSync(`${folder}/lease.new`);
  lease.said({ ...SAID, term: 4 });
  expect([lease.known?.term, lease.trouble]).toEqual([4, null]);
});
