import type { Classifier, Generation } from '../classifier/classifier.ts';
import type { LiveState } from '../classifier/live-state.ts';
import type { Clock } from './clock.ts';
import { COUNT } from './counters.ts';
import type { Recovered, VmStore } from './durable/vm-store.ts';
import type { Epochs, HoldFrom } from './epoch.ts';
import type { JudgedListener, OverflowPolicy } from './forward.ts';
import { textOfIp } from './ip-bytes.ts';
import type { Membership } from './memberships.ts';
import type { OwnAddress } from './own-addresses.ts';
import type { Port } from './port/port.ts';
import type { RuleCounters } from './rule-counters.ts';
import { makeVmParts, type VmOptions } from './vm-parts.ts';
import { VmTurns } from './vm-turns.ts';

/** Label of frames that never leave. */
const DISCARDED = Number.POSITIVE_INFINITY;

/** One protected VM: its ports, its epochs, its transmit buffer, in a slab of its own. */
export class Vm extends VmTurns {
  readonly ruleCounters: RuleCounters;
  readonly epochs: Epochs;
  readonly overflow: OverflowPolicy;
  readonly #outbound: Classifier;
  readonly #inbound: Classifier;
  #audited: LiveState | null = null;
  readonly #announce: readonly string[];
  readonly #store: VmStore | null;
  /** Of the term in force. */
  #leaseNs: number;
  readonly #sentNs: () => number;

  /** @throws RangeError for limits that cannot work, or backpressure on a port that cannot push back */
  constructor(inside: Port, outside: Port, generation: Generation, clock: Clock, options: VmOptions) {
    const parts = makeVmParts(inside, outside, generation, clock, options);
    super(parts);
    const { store = null } = options;
    this.#store = store;
    this.#leaseNs = store?.leaseNs ?? Number.POSITIVE_INFINITY;
    this.#announce = options.announce ?? [];
    this.#sentNs = options.sentNs ?? (() => clock.nowNs());
    this.overflow = parts.overflow;
    this.epochs = parts.epochs;
    this.ruleCounters = parts.ruleCounters;
    this.#outbound = parts.outbound;
    this.#inbound = parts.inbound;
    if (store === null) return;
    store.restore(this.txBuffer, parts.slab, 0, options.slotBytes, clock.nowNs(), this.#recover);
    store.begin(this.epochs, this.txBuffer);
  }

  /** A frame that an earlier process of the gateway held is counted as if it were read now. */
  readonly #recover = (reason: number, isDiscarded: boolean): void => {
    const { values, reasons } = this.counters;
    values[COUNT.outbound]!++;
    values[COUNT.held]!++;
    if (isDiscarded) values[COUNT.discarded]!++;
    reasons[reason]!++;
  };

  get generation(): Generation {
    return this.#outbound.generation;
  }

  /** Of the term in force, or of the one that is resumed when its host speaks. */
  get leaseNs(): number {
    return this.#leaseNs;
  }

  /** What an earlier process of the gateway left; null where nothing outlives a process. */
  get recovered(): Recovered | null {
    return this.#store?.recovered ?? null;
  }

  /**
   * The next frame is judged by `generation`; frames already held are not judged again. Declared flows stay, and dynamic sets
   * that are in both rule sets keep their elements.
   */
  swapRules(generation: Generation): void {
    generation.live.takeOver(this.generation.live, this.clock.nowNs());
    this.#outbound.swap(generation);
    this.#inbound.swap(generation);
    this.ruleCounters.swap(generation.ruleSet);
    this.#audited?.beginBeside(generation.live, this.clock.nowNs());
  }

  get verifiesChecksums(): boolean {
    return this.#outbound.verifiesChecksums;
  }

  /** What rules that are tried beside those in force look up in: elements that are added to sets are added here, too. Null: there are none. */
  get audited(): LiveState | null {
    return this.#audited;
  }

  /**
   * Rules are tried beside those in force.
   * @param live theirs
   * @param listener is told of each frame
   */
  beginAudit(live: LiveState, listener: JudgedListener): void {
    live.beginBeside(this.generation.live, this.clock.nowNs());
    this.#audited = live;
    this.forwarder.onJudged = listener;
  }

  endAudit(): void {
    this.#audited = null;
    this.forwarder.onJudged = null;
  }

