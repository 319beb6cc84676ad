import { Classifier, type Generation } from '../classifier/classifier.ts';
import type { LiveState } from '../classifier/live-state.ts';
import { slabOf } from '../classifier/slab.ts';
import type { Clock } from './clock.ts';
import { COUNT, Counters } from './counters.ts';
import type { Recovered, VmStore } from './durable/vm-store.ts';
import { Epochs, type HoldFrom } from './epoch.ts';
import { Forwarder, type JudgedListener, type OverflowPolicy } from './forward.ts';
import { FramePool } from './frame-pool.ts';
import { textOfIp } from './ip-bytes.ts';
import { Lease } from './lease.ts';
import { DEFAULT_LIMITS, type TxBufferLimits } from './occupancy.ts';
import type { OwnAddress } from './own-addresses.ts';
import type { Port } from './port/port.ts';
import { Quiesce } from './quiesce.ts';
import { RuleCounters } from './rule-counters.ts';
import { type Pacing, TxBuffer } from './tx-buffer.ts';

export interface VmOptions {
  /** The longest frame that is taken, bytes; a longer one is dropped as `oversize`. */
  readonly slotBytes: number;
  readonly limits?: TxBufferLimits;
  readonly pacing?: Pacing;
  readonly overflow?: OverflowPolicy;
  readonly verifyChecksums?: boolean;
  /** Frames that one turn reads at the most. */
  readonly batchFrames?: number;
  /** Batches of released frames that leave at a time, before others have their turn; see `mayGoOn`. Default: all. */
  readonly releaseBatches?: number;
  /** A VM that is configured as replicated holds everything until its host attaches. */
  readonly replicated?: boolean;
  /** The last term that was in force when an earlier process of the gateway ended: the next one is greater. */
  readonly lastTerm?: number;
  /** Where terms, epochs and perhaps held frames outlive the process; the VM goes on from what is there. */
  readonly store?: VmStore;
  /** Addresses that a failover announces besides those that the VM announced itself; IP texts. */
  readonly announce?: readonly string[];
}

const DEFAULT_BATCH_FRAMES = 64;
/** Pool slots in batches: one in each direction, and as much again for what the ports refuse. */
const POOL_BATCHES = 4;
/** And for what is read only to be dropped, so that it can be however much the ports refuse. */
const DROP_SLOTS = 1;
/** Batches that `resume` delivers before it answers, at the most. */
const RESUME_BATCHES = 64;
/** Batches that a failover reads away at the most: more than a packet socket's buffer has room for. */
const UNREAD_BATCHES = 1024;

/** Label of frames that never leave. */
const DISCARDED = Number.POSITIVE_INFINITY;

/** Frames are known by 32-bit offsets. */
export const MAX_SLAB_BYTES = 2 ** 32;

/** @returns bytes that a VM's frames take, those on their way and those in the transmit buffer; it works with up to MAX_SLAB_BYTES */
export function vmSlabBytes(limits: TxBufferLimits, slotBytes: number, batchFrames = DEFAULT_BATCH_FRAMES): number {
  return (POOL_BATCHES * batchFrames + DROP_SLOTS) * slotBytes + TxBuffer.bytesFor(limits, slotBytes);
}

/** One protected VM: its ports, its epochs, its transmit buffer, in a slab of its own. */
export class Vm {
  readonly counters = new Counters();
  readonly ruleCounters: RuleCounters;
  readonly epochs: Epochs;
  readonly txBuffer: TxBuffer;
  readonly forwarder: Forwarder;
  readonly lease = new Lease();
  readonly quiesced = new Quiesce();
  readonly overflow: OverflowPolicy;
  /** The last `pump` has sent as many released frames as may leave at a time, and there are more: it is to be called again soon. */
  mayGoOn = false;
  readonly #outbound: Classifier;
  readonly #inbound: Classifier;
  readonly #clock: Clock;
  #audited: LiveState | null = null;
  readonly #announce: readonly string[];
  readonly #store: VmStore | null;
  /** Of the term in force. */
  #leaseNs: number;

