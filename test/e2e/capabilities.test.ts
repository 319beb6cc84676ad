/** What a process may do after it has confined itself, as the kernel says, and that ports still work. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Netns, noNetnsReason, until } from '../support/netns.ts';

const CHILD = fileURLToPath(new URL('../support/confined-child.ts', import.meta.url));
const NET = (1 << 12) | (1 << 13);
const READ_SEARCH = 1 << 2;
const OVERRIDE = 1 << 1;
/** Nobody's: the files belong to somebody who is not here. */
const STRANGER = 4242;

const reason = noNetnsReason('sysctl');

let folder: string;
let netns: Netns | null;
let children: ChildProcess[];
beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  folder = mkdtempSync(join(tmpdir(), 'holdfast-caps-'));
  netns = null;
  children = [];
});
afterEach(() => {
  for (const child of children ?? []) child.kill('SIGKILL');
  netns?.delete();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

interface Told {
  readonly pid: number;
  readonly confinement: { kept: string[]; exceptions: { path: string; capability: string }[] };
  readonly environment: string[];
  readonly threads: { permitted: string; bounding: string; inheritable: string; noNewPrivileges: boolean }[];
  readonly read: string[];
  readonly touched: string | null;
  readonly child: string;
  readonly links: [string, string][];
}

class Confined {
  readonly child: ChildProcess;
  readonly lines: Record<string, unknown>[] = [];
  errors = '';

  constructor(
    wanted: { reads?: string[]; writes?: string[]; ports?: string[]; touch?: string },
    prefix: string[] = [],
  ) {
    const argument = JSON.stringify({ reads: [], writes: [], ports: [], touch: null, ...wanted });
    const command = [...prefix, process.execPath, '--import', 'tsx', CHILD, argument];
    this.child = spawn(command[0]!, command.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] });
    children.push(this.child);
    let rest = '';
    this.child.stdout!.on('data', (chunk) => {
      const parts = (rest + chunk).split('\n');
      rest = parts.pop()!;
      this.lines.push(...parts.map((line) => JSON.parse(line)));
    });
    this.child.stderr!.on('data', (chunk) => {
      this.errors += chunk;
    });
  }

  async told(): Promise<Told> {
    await until(() => this.lines.length > 0 || this.child.exitCode !== null, 'the child to speak', 60_000);
    if (this.lines.length === 0) throw new Error(this.errors);
    return this.lines[0] as unknown as Told;
  }

  async close(): Promise<void> {
    this.child.stdin!.end();
    await until(() => this.child.exitCode !== null, 'the child to end', 60_000);
    expect([this.child.exitCode, this.errors]).toEqual([0, '']);
  }
}

function distinct<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}

/** A file of root's that only its owner reads, in a folder of the same owner that only he enters. */
function privateFile(owner: number): { folder: string; file: string } {
  const inner = join(folder, `of-${owner}`);
  mkdirSync(inner);
  const file = join(inner, 'some.rules');
  writeFileSync(file, 'outbound { default hold }');
  chmodSync(file, 0o600);
  chownSync(file, owner, owner);
  chmodSync(inner, 0o700);
  chownSync(inner, owner, owner);
  return { folder: inner, file };
}

