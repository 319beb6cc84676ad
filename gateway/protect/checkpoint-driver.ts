import type { VmSummary } from '../host/api.ts';
import { HostClientError } from '../host/client.ts';
import { RequestError } from '../host/protocol.ts';
import type { VmClient } from '../host/vm-client.ts';
import type { Address } from './address.ts';
import type { CheckpointReport, DriverEvent, DriverOutcome, DriverState, DriverStatus } from './driver-events.ts';
import { ImageRelay } from './image-relay.ts';
import { allowMigrations, Migration, MigrationError, runOn } from './migration.ts';
import { type Pace, untilNext } from './pace.ts';
import { QmpClient, QmpError } from './qmp.ts';
import { type Checkpoint, STANDBY_PROTOCOL } from './standby-api.ts';
import { LinkError, StandbyLink } from './standby-link.ts';

/** The VM's disk, which has to be at the same instant as its memory. */
export interface DiskSide {
  /** The machine is paused: what was written until now belongs to this epoch. */
  seal(checkpoint: Checkpoint): Promise<void>;
  /** Resolves when all of it is durable on the standby. */
  durableThrough(checkpoint: Checkpoint): Promise<void>;
  abort(checkpoint: Checkpoint): Promise<void>;
}

export interface DriverOptions {
  readonly vm: string;
  /** The machine's QMP socket. */
  readonly qmp: string;
  readonly gateway: VmClient;
  /** Frames that wait in the gateway now; asked by an adaptive pace. */
  readonly heldFrames: () => Promise<number>;
  readonly standby: Address;
  readonly pace: Pace;
  /**
   * The machine runs while it is copied, and is paused for the last part only; else it is paused all the time. Null: live under KVM only,
   * for QEMU's emulator may lose pages that are written while it copies.
   */
  readonly isLive: boolean | null;
  /** How long the gateway lets data pass without a word of the driver. */
  readonly leaseMs: number;
  /** How long the standby may be silent; then the driver asks the gateway for nothing more, until it is back. */
  readonly patienceMs: number;
  /** How long the machine may be paused for the last part of a copy, as QEMU estimates it. */
  readonly downtimeLimitMs: number;
  /** From a complete copy to its confirmation. */
  readonly confirmTimeoutMs: number;
  readonly disk: DiskSide | null;
  readonly onEvent: (event: DriverEvent) => void;
}

const FIRST_BACKOFF_MS = 50;
const MOST_BACKOFF_MS = 2000;
/** Pings within the standby's patience, requests within the lease. */
const BEATS = 4;
/** The VM's addresses are asked for as often. */
const NO_LEASE_RENEW_MS = 1000;

/** The session ends: what it rests on has changed. */
class Ending extends Error {
  readonly outcome: DriverOutcome;

  constructor(outcome: DriverOutcome, why: string) {
    super(why);
    this.outcome = outcome;
  }
}

/**
 * Protects a VM that runs in QEMU: copies it to a standby again and again while it runs, and tells its gateway which frames a complete
 * copy contains. What goes wrong is tried again, from the beginning where need be: attach to the machine, attach to the term, ask the
 * standby which checkpoint it has, and go on from there.
 */
export class CheckpointDriver {
  readonly #options: DriverOptions;
  #state: DriverState = 'starting';
  #trouble: string | null = null;
  #term = 0;
  #committed = 0;
  #aborted = 0;
  #last: CheckpointReport | null = null;
  /** In a row. */
  #failures = 0;
  #qmp: QmpClient | null = null;
  #link: StandbyLink | null = null;
  #relay: ImageRelay | null = null;
  #beat: NodeJS.Timeout | null = null;
  #isLive = false;
  #isStopping = false;
  /** The machine said that it was told to end. */
  #isEnding = false;
  #wake: () => void = () => {};

  constructor(options: DriverOptions) {
    this.#options = options;
  }

  get status(): DriverStatus {
    return {
      vm: this.#options.vm,
      state: this.#state,
      term: this.#term,
      committed: this.#committed,
      aborted: this.#aborted,
      last: this.#last,
      trouble: this.#trouble,
    };
  }

