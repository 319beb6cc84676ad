import { HostClientError } from '../host/client.ts';
import { RequestError, RPC } from '../host/protocol.ts';
import { takeCheckpoint } from './checkpoint.ts';
import { CopyMode } from './copy-mode.ts';
import { MirrorError } from './disk-side.ts';
import type { CheckpointReport, DriverOutcome, DriverState, DriverStatus } from './driver-events.ts';
import type { DriverOptions } from './driver-options.ts';
import { BEATS, DriverTerm, Ending, mostSilentMs } from './driver-term.ts';
import { ImageRelay } from './image-relay.ts';
import { MigrationError } from './migration.ts';
import { restMs, untilNext } from './pace.ts';
import { ProtectedMachine } from './protected-machine.ts';
import { type QmpClient, QmpError } from './qmp.ts';
import { RamError } from './shared-ram.ts';
import type { StandbyStatus } from './standby-api.ts';
import { LinkError, StandbyLink } from './standby-link.ts';

const FIRST_BACKOFF_MS = 50;
const MOST_BACKOFF_MS = 2000;
/** The VM's addresses are asked for as often. */
const NO_LEASE_RENEW_MS = 1000;
/** A standby's refusal while it tries to go on. */
const UNDECIDED = 'failing-over';

/**
 * Protects a VM that runs in QEMU: copies it to a standby again and again while it runs, and tells its gateway which frames a complete
 * copy contains. What goes wrong is tried again, from the beginning where need be: attach to the machine, attach to the term, ask the
 * standby which checkpoint it has, and go on from there.
 */
export class CheckpointDriver {
  readonly #options: DriverOptions;
  #state: DriverState = 'starting';
  #trouble: string | null = null;
  readonly #term: DriverTerm;
  #committed = 0;
  #aborted = 0;
  #last: CheckpointReport | null = null;
  /** In a row. */
  #failures = 0;
  readonly #copies: CopyMode;
  readonly #machine: ProtectedMachine;
  #link: StandbyLink | null = null;
  #relay: ImageRelay | null = null;
  #beat: NodeJS.Timeout | null = null;
  #isStopping = false;
  /** Rejects when the driver is told to stop. */
  readonly #stopped: Promise<never>;
  /** Of the standby: older ones do not. */
  #knowsMemberships = false;
  #tellStop: (why: Ending) => void = () => {};
  #wake: () => void = () => {};