  /**
   * Begins a term: epoch 1 is open, and frames that wait belong to it.
   * @param leaseNs how long data may pass without a request of the term
   */
  start(holdFrom: HoldFrom = 'now', leaseNs = Number.POSITIVE_INFINITY): { term: number; openEpoch: number } {
    this.flush();
    this.txBuffer.relabel(this.epochs.committedEpoch);
    this.epochs.start(holdFrom);
    return this.#began(leaseNs);
  }

  /**
   * Begins a term where another gateway stopped: its VM lives again here from checkpoint `epoch` of its term `term`. Frames that wait
   * belong to the epoch that is open now.
   */
  takeOver(term: number, epoch: number, leaseNs = Number.POSITIVE_INFINITY): { term: number; openEpoch: number } {
    const committed = this.epochs.committedEpoch;
    this.epochs.takeOver(term, epoch);
    this.flush();
    this.txBuffer.relabel(committed, epoch + 1);
    return this.#began(leaseNs);
  }

  #began(leaseNs: number): { term: number; openEpoch: number } {
    this.forwarder.failed = false;
    this.#leaseNs = leaseNs;
    this.#remember();
    this.hear(this.#sentNs(), leaseNs);
    this.quiesced.end(this.clock.nowNs());
    return { term: this.epochs.term, openEpoch: this.epochs.openEpoch };
  }

  /**
   * Everything the VM sent so far belongs to epoch `epoch` or an earlier one; what is read from now on does not.
   * Reads first what the inside port still has.
   * @param deadlineNs when to stop reading, on the gateway's clock
   */
  seal(term: number, epoch: number, deadlineNs = Number.POSITIVE_INFINITY) {
    this.#heard(term);
    this.epochs.checkSeal(term, epoch);
    const drained = this.drain(deadlineNs);
    this.epochs.seal(term, epoch);
    this.#remember();
    return {
      openEpoch: this.epochs.openEpoch,
      drained,
      heldFrames: this.txBuffer.frames,
      heldBytes: this.txBuffer.bytes,
    };
  }

  /** Checkpoint `epoch` is durable on the standby: its frames leave, and those of every earlier epoch. */
  commit(term: number, epoch: number): { releasedFrames: number; releasedBytes: number } {
    this.#heard(term);
    if (!this.epochs.commit(term, epoch)) return { releasedFrames: 0, releasedBytes: 0 };
    this.#remember();
    return this.release(epoch);
  }

  /** Checkpoint `epoch` failed, the VM runs on. */
  abort(term: number, epoch: number): { movedFrames: number } {
    this.#heard(term);
    const from = this.epochs.abort(term, epoch);
    this.#remember();
    return { movedFrames: this.txBuffer.countEpochs(from, epoch) };
  }

  /** The VM goes on from checkpoint `epoch`: later frames never leave. */
  rollback(term: number, epoch: number) {
    this.#heard(term, false);
    return this.#goBack(term, epoch);
  }

  /**
   * The VM goes on from checkpoint `epoch` on another machine, behind `inside`. What the earlier one has sent and nobody has read is
   * dropped, and so is what it still sends; frames that were on their way to it go to the new one.
   * @param inside open, and able to push back if the overflow policy needs that
   * @param fence the inside port as it was, or those of it that are not in `inside`; null where all are. Closed by a stop
   */
  failover(term: number, epoch: number, inside: Port, fence: Port | null) {
    this.checkFailover(term, epoch);
    this.dropUnread();
    const { forwarder } = this;
    // Before anything is sent: the earlier machine gets nothing more.
    forwarder.changeInside(inside, fence);
    forwarder.failed = false;
    const undone = this.#goBack(term, epoch);
    return { ...undone, ...this.#tellNetwork() };
  }

  /**
   * Tells the network where the VM is: after a takeover, which is another gateway's work, or once more.
   * @param addresses what that gateway knew of the VM's addresses
   * @param memberships and of the multicast groups that it has joined
   */
  announce(term: number, addresses: readonly OwnAddress[], memberships: readonly Membership[] = []) {
    this.#heard(term);
    this.epochs.check(term);
    this.forwarder.ownAddresses.adopt(addresses, memberships);
    return this.#tellNetwork();
  }

  #tellNetwork(): { announced: string[]; unannounced: string[] } {
    const { ownAddresses, announcer } = this.forwarder;
    const { addresses, memberships, unknown } = ownAddresses.toAnnounce(this.#announce);
    announcer.begin([...addresses, ...memberships], this.clock.nowNs());
    this.pump();
    return { announced: [...new Set(addresses.map(({ ip }) => textOfIp(ip)))], unannounced: unknown };
  }

  #goBack(term: number, epoch: number) {
    const commits = this.epochs.rollback(term, epoch);
    this.txBuffer.relabel(epoch, DISCARDED);
    this.#remember();
    this.quiesced.end(this.clock.nowNs());
    // Discard first: the release below may free frames that only waited behind others, but not of later epochs.
    const discardedFrames = this.discard(epoch);
    this.flush();
    const { releasedFrames } = commits ? this.release(epoch) : { releasedFrames: 0 };
    this.flush();
    return { term: this.epochs.term, openEpoch: this.epochs.openEpoch, discardedFrames, releasedFrames };
  }

