import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, lstatSync, rmSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StoredImage } from './image-store.ts';
import { capabilities } from './migration.ts';
import { QmpClient, QmpError, type QmpEvent } from './qmp.ts';
import { checkUsed, RamError, sharedRam } from './shared-ram.ts';

/** A machine that ends again and again is not started all the time. */
const RESTART_MS = 1000;
const LOOK_AGAIN_MS = 5000;
/** From a process to its QMP socket. */
const START_TIMEOUT_MS = 10_000;
const LOAD_TIMEOUT_MS = 60_000;
const KEPT_OUTPUT = 2000;

export interface MachineOptions {
  /** QEMU and its arguments, the same machine as the one that is protected; `-incoming`, `-S` and `-qmp` are added. */
  readonly command: readonly string[];
  /** Where its QMP socket will be. */
  readonly qmp: string;
  /** The file that it has to have as its memory, shared, and that is as an image says before it is loaded; null: images have all. */
  readonly ram: string | null;
  /** Images that it has to open, as `load` has it; real paths. A machine that waits is asked as soon as it does. */
  readonly disks: readonly string[];
  /** Started now, to wait; else when it is needed. */
  readonly isWarm: boolean;
}

/** The machine on which the VM goes on. */
export class StandbyMachine {
  /** The machine has ended by itself. */
  onExit: ((why: string) => void) | null = null;
  /** The machine that waits opens other disks: the VM can never go on with it. */
  onUnfit: ((why: string) => void) | null = null;
  readonly #options: MachineOptions;
  #child: ChildProcess | null = null;
  #client: QmpClient | null = null;
  #starting: Promise<QmpClient> | null = null;
  #restart: NodeJS.Timeout | null = null;
  /** The image that the machine has loaded. */
  #loaded: string | null = null;
  /** It has loaded one, or has begun to: it takes no other. */
  #isUsed = false;
  #isRunning = false;
  #isStopped = false;
  #occupied: string | null = null;
  #looked: Promise<void> = Promise.resolve();
  /** Nobody uses what a machine of ours would. */
  #isVacant = false;

  constructor(options: MachineOptions) {
    this.#options = options;
    if (options.isWarm) this.#warm();
    else void this.#look().catch(() => this.#lookAgain());
  }

  /** It is known whether another machine is there. */
  get looked(): Promise<void> {
    return this.#looked;
  }

  get state(): 'warm' | 'cold' | 'starting' | 'running' | 'gone' {
    if (this.#isRunning) return this.#child === null ? 'gone' : 'running';
    if (this.#client !== null) return 'warm';
    if (this.#starting !== null) return 'starting';
    return this.#options.isWarm ? 'gone' : 'cold';
  }

  get qmp(): string {
    return this.#options.qmp;
  }

  /** What is there instead, and may be the VM; null: nothing that was seen. */
  get occupied(): string | null {
    return this.#occupied;
  }

  /** Of its process; null: there is none. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /**
   * The machine, still paused, becomes what the image says. It does so once: a failover that failed after that is tried with it as it is, or
   * with another machine where there is a newer image.
   * @param path of a complete image
   * @param disks images that the machine has to have as its disks, and takes as they are now; real paths
   * @param devices where in the image they are, and its memory is as it has to be; null: the image has all
   * @throws Error with QEMU's own words where it cannot
   */
  async load(path: string, disks: readonly string[], devices: StoredImage['devices'] = null): Promise<void> {
    let qmp = await this.#started();
    if (this.#loaded === path) return;
    if (this.#isUsed) {
      await this.#end();
      qmp = await this.#started();
    }
    if (!existsSync(path)) throw new Error(`${path} is no more: a machine that has loaded it was let run`);
    await checkDisks(qmp, disks);
    await this.#checkRam(qmp);
    const loaded = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error('the machine takes too long to load its image')),
        LOAD_TIMEOUT_MS,
      );
      const unlisten = qmp.listen(({ event, data }: QmpEvent) => {
        if (event !== 'MIGRATION' || (data.status !== 'completed' && data.status !== 'failed')) return;
        clearTimeout(timer);
        unlisten();
        if (data.status === 'completed') resolve();
        else reject(new Error('the machine cannot load the image'));
      });
      void qmp.closed.then(() => {
        clearTimeout(timer);
        reject(new Error(`the machine ended while it loaded the image`));
      });
    });
    loaded.catch(() => {});
    this.#isUsed = true;
    await qmp.execute('migrate-incoming', { uri: `exec:${readingCommand(path, devices)}` });
    await loaded;
    this.#loaded = path;
  }

