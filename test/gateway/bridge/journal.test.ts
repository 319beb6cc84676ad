import { chmodSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { BridgeError } from '../../../gateway/bridge/bridge-error.ts';
import { type Journal, Journals, parseJournal } from '../../../gateway/bridge/journal.ts';
import { pairNames } from '../../../gateway/bridge/names.ts';
import { Unbelievable } from '../../../gateway/durable/unbelievable.ts';
import { temporaryFolder } from '../../support/run-cli.ts';

const folder = temporaryFolder();
const JOURNAL: Journal = {
  phase: 'attached',
  netns: 'net:[4026531840]',
  tap: 'tap0',
  tapMac: 'fe:54:00:00:00:01',
  index: 7,
  bridge: 'br0',
  bridgeMac: '02:00:00:00:00:01',
  names: pairNames('tap0'),
  outsideMac: 'fe:00:00:00:00:02',
  offloads: 'keep',
  before: {
    master: 'br0',
    disableIpv6: '0',
    hasQdisc: false,
    offloads: [],
    port: { cost: '100', isolated: 'on' },
    portState: null,
    entries: { vlans: ['vid 10 pvid untagged'], fdb: ['02:00:00:00:00:09 master static'], mdb: [] },
  },
};

function refusal(path: string): string {
  try {
    new Journals(path).read('tap0');
  } catch (error) {
    if (error instanceof BridgeError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'it was believed';
}

test('a journal is read as it was written, is for its owner alone, and is gone when it is removed', () => {
  const path = folder.path('run/holdfast/bridge');
  const journals = new Journals(path);
  expect(journals.read('tap0')).toBeNull();
  journals.write({ ...JOURNAL, phase: 'attaching' });
  journals.write(JOURNAL);
  expect(journals.read('tap0')).toEqual(JOURNAL);
  expect([statSync(path).mode & 0o777, statSync(journals.path('tap0')).mode & 0o777]).toEqual([0o700, 0o600]);
  expect(readdirSync(path)).toEqual(['tap0.json']);
  journals.remove('tap0');
  journals.remove('tap0');
  expect(readdirSync(path)).toEqual([]);
});

test('a write that was cut off leaves the journal before, and the next one takes its place', () => {
  const path = folder.path('cut');
  const journals = new Journals(path);
  journals.write(JOURNAL);
  writeFileSync(`${journals.path('tap0')}.next`, '{"vers');
  expect(journals.read('tap0')).toEqual(JOURNAL);
  journals.write({ ...JOURNAL, phase: 'detaching' });
  expect(journals.read('tap0')).toEqual({ ...JOURNAL, phase: 'detaching' });
});

test('a file that others can write, a link, or one of another tap is not believed', () => {
  const journals = new Journals(folder.path('others'));
  journals.write(JOURNAL);
  chmodSync(journals.path('tap0'), 0o644);
  expect(refusal(folder.path('others'))).toMatch(
    /^bad-journal: .*tap0\.json is not believed: others than its owner may use it/,
  );
  const links = new Journals(folder.path('links'));
  links.makeFolder();
  symlinkSync(journals.path('tap0'), links.path('tap0'));
  expect(refusal(folder.path('links'))).toContain('it is a symbolic link');
});

test.each<[string, unknown]>([
  ['version', 2],
  ['phase', 'done'],
  ['tap', 'tap1'],
  ['tap', '-x'],
  ['tap', 'a/b'],
  ['bridge', 'much-too-long-a-name'],
  ['index', -1],
  ['outsideMac', '02:00'],
  ['names', { outside: 'hf-tap0' }],
  ['offloads', 'some'],
  ['before', null],
  ['before', { ...JOURNAL.before, port: { cost: 5 } }],
  ['before', { ...JOURNAL.before, entries: { vlans: [1], fdb: [], mdb: [] } }],
  ['netns', undefined],
])("a journal whose '%s' is %j is not believed", (name, value) => {
  const text = JSON.stringify({ version: 1, ...JOURNAL, [name]: value });
  expect(() => parseJournal(text, 'tap0')).toThrow(Unbelievable);
});

test.each(['', '{', 'null', '[]', '7'])('%j is no journal', (text) => {
  expect(() => parseJournal(text, 'tap0')).toThrow(Unbelievable);
});
