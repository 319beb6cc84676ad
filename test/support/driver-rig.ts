import type { KnownReach } from '../../gateway/host/api.ts';
import { VmClient } from '../../gateway/host/vm-client.ts';
import { CheckpointDriver } from '../../gateway/protect/checkpoint-driver.ts';
import type { DiskSide } from '../../gateway/protect/disk-side.ts';
import type { DriverEvent } from '../../gateway/protect/driver-events.ts';
import type { DriverOptions } from '../../gateway/protect/driver-options.ts';
import { ImageStore } from '../../gateway/protect/image-store.ts';
import { RamBase } from '../../gateway/protect/ram-base.ts';
import { Standby } from '../../gateway/protect/standby.ts';
import type { Checkpoint, StandbyParams } from '../../gateway/protect/standby-api.ts';
import type { StandbyDisks } from '../../gateway/protect/standby-disks.ts';
import type { Driver, Machine, StandbyOptions } from '../../gateway/protect/standby-options.ts';
import { StandbyServer } from '../../gateway/protect/standby-server.ts';
import { CutProxy } from './cut-proxy.ts';
import { FakeMachine } from './fake-machine.ts';
import { HostRig } from './host-rig.ts';
import { until } from './netns.ts';

const PATIENCE_MS = 30_000;

/** A standby's machine of which nothing is asked. */
export const IDLE_MACHINE: Machine = {
  state: 'warm',
  occupied: null,
  pid: 1234,
  qmp: '/nowhere',
  onExit: null,
  async load() {},
  async run() {},
  async stop() {},
};

/** A VM's gateway as its driver sees it, which tells what it is asked, and again what it has granted. */
class ToldGateway extends VmClient {
  readonly #rig: DriverRig;

  constructor(rig: DriverRig) {
    super(rig.host.client(), 'vm0');
    this.#rig = rig;
  }

  override async start(options: Parameters<VmClient['start']>[0]) {
    const { done } = this.#rig;
    const begun = await super.start(options);
    done.push(`start ${begun.term}, from ${options?.holdFrom}`);
    return begun;
  }

  override async seal() {
    const { done, beforeSeal } = this.#rig;
    this.#rig.ask('seal');
    await beforeSeal();
    const sealed = await super.seal();
    done.push(`sealed ${sealed.epoch}`);
    return sealed;
  }

  override commit(epoch: number) {
    this.#rig.ask(`commit ${epoch}`);
    return super.commit(epoch);
  }

  override abort(epoch: number) {
    this.#rig.ask(`abort ${epoch}`);
    return super.abort(epoch);
  }

  override resume() {
    this.#rig.ask('renew');
    return super.resume();
  }
}

/** A standby that tells what it is asked, and what it has done. */
class ToldStandby extends Standby {
  readonly #rig: DriverRig;

  constructor(options: StandbyOptions, rig: DriverRig) {
    super(options);
    this.#rig = rig;
  }

  override hello(driver: Driver, params: StandbyParams<'protect.hello'>) {
    const met = super.hello(driver, params);
    this.#rig.met = params;
    return met;
  }

  override ping(driver: Driver): void {
    super.ping(driver);
    this.#rig.pings++;
  }

  override know(driver: Driver, known: KnownReach): void {
    super.know(driver, known);
    this.#rig.known = known;
  }

  override forget(driver: Driver): void {
    super.forget(driver);
    this.#rig.done.push('forget');
  }

  override abandon(driver: Driver): void {
    super.abandon(driver);
    this.#rig.abandoned++;
  }

  override async end(driver: Driver, params: StandbyParams<'image.end'>): Promise<void> {
    const { done, beforeKept, afterKept } = this.#rig;
    await beforeKept(params);
    await super.end(driver, params);
    done.push(`kept ${params.epoch}`);
    await afterKept(driver, params);
  }

  override gone(driver: Driver, params: StandbyParams<'protect.gone'>): void {
    this.#rig.done.push(params.isDeliberate ? 'gone on purpose' : 'gone');
    super.gone(driver, params);
  }
}

/** A driver between a machine that says what QEMU says, a gateway with its host interface, and a standby; and what was done, in order. */
export class DriverRig {
  readonly host: HostRig;
  readonly machine: FakeMachine;
  /** The standby cannot have the network. */
  isSwitchRefused = false;
  readonly done: string[] = [];
  events: DriverEvent[] = [];
  /** Requests that renew the lease, and when the last one was made, `performance.now`'s. */
  asked = 0;
  askedAt = 0;
  pings = 0;
  /** As the driver introduced itself last. */
  met: StandbyParams<'protect.hello'> | null = null;
  known: KnownReach | null = null;
  /** Images that the driver gave up. */
  abandoned = 0;
  store!: ImageStore;
  standby!: ToldStandby;
  driver: CheckpointDriver | null = null;
  outcome: Promise<unknown> | null = null;
  proxy!: CutProxy;
  beforeSeal: () => Promise<void> = async () => {};
  /** When all of an image has come. */
  beforeKept: (checkpoint: Checkpoint) => Promise<void> = async () => {};
  /** Before the driver hears of it. */
  afterKept: (driver: Driver, checkpoint: Checkpoint) => Promise<void> = async () => {};
  readonly #path: string;
  #server!: StandbyServer;