  /** No machine is there that may be the VM: what ours has as its memory may be changed. @throws Error */
  async vacant(): Promise<void> {
    if (this.#options.isWarm) await this.#started();
    else if (!this.#isVacant) await this.#look();
    this.#isVacant = true;
  }

  /** The machine runs, and its QMP socket is free for whoever protects it next. */
  async run(): Promise<void> {
    const qmp = await this.#started();
    await qmp.execute('cont');
    this.#isRunning = true;
    qmp.close();
    this.#client = null;
  }

  /** Ends a machine that has not begun to run; one that runs is the VM, and stays. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#restart !== null) clearTimeout(this.#restart);
    this.#client?.close();
    const child = this.#child;
    if (child === null) return;
    if (this.#isRunning) {
      // QEMU ignores that nobody reads what it says.
      child.stderr?.destroy();
      child.unref();
      return;
    }
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    rmSync(this.#options.qmp, { force: true });
  }

  /** A machine that waits is no more. */
  async #end(): Promise<void> {
    const child = this.#child;
    this.#client?.close();
    this.#client = null;
    this.#child = null;
    this.#loaded = null;
    if (child === null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  /** @throws Error */
  async #started(): Promise<QmpClient> {
    if (this.#client !== null) return this.#client;
    this.#starting ??= this.#start().finally(() => {
      this.#starting = null;
    });
    return this.#starting;
  }

  #warm(): void {
    const before = this.#occupied;
    this.#started().catch((error: Error) => {
      if (this.#occupied !== null) this.#lookAgain();
      if (this.#occupied === null || this.#occupied !== before) this.onExit?.(error.message);
    });
  }

