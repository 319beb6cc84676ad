import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HostClient } from '../../gateway/host/client.ts';
import type { VmClient } from '../../gateway/host/vm-client.ts';
import type { Address } from '../../gateway/protect/address.ts';
import { CheckpointDriver } from '../../gateway/protect/checkpoint-driver.ts';
import { DiskMirrors } from '../../gateway/protect/disk-mirrors.ts';
import type { DriverEvent, DriverOutcome } from '../../gateway/protect/driver-events.ts';
import type { DriverOptions } from '../../gateway/protect/driver-options.ts';
import { QmpClient } from '../../gateway/protect/qmp.ts';
import { RamDelta } from '../../gateway/protect/ram-delta.ts';
import type { FailoverReport } from '../../gateway/protect/standby-api.ts';
import { StandbyLink } from '../../gateway/protect/standby-link.ts';
import { CliProcess, SLOW_MS } from './cli-process.ts';
import { CountingClient } from './counting-client.ts';
import { guestCommand, makeDisk, NO_CONSOLE, sharedMemory, VM_DISK, VM_GUEST } from './guest.ts';
import { leaveNetns, Netns, until } from './netns.ts';
import { HOLDFAST } from './run-cli.ts';

export interface VmSceneOptions {
  /** A shipped set, or the text of one. */
  readonly rules: string;
  /** There are two hosts with a gateway each, and the one of the standby's host takes over. */
  readonly takesOver?: boolean;
  readonly standbyFlags?: readonly string[];
  /** Where standbys are reached, and what tells them to listen there; default: a unix socket. */
  readonly standbyAt?: { readonly address: Address; readonly flags: readonly string[] };
  /** The VM has a disk in each place. `mirrored`: by driver and standby. `alone`: they know nothing of it. */
  readonly disk?: 'mirrored' | 'alone';
  /** Another one beside it. */
  readonly hasSecondDisk?: boolean;
  /** Machines have their memory in shared files, and what has changed there is copied. */
  readonly delta?: boolean;
}

/** Of the hosts to each other, with `takesOver`. */
export const HOSTS = { ip4: ['10.78.0.1', '10.78.0.2'] } as const;

/**
 * A VM in QEMU that has booted, its gateway between it and a client's network, a standby, and a driver in this process. Places are
 * numbered: the VM begins in place 0, and each failover takes it to the next. With `takesOver` even places are on one host, odd ones on
 * the other, and the device `between` leads from one to the other.
 */
export class VmScene {
  readonly folder = mkdtempSync(join(tmpdir(), 'holdfast-vm-'));
  readonly network = new Netns('vm-network');
  /** By place: one for all, or two in turn. */
  readonly hosts: readonly Netns[];
  readonly events: DriverEvent[] = [];
  /** Of the VM's place. */
  gateway!: CliProcess;
  /** With `takesOver`: that of the other host. */
  #nextGateway: CliProcess | null = null;
  standby!: CliProcess;
  driver: CheckpointDriver | null = null;
  outcome: Promise<DriverOutcome> | null = null;
  /** Where the VM is. */
  place = 0;
  /** The first machine, which lives on where its VM is told to go on elsewhere. */
  #first: ChildProcess | null = null;
  #machinePid = 0;
  readonly #options: VmSceneOptions;
  readonly #running: CliProcess[] = [];
  /** Those of `protectByCommand`. */
  readonly #drivers: CliProcess[] = [];
  readonly #clients: HostClient[] = [];
  /** Of machines whose memory is a file: a disk would be written all the time. */
  readonly #memory = join(hasRoom('/dev/shm') ? '/dev/shm' : this.folder, basename(this.folder));

