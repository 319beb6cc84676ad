import type { VmSummary } from '../host/api.ts';
import { RequestError, RPC } from '../host/protocol.ts';
import type { DriverOutcome } from './driver-events.ts';
import type { DriverOptions } from './driver-options.ts';
import type { QmpClient } from './qmp.ts';
import { type Checkpoint, STANDBY_PROTOCOL, type StandbyResults } from './standby-api.ts';
import { LinkError, type StandbyLink } from './standby-link.ts';

/** The session ends: what it rests on has changed. */
export class Ending extends Error {
  readonly outcome: DriverOutcome;

  constructor(outcome: DriverOutcome, why: string) {
    super(why);
    this.outcome = outcome;
  }
}

/** Pings within the standby's patience, requests within the lease. */
export const BEATS = 4;

/** @returns how long ago the standby may have been there: later its gateway is asked for nothing. An overdue ping is noticed at the end of the one before */
export function mostSilentMs(patienceMs: number): number {
  return Math.ceil(patienceMs + patienceMs / BEATS);
}

/** The term that a driver works in: begun, or gone on with, together with its standby. */
export class DriverTerm {
  readonly #options: DriverOptions;
  readonly #sendsChanges: () => boolean;
  #number = 0;
  #leaseMs: number;
  #isAttached = false;
  #aborted = 0;

  /** @param sendsChanges whether copies are of what has changed in memory */
  constructor(options: DriverOptions, sendsChanges: () => boolean) {
    this.#options = options;
    this.#sendsChanges = sendsChanges;
    this.#leaseMs = options.leaseMs;
  }

  /** 0: none yet. */
  get number(): number {
    return this.#number;
  }

  /** It is in force, and its lease is ours to renew. */
  get isAttached(): boolean {
    return this.#isAttached;
  }

  /** That its gateway grants; 0: without end. Who began the term said how long. */
  get leaseMs(): number {
    return this.#leaseMs;
  }

  /** Epochs that were found sealed and came to nothing. */
  get aborted(): number {
    return this.#aborted;
  }

