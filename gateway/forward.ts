import type { Classifier } from '../classifier/classifier.ts';
import { FLOW_KEY_WORDS, flowKey } from '../classifier/flow-key.ts';
import { parse } from '../classifier/parse.ts';
import { Parsed } from '../classifier/parsed.ts';
import { REASON, VERDICT } from '../classifier/verdict.ts';
import { Announcer } from './announce.ts';
import type { Clock } from './clock.ts';
import { COUNT, type Counters } from './counters.ts';
import { Egress } from './egress.ts';
import type { Epochs } from './epoch.ts';
import { FrameBatch } from './frame-batch.ts';
import type { FramePool } from './frame-pool.ts';
import { HoldTimes } from './hold-times.ts';
import { OwnAddresses } from './own-addresses.ts';
import type { Port } from './port/port.ts';
import type { RuleCounters } from './rule-counters.ts';
import { type Tap, Taps } from './tap.ts';
import type { TxBuffer } from './tx-buffer.ts';

/** LINKTYPE_ETHERNET. */
const ETHERNET = 1;
/** What happens when the transmit buffer has no room for a frame that would be held. */
export type OverflowPolicy = 'drop' | 'backpressure';

/** Sees each frame right after the rules. What it is given is lent until the call returns, and may not be changed. */
export interface JudgedListener {
  judged(parsed: Parsed, batch: FrameBatch, i: number, classifier: Classifier): void;
}

export interface ForwarderParts {
  readonly inside: Port;
  readonly outside: Port;
  readonly pool: FramePool;
  readonly classifier: Classifier;
  readonly inboundClassifier: Classifier;
  readonly epochs: Epochs;
  readonly txBuffer: TxBuffer;
  readonly counters: Counters;
  readonly ruleCounters: RuleCounters;
  readonly overflow: OverflowPolicy;
  /** Frames that one turn reads at the most. */
  readonly batchFrames: number;
  /** Released frames that one `pump` sends, or twice as many as have just been read where that is more. */
  readonly releaseFrames: number;
  readonly clock: Clock;
}

/**
 * HOT. One VM's frames, one batch in, verdicts, one batch out: synchronous, in frame order, without allocation.
 *
 *   inside.receive → pool slot → parse → classify → pass: egress → outside.transmit
 *                                                 → hold: transmit buffer … release → outside.transmit
 *                                                 → drop: counted
 *
 * Towards the VM nothing waits: outside.receive → pool slot → inbound rules, where there are any → inside.transmit, or counted.
 */
export class Forwarder {
  /** Frames from the VM are dropped as `vm-failed`. */
  failed = false;
  /** The lease of the term in force has run out: what would pass is held too. */
  hostSilent = false;
  /** Stored frames stay, also those that may leave: there has been no link yet that could take them. */
  isHeldBack = false;
  /** Told of each frame that rules were asked about, before anything else has a say. Null: nobody listens. */
  onJudged: JudgedListener | null = null;
  /** Called with each batch that leaves, after the port accepted its first `count` frames. Null: nobody listens. */
  onReleased: ((batch: FrameBatch, count: number) => void) | null = null;
  readonly holdTimes = new HoldTimes();
  readonly ownAddresses: OwnAddresses;
  readonly announcer: Announcer;

  readonly #parts: ForwarderParts;
  readonly #parsed = new Parsed();
  readonly #key = new Int32Array(FLOW_KEY_WORDS);
  readonly #received: FrameBatch;
  /** Those of the received frames that leave at once, where not all do. */
  readonly #passing: FrameBatch;
  readonly #released: FrameBatch;
  readonly #outward: Egress;
  readonly #inward: Egress;
  #inside: Port;
  #fence: Port | null = null;
  readonly #taps = new Taps();
  /** `#taps`, while there are any. */
  #tap: Tap | null = null;

  constructor(parts: ForwarderParts) {
    this.#parts = parts;
    this.#received = new FrameBatch(parts.pool.slab, parts.batchFrames);
    this.#passing = new FrameBatch(parts.pool.slab, parts.batchFrames);
    this.#released = new FrameBatch(parts.pool.slab, parts.batchFrames);
    this.#inside = parts.inside;
    this.ownAddresses = new OwnAddresses(parts.clock);
    this.announcer = new Announcer(parts.outside);
    this.#outward = new Egress(parts.outside, parts.pool, this.ownAddresses);
    this.#inward = new Egress(parts.inside, parts.pool);
  }

  /** Shows every frame to `tap` from now on. Without any it costs a comparison a batch. */
  addTap(tap: Tap): void {
    this.#taps.add(tap);
    this.#tapWith(this.#taps);
  }