  /** Throws if a failover to checkpoint `epoch` is not possible; it is the same as for a rollback. Changes nothing. */
  checkFailover(term: number, epoch: number): void {
    this.#heard(term, false);
    this.epochs.checkRollback(term, epoch);
  }

  /** The VM is dead: what it did not commit never leaves, and what it still sends is dropped until the next start. */
  fail(): { discardedFrames: number } {
    this.forwarder.failed = true;
    this.forwarder.announcer.end();
    this.quiesced.end(this.clock.nowNs());
    const committed = this.epochs.committedEpoch;
    this.epochs.abandon();
    this.txBuffer.relabel(committed, DISCARDED);
    this.#remember();
    const discardedFrames = this.discard(committed);
    this.flush();
    return { discardedFrames };
  }

  /**
   * Ends the term, or the waiting for one. Frames that may leave do so at once; `held` says what becomes of the others.
   * @param term where the VM waits for its host: the last one that was in force
   */
  stop(term: number, held: 'release' | 'discard' | 'keep'): { releasedFrames: number; discardedFrames: number } {
    const committed = this.epochs.committedEpoch;
    this.epochs.stop(term, held === 'keep' ? 'waiting' : 'off');
    // Kept frames belong to the next term's epoch 1.
    this.txBuffer.relabel(held === 'release' ? Number.POSITIVE_INFINITY : committed, held === 'keep' ? 1 : DISCARDED);
    this.#remember();
    this.lease.end();
    this.forwarder.announcer.end();
    this.forwarder.fence?.close();
    this.forwarder.endFence();
    this.forwarder.hostSilent = false;
    this.quiesced.end(this.clock.nowNs());
    let discardedFrames = 0;
    let releasedFrames = 0;
    if (held === 'release') releasedFrames = this.release(Number.POSITIVE_INFINITY).releasedFrames;
    if (held === 'discard') discardedFrames = this.discard(committed);
    this.flush();
    return { releasedFrames, discardedFrames };
  }

  /**
   * 'No packets': no frame is delivered to the VM until `resume`, a new term, or `untilNs`.
   * @returns whether none is on its way any more; else ask `quiescent` later
   */
  quiesce(term: number, untilNs: number): boolean {
    this.#heard(term);
    this.epochs.check(term);
    this.quiesced.begin(untilNs);
    this.pump();
    return this.quiescent;
  }

  /** Ends `quiesce`. @returns inbound frames that were delivered at once; more may follow */
  resume(term: number): { deliveredFrames: number } {
    this.#heard(term);
    this.epochs.check(term);
    if (!this.quiesced.end(this.clock.nowNs())) return { deliveredFrames: 0 };
    return { deliveredFrames: this.deliver() };
  }

  /**
   * A request of the term in force is a sign of life, whatever it asks and whether it is granted.
   * @param mayLeave what waited for the lease; not where some of it may be discarded
   */
  #heard(term: number, mayLeave = true): void {
    const resumes = this.epochs.resume(term);
    if (this.epochs.state === 'on' && term === this.epochs.term) {
      this.hear(this.#sentNs(), resumes ? this.#leaseNs : undefined, mayLeave);
    }
  }

  /** A restart finds terms, epochs and labels as they are now: before what they mean is done, and before anybody is told. */
  #remember(): void {
    this.#store?.publish(this.epochs, this.txBuffer, this.#leaseNs);
  }
}
