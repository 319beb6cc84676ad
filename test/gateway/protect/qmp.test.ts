import { createServer } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { allowMigrations, Migration, runOn } from '../../../gateway/protect/migration.ts';
import { QmpClient } from '../../../gateway/protect/qmp.ts';
import { FakeQemu } from '../../support/fake-qemu.ts';
import { temporaryFolder } from '../../support/run-cli.ts';

const folder = temporaryFolder();
let made = 0;
let path: string;
let qemu: FakeQemu;

beforeEach(() => {
  path = folder.path(`qmp${made++}`);
  qemu = new FakeQemu(path);
});
afterEach(() => qemu.die());

/** What `query-status` and `query-migrate` say, one after another; the last for ever. */
function says(...states: readonly (readonly [status: string, copy: string])[]): void {
  let at = 0;
  qemu.answers.set('query-status', () => ({ return: { status: states[Math.min(at, states.length - 1)]![0] } }));
  qemu.answers.set('query-migrate', () => ({ return: { status: states[Math.min(at++, states.length - 1)]![1] } }));
}

it('agrees on capabilities, and knows the version', async () => {
  const client = await QmpClient.connect(path);
  expect(client.version).toBe('7.2.22');
  expect(qemu.commands).toEqual(['qmp_capabilities']);
});

it('gives answers to whoever asked, in any order, and events to who listens', async () => {
  const client = await QmpClient.connect(path);
  qemu.answers.set('slow', () => undefined);
  qemu.answers.set('quick', () => ({ return: 'quick' }));
  const slow = client.execute('slow');
  const seen: unknown[] = [];
  client.listen((event) => seen.push(event));
  expect(await client.execute('quick')).toBe('quick');
  qemu.happen('STOP');
  qemu.say({ return: 'slow', id: 2 });
  expect(await slow).toBe('slow');
  expect(seen).toEqual([{ event: 'STOP', data: {} }]);
});

it('hears what a machine says last, though a command is on its way by then', async () => {
  const client = await QmpClient.connect(path);
  const seen: string[] = [];
  client.listen(({ event }) => seen.push(event));
  qemu.happen('SHUTDOWN');
  qemu.die();
  const late = client.execute('query-status');
  await expect(late).rejects.toMatchObject({ code: 'closed' });
  expect(seen).toEqual(['SHUTDOWN']);
});

it("a command that is refused fails with the machine's words", async () => {
  const client = await QmpClient.connect(path);
  qemu.answers.set('cont', () => ({ error: { class: 'GenericError', desc: 'Migration is not finalized yet' } }));
  await expect(client.execute('cont')).rejects.toMatchObject({
    code: 'refused',
    message: 'cont: Migration is not finalized yet',
  });
});

it('a command without an answer fails in time, and all fail when the machine dies', async () => {
  const client = await QmpClient.connect(path);
  qemu.answers.set('silence', () => undefined);
  await expect(client.execute('silence', {}, 20)).rejects.toMatchObject({ code: 'timeout' });
  const lost = client.execute('silence');
  const lostToo = expect(lost).rejects.toMatchObject({ code: 'closed' });
  qemu.die();
  await lostToo;
  await client.closed;
  await expect(client.execute('anything')).rejects.toMatchObject({ code: 'closed' });
});

it('says whether nobody listens, or somebody who is no QEMU', async () => {
  await expect(QmpClient.connect(folder.path('nobody'))).rejects.toMatchObject({ code: 'unreachable' });
  const other = folder.path('other');
  const server = createServer((socket) => socket.write('220 mail.example.com\r\n')).listen(other);
  await expect(QmpClient.connect(other)).rejects.toMatchObject({ code: 'no-greeting' });
  server.close();
  const silent = folder.path('silent');
  const mute = createServer(() => {}).listen(silent);
  await expect(QmpClient.connect(silent, 20)).rejects.toMatchObject({ code: 'no-greeting' });
  mute.close();
});

it('a copy that completes pauses the machine, which goes on only when QEMU has put the copy away', async () => {
  const client = await QmpClient.connect(path);
  await allowMigrations(client, 100);
  says(['running', 'none'], ['finish-migrate', 'active']);
  const migration = await Migration.start(client, 'unix:/nowhere', true);
  qemu.happen('STOP');
  await migration.stopped;
  says(['postmigrate', 'completed']);
  qemu.happen('MIGRATION', { status: 'completed' });
  await migration.completed;
  qemu.commands.length = 0;
  says(['finish-migrate', 'completed'], ['finish-migrate', 'completed'], ['postmigrate', 'completed']);
  await migration.resume();
  expect(qemu.commands.filter((command) => command === 'query-status')).toHaveLength(3);
  expect(qemu.commands.at(-1)).toBe('cont');
  expect(qemu.commands).not.toContain('migrate_cancel');
});

it('a copy that fails rejects, whether the machine was paused already or not', async () => {
  const client = await QmpClient.connect(path);
  says(['running', 'none']);
  const early = await Migration.start(client, 'unix:/nowhere', true);
  qemu.happen('MIGRATION', { status: 'failed' });
  await expect(early.stopped).rejects.toThrow('failed');
  const late = await Migration.start(client, 'unix:/nowhere', true);
  qemu.happen('STOP');
  qemu.happen('MIGRATION', { status: 'cancelled' });
  await late.stopped;
  await expect(late.completed).rejects.toThrow('cancelled');
  const dead = await Migration.start(client, 'unix:/nowhere', true);
  qemu.die();
  await expect(dead.stopped).rejects.toThrow('gone');
});

it('cancels a copy that somebody left under way, and leaves a machine alone that its owner paused', async () => {
  const client = await QmpClient.connect(path);
  says(['running', 'active'], ['running', 'cancelling'], ['running', 'cancelled']);
  expect(await runOn(client, false)).toBe(false);
  expect(qemu.commands).toContain('migrate_cancel');
  says(['paused', 'none']);
  expect(await runOn(client, false)).toBe(false);
  expect(qemu.commands).not.toContain('cont');
  expect(await runOn(client, true)).toBe(true);
  expect(qemu.commands).toContain('cont');
});
