import type { KnownReach } from '../host/api.ts';
import { RequestError, RPC } from '../host/protocol.ts';
import { failOver, needsLease } from './failover.ts';
import { TornImageError } from './image-store.ts';
import type {
  Checkpoint,
  DiskPlace,
  FailoverReport,
  StandbyParams,
  StandbyResults,
  StandbyState,
  StandbyStatus,
} from './standby-api.ts';
import type { StandbyDisks } from './standby-disks.ts';
import type { Driver, StandbyOptions } from './standby-options.ts';

/** How often silence is looked for, in parts of it. */
const LOOKS = 10;

/** Keeps the VM's last checkpoint, and goes on from it when the machine that the VM is on is gone. Knows no sockets. */
export class Standby {
  readonly #options: StandbyOptions;
  readonly #ticker: NodeJS.Timeout | null;
  #state: StandbyState;
  #trouble: string | null = null;
  #driver: Driver | null = null;
  /** Of the last word of a driver; null: none has been there. */
  #heardAt: number | null = null;
  /** An earlier process may have been heard until then. */
  readonly #startedAt = performance.now();
  /** An earlier process may have switched the network, and let a machine run. */
  #wasSwitched: boolean;
  #images = 0;
  #known: KnownReach = { addresses: [] };
  #failover: Promise<FailoverReport> | null = null;

  constructor(options: StandbyOptions) {
    this.#options = options;
    this.#state = options.store.newest === null ? 'waiting' : 'ready';
    this.#wasSwitched = options.store.newest?.mayBeSwitched === true;
    options.machine.onExit = (why) => this.#machineEnded(why);
    options.disks?.watchFlushes((name, why) => options.onEvent({ event: 'disk', name, why }));
    const { silenceMs } = options;
    this.#ticker = silenceMs === 0 ? null : setInterval(() => this.#lookForSilence(), silenceMs / LOOKS);
    this.#ticker?.unref();
  }