  private constructor(path: string, host: HostRig) {
    this.#path = path;
    this.host = host;
    this.machine = new FakeMachine(path);
    this.machine.onChange = (is) => this.done.push(is);
  }

  /** @param path of nothing yet: what is made is named after it @param keepsChanges as a standby with `--delta` does */
  static async open(path: string, keepsChanges = false): Promise<DriverRig> {
    const rig = new DriverRig(path, await new HostRig().listen());
    await rig.startStandby(keepsChanges);
    rig.proxy = await new CutProxy(`${path}.standby`).listen();
    return rig;
  }

  /** It finds what an earlier one of its kind left. */
  async startStandby(keepsChanges = false, disks: StandbyDisks | null = null): Promise<void> {
    const images = `${this.#path}-images-${keepsChanges}`;
    this.store = new ImageStore(images, false, keepsChanges ? new RamBase(images, false, async () => {}) : null);
    const options: StandbyOptions = {
      vm: 'vm0',
      store: this.store,
      disks,
      machine: IDLE_MACHINE,
      ports: {
        fences: true,
        mayBeMade: false,
        switch: async ({ term }) => {
          if (this.isSwitchRefused) throw new Error('the gateway refuses');
          return { term: term + 1, discardedFrames: 0, releasedFrames: 0 };
        },
        unprotect: async () => {},
      },
      goesOnUnprotected: false,
      silenceMs: 0,
      fence: null,
      onEvent: () => {},
    };
    this.standby = new ToldStandby(options, this);
    this.#server = new StandbyServer(this.standby);
    await this.#server.listen({ path: `${this.#path}.standby` });
  }

  async stopStandby(): Promise<void> {
    await this.#server.close();
    await this.standby.close();
  }

  protect(options: Partial<DriverOptions> = {}): void {
    const driver = new CheckpointDriver({
      vm: 'vm0',
      qmp: this.machine.qmp,
      gateway: new ToldGateway(this),
      heldFrames: async () => 0,
      standby: { path: this.proxy.path },
      pace: { kind: 'fixed', intervalMs: 1 },
      delta: null,
      isDeltaOptional: false,
      isLive: false,
      leaseMs: 10_000,
      patienceMs: 10_000,
      downtimeLimitMs: 100,
      confirmTimeoutMs: PATIENCE_MS,
      disk: null,
      onEvent: (event) => this.events.push(event),
      ...options,
    });
    this.driver = driver;
    this.outcome = driver.run();
  }

  /** The gateway is asked for something that renews the lease. */
  ask(what: string): void {
    this.asked++;
    this.askedAt = performance.now();
    if (what !== 'seal') this.done.push(what);
  }

  /** Waits for so many more checkpoints. */
  async commits(count: number): Promise<void> {
    const driver = this.driver!;
    const wanted = driver.status.committed + count;
    await this.until(() => driver.status.committed >= wanted, 'commits');
  }

  until(isSo: () => boolean, what: string): Promise<void> {
    return until(isSo, what, PATIENCE_MS);
  }

  told<E extends DriverEvent['event']>(event: E): Extract<DriverEvent, { readonly event: E }>[] {
    return this.events.filter((one): one is Extract<DriverEvent, { readonly event: E }> => one.event === event);
  }

  /**
   * Disks that a machine mirrors without fail, as far as their driver sees.
   * @param isWhole what `resume` finds
   * @param copied when a copy of them is complete
   */
  disks(isWhole = false, copied: () => Promise<void> = async () => {}): DiskSide {
    const tell = async (what: string) => void this.done.push(`disks: ${what}`);
    return {
      names: [],
      resume: async () => {
        await tell('resume');
        return isWhole;
      },
      copy: async () => {
        await tell('copy');
        await copied();
      },
      seal: () => tell('seal'),
      abort: () => tell('abort'),
      release: () => tell('release'),
    };
  }

  async close(): Promise<void> {
    this.driver?.stop();
    await this.outcome;
    await this.proxy.close();
    await this.stopStandby();
    this.machine.die();
    await this.host.close();
  }
}
