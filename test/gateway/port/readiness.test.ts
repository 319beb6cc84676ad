import { spawnSync } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import koffi from 'koffi';
import { afterEach, describe, expect, test } from 'vitest';
import { koffiPolls, type Polls, uvPolls } from '../../../gateway/port/polls.ts';
import { Readiness } from '../../../gateway/port/readiness.ts';
import { leaveNetns, Netns, noNetnsReason, until } from '../../support/netns.ts';

const c = koffi.load(null);
const eventfd = c.func('int eventfd(unsigned int, int)');
const socket = c.func('int socket(int, int, int)');
const read = c.func('long read(int, _Out_ uint8_t *, size_t)');
const write = c.func('long write(int, const uint8_t *, size_t)');
const getsockopt = c.func('int getsockopt(int, int, int, _Out_ int *, _Inout_ int *)');
const close = c.func('int close(int)');
const folder = new URL('../../../gateway/port/', import.meta.url).pathname;
const NONBLOCK = 0o4000;
const AF_PACKET = 17;
const SOCK_RAW = 3;
/** ETH_P_ALL, in network order. */
const EVERYTHING = 0x0300;
const SOL_SOCKET = 1;
const SO_ERROR = 4;

const open: number[] = [];
afterEach(() => {
  for (const fd of open.splice(0)) close(fd);
});