  constructor(options: DriverOptions) {
    this.#options = options;
    this.#copies = new CopyMode(options);
    this.#term = new DriverTerm(options, () => this.#copies.delta !== null);
    this.#machine = new ProtectedMachine(
      options.qmp,
      (qmp) => this.#prepare(qmp),
      () => this.#wake(),
    );
    this.#stopped = new Promise((_, reject) => {
      this.#tellStop = reject;
    });
    this.#stopped.catch(() => {});
  }

  get status(): DriverStatus {
    return {
      vm: this.#options.vm,
      state: this.#state,
      term: this.#term.number,
      committed: this.#committed,
      aborted: this.#aborted + this.#term.aborted,
      last: this.#last,
      trouble: this.#trouble,
    };
  }

  /**
   * Protects the VM until it is gone, or `stop` is called.
   * @throws QmpError where there is no machine to begin with
   */
  async run(): Promise<DriverOutcome> {
    try {
      await this.#machine.attach();
    } catch (error) {
      if (error instanceof Ending) return this.#end(error.outcome, error.message);
      throw error;
    }
    try {
      this.#relay = await ImageRelay.open(this.#options.qmp);
      for (;;) {
        try {
          if (this.#machine.isClosed) await this.#machine.attach();
          // Whatever is waited for: the standby has to know at once.
          await Promise.race([this.#session(), this.#machine.closed()]);
        } catch (error) {
          const outcome = await this.#judge(error as Error);
          if (outcome !== null) return this.#end(outcome, (error as Error).message);
          if (error instanceof LinkError) await this.#releaseDisks();
        }
        await this.#sleep(this.#backoffMs());
      }
    } finally {
      this.#endSession();
      this.#relay?.close();
      this.#copies.close();
      this.#machine.close();
    }
  }

  /** After the checkpoint on its way. The term stays in force: the gateway holds until another driver attaches, or it is stopped. */
  stop(): void {
    this.#isStopping = true;
    this.#tellStop(new Ending('stopped', 'told to stop'));
    this.#wake();
  }

  /** One that is paused may be so because the VM has gone on elsewhere: the standby is asked before it is let run. @throws Ending */
  async #prepare(qmp: QmpClient): Promise<void> {
    const { status } = await qmp.execute<{ readonly status: string }>('query-status');
    if (status !== 'running') await this.#askStandby();
    await this.#copies.prepare(qmp);
  }

  /** @throws Ending where it says that the VM has gone on there; where it says nothing at all, nothing is known */
  async #askStandby(): Promise<void> {
    let wasUndecided = false;
    for (;;) {
      let link: StandbyLink | null = null;
      try {
        link = await StandbyLink.connect(this.#options.standby, this.#options.patienceMs);
        checkNotThere(await link.call('status', {}));
        return;
      } catch (error) {
        if (error instanceof Ending) throw error;
        wasUndecided ||= isUndecided(error);
        if (!wasUndecided) return;
        this.#become('degraded', (error as Error).message);
      } finally {
        link?.close();
      }
      await this.#sleep(FIRST_BACKOFF_MS);
      if (this.#isStopping) throw new Ending('stopped', 'told to stop');
    }
  }

  /** Everything from the beginning, then checkpoints. @returns never: it ends with an error */
  async #session(): Promise<never> {
    this.#endSession();
    if (this.#isStopping) throw new Ending('stopped', 'told to stop');
    const link = await StandbyLink.connect(this.#options.standby, this.#options.patienceMs);
    this.#link = link;
    this.#copies.restart();
    void link.closed.then(() => {
      this.#relay?.cut();
      this.#wake();
      // Not where it was we who closed it.
      if (this.#link === link) void this.#releaseDisks();
    });
    await this.#checkStandby(link);
    await this.#term.attach(link, this.#machine.qmp, () => this.#startBeat(link), this.#stopped);
    let beganAt = Number.NEGATIVE_INFINITY;
    for (;;) {
      const { pace, heldFrames } = this.#options;
      const isOver = () => this.#isStopping || link.isClosed || this.#machine.isClosed;
      await untilNext(pace, performance.now() - beganAt, heldFrames, (ms) => this.#sleep(ms), isOver);
      if (this.#isStopping) throw new Ending('stopped', 'told to stop');
      if (link.isClosed) throw new LinkError('the standby hung up');
      beganAt = performance.now();
      const isDone = await this.#checkpoint(link);
      if (isDone) this.#become('protected', 'the last checkpoint is on the standby');
      await this.#sleep(isDone ? restMs(this.#last!) : this.#backoffMs());
    }
  }

  /** A VM that has gone on there must not go on here, too: asked before anything is asked of the gateway. */
  async #checkStandby(link: StandbyLink): Promise<void> {
    const status = await link.call('status', {});
    checkNotThere(status);
    if (status.occupied === null) await this.#machine.resume();
    const { keepsChanges = false, knowsMemberships = false } = status;
    this.#knowsMemberships = knowsMemberships;
    await this.#copies.agree(this.#machine.qmp, keepsChanges);
  }

  /** While the standby answers, it hears of the driver and the gateway does, too. */
  #startBeat(link: StandbyLink): void {
    const { patienceMs, gateway } = this.#options;
    const { leaseMs } = this.#term;
    const renewMs = leaseMs === 0 ? NO_LEASE_RENEW_MS : leaseMs / BEATS;
    let renewedAt = performance.now();
    if (this.#beat !== null) clearInterval(this.#beat);
    const beat = () => {
      link.call('protect.ping', { term: this.#term.number }).catch(() => link.close());
      const isDue = performance.now() - renewedAt >= renewMs;
      if (!this.#term.isAttached || !isDue || !link.isHeard(mostSilentMs(patienceMs))) return;
      renewedAt = performance.now();
      // Where it is refused, the next checkpoint is, too, and says why.
      gateway.resume().catch(() => {});
      gateway.addresses().then(
        ({ addresses, memberships }) => {
          const joined = memberships === undefined || !this.#knowsMemberships ? {} : { memberships };
          const known = { term: this.#term.number, addresses, ...joined };
          link.call('protect.addresses', known).catch(() => link.close());
        },
        () => {},
      );
    };
    this.#beat = setInterval(beat, Math.min(patienceMs / BEATS, renewMs));
  }

  /** @returns false: it failed, and its frames wait for the next one @throws where that is not sure */
  async #checkpoint(link: StandbyLink): Promise<boolean> {
    const options = this.#options;
    const checkpoint = { term: this.#term.number, epoch: options.gateway.openEpoch };
    const { delta, isLive } = this.#copies;
    const means = { options, qmp: this.#machine.qmp, link, relay: this.#relay!, delta, isLive };
    const result = await takeCheckpoint(means, checkpoint);
    if (typeof result === 'string') {
      this.#aborted++;
      this.#failures++;
      options.onEvent({ event: 'aborted', ...checkpoint, why: result, retryMs: this.#backoffMs() });
      this.#become('degraded', result);
      return false;
    }
    this.#failures = 0;
    this.#committed++;
    this.#last = result;
    options.onEvent({ event: 'committed', ...result });
    return true;
  }

  /** @returns how protection ends, or null: it is tried again */
  async #judge(error: Error): Promise<DriverOutcome | null> {
    if (error instanceof Ending) {
      if (error.outcome === 'fenced') await this.#fence();
      if (error.outcome !== 'released') return error.outcome;
      await this.#releaseDisks();
      // What is silent now is not dead.
      const hasGoneOn = await this.#tellGone(error.message, true);
      if (hasGoneOn) await this.#fence();
      return hasGoneOn ? 'fenced' : 'released';
    }
    if (error instanceof RequestError && error.code === 'fenced') {
      await this.#fence();
      return 'fenced';
    }
    if (this.#machine.isClosed && (await this.#machine.isGone())) {
      const { isEnding } = this.#machine;
      await this.#tellGone(error.message, isEnding);
      return isEnding ? 'ended' : 'gone';
    }
    const isKnown = [RequestError, LinkError, HostClientError, QmpError, MigrationError, MirrorError, RamError].some(
      (kind) => error instanceof kind,
    );
    if (!isKnown) throw error;
    // Disks that both machines open must not be written to by two.
    if (isUndecided(error)) await this.#machine.suspend().catch(() => {});
    this.#failures++;
    this.#become('degraded', error.message + this.#pauseText());
    return null;
  }

  /** The VM has gone on elsewhere. Mirrors first: a machine runs on when they have been let go of. */
  async #fence(): Promise<void> {
    await this.#releaseDisks();
    await this.#machine.pause();
  }

  /** The guest's writes must not wait for a standby that nobody hears. */
  async #releaseDisks(): Promise<void> {
    try {
      if (!this.#machine.isClosed) await this.#options.disk?.release(this.#machine.qmp);
    } catch (error) {
      this.#become('degraded', (error as Error).message);
    }
  }

  /**
   * A standby that is not told of an end on purpose takes silence for death, so it is told until it answers, or the driver is to stop.
   * @returns whether it has done so, and the VM has gone on there
   */
  async #tellGone(why: string, isDeliberate: boolean): Promise<boolean> {
    for (;;) {
      try {
        if (this.#link === null || this.#link.isClosed) {
          this.#link = await StandbyLink.connect(this.#options.standby, this.#options.patienceMs);
        }
        // It may not know yet who says so.
        await this.#term.greet(this.#link);
        await this.#link.call('protect.gone', { term: this.#term.number, isDeliberate, why });
        return false;
      } catch (error) {
        // What it refuses is no affair of its any more. Of a death it hears by silence.
        if (!(error instanceof LinkError) && !isUndecided(error)) {
          return error instanceof RequestError && error.code === 'fenced';
        }
        if (!isDeliberate || this.#isStopping) return false;
        this.#failures++;
        this.#become(
          'degraded',
          `${why}; its standby has not heard of that, and takes silence for death: ${(error as Error).message}`,
        );
      }
      await this.#sleep(this.#backoffMs());
    }
  }

  #pauseText(): string {
    return this.#machine.isSuspended ? '; the machine is paused, until it is known whether its VM goes on there' : '';
  }

  #end(outcome: DriverOutcome, why: string): DriverOutcome {
    this.#become(outcome, outcome === 'stopped' ? why + this.#pauseText() : why);
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
    const before = this.#trouble;
    this.#trouble = state === 'protected' ? null : why;
    // What keeps from protection may be something else by now.
    if (state === this.#state && (state !== 'degraded' || why === before)) return;
    this.#state = state;
    this.#options.onEvent({ event: 'state', state, why });
  }
}

/** @throws Ending where the VM has gone on there; RequestError `failing-over` where that is not decided */
function checkNotThere({ state, hasGoneOn }: StandbyStatus): void {
  if (hasGoneOn) throw new Ending('fenced', `the VM has gone on at its standby: ${state}`);
  if (state !== 'failing-over') return;
  throw new RequestError(RPC.state, UNDECIDED, 'the VM is about to go on at its standby');
}

function isUndecided(error: unknown): boolean {
  return error instanceof RequestError && error.code === UNDECIDED;
}