  /** @throws RangeError for limits that cannot work, or backpressure on a port that cannot push back */
  constructor(inside: Port, outside: Port, generation: Generation, clock: Clock, options: VmOptions) {
    const limits = options.limits ?? DEFAULT_LIMITS;
    const overflow = options.overflow ?? 'drop';
    if (overflow === 'backpressure' && !inside.capabilities.pushesBack) {
      throw new RangeError(`port ${inside.name} cannot push back: overflow must be 'drop'`);
    }
    // One slab for slots and buffer: holding a frame is then a copy within it, which allocates nothing.
    const batchFrames = options.batchFrames ?? DEFAULT_BATCH_FRAMES;
    const slots = POOL_BATCHES * batchFrames + DROP_SLOTS;
    const poolBytes = slots * options.slotBytes;
    const slabBytes = vmSlabBytes(limits, options.slotBytes, batchFrames);
    if (slabBytes > MAX_SLAB_BYTES) {
      throw new RangeError('the transmit buffer and the frame pool may take 4 GiB together');
    }
    const store = options.store ?? null;
    const room = store?.room(poolBytes, options.slotBytes, limits) ?? {
      slab: slabOf(new Uint8Array(slabBytes)),
      ring: poolBytes,
      memory: null,
      held: new Int32Array(1),
    };
    const { slab } = room;
    this.#store = store;
    this.#leaseNs = store?.leaseNs ?? Number.POSITIVE_INFINITY;
    this.#clock = clock;
    this.#announce = options.announce ?? [];
    this.overflow = overflow;
    const replicated = options.replicated === true;
    this.epochs = store?.epochs(replicated) ?? new Epochs(replicated ? 'waiting' : 'off', options.lastTerm);
    const pacing = options.pacing ?? 'burst';
    this.txBuffer = new TxBuffer(slab, room.ring, options.slotBytes, limits, pacing, room.memory, room.held);
    if (overflow === 'backpressure' && this.txBuffer.occupancy.roomFor(options.slotBytes, false) === 0) {
      throw new RangeError(
        `with backpressure nothing would ever be read: behindShare takes no frame of a slot's length`,
      );
    }
    const verifyChecksums = options.verifyChecksums ?? false;
    generation.live.begin(clock.nowNs());
    this.#outbound = new Classifier(generation, verifyChecksums, 'outbound');
    this.#inbound = new Classifier(generation, verifyChecksums, 'inbound');
    this.ruleCounters = new RuleCounters(generation.ruleSet);
    this.forwarder = new Forwarder({
      inside,
      outside,
      pool: new FramePool(slab, 0, slots, options.slotBytes),
      classifier: this.#outbound,
      inboundClassifier: this.#inbound,
      epochs: this.epochs,
      txBuffer: this.txBuffer,
      counters: this.counters,
      ruleCounters: this.ruleCounters,
      overflow,
      batchFrames,
      releaseBatches: options.releaseBatches ?? Number.POSITIVE_INFINITY,
    });
    if (store === null) return;
    store.restore(this.txBuffer, slab, 0, options.slotBytes, clock.nowNs(), this.#recover);
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

  /** What an earlier process of the gateway left; null where nothing outlives a process. */
  get recovered(): Recovered | null {
    return this.#store?.recovered ?? null;
  }

  /** Outbound frames that were read and have neither left nor been given up. */
  get stillHeld(): number {
    return this.txBuffer.frames + this.forwarder.queued;
  }

  /**
   * The next frame is judged by `generation`; frames already held are not judged again. Declared flows stay, and dynamic sets
   * that are in both rule sets keep their elements.
   */
  swapRules(generation: Generation): void {
    generation.live.takeOver(this.generation.live, this.#clock.nowNs());
    this.#outbound.swap(generation);
    this.#inbound.swap(generation);
    this.ruleCounters.swap(generation.ruleSet);
    this.#audited?.beginBeside(generation.live, this.#clock.nowNs());
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
    live.beginBeside(this.generation.live, this.#clock.nowNs());
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
    this.#flush();
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
    this.#flush();
    this.txBuffer.relabel(committed, epoch + 1);
    return this.#began(leaseNs);
  }

  #began(leaseNs: number): { term: number; openEpoch: number } {
    this.forwarder.failed = false;
    this.forwarder.hostSilent = false;
    this.#leaseNs = leaseNs;
    this.#remember();
    this.lease.grant(leaseNs, this.#clock.nowNs());
    this.quiesced.end(this.#clock.nowNs());
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
    const drained = this.#drain(deadlineNs);
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
    return this.#release(epoch);
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
    this.#heard(term);
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
   */
  announce(term: number, addresses: readonly OwnAddress[]) {
    this.#heard(term);
    this.epochs.check(term);
    this.forwarder.ownAddresses.adopt(addresses);
    return this.#tellNetwork();
  }

  #tellNetwork(): { announced: string[]; unannounced: string[] } {
    const { ownAddresses, announcer } = this.forwarder;
    const { addresses, unknown } = ownAddresses.toAnnounce(this.#announce);
    announcer.begin(addresses, this.#clock.nowNs());
    this.pump();
    return { announced: [...new Set(addresses.map(({ ip }) => textOfIp(ip)))], unannounced: unknown };
  }

  /** What the VM has sent and nobody has read by now is dropped: its timeline is over. A part of a failover. */
  dropUnread(): void {
    const { forwarder } = this;
    for (let batches = 0; batches < UNREAD_BATCHES; batches++) {
      forwarder.gather();
      if (forwarder.dropUnread() + forwarder.dropFenced() === 0) return;
    }
  }

  #goBack(term: number, epoch: number) {
    const commits = this.epochs.rollback(term, epoch);
    this.txBuffer.relabel(epoch, DISCARDED);
    this.#remember();
    this.quiesced.end(this.#clock.nowNs());
    // Discard first: the release below may free frames that only waited behind others, but not of later epochs.
    const discardedFrames = this.#discard(epoch);
    this.#flush();
    const { releasedFrames } = commits ? this.#release(epoch) : { releasedFrames: 0 };
    this.#flush();
    return { term: this.epochs.term, openEpoch: this.epochs.openEpoch, discardedFrames, releasedFrames };
  }

  /** Throws if a failover to checkpoint `epoch` is not possible; it is the same as for a rollback. Changes nothing. */
  checkFailover(term: number, epoch: number): void {
    this.#heard(term);
    this.epochs.checkRollback(term, epoch);
  }

  /** The VM is dead: what it did not commit never leaves, and what it still sends is dropped until the next start. */
  fail(): { discardedFrames: number } {
    this.forwarder.failed = true;
    this.forwarder.announcer.end();
    this.quiesced.end(this.#clock.nowNs());
    const committed = this.epochs.committedEpoch;
    this.epochs.abandon();
    this.txBuffer.relabel(committed, DISCARDED);
    this.#remember();
    const discardedFrames = this.#discard(committed);
    this.#flush();
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
    this.quiesced.end(this.#clock.nowNs());
    let discardedFrames = 0;
    let releasedFrames = 0;
    if (held === 'release') releasedFrames = this.#release(Number.POSITIVE_INFINITY).releasedFrames;
    if (held === 'discard') discardedFrames = this.#discard(committed);
    this.#flush();
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

  /** Inbound frames that were read before `quiesce` have been delivered. */
  get quiescent(): boolean {
    return this.forwarder.queuedInbound === 0;
  }

  /** Ends `quiesce`. @returns inbound frames that were delivered at once; more may follow */
  resume(term: number): { deliveredFrames: number } {
    this.#heard(term);
    this.epochs.check(term);
    const before = this.counters.get('inboundPassed');
    if (!this.quiesced.end(this.#clock.nowNs())) return { deliveredFrames: 0 };
    for (let batches = 0; batches < RESUME_BATCHES && this.forwarder.inbound() > 0; batches++);
    return { deliveredFrames: this.counters.get('inboundPassed') - before };
  }

  /** Reads and forwards one batch in each direction, then what is due. @returns frames read */
  turn(): number {
    this.watchHost();
    const read = (this.#isQuiesced() ? 0 : this.forwarder.inbound()) + this.#readInside();
    // The clock's answer may be allocated: it is asked only where something waits for it.
    if (this.forwarder.hasWork) this.pump();
    return read;
  }

  /** One direction of `turn`. @returns frames read */
  turnOutbound(): number {
    this.watchHost();
    const read = this.#readInside();
    if (this.forwarder.hasWork) this.pump();
    return read;
  }

  #readInside(): number {
    return this.forwarder.outbound(false) + this.forwarder.dropFenced();
  }

  /** The other direction. @returns frames read */
  turnInbound(): number {
    this.watchHost();
    const read = this.#isQuiesced() ? 0 : this.forwarder.inbound();
    if (this.forwarder.hasWork) this.pump();
    return read;
  }

  /** Holds data too once the lease has run out. Every turn does this; for when no frame comes, so that the state is known. */
  watchHost(): void {
    const deadlineNs = this.lease.deadline[0]!;
    if (deadlineNs < Number.POSITIVE_INFINITY && deadlineNs <= this.#clock.nowNs()) this.forwarder.hostSilent = true;
  }

  #isQuiesced(): boolean {
    const untilNs = this.quiesced.until[0]!;
    return untilNs > Number.NEGATIVE_INFINITY && untilNs > this.#clock.nowNs();
  }

  /** Sends what is due by now. */
  pump(): void {
    const nowNs = this.#clock.nowNs();
    const { forwarder } = this;
    this.mayGoOn = forwarder.pump(nowNs);
    if (nowNs < forwarder.announcer.nextDueNs()) return;
    this.watchHost();
    // Whose lease has run out may not be the one who has the VM any more.
    if (forwarder.hostSilent) forwarder.announcer.end();
    else forwarder.announcer.pump(nowNs);
  }

  /** @returns when `pump` is needed next (-Infinity: now), Infinity when nothing waits for its time */
  nextDueNs(): number {
    return Math.min(this.txBuffer.nextDueNs(), this.forwarder.announcer.nextDueNs());
  }

  /** A request of the term in force is a sign of life, whatever it asks and whether it is granted. */
  #heard(term: number): void {
    if (this.epochs.resume(term)) this.lease.grant(this.#leaseNs, this.#clock.nowNs());
    if (this.epochs.state !== 'on' || term !== this.epochs.term) return;
    this.lease.renew(this.#clock.nowNs());
    this.forwarder.hostSilent = false;
  }

  /** A restart finds terms, epochs and labels as they are now: before what they mean is done, and before anybody is told. */
  #remember(): void {
    this.#store?.publish(this.epochs, this.txBuffer, this.#leaseNs);
  }

  #release(epoch: number): { releasedFrames: number; releasedBytes: number } {
    this.#flush();
    this.txBuffer.releaseThrough(epoch, this.#clock.nowNs());
    const released = { releasedFrames: this.txBuffer.changedFrames, releasedBytes: this.txBuffer.changedBytes };
    this.pump();
    return released;
  }

  #discard(afterEpoch: number): number {
    this.txBuffer.discardAfter(afterEpoch);
    this.counters.values[COUNT.discarded]! += this.txBuffer.changedFrames;
    return this.txBuffer.changedFrames;
  }

  /** What may leave and still waits for its time leaves now. */
  #flush(): void {
    this.txBuffer.hurry();
    this.pump();
  }

  /** @returns whether the inside port had nothing more */
  #drain(deadlineNs: number): boolean {
    while (this.forwarder.mayRead(true) > 0) {
      this.forwarder.gather();
      if (this.forwarder.outbound(true) === 0) return true;
      if (this.#clock.nowNs() >= deadlineNs) return false;
    }
    return false;
  }
}