/** @returns a descriptor that is readable until it is read */
function readable(count = 1): number {
  const fd = eventfd(count, NONBLOCK) as number;
  open.push(fd);
  return fd;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const nothing = () => {};
const ways: readonly (readonly [string, () => Polls | null])[] = [
  ["koffi's polls", () => koffiPolls],
  ["libuv's functions", uvPolls],
];

describe.each(ways)('%s', (name, way) => {
  const polls = way();
  const watch = (fd: number, listener: () => void, failed: () => void = nothing) =>
    new Readiness(fd, listener, failed, polls!);
  const runProgram = (text: string) => {
    const source = `
      import koffi from 'koffi';
      import { koffiPolls, uvPolls } from '${folder}polls.ts';
      import { Readiness } from '${folder}readiness.ts';
      const polls = ${name.startsWith('koffi') ? 'koffiPolls' : 'uvPolls()'};
      const fd = koffi.load(null).func('int eventfd(unsigned int, int)')(1, 0);
      ${text}`;
    const parameters = ['--expose-gc', '--import', 'tsx', '--input-type=module', '--eval', source];
    return spawnSync(process.execPath, parameters, { encoding: 'utf8', timeout: 60_000 });
  };

  test('are there', () => expect(polls).not.toBeNull());

  test('what a listener throws ends the process, as it does everywhere else', () => {
    const { status, stderr } = runProgram(`
      let calls = 0;
      new Readiness(fd, () => {
        calls++;
        if (calls === 3) throw new Error('a broken invariant');
      }, () => {}, polls);`);
    expect(stderr).toContain('Error: a broken invariant');
    expect(status).toBe(1);
  });

  test('a watch keeps the process running and is not collected, though nobody else knows of it', () => {
    const { status, stdout } = runProgram(`
      let calls = 0;
      new Readiness(fd, () => {
        if (calls++ % 10 === 0) gc();
        if (calls === 200) console.log('still called');
        if (calls === 200) process.exit(0);
      }, () => {}, polls);`);
    expect(stdout).toBe('still called\n');
    expect(status).toBe(0);
  });

  test('a process whose watches are closed ends', () => {
    const { status, stdout } = runProgram(`
      const one = new Readiness(fd, () => one.close(), () => {}, polls);
      process.on('exit', () => console.log('over'));`);
    expect(stdout).toBe('over\n');
    expect(status).toBe(0);
  });

  test('each watch hears of its own descriptor, again and again, until it is closed', async () => {
    const calls = [0, 0];
    const [first, second] = calls.map((_, i) => watch(readable(), () => calls[i]!++));
    while (calls[0]! < 10 || calls[1]! < 10) await turn();
    first!.close();
    const [before, other] = calls as [number, number];
    while (calls[1]! < other + 10) await turn();
    expect(calls[0]).toBe(before);
    second!.close();
  });

  test('a watch is silent while nothing is there', async () => {
    const fd = readable(0);
    let calls = 0;
    const one = watch(fd, () => {
      calls++;
      read(fd, new Uint8Array(8), 8);
    });
    for (let n = 0; n < 20; n++) await turn();
    expect(calls).toBe(0);
    write(fd, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0), 8);
    await until(() => calls > 0, 'the listener to be called');
    for (let n = 0; n < 20; n++) await turn();
    expect(calls).toBe(1);
    one.close();
  });

  test('a descriptor can be watched and let go thousands of times, within one turn of the loop', async () => {
    const fd = readable();
    for (let n = 0; n < 10_000; n++) watch(fd, nothing).close();
    let calls = 0;
    const last = watch(fd, () => calls++);
    while (calls === 0) await turn();
    last.close();
  });

  test('a listener may close its own watch and others, and open new ones', async () => {
    const heard: string[] = [];
    const fds = [readable(), readable()];
    const both = fds.map((fd, i) =>
      watch(fd, () => {
        heard.push(`old ${i}`);
        for (const one of both) one.close();
        again = watch(fd, () => heard.push(`new ${i}`));
      }),
    );
    let again: Readiness | null = null;
    await until(() => heard.length > 5, 'the new watch to hear');
    expect(heard[0]).toMatch(/^old/);
    expect(heard.slice(1).every((text) => text === heard[0]!.replace('old', 'new'))).toBe(true);
    again!.close();
    again!.close();
  });

  test('a socket whose device goes down has failed, and can be watched again', async ({ skip }) => {
    const reason = noNetnsReason('sysctl');
    skip(reason !== null, reason ?? '');
    const netns = new Netns('ready');
    try {
      netns.veth('near', netns, 'far');
      netns.enter();
      const fd = socket(AF_PACKET, SOCK_RAW, EVERYTHING) as number;
      leaveNetns();
      open.push(fd);
      const index = Number(/^(\d+):/.exec(netns.run('ip', '-o', 'link', 'show', 'near'))![1]);
      const address = new Uint8Array(20);
      new DataView(address.buffer).setUint16(0, AF_PACKET, true);
      new DataView(address.buffer).setUint16(2, EVERYTHING, true);
      new DataView(address.buffer).setInt32(4, index, true);
      expect(c.func('int bind(int, const uint8_t *, unsigned int)')(fd, address, 20)).toBe(0);
      let failures = 0;
      watch(fd, nothing, () => failures++);
      netns.run('ip', 'link', 'set', 'near', 'down');
      await until(() => failures > 0, 'the failure');
      getsockopt(fd, SOL_SOCKET, SO_ERROR, [0], [4]);
      for (let n = 0; n < 20; n++) await turn();
      expect(failures).toBe(1);
      const again = watch(fd, nothing, () => failures++);
      for (let n = 0; n < 20; n++) await turn();
      expect(failures).toBe(1);
      again.close();
    } finally {
      netns.delete();
    }
  });
});

test('a descriptor that nothing can be heard of is refused', () => {
  expect(() => uvPolls()!.watch(9999, nothing)).toThrow('EBADF');
});

test('in a worker libuv is left alone', async () => {
  const source = `
    const { parentPort } = require('node:worker_threads');
    import('tsx/esm/api').then(async ({ register }) => {
      register();
      const { default: koffi } = await import('koffi');
      const { uvPolls } = await import('${folder}polls.ts');
      const { Readiness } = await import('${folder}readiness.ts');
      const fd = koffi.load(null).func('int eventfd(unsigned int, int)')(1, 0);
      let calls = 0;
      const one = new Readiness(fd, () => {
        if (++calls < 10) return;
        one.close();
        parentPort.postMessage(uvPolls() === null ? 'heard without libuv' : 'heard');
      }, () => {});
    });`;
  const worker = new Worker(source, { eval: true });
  const said = await new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  expect(said).toBe('heard without libuv');
  expect(await new Promise((resolve) => worker.once('exit', resolve))).toBe(0);
});