  constructor(options: VmSceneOptions) {
    this.#options = options;
    const { network } = this;
    this.hosts = (options.takesOver === true ? ['vm-host0', 'vm-host1'] : ['vm-hosts']).map((name) => new Netns(name));
    network.run('ip', 'link', 'add', 'br0', 'type', 'bridge');
    for (const [number, host] of this.hosts.entries()) {
      host.veth(`outside${number}`, network, `host${number}`);
      network.run('ip', 'link', 'set', `host${number}`, 'master', 'br0');
    }
    const [one, other] = this.hosts;
    if (other !== undefined) {
      one!.veth('between', other, 'between');
      for (const [number, host] of this.hosts.entries()) {
        host.run('ip', 'addr', 'add', `${HOSTS.ip4[number]}/24`, 'dev', 'between');
      }
    }
    network.quietUp('br0');
    // A client whose VM was away for a while asks again soon, and not after as long once more; and, because each of its attempts counts, as
    // often as it may. Kernels before 6.15 do not know the first of these.
    for (const setting of ['tcp_rto_max_ms=1000', 'tcp_retries2=255', 'tcp_syn_retries=127']) {
      network.run('sysctl', '-qew', `net.ipv4.${setting}`);
    }
    network.run('sysctl', '-qw', 'net.ipv6.conf.br0.disable_ipv6=0');
    network.run('ip', 'addr', 'add', '10.77.0.2/24', 'dev', 'br0');
    network.run('ip', '-6', 'addr', 'add', 'fd77::2/64', 'dev', 'br0', 'nodad');
    // On a busy machine an answer that waits for its checkpoint comes too late for who asks three times.
    for (const address of [VM_GUEST.ip4, VM_GUEST.ip6]) {
      network.run('ip', 'neigh', 'add', address, 'lladdr', VM_GUEST.mac, 'nud', 'permanent', 'dev', 'br0');
    }
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Where the standby keeps images for a machine in this place. */
  images(place: number): string {
    return this.#options.delta === true ? join(this.#memory, `images${place}`) : this.path(`images${place}`);
  }

  /** Machine, gateways and standby. @param booted a state to go on from; see `bootedGuest` */
  async start(booted: string): Promise<void> {
    // Machines wait for their gateways, which go there, and these for them.
    this.gateway = this.startGateway(0);
    if (this.#options.takesOver === true) this.#nextGateway = this.startGateway(1);
    const gateways = [this.gateway, this.#nextGateway].map((gateway) => gateway?.says('ready'));
    await Promise.all([this.#startMachine(booted), this.startStandby(), ...gateways]);
  }

  /** The other host, whose gateway died and has taken nothing over, becomes the one of the next place. */
  async tookOver(): Promise<void> {
    await this.gateway.ended;
    this.gateway = this.#nextGateway!;
    this.#nextGateway = this.startGateway(this.place + 1);
    await Promise.all([this.startStandby(), this.#nextGateway.says('ready')]);
  }

  /** `holdfast run` with its host's link to the network, and one to a machine in this place. */
  startGateway(place: number): CliProcess {
    const host = this.#hostOf(place);
    const parameters = [
      ...['run', '--name', 'vm0', '--replicated', '--rules', this.#rules()],
      ...['--inside', `stream-connect:unix:${this.path(`wire${place}`)}`, '--outside', `outside${host}`],
      ...['--control', this.path(`control${host}`)],
    ];
    return this.cli(parameters, place);
  }

  /** `holdfast standby` in the place after the VM's. @param flags besides those of the scene */
  async startStandby(...flags: readonly string[]): Promise<void> {
    const takesOver = this.#options.takesOver === true;
    const next = this.place + 1;
    const wire = this.path(`wire${next}`);
    const listen = this.#options.standbyAt?.flags ?? ['--listen', `unix:${this.path(`standby${next}`)}`];
    const disks = this.#makeDisks(next);
    // Of a machine that is no more.
    if (this.#options.delta === true) rmSync(this.images(this.place - 1), { recursive: true, force: true });
    const parameters = [
      ...['standby', '--json', '--vm', 'vm0', ...listen, '--images', this.images(next)],
      ...(this.#options.delta === true ? ['--delta'] : []),
      ...['--control', this.path(`control${this.#hostOf(next)}`)],
      ...(takesOver ? ['--takeover'] : ['--inside', `stream-connect:unix:${wire}`]),
      ...['--qmp', this.path(`qmp${next}`), ...(this.#options.standbyFlags ?? []), ...flags],
      ...this.#mirrored.flatMap((name) => ['--disk', `${name}=${this.disk(next, name)}`]),
      ...['--', ...guestCommand(wire, disks), ...this.#ram(next), ...NO_CONSOLE, ...this.#eye(next)],
    ];
    this.standby = this.cli(parameters, next);
    await this.standby.says('ready');
  }

  /** A driver of the VM's machine; in this process, so that a test can meddle with it. */
  protect(
    options: Partial<DriverOptions> = {},
    gateway: (host: HostClient) => VmClient = (host) => host.vm('vm0'),
  ): void {
    const host = this.client(this.place);
    const driver = new CheckpointDriver({
      vm: 'vm0',
      qmp: this.path(`qmp${this.place}`),
      gateway: gateway(host),
      heldFrames: async () => (await host.call('status', {})).vms[0]!.heldFrames,
      standby: this.#standbyAddress(),
      pace: { kind: 'fixed', intervalMs: 25 },
      delta: this.#options.delta === true ? new RamDelta(null) : null,
      isDeltaOptional: false,
      isLive: null,
      leaseMs: 10_000,
      patienceMs: 10_000,
      downtimeLimitMs: 100,
      confirmTimeoutMs: SLOW_MS,
      disk: this.#options.disk === 'mirrored' ? this.mirrors() : null,
      onEvent: (event) => this.events.push(event),
      ...options,
    });
    this.driver = driver;
    this.outcome = driver.run();
    // Whoever does not wait for it sees by `status` how it goes.
    this.outcome.catch(() => {});
  }

  /** Whoever protects the VM ends. Its term stays in force. */
  async unprotect(): Promise<void> {
    this.driver?.stop();
    await Promise.all([this.outcome, ...this.#drivers.splice(0).map((driver) => driver.kill('SIGTERM'))]);
  }

  /** What a driver mirrors the VM's disk with. */
  mirrors(): DiskMirrors {
    const onCopy = (is: 'copying' | 'mirrored', bytes: number) => {
      this.events.push({ event: 'disks', is, names: this.#mirrored, bytes });
    };
    return new DiskMirrors({ names: this.#mirrored, address: null, tlsFolder: null, onCopy });
  }

  /** Waits for so many more checkpoints. */
  async commits(count: number): Promise<void> {
    const { committed } = this.driver!.status;
    const isDone = () => this.driver!.status.committed >= committed + count;
    await until(isDone, `${count} checkpoints`, SLOW_MS).catch((error) => {
      const others = this.#running.map(({ stdout, stderr }) => `${stdout.slice(-1500)}\n${stderr.slice(-1500)}`);
      const told = JSON.stringify([this.driver?.status, this.events.slice(-5)]);
      throw new Error([error.message, told, ...others].join('\n'));
    });
  }

  /** Waits until the gateway has sealed an epoch: its image is on its way, and the machine is paused. */
  sealed(): Promise<void> {
    return this.gatewayDoes('seal');
  }

  /** Waits until the gateway of the VM's place has done so. */
  async gatewayDoes(what: 'seal' | 'failover'): Promise<void> {
    await (await this.listenFor(what)).done;
  }

  /** Listens to the gateway of the VM's place: whatever is begun afterwards is heard of. @returns `done`: it has done so */
  async listenFor(what: 'seal' | 'failover'): Promise<{ readonly done: Promise<void> }> {
    const host = this.client(this.place);
    let isDone = () => {};
    const done = new Promise<void>((resolve) => (isDone = resolve));
    await host.subscribe(['epoch'], ({ change }) => {
      if (change === what) isDone();
    });
    return { done: done.finally(() => host.close()) };
  }

  /** Waits for the driver's next event of this kind. */
  async says(event: DriverEvent['event']): Promise<void> {
    const from = this.events.length;
    await until(() => this.events.slice(from).some((one) => one.event === event), event, SLOW_MS);
  }

  /** SIGKILL, as a machine dies; or another one. */
  killMachine(signal: NodeJS.Signals = 'SIGKILL'): void {
    process.kill(this.#machinePid, signal);
  }

  /** Waits until the VM goes on at its standby. @returns what the standby tells of that */
  async moved(): Promise<FailoverReport> {
    await this.standby.says('"event":"failover"');
    this.#machinePid = (await this.askStandby((link) => link.call('status', {}))).pid!;
    this.place++;
    return this.standby.events.find(({ event }) => event === 'failover') as unknown as FailoverReport;
  }

  /** The VM is at its standby's machine, although no standby says so any more. */
  adopt(): void {
    this.place++;
    this.#machinePid = machinesAt(this.path(`wire${this.place}`))[0]!;
  }

  /** Asks the standby that waits for the VM. */
  async askStandby<T>(question: (link: StandbyLink) => Promise<T>): Promise<T> {
    this.hosts[this.#hostOf(this.place)]!.enter();
    const connecting = StandbyLink.connect(this.#standbyAddress(), 5000);
    // Node makes the socket in the next tick.
    setImmediate(leaveNetns);
    const link = await connecting;
    try {
      return await question(link);
    } finally {
      link.close();
    }
  }

  /** `holdfast protect` of the VM's machine. */
  protectByCommand(...flags: readonly string[]): CliProcess {
    const control = this.path(`control${this.#hostOf(this.place)}`);
    const parameters = [
      ...['protect', '--json', '--qmp', this.path(`qmp${this.place}`), '--control', control],
      ...['--standby', `unix:${this.path(`standby${this.place + 1}`)}`, '--interval', '25ms', '--patience', '10s'],
      ...flags,
    ];
    const driver = this.cli(parameters, this.place);
    this.#drivers.push(driver);
    return driver;
  }

  /** What the machine in a place says of itself, through the eye there. */
  async machineStatus(place = this.place): Promise<string> {
    const { status } = await this.tellMachine<{ status: string }>('query-status', place);
    return status;
  }

  /** Waits until a machine runs that somebody may have paused for a moment. */
  async machineRuns(): Promise<void> {
    const end = performance.now() + SLOW_MS;
    for (let status = ''; status !== 'running'; status = await this.machineStatus()) {
      if (performance.now() > end) throw new Error(`waited ${SLOW_MS} ms for a machine to run that is ${status}`);
      if (status !== '') await sleep(10);
    }
  }

  async tellMachine<T>(command: string, place: number): Promise<T> {
    const eye = await QmpClient.connect(this.path(`eye${place}`));
    try {
      return await eye.execute<T>(command);
    } finally {
      eye.close();
    }
  }

  /** Of the gateway for a machine in this place. */
  client(place: number): HostClient {
    const path = this.path(`control${this.#hostOf(place)}`);
    const client = new HostClient({ path, client: 'test', firstBackoffMs: 5, timeoutMs: 10_000 });
    this.#clients.push(client);
    return client;
  }

  counting(): Promise<CountingClient> {
    return CountingClient.connect(VM_GUEST.ip4, VM_GUEST.lines, () => this.network.enter(), leaveNetns);
  }

  /** `holdfast`, on the host of this place. */
  cli(parameters: readonly string[], place: number): CliProcess {
    const netns = this.hosts[this.#hostOf(place)]!.name;
    const child = spawn('ip', ['netns', 'exec', netns, process.execPath, HOLDFAST, ...parameters]);
    const running = new CliProcess(child);
    this.#running.push(running);
    return running;
  }

  async delete(): Promise<void> {
    this.driver?.stop();
    if (this.#machinePid > 0) kill(this.#machinePid);
    this.#first?.kill('SIGKILL');
    // A machine that waits has a standby that ends it.
    for (const running of this.#running) running.child.kill('SIGTERM');
    await Promise.all(this.#running.map(({ ended }) => ended));
    // But not that of a standby that was killed.
    for (const pid of machinesAt(this.folder)) kill(pid);
    await this.outcome?.catch(() => {});
    for (const client of this.#clients) client.close();
    this.network.delete();
    for (const host of this.hosts) host.delete();
    rmSync(this.folder, { recursive: true, force: true });
    rmSync(this.#memory, { recursive: true, force: true });
  }

  #hostOf(place: number): number {
    return place % this.hosts.length;
  }

  #standbyAddress(): Address {
    return this.#options.standbyAt?.address ?? { path: this.path(`standby${this.place + 1}`) };
  }

  /** Image of a disk for a machine in this place. */
  disk(place: number, name: string = VM_DISK.name): string {
    return this.path(`${name}-${place}`);
  }

  /** The VM's disks, by their names. */
  get disks(): readonly string[] {
    const { disk, hasSecondDisk } = this.#options;
    if (disk === undefined) return [];
    return hasSecondDisk === true ? [VM_DISK.name, VM_DISK.second] : [VM_DISK.name];
  }

  get #mirrored(): readonly string[] {
    return this.#options.disk === 'mirrored' ? this.disks : [];
  }

  /** @returns empty disks for this place, or what has become of them */
  #makeDisks(place: number): readonly string[] {
    const paths = this.disks.map((name) => this.disk(place, name));
    for (const path of paths) if (!existsSync(path)) makeDisk(path);
    return paths;
  }

  #ram(place: number): string[] {
    if (this.#options.delta !== true) return [];
    const folder = this.images(place);
    mkdirSync(folder, { recursive: true });
    return sharedMemory(join(folder, 'ram'));
  }

  /** A second QMP socket, `eyeN`, through which a test sees what the machine does. */
  #eye(place: number): string[] {
    return ['-qmp', `unix:${this.path(`eye${place}`)},server=on,wait=off`];
  }

  #rules(): string {
    const { rules } = this.#options;
    if (!rules.includes('{')) return rules;
    const path = this.path('test.rules');
    writeFileSync(path, `${rules}\n`);
    return path;
  }

  async #startMachine(booted: string): Promise<void> {
    const [program, ...parameters] = guestCommand(this.path('wire0'), this.#makeDisks(0));
    const qmpPath = this.path('qmp0');
    const more = [
      ...this.#ram(0),
      ...NO_CONSOLE,
      ...this.#eye(0),
      '-incoming',
      `exec:exec cat ${booted}`,
      '-qmp',
      `unix:${qmpPath},server=on,wait=off`,
    ];
    const command = ['netns', 'exec', this.hosts[0]!.name, program!, ...parameters, ...more];
    const child = spawn('ip', command, { stdio: 'ignore' });
    this.#first = child;
    this.#machinePid = child.pid!;
    const end = performance.now() + SLOW_MS;
    for (;;) {
      try {
        const qmp = await QmpClient.connect(qmpPath);
        for (
          let status = '';
          status !== 'running';
          status = (await qmp.execute<{ status: string }>('query-status')).status
        ) {
          if (status === 'paused' || status === 'postmigrate') await qmp.execute('cont');
          await sleep(10);
        }
        qmp.close();
        return;
      } catch (error) {
        if (performance.now() > end || child.exitCode !== null || child.signalCode !== null) throw error;
        await sleep(20);
      }
    }
  }
}

/** For the memory of three machines, and images beside it. */
function hasRoom(folder: string): boolean {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize >= 2 ** 30;
}

/** @returns pids of QEMU's processes that were told of something at this path */
function machinesAt(path: string): number[] {
  const isOne = (pid: string) => {
    try {
      const [program, ...parameters] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      return program!.startsWith('qemu-') && parameters.some((one) => one.includes(path));
    } catch {
      return false;
    }
  };
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isOne(name))
    .map(Number);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has been.
  }
}