  /** Seldom: a machine that serves one client at a time has its own. */
  #lookAgain(): void {
    if (this.#isStopped || this.#occupied === null) return;
    this.#restart = setTimeout(() => {
      if (this.#options.isWarm) this.#warm();
      else void this.#look().catch(() => this.#lookAgain());
    }, LOOK_AGAIN_MS);
  }

  /** Ends a machine that an earlier standby left waiting. @throws Error where another one is there */
  #look(): Promise<void> {
    const look = endStale(this.#options.qmp).then(
      () => {
        this.#occupied = null;
      },
      (error: Error) => {
        if (error instanceof OccupiedError) this.#occupied = error.message;
        throw error;
      },
    );
    this.#looked = look.catch(() => {});
    return look;
  }

  async #start(): Promise<QmpClient> {
    const [program, ...parameters] = this.#options.command;
    await this.#look();
    if (this.#isStopped) throw new Error('told to end before the machine was started');
    const all = [...parameters, '-incoming', 'defer', '-S', '-qmp', `unix:${this.#options.qmp},server=on,wait=off`];
    const child = spawn(program!, all, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    this.#child = child;
    this.#isUsed = false;
    let said = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-KEPT_OUTPUT);
    });
    let end: string | null = null;
    const ended = (why: string) => {
      // One that was ended for another one is no loss.
      if (end !== null || this.#child !== child) return;
      end = said.trim() === '' ? why : said.trim();
      this.#child = null;
      this.#client = null;
      this.#loaded = null;
      if (this.#isStopped) return;
      if (this.#options.isWarm && !this.#isRunning) this.#restart = setTimeout(() => this.#warm(), RESTART_MS);
      this.onExit?.(end);
    };
    child.on('error', (error) => ended(error.message));
    child.on('exit', (code, signal) => ended(`the machine ended: ${signal ?? `exit code ${code}`}`));
    const deadline = performance.now() + START_TIMEOUT_MS;
    for (;;) {
      if (end !== null) throw new Error(end);
      try {
        const client = await QmpClient.connect(this.#options.qmp);
        await client.execute('migrate-set-capabilities', { capabilities: capabilities(this.#options.ram !== null) });
        // The gateway tells the network, and QEMU knows only the addresses that its devices were made with. Old ones have no such parameter.
        await client.execute('migrate-set-parameters', { 'announce-rounds': 0 }).catch(() => {});
        await this.#checkRam(client);
        if (this.#options.isWarm) await checkDisks(client, this.#options.disks);
        this.#client = client;
        return client;
      } catch (error) {
        if (error instanceof RamError || error instanceof DisksError) child.kill('SIGKILL');
        if (error instanceof DisksError) this.onUnfit?.(error.message);
        const isEarly = error instanceof QmpError && error.code === 'unreachable' && performance.now() < deadline;
        if (!isEarly) throw error;
      }
      await sleep(5);
    }
  }

  /** @throws RamError where the machine has other memory than what is kept up to date */
  async #checkRam(qmp: QmpClient): Promise<void> {
    const { ram } = this.#options;
    if (ram === null) return;
    const { path } = await sharedRam(qmp);
    const [has, must] = await Promise.all([path, ram].map((one) => realpath(one).catch(() => one)));
    if (has !== must) throw new RamError(`the machine here must have ${ram} as its memory, and it has ${path}`);
    await checkUsed(qmp, ram);
  }
}

/** @returns a shell command that writes to stdout what the machine has to load */
function readingCommand(path: string, devices: StoredImage['devices']): string {
  const file = `'${path.replaceAll("'", "'\\''")}'`;
  return devices === null ? `exec cat ${file}` : `tail -c +${devices.start + 1} ${file} | head -c ${devices.bytes}`;
}

/** The machine opens other disks than the VM's. */
class DisksError extends Error {}

/** @throws DisksError where the machine does not open what it would have to go on with */
async function checkDisks(qmp: QmpClient, disks: readonly string[]): Promise<void> {
  if (disks.length === 0) return;
  const nodes = await qmp.execute<readonly { readonly file: string }[]>('query-named-block-nodes', { flat: true });
  const opened = await Promise.all(nodes.map(({ file }) => realpath(file).catch(() => file)));
  for (const disk of disks) {
    if (!opened.includes(disk))
      throw new DisksError(`the machine here does not open ${disk}, the VM's disk: ${opened.join(', ')}`);
  }
}

/** A machine is there that may be the VM. */
class OccupiedError extends Error {}

/** What a machine says of itself that waits for an image. */
const UNUSED: readonly string[] = ['inmigrate', 'prelaunch'];

/** A machine that serves somebody else may not answer either. */
function isNobodyThere(error: unknown): boolean {
  if (!(error instanceof QmpError) || error.code !== 'unreachable') return false;
  const { code = '' } = error.cause as NodeJS.ErrnoException;
  return ['ENOENT', 'ECONNREFUSED', 'ENOTSOCK'].includes(code);
}

/**
 * Ends a machine that a standby left waiting when it was killed.
 * @throws Error where the machine is more than that: it may be the VM
 */
async function endStale(path: string): Promise<void> {
  let qmp: QmpClient;
  try {
    qmp = await QmpClient.connect(path);
  } catch (error) {
    // It serves somebody else, or is stuck.
    if (!isNobodyThere(error)) throw new OccupiedError(`${(error as Error).message}: it may be the VM`);
    // QEMU would take the place of a file, too.
    if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === false) {
      throw new Error(`${path} is there and is no socket`);
    }
    rmSync(path, { force: true });
    return;
  }
  try {
    const { status } = await qmp.execute<{ readonly status: string }>('query-status');
    if (!UNUSED.includes(status)) throw new OccupiedError(`a machine is ${status} at ${path}: it may be the VM`);
    await qmp.execute('quit').catch(() => {});
    await qmp.closed;
  } finally {
    qmp.close();
  }
}