describe('a process of root that has confined itself', () => {
  test('has two capabilities left in every thread, cannot get others back, and neither can what it starts', async () => {
    const child = new Confined({});
    const { pid, confinement, environment, threads, child: started } = await child.told();
    expect(pid).toBe(child.child.pid);
    expect(confinement).toEqual({ kept: ['CAP_NET_ADMIN', 'CAP_NET_RAW'], exceptions: [] });
    expect(environment).toEqual([]);
    // The first thread, four of V8's, the inspector's, four of libuv's pool, the worker.
    expect(threads.length).toBeGreaterThan(8);
    const two = NET.toString(16);
    expect(distinct(threads.map(({ permitted }) => permitted))).toEqual([two]);
    expect(distinct(threads.map(({ bounding }) => bounding))).toEqual([two]);
    expect(distinct(threads.map(({ inheritable }) => inheritable))).toEqual(['0']);
    expect(distinct(threads.map(({ noNewPrivileges }) => noNewPrivileges))).toEqual([true]);
    expect(started).toBe(two);
    await child.close();
  });

  test('opens its ports, opens them again when their devices are made anew, and leaves them as they were', async () => {
    netns = new Netns('caps');
    const other = new Netns('caps-peer');
    try {
      netns.veth('inside', other, 'eth0');
      netns.run('sysctl', '-qw', 'net.ipv6.conf.inside.disable_ipv6=0');
      const child = new Confined({ ports: ['inside'] }, ['ip', 'netns', 'exec', netns.name]);
      const { links, threads } = await child.told();
      expect(links).toEqual([['inside', 'up']]);
      expect(distinct(threads.map(({ permitted }) => permitted))).toEqual([NET.toString(16)]);
      const ipv6 = () => netns!.run('sysctl', '-n', 'net.ipv6.conf.inside.disable_ipv6').trim();
      expect(ipv6()).toBe('1');
      netns.run('ip', 'link', 'del', 'inside');
      await until(() => child.lines.some(({ link }) => link === 'absent'), 'the link to be gone', 30_000);
      netns.veth('inside', other, 'eth0');
      netns.run('sysctl', '-qw', 'net.ipv6.conf.inside.disable_ipv6=0');
      await until(() => child.lines.at(-1)?.link === 'up', 'the link to be back', 30_000);
      expect(netns.run('tc', 'filter', 'show', 'dev', 'inside', 'ingress')).toContain('bpf');
      await child.close();
      expect(netns.run('tc', 'filter', 'show', 'dev', 'inside', 'ingress')).toBe('');
    } finally {
      other.delete();
    }
  });

  test("reads root's own files, and makes and removes files in root's own folders", async () => {
    const { folder: inner, file } = privateFile(0);
    const child = new Confined({ reads: [file], writes: [inner], touch: join(inner, 'made') });
    const { confinement, read, touched } = await child.told();
    expect(confinement.exceptions).toEqual([]);
    expect([read, touched]).toEqual([['outbound { default hold }'], 'done']);
    await child.close();
  });

  test("keeps what it takes to read somebody else's file that it is told to read, and says so", async () => {
    const { folder: inner, file } = privateFile(STRANGER);
    const child = new Confined({ reads: [file], touch: join(inner, 'made') });
    const { confinement, threads, read, touched } = await child.told();
    expect(confinement).toEqual({
      kept: ['CAP_DAC_READ_SEARCH', 'CAP_NET_ADMIN', 'CAP_NET_RAW'],
      exceptions: [{ path: file, capability: 'CAP_DAC_READ_SEARCH' }],
    });
    expect(distinct(threads.map(({ permitted }) => permitted))).toEqual([(NET | READ_SEARCH).toString(16)]);
    expect([read, touched]).toEqual([['outbound { default hold }'], 'EACCES']);
    await child.close();
  });

  test("keeps what it takes to write in somebody else's folder that it is told to write in, also one yet to be made", async () => {
    const { folder: inner } = privateFile(STRANGER);
    const child = new Confined({ writes: [join(inner, 'deep', 'deeper')], touch: join(inner, 'made') });
    const { confinement, threads, touched } = await child.told();
    expect(confinement.exceptions).toEqual([{ path: inner, capability: 'CAP_DAC_OVERRIDE' }]);
    expect(distinct(threads.map(({ permitted }) => permitted))).toEqual([(NET | OVERRIDE).toString(16)]);
    expect(touched).toBe('done');
    await child.close();
  });

  test('a file that is not there is for whoever opens it to complain of', async () => {
    const child = new Confined({ reads: [join(folder, 'nothing')] });
    const { confinement, read } = await child.told();
    expect([confinement.exceptions, read]).toEqual([[], ['ENOENT']]);
    await child.close();
  });
});

describe('started with less', () => {
  const tried = spawnSync('setpriv', ['--reuid', '65534', '--clear-groups', 'cat', CHILD]);
  const notHere =
    tried.error === undefined ? "the project's folder is closed to other users" : 'not installed: setpriv (util-linux)';
  beforeEach(({ skip }) => {
    skip(tried.status !== 0, notHere);
  });

  test('a user without capabilities has none, and cannot get any', async () => {
    const child = new Confined({}, ['setpriv', '--reuid', '65534', '--clear-groups', '--inh-caps', '-all']);
    const { confinement, threads } = await child.told();
    expect(confinement).toEqual({ kept: [], exceptions: [] });
    expect(distinct(threads.map(({ permitted, noNewPrivileges }) => `${permitted} ${noNewPrivileges}`))).toEqual([
      '0 true',
    ]);
    await child.close();
  });

  test('a user who was given ambient capabilities keeps the two of them', async () => {
    const caps = '+net_admin,+net_raw,+sys_admin';
    const child = new Confined({}, [
      ...['setpriv', '--reuid', '65534', '--clear-groups', '--inh-caps', caps, '--ambient-caps', caps],
    ]);
    const { confinement, threads } = await child.told();
    expect(confinement.kept).toEqual(['CAP_NET_ADMIN', 'CAP_NET_RAW']);
    expect(distinct(threads.map(({ permitted }) => permitted))).toEqual([NET.toString(16)]);
    await child.close();
  });

  test('root that may not change its bounding set drops the rest for good all the same', async () => {
    const child = new Confined({}, ['setpriv', '--bounding-set', '-setpcap']);
    const { threads, child: started } = await child.told();
    expect(distinct(threads.map(({ permitted }) => permitted))).toEqual([NET.toString(16)]);
    expect(started).toBe(NET.toString(16));
    await child.close();
  });
});