  /**
   * Goes on with the term that is in force, or begins one.
   * @param onMet the standby knows us: from now on it has to hear of us
   * @param stopped rejects when the driver is told to stop
   * @throws Ending where the VM is no longer ours
   */
  async attach(link: StandbyLink, qmp: QmpClient, onMet: () => void, stopped: Promise<never>): Promise<void> {
    const { gateway, leaseMs, disk } = this.#options;
    this.#isAttached = false;
    await this.#beHeard(link, onMet);
    const found = await gateway.attach();
    const isMine = this.#number === 0 || found.term === this.#number;
    this.#leaseMs = (await gateway.status()).leaseMs ?? leaseMs;
    if (found.state === 'on' && !isMine) {
      throw new Ending('fenced', `term ${found.term} is in force, not ${this.#number}: the VM has gone on elsewhere`);
    }
    if (found.state === 'off' && this.#number !== 0) throw new Ending('released', 'replication was stopped');
    if (
      found.term > 0 &&
      isMine &&
      (found.state === 'on' || (found.state === 'waiting' && (await this.#isInForce(link, found))))
    ) {
      this.#number = found.term;
      const newest = await this.hello(link);
      onMet();
      if (disk === null || (await disk.resume(qmp, link, found.term))) {
        await this.#goOn(link, found, newest);
        this.#isAttached = true;
        return;
      }
    }
    await this.#begin(link, qmp, found.term + 1, onMet, stopped);
  }

  /** The gateway may be away for longer than the standby takes for life: silence. */
  async #beHeard(link: StandbyLink, onMet: () => void): Promise<void> {
    if (this.#number === 0) return;
    try {
      await this.greet(link);
      onMet();
    } catch (error) {
      // Whether the term is still ours is for the gateway to say.
      if (!(error instanceof RequestError) || error.code === 'fenced') throw error;
    }
  }

  /** @returns the checkpoint that the standby would go back to */
  async hello(link: StandbyLink, term = this.#number): Promise<Checkpoint | null> {
    const { newest, disks, keepsChanges = false } = await this.greet(link, term);
    checkMemory(this.#sendsChanges(), keepsChanges);
    checkNames(this.#options.disk?.names ?? [], disks);
    return newest;
  }

  /** The standby knows who speaks, whatever it keeps. */
  greet(link: StandbyLink, term = this.#number): Promise<StandbyResults['protect.hello']> {
    const { vm, patienceMs } = this.#options;
    const lease = { patienceMs: mostSilentMs(patienceMs), leaseMs: this.#leaseMs };
    return link.call('protect.hello', { vm, protocol: STANDBY_PROTOCOL, term, ...lease });
  }

  /** Whether the term of a gateway that was started anew is the one that was in force before. */
  async #isInForce(link: StandbyLink, { term }: VmSummary): Promise<boolean> {
    await this.hello(link, term);
    try {
      await this.#options.gateway.resume();
      return true;
    } catch (error) {
      if (error instanceof RequestError && error.code === 'not-replicated') return false;
      throw error;
    }
  }

  /** Where this process was not let run, the VM may have gone on elsewhere since. @throws LinkError */
  #checkHeard(link: StandbyLink): void {
    if (!link.isHeard(mostSilentMs(this.#options.patienceMs))) {
      throw new LinkError('the standby has not been heard for too long');
    }
  }

  async #goOn(link: StandbyLink, found: VmSummary, newest: Checkpoint | null): Promise<void> {
    const { gateway, onEvent } = this.#options;
    // The standby decides what became of checkpoints whose driver did not hear of it: it would go on from the newest.
    const isOfTerm = newest?.term === found.term;
    // One behind what is committed is no way back either: a standby that has lost newer ones, or was not this VM's all the time.
    if (newest !== null && !(isOfTerm && newest.epoch >= found.committedEpoch)) {
      await link.call('protect.forget', { term: found.term });
    }
    const complete = isOfTerm ? newest.epoch : 0;
    this.#checkHeard(link);
    if (found.sealedEpochs.includes(complete)) await gateway.commit(complete);
    for (const epoch of found.sealedEpochs) {
      if (epoch <= complete) continue;
      await gateway.abort(epoch);
      this.#aborted++;
    }
    onEvent({ event: 'term', term: found.term, openEpoch: found.openEpoch, how: 'attached' });
  }

  /** @param next the term that begins */
  async #begin(
    link: StandbyLink,
    qmp: QmpClient,
    next: number,
    onMet: () => void,
    stopped: Promise<never>,
  ): Promise<void> {
    const { gateway, leaseMs, disk, onEvent } = this.#options;
    // Output passes as soon as it has begun: by then the standby has heard of its lease, and nobody has a way back behind that output,
    // whoever is cut off in between. The first checkpoint contains what passes until then; images of other terms do not.
    this.#leaseMs = leaseMs;
    await this.hello(link, next);
    await link.call('protect.forget', { term: next });
    this.#checkHeard(link);
    const { term, openEpoch } = await gateway.start({ holdFrom: 'first-seal', leaseMs });
    this.#number = term;
    this.#isAttached = true;
    onMet();
    onEvent({ event: 'term', term, openEpoch, how: 'started' });
    if (disk === null) return;
    const copied = disk.copy(qmp, link, { term, epoch: openEpoch - 1 });
    const hungUp = link.closed.then((): never => {
      throw new LinkError('the standby hung up while the disks were copied');
    });
    try {
      await Promise.race([copied, hungUp, stopped]);
    } catch (error) {
      if (!qmp.isClosed) await disk.release(qmp);
      throw error;
    } finally {
      copied.catch(() => {});
      hungUp.catch(() => {});
    }
  }
}

/** @throws RequestError where the standby keeps something else than is sent */
function checkMemory(sends: boolean, keeps: boolean): void {
  if (sends === keeps) return;
  const message = keeps
    ? 'the standby keeps changes of memory (--delta): protect with --copy delta'
    : 'the standby keeps all of memory at each checkpoint: for --copy delta it needs --delta';
  throw new RequestError(RPC.state, 'memory-differs', message);
}

/** @throws RequestError where machine and standby do not mean the same disks */
function checkNames(mirrored: readonly string[], kept: readonly string[]): void {
  if (mirrored.length === kept.length && mirrored.every((name) => kept.includes(name))) return;
  const list = (names: readonly string[]) => (names.length === 0 ? 'none' : names.join(', '));
  const message = `the standby keeps these disks: ${list(kept)}; mirrored are: ${list(mirrored)} (see --disk of both)`;
  throw new RequestError(RPC.state, 'disks-differ', message);
}