  get status(): StandbyStatus {
    const { vm, store, machine } = this.#options;
    return {
      vm,
      state: this.#state,
      hasGoneOn: this.#hasGoneOn,
      image: store.newest === null ? null : { ...checkpointOf(store.newest), bytes: store.newest.bytes },
      incoming: store.incoming === null ? null : { ...checkpointOf(store.incoming), bytes: store.incoming.bytes },
      images: this.#images,
      driverSilentMs: this.#heardAt === null ? null : Math.round(performance.now() - this.#heardAt),
      hasDriver: this.#driver !== null,
      machine: machine.state,
      occupied: machine.occupied,
      pid: machine.pid,
      qmp: machine.qmp,
      disks: this.#options.disks?.status ?? [],
      keepsChanges: store.keepsChanges,
      knowsMemberships: true,
      trouble: wordsOf([this.#trouble ?? store.trouble ?? store.lease.trouble, this.#options.disks?.trouble ?? null]),
    };
  }

  /**
   * @throws RequestError: `fenced` where the VM has gone on here, `failing-over` where that is not decided, `occupied` where it may be on the
   * machine here already, `stale-term` for a driver whose term is over
   */
  hello(driver: Driver, params: StandbyParams<'protect.hello'>): StandbyResults['protect.hello'] {
    const { vm, store, disks, machine, onEvent } = this.#options;
    if (params.vm !== vm) throw refused('unknown-vm', `this is the standby of '${vm}', not of '${params.vm}'`);
    if (this.#hasGoneOn) {
      throw refused('fenced', `the VM goes on here since its machine was taken for dead: ${this.#state}`);
    }
    // It would be protected at itself, and its disks be written to by two.
    if (machine.occupied !== null) throw refused('occupied', `${machine.occupied}; it cannot be protected here`);
    if (disks?.isHandedOver === true && this.#state !== 'failing-over') {
      throw refused('disks-handed-over', 'its disks were given to the machine here: start this standby anew');
    }
    if (this.#state === 'failing-over') throw refused('failing-over', 'the VM is about to go on here');
    const imageTerm = store.newest?.term ?? params.term;
    if (params.term < imageTerm) {
      throw refused('stale-term', `term ${params.term} is over: there is an image of term ${imageTerm}`);
    }
    // What passed since is in no image, and the lease of the next term is not the one to wait for before going back.
    if (params.term > imageTerm) this.#forget('a term has begun that no image is of');
    const newest = store.newest;
    // Before an image can come of it.
    store.lease.said(params);
    if (this.#driver !== null && this.#driver !== driver) {
      onEvent({ event: 'driver', is: 'replaced' });
      this.#driver.hangUp();
      // What its image is now decides what becomes of epochs; one that it was still sending, or that waits for its disks, is none.
      store.abandon();
    }
    this.#driver = driver;
    this.#heard();
    // Its machine lives, and nothing leads to one here. An image may have its name although what came behind that failed.
    if (this.#state === 'failed' || this.#state === 'waiting')
      this.#become(newest === null ? 'waiting' : 'ready', 'protected again');
    onEvent({ event: 'driver', is: 'there', term: params.term });
    const kept = store.keepsChanges ? { keepsChanges: true } : {};
    return { newest: newest === null ? null : checkpointOf(newest), disks: disks?.names ?? [], ...kept };
  }

  ping(driver: Driver): void {
    this.#check(driver);
  }

  know(driver: Driver, known: KnownReach): void {
    this.#check(driver);
    this.#known = known;
  }

  forget(driver: Driver): void {
    this.#check(driver);
    this.#forget('a term has begun with output that no image contains');
  }

  begin(driver: Driver, checkpoint: Checkpoint): void {
    this.#check(driver);
    this.#options.store.begin(checkpoint);
  }

  /** Bytes of the image on its way; those of a driver that has been replaced are nobody's. */
  write(driver: Driver, bytes: Uint8Array): void {
    if (driver !== this.#driver) return;
    this.#heardAt = performance.now();
    this.#options.store.write(bytes);
  }

  abandon(driver: Driver): void {
    this.#check(driver);
    this.#options.store.abandon();
  }

  /**
   * Memory is complete: the checkpoint is, if its disks are. An image gets its name only when they are durable, and they are committed
   * only when it has it. So a failover finds the disks at its epoch, sealed or committed, wherever this was cut short.
   * @throws RequestError `image-torn`
   */
  async end(driver: Driver, { term, epoch, bytes, crc }: StandbyParams<'image.end'>): Promise<void> {
    this.#check(driver);
    const { store, disks } = this.#options;
    const checkpoint = { term, epoch };
    await disks?.durableThrough(checkpoint);
    try {
      await store.end(checkpoint, bytes, crc);
    } catch (error) {
      throw error instanceof TornImageError ? refused('image-torn', error.message) : error;
    }
    await disks?.commit(checkpoint);
    this.#images++;
    this.#wasSwitched = false;
    this.#trouble = null;
    // Not at a driver's first word: it may be about to say once more that protection has ended.
    const isNew = this.#state === 'waiting' || this.#state === 'ended';
    if (isNew && store.newest !== null) this.#become('ready', 'there is an image');
    this.#options.onEvent({ event: 'image', ...checkpoint, bytes });
    // The driver gets its answer first.
    setImmediate(() => this.#settle());
  }

  /** @throws RequestError `not-the-driver`, `no-disks` */
  disksOf(driver: Driver): StandbyDisks {
    this.#check(driver);
    const { disks } = this.#options;
    if (disks === null) throw refused('no-disks', 'this standby keeps no disks: it needs --disk');
    return disks;
  }

  copyDisks(driver: Driver): Promise<DiskPlace> {
    const disks = this.disksOf(driver);
    // There is no way back once the disks change.
    this.forget(driver);
    return disks.copy();
  }

  async resumeDisks(driver: Driver, term: number): Promise<{ readonly isWhole: boolean }> {
    return { isWhole: await this.disksOf(driver).resume(term, this.#options.store.newest) };
  }

  /** The driver says that its machine is gone. */
  gone(driver: Driver, { isDeliberate, why }: StandbyParams<'protect.gone'>): void {
    this.#check(driver);
    if (isDeliberate) {
      this.#become('ended', why);
      return;
    }
    // The driver gets its answer before it is hung up on.
    setImmediate(() => this.failover(`the driver says: ${why}`, true).catch(() => {}));
  }

  /**
   * Nobody need go on here: the VM is protected elsewhere, or not any more. A driver that comes anew is welcome.
   * @throws RequestError `active` where the VM has gone on here, or is about to
   */
  standDown(why: string): void {
    if (this.#hasGoneOn || this.#state === 'failing-over') {
      throw refused('active', `the VM goes on here: ${this.#state}`);
    }
    const driver = this.#driver;
    driver?.hangUp();
    if (driver !== null) this.left(driver);
    this.#forget(why);
  }

  /** The connection of a driver has ended; another may come in its place. */
  left(driver: Driver): void {
    if (driver !== this.#driver) return;
    this.#driver = null;
    if (this.#failover === null) this.#options.store.abandon();
    this.#options.onEvent({ event: 'driver', is: 'away' });
  }

  /**
   * The VM goes on here.
   * @param isDead whether its machine is known to be dead, and not only not heard
   * @throws Error where it cannot; `status` says why, too. It can be tried again
   */
  failover(why: string, isDead: boolean): Promise<FailoverReport> {
    if (this.#state === 'active') return Promise.reject(refused('active', 'the VM runs here already'));
    this.#failover ??= this.#goOn(why, isDead).finally(() => {
      this.#failover = null;
    });
    return this.#failover;
  }

  /** A machine that waits is ended; one that runs is the VM, and stays. Images stay. */
  async close(): Promise<void> {
    if (this.#ticker !== null) clearInterval(this.#ticker);
    this.#driver?.hangUp();
    await this.#options.machine.stop();
    await this.#options.disks?.close();
    this.#options.store.close();
  }

  async #goOn(why: string, isDead: boolean): Promise<FailoverReport> {
    const { store, onEvent } = this.#options;
    const image = store.newest;
    if (image === null) throw this.#cannot('no-image', `there is no complete image to go on from: ${why}`);
    const lease = store.lease.known;
    if (lease === null && needsLease(this.#options, isDead)) {
      const may = 'its machine may live, and nobody knows how long its gateway lets data pass: fence it (--fence)';
      throw this.#cannot('no-lease', store.lease.trouble === null ? may : `${may}; ${store.lease.trouble}`);
    }
    this.#become('failing-over', why);
    this.#driver?.hangUp();
    this.#driver = null;
    store.abandon();
    try {
      // Where nobody was heard that is no silence, but the lease may last as long.
      const heardAt = this.#heardAt ?? this.#startedAt;
      const last = { isDead, heardAt, lease, known: this.#known };
      const report = await failOver(this.#options, image, last, why);
      this.#become('active', why);
      onEvent({ event: 'failover', ...report });
      return report;
    } catch (error) {
      throw this.#failed((error as Error).message);
    }
  }

  #forget(why: string): void {
    this.#options.store.forget();
    this.#become('waiting', why);
  }

  get #hasGoneOn(): boolean {
    const wasTried = this.#state === 'failed' && this.#wasSwitched;
    return this.#state === 'active' || this.#options.ports.mayBeMade || wasTried;
  }

  #settle(): void {
    try {
      this.#options.store.settle();
    } catch (error) {
      // The next image fails by it, too.
      this.#trouble = (error as Error).message;
    }
  }

  #lookForSilence(): void {
    if (this.#silentMs() === null) return;
    // Where this process was not let run, the driver's words wait to be read: they are, before this.
    setImmediate(() => {
      const silentMs = this.#silentMs();
      if (silentMs === null) return;
      this.failover(`no driver was heard for ${Math.round(silentMs)} ms`, false).catch(() => {});
    });
  }

  /** @returns for how long no driver was heard, where that is too long; else null */
  #silentMs(): number | null {
    if (this.#heardAt === null || this.#state !== 'ready') return null;
    const silentMs = performance.now() - this.#heardAt;
    return silentMs < this.#options.silenceMs ? null : silentMs;
  }

  #machineEnded(why: string): void {
    this.#trouble = why;
    const wasVm = this.#state === 'active';
    this.#options.onEvent({ event: 'machine', why, wasVm });
    if (wasVm) this.#become('failed', why);
  }

  #check(driver: Driver): void {
    if (driver !== this.#driver)
      throw refused('not-the-driver', 'say protect.hello first; another driver may have since');
    this.#heard();
  }

  #heard(): void {
    this.#heardAt = performance.now();
  }

  /** Nothing has been done: whoever is protected next finds this standby as it was. */
  #cannot(code: string, why: string): Error {
    this.#trouble = why;
    this.#options.onEvent({ event: 'state', state: this.#state, why });
    return refused(code, why);
  }

  #failed(why: string): Error {
    this.#trouble = why;
    this.#become('failed', why);
    return refused('failover-failed', why);
  }

  #become(state: StandbyState, why: string): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#options.onEvent({ event: 'state', state, why });
  }
}

function checkpointOf({ term, epoch }: Checkpoint): Checkpoint {
  return { term, epoch };
}

/** @returns what of this is wrong; null: nothing */
function wordsOf(troubles: readonly (string | null)[]): string | null {
  const told = troubles.filter((one) => one !== null);
  return told.length === 0 ? null : told.join('; ');
}

function refused(code: string, message: string): RequestError {
  return new RequestError(RPC.state, code, message);
}