  /** @returns whether it was there */
  removeTap(tap: Tap): boolean {
    const wasThere = this.#taps.remove(tap);
    if (this.#taps.count === 0) this.#tapWith(null);
    return wasThere;
  }

  /** What frames are shown to; null: nobody looks. */
  get tap(): Tap | null {
    return this.#tap;
  }

  /** Somebody looks at the frames. */
  get isTapped(): boolean {
    return this.#tap !== null;
  }

  #tapWith(tap: Tap | null): void {
    this.#tap = tap;
    this.#outward.onAccepted = tap === null ? null : (batch, count) => tap.sent('outside', batch, count);
    this.#inward.onAccepted = tap === null ? null : (batch, count) => tap.sent('inside', batch, count);
    this.announcer.onAccepted = this.#outward.onAccepted;
  }

  /** Outbound frames that the outside port has refused so far; they count as still held. */
  get queued(): number {
    return this.#outward.queued;
  }

  /** Inbound frames that the inside port has refused so far. */
  get queuedInbound(): number {
    return this.#inward.queued;
  }

  /** `pump` may have something to do. */
  get hasWork(): boolean {
    return this.#inward.queued > 0 || this.#outward.queued > 0 || this.#parts.txBuffer.leavingFrames > 0;
  }

  /**
   * Reads one batch from the VM and sends, stores or drops each of its frames.
   * @param draining a seal is in progress: the transmit buffer's reserve may be used
   * @returns how many frames were read
   */
  outbound(draining: boolean): number {
    const { counters, epochs, txBuffer } = this.#parts;
    const batch = this.#received;
    const count = this.#receive(this.#inside, this.mayRead(draining));
    if (count === 0) return 0;
    const epoch = epochs.state === 'off' ? 0 : epochs.openEpoch;
    let passing = 0;
    counters.values[COUNT.outbound]! += count;
    for (let i = 0; i < count; i++) {
      batch.epoch[i] = epoch;
      batch.rule[i] = 0;
      this.#judge(batch, i);
      if (batch.verdict[i] === VERDICT.drop) {
        this.#drop(batch, i);
      } else if (batch.verdict[i] === VERDICT.hold) {
        this.#hold(batch, i, false, draining);
      } else if (txBuffer.frames > 0 && this.#mustWait()) {
        batch.reason[i] = REASON.behindHeld;
        this.#hold(batch, i, true, draining);
      } else {
        counters.reasons[batch.reason[i]!]!++;
        passing++;
      }
    }
    // Slots of held and dropped frames were given back, and hold their bytes until the next read.
    if (this.#tap !== null) this.#tap.received('inside', batch, count);
    // Without a lease none passes, and those that the port refused before may not leave either.
    if (!this.hostSilent) counters.values[COUNT.passed]! += this.#outward.send(this.#leaving(passing), passing);
    return count;
  }

  /** What the VM has sent so far can be read. */
  gather(): void {
    this.#inside.gather?.();
  }

  /** What the machine behind it sends is read and dropped; null: there is none. */
  get fence(): Port | null {
    return this.#fence;
  }

  /**
   * The VM is behind `inside` from now on: frames that were on their way to it go there.
   * @param fence the port or ports that it was behind; what comes from there is dropped. Null: none, or the same
   */
  changeInside(inside: Port, fence: Port | null): void {
    this.#inside = inside;
    this.#inward.changePort(inside);
    this.#fence = fence;
  }

  /** Nothing is read any more from where the VM was. */
  endFence(): void {
    this.#fence = null;
  }

  /** Reads one batch that the VM's earlier machine sent, and drops it. @returns how many frames were read */
  dropFenced(): number {
    return this.#fence === null ? 0 : this.#dropAll(this.#fence);
  }

  /** Drops one batch of what the VM sent and nobody has read: it belongs to a timeline that is over. @returns how many frames */
  dropUnread(): number {
    return this.#dropAll(this.#inside);
  }

  /** @returns how many frames `inbound` may read */
  mayReadInbound(): number {
    return this.#slots(this.#inward);
  }

  /** Reads one batch from the network and sends it to the VM. @returns how many frames were read */
  inbound(): number {
    const { outside, counters } = this.#parts;
    const batch = this.#received;
    const count = this.#receive(outside, this.#slots(this.#inward));
    if (count === 0) return 0;
    let passing = 0;
    counters.values[COUNT.inbound]! += count;
    for (let i = 0; i < count; i++) {
      this.ownAddresses.came(batch, i);
      this.#judgeInbound(batch, i);
      counters.reasons[batch.reason[i]!]!++;
      if (batch.verdict[i] === VERDICT.drop) {
        counters.values[COUNT.inboundDropped]!++;
        this.#parts.pool.give(batch.offset[i]!);
      } else {
        passing++;
      }
    }
    if (this.#tap !== null) this.#tap.received('outside', batch, count);
    counters.values[COUNT.inboundPassed]! += this.#inward.send(this.#leaving(passing), passing);
    return count;
  }

  /**
   * Offers the ports what they refused before, then what may leave the transmit buffer by `nowNs`.
   * @param read frames that have just been read: under a flood more leave than come, else those that are held would become ever more
   * @returns whether it has sent as much as it may at a time, and more could leave
   */
  pump(nowNs: number, read: number): boolean {
    const { txBuffer, outside, counters, releaseFrames } = this.#parts;
    if (this.#inward.queued > 0) counters.values[COUNT.inboundPassed]! += this.#inward.flush();
    if (this.#outward.queued > 0 && !this.hostSilent) counters.values[COUNT.passed]! += this.#outward.flush();
    if (this.isHeldBack) return false;
    // Frames queued earlier go first, else a later one of the same flow could overtake.
    let most = 2 * read > releaseFrames ? 2 * read : releaseFrames;
    while (this.#outward.queued === 0 && txBuffer.leavingFrames > 0) {
      if (most === 0) return true;
      const due = txBuffer.collect(this.#released, nowNs, most, !this.hostSilent);
      if (due === 0) return false;
      const accepted = outside.transmit(this.#released, 0, due);
      counters.values[COUNT.released]! += accepted;
      this.holdTimes.add(this.#released, accepted, nowNs);
      if (accepted > 0 && this.onReleased !== null) this.onReleased(this.#released, accepted);
      if (accepted > 0 && this.#tap !== null) this.#tap.sent('outside', this.#released, accepted);
      for (let i = 0; i < accepted; i++) this.ownAddresses.left(this.#released, i);
      txBuffer.left(this.#released, accepted);
      if (accepted < due) return false;
      most -= due;
    }
    return false;
  }

  /** @returns how many frames `outbound` may read: as the pool has slots, with backpressure as can also be stored */
  mayRead(draining: boolean): number {
    const { pool, overflow, txBuffer } = this.#parts;
    let max = this.#slots(this.#outward);
    if (overflow === 'backpressure') {
      const room = txBuffer.occupancy.roomFor(pool.slotBytes, draining);
      if (room < max) max = room;
    }
    return max;
  }

  /** Each direction has half of the pool, so that a port that refuses never stops the other direction. */
  #slots(queue: Egress): number {
    const { pool, batchFrames } = this.#parts;
    const free = (pool.slots >> 1) - queue.queued;
    return free < batchFrames ? free : batchFrames;
  }

  #receive(port: Port, max: number): number {
    const { pool } = this.#parts;
    const batch = this.#received;
    const count = port.receive(batch, 0, pool.show(batch.offset, max), pool.slotBytes);
    pool.takeShown(count);
    batch.count = count;
    return count;
  }

  /** Fills in the verdict, its reason and the deciding rule. */
  #judge(batch: FrameBatch, i: number): void {
    const { classifier, epochs, ruleCounters } = this.#parts;
    if (this.failed) {
      batch.verdict[i] = VERDICT.drop;
      batch.reason[i] = REASON.vmFailed;
      return;
    }
    if (batch.linkType[i] !== ETHERNET) {
      batch.verdict[i] = VERDICT.drop;
      batch.reason[i] = REASON.notEthernet;
      return;
    }
    const length = batch.length[i]!;
    if (length < batch.wireLength[i]! && !this.#inside.capabilities.cutsFrames) {
      batch.verdict[i] = VERDICT.drop;
      batch.reason[i] = REASON.oversize;
      return;
    }
    parse(this.#parsed, batch.slab.view, batch.offset[i]!, length, batch.wireLength[i]!);
    classifier.classifyAt(this.#parsed, batch.slab.view, batch.arrivalNs, i);
    batch.verdict[i] = classifier.verdict;
    batch.reason[i] = classifier.reason;
    if (classifier.rule >= 0) {
      batch.rule[i] = ruleCounters.count(classifier.rule, batch.wireLength[i]!, batch.arrivalNs, i);
    }
    if (this.onJudged !== null) this.onJudged.judged(this.#parsed, batch, i, classifier);
    if (classifier.verdict === VERDICT.hold) {
      if (epochs.state === 'off') {
        batch.verdict[i] = VERDICT.pass;
        batch.reason[i] = REASON.notReplicated;
      } else if (epochs.beforeFirstSeal && !this.hostSilent) {
        batch.verdict[i] = VERDICT.pass;
        batch.reason[i] = REASON.beforeFirstSeal;
      }
    } else if (classifier.verdict === VERDICT.pass && (epochs.state === 'waiting' || this.hostSilent)) {
      batch.verdict[i] = VERDICT.hold;
      batch.reason[i] = this.hostSilent ? REASON.lease : REASON.waiting;
    }
  }

  /** The same for a frame to the VM. Without rules for it the frame is not even parsed. */
  #judgeInbound(batch: FrameBatch, i: number): void {
    const { inboundClassifier: classifier, outside, ruleCounters } = this.#parts;
    batch.epoch[i] = 0;
    batch.rule[i] = 0;
    const length = batch.length[i]!;
    if (length < batch.wireLength[i]! && !outside.capabilities.cutsFrames) {
      batch.verdict[i] = VERDICT.drop;
      batch.reason[i] = REASON.oversize;
      return;
    }
    if (classifier.block === null) {
      batch.verdict[i] = VERDICT.pass;
      batch.reason[i] = REASON.inbound;
      if (this.onJudged !== null && batch.linkType[i] === ETHERNET) {
        parse(this.#parsed, batch.slab.view, batch.offset[i]!, length, batch.wireLength[i]!);
        classifier.classifyAt(this.#parsed, batch.slab.view, batch.arrivalNs, i);
        this.onJudged.judged(this.#parsed, batch, i, classifier);
      }
      return;
    }
    if (batch.linkType[i] !== ETHERNET) {
      batch.verdict[i] = VERDICT.drop;
      batch.reason[i] = REASON.notEthernet;
      return;
    }
    parse(this.#parsed, batch.slab.view, batch.offset[i]!, length, batch.wireLength[i]!);
    classifier.classifyAt(this.#parsed, batch.slab.view, batch.arrivalNs, i);
    batch.verdict[i] = classifier.verdict;
    batch.reason[i] = classifier.reason;
    if (classifier.rule >= 0) {
      batch.rule[i] = ruleCounters.countInbound(classifier.rule, batch.wireLength[i]!, batch.arrivalNs, i);
    }
    if (this.onJudged !== null) this.onJudged.judged(this.#parsed, batch, i, classifier);
  }

  /** @returns whether the judged frame would overtake: one of its flow, or after a stop any that was held before it */
  #mustWait(): boolean {
    if (this.#parts.epochs.state === 'off') return true;
    if (!this.#parts.classifier.ordered) return false;
    flowKey(this.#key, this.#parsed);
    return this.#parts.txBuffer.flows.find(this.#key) >= 0;
  }

  #hold(batch: FrameBatch, i: number, behind: boolean, draining: boolean): void {
    const { classifier, counters, pool, txBuffer } = this.#parts;
    const { ordered } = classifier;
    if (ordered) flowKey(this.#key, this.#parsed);
    const full = txBuffer.hold(batch, i, ordered ? this.#key : null, behind, classifier.unclassified, draining);
    if (full !== 0) {
      batch.verdict[i] = VERDICT.drop;
      batch.reason[i] = full;
      this.#drop(batch, i);
      return;
    }
    counters.values[COUNT.held]!++;
    counters.reasons[batch.reason[i]!]!++;
    pool.give(batch.offset[i]!);
  }

  #dropAll(port: Port): number {
    const batch = this.#received;
    // The slots are given back at once: even what one direction needs will do.
    const count = this.#receive(port, Math.min(this.#parts.pool.free, this.#parts.batchFrames));
    for (let i = 0; i < count; i++) {
      this.#parts.counters.values[COUNT.outbound]!++;
      batch.epoch[i] = 0;
      batch.rule[i] = 0;
      batch.verdict[i] = VERDICT.drop;
      batch.reason[i] = REASON.fenced;
      this.#drop(batch, i);
    }
    if (count > 0 && this.#tap !== null) this.#tap.received('inside', batch, count);
    return count;
  }

  #drop(batch: FrameBatch, i: number): void {
    const { counters, pool } = this.#parts;
    counters.values[COUNT.dropped]!++;
    counters.reasons[batch.reason[i]!]!++;
    pool.give(batch.offset[i]!);
  }

  /** @returns the received frames that leave now, `count` of them, from the first place on */
  #leaving(count: number): FrameBatch {
    const batch = this.#received;
    if (count === batch.count) return batch;
    const passing = this.#passing;
    let kept = 0;
    for (let i = 0; i < batch.count; i++) {
      if (batch.verdict[i] !== VERDICT.pass || batch.reason[i] === REASON.behindHeld) continue;
      passing.copyFrom(kept, batch, i);
      kept++;
    }
    return passing;
  }
}
