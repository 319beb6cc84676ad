import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs';
import koffi from 'koffi';

const ENV = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
const CLONE_NEWNET = 0x40000000;
const OWN = '/proc/thread-self/ns/net';
let made = 0;
/** The network namespace that this process began in; -1: it has never left. */
let home = -1;

/** Why network namespaces cannot be used here, or one of the programs not; null where they can. */
export function noNetnsReason(...programs: readonly string[]): string | null {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  const folders = ENV.PATH.split(':');
  const missing = ['ip', ...programs].filter(
    (program) => !folders.some((folder) => existsSync(`${folder}/${program}`)),
  );
  if (missing.length > 0) return `not installed: ${missing.join(', ')}`;
  const name = `holdfast-try-${process.pid}`;
  const { status, stderr } = spawnSync('ip', ['netns', 'add', name], { env: ENV });
  if (status !== 0) return `no network namespaces: ${String(stderr).trim()}`;
  // In a chroot whose root is no mount point they can be made, and not be entered.
  const entered = spawnSync('ip', ['netns', 'exec', name, 'true'], { env: ENV });
  spawnSync('ip', ['netns', 'del', name], { env: ENV });
  return entered.status === 0 ? null : `no network namespaces: ${String(entered.stderr).trim()}`;
}

/** A network namespace of its own, with hands. Delete it in any case: its devices and what still runs in it go with it. */
export class Netns {
  readonly name: string;
  readonly #running = new Set<ChildProcess>();

  constructor(label: string) {
    this.name = `holdfast-${label}-${process.pid}-${made++}`;
    run('ip', ['netns', 'add', this.name]);
    this.run('ip', 'link', 'set', 'lo', 'up');
  }

  delete(): void {
    for (const child of this.#running) child.kill('SIGKILL');
    spawnSync('ip', ['netns', 'del', this.name], { env: ENV });
  }

  /** Runs a program in the namespace. @returns what it prints @throws if it fails */
  run(program: string, ...parameters: readonly string[]): string {
    // `ip` goes there by itself.
    if (program === 'ip') return run('ip', ['-n', this.name, ...parameters]);
    return run('ip', ['netns', 'exec', this.name, program, ...parameters]);
  }

  /** Starts a program in the namespace, which ends with the namespace at the latest. */
  start(program: string, ...parameters: readonly string[]): Program {
    const child = spawn('ip', ['netns', 'exec', this.name, program, ...parameters], { env: ENV });
    this.#running.add(child);
    child.once('exit', () => this.#running.delete(child));
    return new Program(child, [program, ...parameters].join(' '));
  }

  /** A veth pair: `device` here, `peer` in the other namespace, both up, without IPv6. */
  veth(device: string, other: Netns, peer: string): void {
    this.run('ip', 'link', 'add', device, 'type', 'veth', 'peer', 'name', peer, 'netns', other.name);
    this.quietUp(device);
    other.quietUp(peer);
    // Until the kernel has looked at a link that has a carrier now, it drops what is sent. Asked for one device, it looks first.
    this.run('ip', 'link', 'show', 'dev', device);
  }

  /** Sets the device up; the kernel sends nothing over it by itself. */
  quietUp(device: string): void {
    const before = openSync(OWN, 'r');
    try {
      join(`/run/netns/${this.name}`);
      writeFileSync(`/proc/sys/net/ipv6/conf/${device}/disable_ipv6`, '1');
    } finally {
      join(`/proc/self/fd/${before}`);
      closeSync(before);
    }
    this.run('ip', 'link', 'set', device, 'up');
  }

  /**
   * Waits until the kernel has looked at every Ethernet link that has a carrier, which it does a moment after that has come: what is told of
   * the links does not change by itself then.
   */
  async settled(): Promise<void> {
    type Link = { readonly operstate: string; readonly flags: readonly string[] };
    const isOpen = ({ operstate, flags }: Link) =>
      flags.includes('LOWER_UP') && !flags.includes('LOOPBACK') && operstate !== 'UP';
    const links = (): Link[] => JSON.parse(this.run('ip', '-j', 'link', 'show'));
    await until(() => !links().some(isOpen), 'the links to be up');
  }

  /** This process moves into the namespace: sockets that it opens, and devices that it names, are there. */
  enter(): void {
    if (home < 0) home = openSync(OWN, 'r');
    join(`/run/netns/${this.name}`);
  }
}

/** This process goes back to the network namespace that it began in. */
export function leaveNetns(): void {
  if (home < 0) return;
  join(`/proc/self/fd/${home}`);
}

/** This thread, and what it starts from now on, is in the network namespace that `path` is. */
function join(path: string): void {
  const fd = openSync(path, 'r');
  try {
    if (setns(fd, CLONE_NEWNET) !== 0) throw new Error(`cannot enter the network namespace ${path}`);
  } finally {
    closeSync(fd);
  }
}

/** A program that runs. */
export class Program {
  readonly child: ChildProcess;
  output = '';
  readonly #ended: Promise<number | null>;
  readonly #command: string;

  constructor(child: ChildProcess, command: string) {
    this.child = child;
    this.#command = command;
    child.stdout!.on('data', (text) => (this.output += text));
    child.stderr!.on('data', (text) => (this.output += text));
    this.#ended = new Promise((resolve) => child.once('close', resolve));
  }

  /** @returns what it printed, once it has ended by itself @throws if it failed */
  async done(): Promise<string> {
    const code = await this.#ended;
    if (code !== 0) throw new Error(`${this.#command}: exit code ${code}\n${this.output}`);
    return this.output;
  }

  /** Ends it. @returns what it printed */
  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<string> {
    this.child.kill(signal);
    await this.#ended;
    return this.output;
  }

  /** Waits until it has printed `text`. */
  async says(text: string, ms?: number): Promise<void> {
    await until(() => this.output.includes(text), `${this.#command} to say ${text}`, ms);
  }
}

/** Waits until something is so. @throws after `ms` */
export async function until(condition: () => boolean | Promise<boolean>, what: string, ms = 30_000): Promise<void> {
  const end = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited ${ms} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const setns = koffi.load(null).func('int setns(int, int)') as (fd: number, type: number) => number;

function run(program: string, parameters: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, parameters, { env: ENV, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${parameters.join(' ')}: ${error?.message ?? stderr}`);
  return stdout;
}
