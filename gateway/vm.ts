import { Classifier, type Generation } from '../classifier/classifier.ts';
import { slabOf } from '../classifier/slab.ts';
import type { Clock } from './clock.ts';
import { COUNT, Counters } from './counters.ts';
import { Epochs, type HoldFrom } from './epoch.ts';
import { Forwarder, type OverflowPolicy } from './forward.ts';
import { FramePool } from './frame-pool.ts';
import { Lease } from './lease.ts';
import { DEFAULT_LIMITS, type TxBufferLimits } from './occupancy.ts';
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
  /** A VM that is configured as replicated holds everything until its host attaches. */
  readonly replicated?: boolean;
  /** The last term that was in force when an earlier process of the gateway ended: the next one is greater. */
  readonly lastTerm?: number;
}

const DEFAULT_BATCH_FRAMES = 64;
/** Pool slots in batches: one in each direction, and as much again for what the ports refuse. */
const POOL_BATCHES = 4;
/** Batches that `resume` delivers before it answers, at the most. */
const RESUME_BATCHES = 64;

/** One protected VM: its ports, its epochs, its transmit buffer, in a slab of its own. */
export class Vm {
  readonly counters = new Counters();
  readonly ruleCounters: RuleCounters;
  readonly epochs: Epochs;
  readonly txBuffer: TxBuffer;
  readonly forwarder: Forwarder;
  readonly lease = new Lease();
  readonly quiesced = new Quiesce();
  readonly #outbound: Classifier;
  readonly #inbound: Classifier;
  readonly #clock: Clock;

  /** @throws RangeError for limits that cannot work, or backpressure on a port that cannot push back */
  constructor(inside: Port, outside: Port, generation: Generation, clock: Clock, options: VmOptions) {
    const limits = options.limits ?? DEFAULT_LIMITS;
    const overflow = options.overflow ?? 'drop';
    if (overflow === 'backpressure' && !inside.capabilities.pushesBack) {
      throw new RangeError(`port ${inside.name} cannot push back: overflow must be 'drop'`);
    }
    // One slab for slots and buffer: holding a frame is then a copy within it, which allocates nothing.
    const batchFrames = options.batchFrames ?? DEFAULT_BATCH_FRAMES;
    const slots = POOL_BATCHES * batchFrames;
    const poolBytes = slots * options.slotBytes;
    const slabBytes = poolBytes + TxBuffer.bytesFor(limits, options.slotBytes);
    // Frames are known by 32-bit offsets.
    if (slabBytes > 2 ** 32) throw new RangeError('the transmit buffer and the frame pool may take 4 GiB together');
    const slab = slabOf(new Uint8Array(slabBytes));
    this.#clock = clock;
    this.epochs = new Epochs(options.replicated === true ? 'waiting' : 'off', options.lastTerm);
    this.txBuffer = new TxBuffer(slab, poolBytes, options.slotBytes, limits, options.pacing ?? 'burst');
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
    });
  }

  get generation(): Generation {
    return this.#outbound.generation;
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
    this.epochs.takeOver(term, epoch);
    this.#flush();
    this.txBuffer.relabel(0, epoch + 1);
    return this.#began(leaseNs);
  }

  #began(leaseNs: number): { term: number; openEpoch: number } {
    this.forwarder.failed = false;
    this.forwarder.hostSilent = false;
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
    return this.#release(epoch);
  }

  /** Checkpoint `epoch` failed, the VM runs on. */
  abort(term: number, epoch: number): { movedFrames: number } {
    this.#heard(term);
    const from = this.epochs.abort(term, epoch);
    return { movedFrames: this.txBuffer.countEpochs(from, epoch) };
  }

  /** The VM goes on from checkpoint `epoch`: later frames never leave. */
  rollback(term: number, epoch: number) {
    this.#heard(term);
    const commits = this.epochs.rollback(term, epoch);
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
    this.quiesced.end(this.#clock.nowNs());
    const discardedFrames = this.#discard(this.epochs.committedEpoch);
    this.epochs.abandon();
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
    this.lease.end();
    this.forwarder.hostSilent = false;
    this.quiesced.end(this.#clock.nowNs());
    let discardedFrames = 0;
    let releasedFrames = 0;
    if (held === 'release') releasedFrames = this.#release(Number.POSITIVE_INFINITY).releasedFrames;
    if (held === 'discard') discardedFrames = this.#discard(committed);
    this.#flush();
    // Kept frames belong to the next term's epoch 1; of the others only those that the port refused are still here.
    this.txBuffer.relabel(held === 'keep' ? committed : Number.POSITIVE_INFINITY);
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
    const read = (this.#isQuiesced() ? 0 : this.forwarder.inbound()) + this.forwarder.outbound(false);
    // The clock's answer may be allocated: it is asked only where something waits for it.
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
    this.forwarder.pump(this.#clock.nowNs());
  }

  /** @returns when `pump` is needed next (-Infinity: now), Infinity when nothing waits for its time */
  nextDueNs(): number {
    return this.txBuffer.nextDueNs();
  }

  /** A request of the term in force is a sign of life, whatever it asks and whether it is granted. */
  #heard(term: number): void {
    if (this.epochs.state !== 'on' || term !== this.epochs.term) return;
    this.lease.renew(this.#clock.nowNs());
    this.forwarder.hostSilent = false;
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
      if (this.forwarder.outbound(true) === 0) return true;
      if (this.#clock.nowNs() >= deadlineNs) return false;
    }
    return false;
  }
}