  /**
   * Protects the VM until it is gone, or `stop` is called.
   * @throws QmpError where there is no machine to begin with
   */
  async run(): Promise<DriverOutcome> {
    await this.#attachMachine();
    this.#relay = await ImageRelay.open();
    try {
      for (;;) {
        try {
          if (this.#qmp?.isClosed !== false) await this.#attachMachine();
          await Promise.race([this.#session(), this.#machineGone()]);
        } catch (error) {
          const outcome = await this.#judge(error as Error);
          if (outcome !== null) return this.#end(outcome, (error as Error).message);
        }
        await this.#sleep(this.#backoffMs());
      }
    } finally {
      this.#endSession();
      this.#relay.close();
      this.#qmp?.close();
    }
  }

  /** After the checkpoint on its way. The term stays in force: the gateway holds until another driver attaches, or it is stopped. */
  stop(): void {
    this.#isStopping = true;
    this.#wake();
  }

  /** Whatever is waited for: the standby has to know at once. Rejects when the connection that there is now ends. */
  async #machineGone(): Promise<never> {
    const qmp = this.#qmp!;
    await qmp.closed;
    throw new QmpError('closed', 'the machine has closed its QMP connection');
  }

  /** Everything from the beginning, then checkpoints. @returns never: it ends with an error */
  async #session(): Promise<never> {
    this.#endSession();
    if (this.#isStopping) throw new Ending('stopped', 'told to stop');
    const link = await StandbyLink.connect(this.#options.standby, this.#options.patienceMs);
    this.#link = link;
    void link.closed.then(() => {
      this.#relay?.cut();
      this.#wake();
    });
    await this.#checkStandby(link);
    await this.#attachTerm(link);
    this.#startBeat(link);
    let beganAt = Number.NEGATIVE_INFINITY;
    for (;;) {
      const { pace, heldFrames } = this.#options;
      const isOver = () => this.#isStopping || link.isClosed || this.#qmp?.isClosed === true;
      await untilNext(pace, performance.now() - beganAt, heldFrames, (ms) => this.#sleep(ms), isOver);
      if (this.#isStopping) throw new Ending('stopped', 'told to stop');
      if (link.isClosed) throw new LinkError('the standby hung up');
      beganAt = performance.now();
      const isDone = await this.#checkpoint(link);
      if (isDone) this.#become('protected', 'the last checkpoint is on the standby');
      else await this.#sleep(this.#backoffMs());
    }
  }

  async #attachMachine(): Promise<void> {
    const qmp = await QmpClient.connect(this.#options.qmp);
    this.#qmp = qmp;
    qmp.listen(({ event }) => {
      if (event === 'SHUTDOWN') this.#isEnding = true;
    });
    void qmp.closed.then(() => this.#wake());
    await allowMigrations(qmp, this.#options.downtimeLimitMs);
    // A driver before this one may have been killed in the middle. What it had not confirmed does not count.
    const { isLive } = this.#options;
    this.#isLive = isLive ?? (await qmp.execute<{ readonly enabled: boolean }>('query-kvm')).enabled;
    await runOn(qmp, !this.#isLive);
  }

  /** A VM that has gone on there must not go on here, too: asked before anything is asked of the gateway. */
  async #checkStandby(link: StandbyLink): Promise<void> {
    const { state } = await link.call('status', {});
    if (state === 'failing-over' || state === 'active' || state === 'failed') {
      throw new Ending('fenced', `the VM has gone on at its standby: ${state}`);
    }
  }

  /** Goes on with the term that is in force, or begins one. */
  async #attachTerm(link: StandbyLink): Promise<void> {
    const { gateway } = this.#options;
    const found = await gateway.attach();
    const isMine = this.#term === 0 || found.term === this.#term;
    if (found.state === 'on' && !isMine) {
      throw new Ending('fenced', `term ${found.term} is in force, not ${this.#term}: the VM has gone on elsewhere`);
    }
    if (found.state === 'off' && this.#term !== 0) throw new Ending('released', 'replication was stopped');
    if (
      found.term > 0 &&
      isMine &&
      (found.state === 'on' || (found.state === 'waiting' && (await this.#isInForce(link, found))))
    ) {
      await this.#goOn(link, found);
    } else {
      await this.#begin(link);
    }
  }

  /** Whether the term of a gateway that was started anew is the one that was in force before. */
  async #isInForce(link: StandbyLink, { term }: VmSummary): Promise<boolean> {
    await this.#hello(link, term);
    try {
      await this.#options.gateway.resume();
      return true;
    } catch (error) {
      if (error instanceof RequestError && error.code === 'not-replicated') return false;
      throw error;
    }
  }

  async #goOn(link: StandbyLink, found: VmSummary): Promise<void> {
    const { gateway, onEvent } = this.#options;
    const newest = await this.#hello(link, found.term);
    this.#term = found.term;
    // The standby decides what became of checkpoints whose driver did not hear of it: it would go on from the newest.
    const complete = newest !== null && newest.term === found.term ? newest.epoch : 0;
    if (newest !== null && newest.term !== found.term) await link.call('protect.forget', { term: found.term });
    if (found.sealedEpochs.includes(complete)) await gateway.commit(complete);
    for (const epoch of found.sealedEpochs) {
      if (epoch <= complete) continue;
      await gateway.abort(epoch);
      this.#aborted++;
    }
    onEvent({ event: 'term', term: found.term, openEpoch: found.openEpoch, how: 'attached' });
  }

  async #begin(link: StandbyLink): Promise<void> {
    const { gateway, leaseMs, onEvent } = this.#options;
    // The first checkpoint contains what passes until then. Images of other terms do not.
    const { term, openEpoch } = await gateway.start({ holdFrom: 'first-seal', leaseMs });
    this.#term = term;
    await this.#hello(link, term);
    await link.call('protect.forget', { term });
    onEvent({ event: 'term', term, openEpoch, how: 'started' });
  }

  async #hello(link: StandbyLink, term: number): Promise<Checkpoint | null> {
    const { vm, leaseMs, patienceMs } = this.#options;
    // A ping that is overdue is noticed only at the end of the one before.
    const mostSilentMs = Math.ceil(patienceMs + patienceMs / BEATS);
    const params = { vm, protocol: STANDBY_PROTOCOL, term, patienceMs: mostSilentMs, leaseMs } as const;
    const { newest } = await link.call('protect.hello', params);
    return newest;
  }

  /** While the standby answers, it hears of the driver and the gateway does, too. */
  #startBeat(link: StandbyLink): void {
    const { patienceMs, leaseMs, gateway } = this.#options;
    const renewMs = leaseMs === 0 ? NO_LEASE_RENEW_MS : leaseMs / BEATS;
    let renewedAt = performance.now();
    this.#beat = setInterval(() => {
      link.call('protect.ping', { term: this.#term }).catch(() => link.close());
      if (performance.now() - renewedAt < renewMs || link.isClosed) return;
      renewedAt = performance.now();
      // Where it is refused, the next checkpoint is, too, and says why.
      gateway.resume().catch(() => {});
      gateway.addresses().then(
        ({ addresses }) => link.call('protect.addresses', { term: this.#term, addresses }).catch(() => link.close()),
        () => {},
      );
    }, patienceMs / BEATS);
  }

  /** @returns false: it failed, and its frames wait for the next one @throws where that is not sure */
  async #checkpoint(link: StandbyLink): Promise<boolean> {
    const { gateway, disk, confirmTimeoutMs, onEvent } = this.#options;
    const qmp = this.#qmp!;
    const relay = this.#relay!;
    const checkpoint = { term: this.#term, epoch: gateway.openEpoch };
    const { epoch } = checkpoint;
    const beganAt = performance.now();
    const sender = link.begin(checkpoint);
    const sent = relay.to(sender);
    let isSealed = false;
    let mayBeComplete = false;
    try {
      const migration = await Migration.start(qmp, relay.uri, this.#isLive);
      await migration.stopped;
      const stoppedAt = performance.now();
      const sealing = Promise.all([gateway.seal(), disk?.seal(checkpoint)]);
      const [[{ heldFrames }]] = await both(sealing, migration.completed, () => {
        isSealed = true;
      });
      onEvent({ event: 'sealed', ...checkpoint, heldFrames });
      const confirmed = sent.then(() => {
        mayBeComplete = true;
        return sender.end(confirmTimeoutMs);
      });
      confirmed.catch(() => {});
      await migration.resume();
      const pauseMs = performance.now() - stoppedAt;
      await Promise.all([confirmed, disk?.durableThrough(checkpoint)]);
      await gateway.commit(epoch);
      this.#failures = 0;
      this.#committed++;
      const times = {
        pauseMs: round(pauseMs),
        copyMs: round(stoppedAt - beganAt),
        commitMs: round(performance.now() - beganAt),
      };
      this.#last = { ...checkpoint, bytes: sender.bytes, heldFrames, ...times };
      onEvent({ event: 'committed', ...this.#last });
      return true;
    } catch (error) {
      relay.cut();
      if (qmp.isClosed) throw error;
      await runOn(qmp, !this.#isLive);
      const isTorn = error instanceof RequestError && error.code === 'image-torn';
      const isOver =
        error instanceof MigrationError || (error instanceof QmpError && error.code === 'refused') || isTorn;
      if (!isOver || link.isClosed || (mayBeComplete && !isTorn)) throw error;
      sender.abandon();
      if (isSealed) await gateway.abort(epoch);
      await disk?.abort(checkpoint);
      this.#aborted++;
      this.#failures++;
      const why = (error as Error).message;
      onEvent({ event: 'aborted', ...checkpoint, why, retryMs: this.#backoffMs() });
      this.#become('degraded', why);
      return false;
    }
  }

  /** @returns how protection ends, or null: it is tried again */
  async #judge(error: Error): Promise<DriverOutcome | null> {
    if (error instanceof Ending) {
      if (error.outcome === 'fenced') await this.#pause();
      return error.outcome;
    }
    if (error instanceof RequestError && error.code === 'fenced') {
      await this.#pause();
      return 'fenced';
    }
    if (this.#qmp?.isClosed === true && (await this.#isMachineGone())) {
      await this.#tellGone(error.message);
      return this.#isEnding ? 'ended' : 'gone';
    }
    const isKnown = [RequestError, LinkError, HostClientError, QmpError, MigrationError].some(
      (kind) => error instanceof kind,
    );
    if (!isKnown) throw error;
    this.#failures++;
    this.#become('degraded', error.message);
    return null;
  }

  async #isMachineGone(): Promise<boolean> {
    try {
      await this.#attachMachine();
      return false;
    } catch (error) {
      return error instanceof QmpError && (error.code === 'unreachable' || error.code === 'closed');
    }
  }

  /** Nobody must go on with a VM that has gone on elsewhere. */
  async #pause(): Promise<void> {
    try {
      await this.#qmp?.execute('stop');
    } catch {
      // It is gone, or does not listen: its frames are fenced where they pass.
    }
  }

  async #tellGone(why: string): Promise<void> {
    try {
      let link = this.#link;
      if (link === null || link.isClosed) {
        link = await StandbyLink.connect(this.#options.standby, this.#options.patienceMs);
        this.#link = link;
        await this.#hello(link, this.#term);
      }
      await link.call('protect.gone', { term: this.#term, isDeliberate: this.#isEnding, why });
    } catch {
      // The standby hears nothing any more, and decides by that.
    }
  }

  #end(outcome: DriverOutcome, why: string): DriverOutcome {
    this.#become(outcome, why);
    return outcome;
  }

  #endSession(): void {
    if (this.#beat !== null) clearInterval(this.#beat);
    this.#beat = null;
    this.#link?.close();
    this.#link = null;
    this.#relay?.cut();
  }

  #backoffMs(): number {
    return Math.min(MOST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.max(0, this.#failures - 1));
  }

  /** Shorter where the driver is told to stop, or the machine or the standby goes away. */
  #sleep(ms: number): Promise<void> {
    if (this.#isStopping) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #become(state: DriverState, why: string): void {
    this.#trouble = state === 'protected' ? null : why;
    if (state === this.#state) return;
    this.#state = state;
    this.#options.onEvent({ event: 'state', state, why });
  }
}

/** Waits for both also where one fails: whoever cleans up must know what became of the other. */
async function both<A, B>(first: Promise<A>, second: Promise<B>, onFirst: () => void): Promise<[A, B]> {
  const [a, b] = await Promise.allSettled([first, second]);
  if (a.status === 'fulfilled') onFirst();
  if (a.status === 'rejected') throw a.reason;
  if (b.status === 'rejected') throw b.reason;
  return [a.value, b.value];
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
