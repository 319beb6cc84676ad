/** Where a machine sends its memory: reached by the machine's user, and by nobody else. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { dirname } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ImageRelay } from '../../../gateway/protect/image-relay.ts';
import { SLOW_MS } from '../../support/cli-process.ts';
import { DriverRig } from '../../support/driver-rig.ts';
import { until } from '../../support/netns.ts';
import { withoutPrograms } from '../../support/programs.ts';
import { temporaryFolder } from '../../support/run-cli.ts';

const QEMU = 'qemu-system-x86_64';
/** Users without names. */
const [MACHINE, STRANGER] = [64_055, 64_056];

const folders = temporaryFolder();
const isRoot = process.getuid!() === 0;
let made = 0;
let place: string;
let qmp: string;

beforeEach(() => {
  place = folders.path(`place${made++}`);
  mkdirSync(place);
  qmp = `${place}/vm.qmp`;
});

/** Somebody's QMP socket. */
async function listening(path = qmp): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return server;
}

describe('a socket', () => {
  let server: Server;
  let relay: ImageRelay | null;
  beforeEach(async () => {
    server = await listening();
    relay = null;
  });
  afterEach(() => {
    relay?.close();
    server.close();
  });

  it("lies in a folder of its own beside the machine's, which goes with it", async () => {
    relay = await ImageRelay.open(qmp);
    expect(relay.uri).toBe(`unix:${qmp}.image/socket`);
    expect(lstatSync(`${qmp}.image`).mode & 0o7777).toBe(0o700);
    relay.close();
    relay = null;
    expect(readdirSync(place)).toEqual(['vm.qmp']);
  });

  it('takes the place of one that a killed driver has left', async () => {
    const script = `require('net').createServer().listen('${qmp}.image/socket', () => process.kill(process.pid, 'SIGKILL'))`;
    mkdirSync(`${qmp}.image`, { mode: 0o777 });
    spawnSync(process.execPath, ['-e', script]);
    expect(readdirSync(`${qmp}.image`)).toEqual(['socket']);
    relay = await ImageRelay.open(qmp);
    expect(lstatSync(`${qmp}.image`).mode & 0o7777).toBe(0o700);
    expect(relay.uri).toBe(`unix:${qmp}.image/socket`);
  });

  it('is named in full, for a machine that was started in another folder', async () => {
    const here = process.cwd();
    process.chdir(place);
    try {
      relay = await ImageRelay.open('vm.qmp');
    } finally {
      process.chdir(here);
    }
    expect(relay.uri).toBe(`unix:${qmp}.image/socket`);
  });

  it('lies elsewhere where its path would be too long for a socket', async () => {
    server.close();
    const long = `${place}/${'x'.repeat(100 - place.length)}`;
    server = await listening(long);
    relay = await ImageRelay.open(long);
    expect(relay.uri).toMatch(/^unix:.*holdfast-image-\w+\/socket$/);
    const folder = dirname(relay.uri.slice('unix:'.length));
    relay.close();
    relay = null;
    expect([existsSync(folder), readdirSync(place)]).toEqual([false, [long.slice(place.length + 1)]]);
  });

  it.each([
    ['a link to a folder', () => symlinkSync(place, `${qmp}.image`)],
    ['a file', () => writeFileSync(`${qmp}.image`, '')],
    [
      'a folder that has something else in its place',
      () => {
        mkdirSync(`${qmp}.image`);
        writeFileSync(`${qmp}.image/socket`, '');
      },
    ],
  ])('is not made in %s: that is said in one line, and nothing is changed', async (_, make) => {
    make();
    const before = lstatSync(`${qmp}.image`);
    await expect(ImageRelay.open(qmp)).rejects.toMatchObject({
      code: 'no-image-socket',
      message: expect.stringMatching(/^no socket for the machine's memory: [^\n]+$/),
    });
    const after = lstatSync(`${qmp}.image`);
    expect([after.uid, after.ino]).toEqual([before.uid, before.ino]);
  });

  it("is not made in a folder of somebody who is neither the machine's user nor we", async ({ skip }) => {
    skip(!isRoot, 'needs root');
    mkdirSync(`${qmp}.image`);
    chownSync(`${qmp}.image`, STRANGER, STRANGER);
    await expect(ImageRelay.open(qmp)).rejects.toThrow(`somebody else's (uid ${STRANGER})`);
    expect(lstatSync(`${qmp}.image`).uid).toBe(STRANGER);
  });
});

/** A socket is bound before it can be connected to. */
function isThere(path: string): boolean {
  return existsSync(path) && connectedAs(0, path) === 'connected';
}

/** @returns what became of an attempt of this user to connect there */
function connectedAs(uid: number, path: string): string {
  const script = `require('net').connect('${path}').on('connect', () => done('connected')).on('error', ({ code }) => done(code));
    const done = (what) => { console.log(what); process.exit(); }`;
  return spawnSync(process.execPath, ['-e', script], { uid, gid: uid, encoding: 'utf8', cwd: '/' }).stdout.trim();
}

describe('a machine of another user', () => {
  const reason = isRoot ? withoutPrograms(QEMU) : 'needs root';
  let machine: ChildProcess | null;
  let rig: DriverRig | null;
  beforeEach(({ skip }) => {
    machine = null;
    rig = null;
    skip(reason !== null, reason ?? '');
  });
  afterEach(async () => {
    await rig?.close();
    machine?.kill('SIGKILL');
  });

  it('is copied by a driver of root, and nobody but the two can send in its stead', async () => {
    chmodSync(dirname(place), 0o711);
    chownSync(place, MACHINE, MACHINE);
    const shape = ['-machine', 'q35,accel=tcg', '-m', '32', '-nodefaults', '-display', 'none'];
    machine = spawn(QEMU, [...shape, '-qmp', `unix:${qmp},server=on,wait=off`], {
      ...{ uid: MACHINE, gid: MACHINE, stdio: 'ignore', cwd: '/' },
    });
    await until(() => isThere(qmp), 'the machine', SLOW_MS);
    rig = await DriverRig.open(folders.path(`rig${made}`));
    for (const round of [1, 2]) {
      rig.protect({ qmp });
      await rig.commits(2);
      const path = `${qmp}.image/socket`;
      const reached = [MACHINE, STRANGER].map((uid) => connectedAs(uid, path));
      expect(reached, `round ${round}`).toEqual(['connected', 'EACCES']);
      rig.driver!.stop();
      await rig.outcome;
    }
    expect(readdirSync(place)).toEqual(['vm.qmp']);
  });
});
