import type { VmStore } from '../../gateway/durable/vm-store.ts';
import type { TxBufferLimits } from '../../gateway/occupancy.ts';
import type { Pacing } from '../../gateway/tx-buffer.ts';
import { type Frame, SLOT_BYTES } from './frames.ts';
import { Judge, type Judgement } from './judge.ts';
import { ModelEpochs } from './model-epochs.ts';

export interface ModelOptions {
  readonly limits: TxBufferLimits;
  readonly pacing: Pacing;
  readonly overflow: 'drop' | 'backpressure';
  readonly batchFrames: number;
  readonly replicated: boolean;
  readonly ruleSet: number;
  /** Frames that each direction of the outside and of the inside link takes before it refuses. */
  readonly outsideCapacity: number;
  readonly insideCapacity: number;
  /** Where the gateway keeps what outlives it; the model knows nothing of it. */
  readonly store?: () => VmStore;
}

/** A frame in the transmit buffer. */
interface Stored {
  readonly frame: Frame;
  label: number;
  readonly arrivalNs: number;
  /** Whose order it keeps; null: nobody's. */
  readonly flow: string | null;
  /** Its verdict was pass. */
  readonly isBehind: boolean;
  readonly isUnclassified: boolean;
  /** When it leaves, once it may. */
  dueNs: number | null;
}

/** A frame that left towards the network. */
export interface Left {
  readonly serial: number;
  readonly atNs: number;
  readonly flow: string | null;
}

const AT_ONCE = Number.NEGATIVE_INFINITY;
/** Batches of frames that wait in one direction until a port takes them. */
const REFUSED_BATCHES = 2;
/** What `resume` delivers before it answers. */
const RESUME_BATCHES = 64;
const NS_PER_MS = 1e6;

/**
 * What the gateway promises for one VM, with arrays of plain objects and no thought of speed: every list is searched
 * from its start, every sum is counted anew.
 */
export class Model {
  readonly epochs: ModelEpochs;
  readonly judge: Judge;
  readonly judgeInbound: Judge;
  nowNs = 0;
  failed = false;
  /** The link's four lanes: what waits in them. */
  readonly fromVm: Frame[] = [];
  readonly toVm: Frame[] = [];
  readonly fromNet: Frame[] = [];
  readonly toNet: Frame[] = [];
  /** Passed by the rules, refused by the port so far. */
  readonly refusedOut: Pick<Stored, 'frame' | 'flow'>[] = [];
  readonly refusedIn: Frame[] = [];
  stored: Stored[] = [];
  readonly left: Left[] = [];
  readonly count: Record<string, number> = {};
  readonly reasons: Record<string, number> = {};
  readonly rules: Record<string, number> = {};
  peakFrames = 0;
  peakBytes = 0;
  readonly #options: ModelOptions;
  #trainShiftNs = AT_ONCE;
  /** Without a request of the term for this long everything is held. */
  #leaseNs = Number.POSITIVE_INFINITY;
  #heardNs = 0;
  #quiescedUntilNs = AT_ONCE;

  constructor(options: ModelOptions) {
    this.#options = options;
    this.epochs = new ModelEpochs(options.replicated ? 'waiting' : 'off');
    this.judge = new Judge(options.ruleSet, 'outbound');
    this.judgeInbound = new Judge(options.ruleSet, 'inbound');
  }

  get stillHeld(): number {
    return this.stored.length + this.refusedOut.length;
  }

  get storedBytes(): number {
    return bytesOf(this.stored);
  }

  get nextDueNs(): number {
    const next = this.stored.find((s) => s.dueNs !== null);
    return next === undefined || (next.isBehind && this.#isSilent) ? Number.POSITIVE_INFINITY : next.dueNs!;
  }

  // What the two neighbours do.

  sendFromVm(frame: Frame): boolean {
    return offer(this.fromVm, frame, this.#options.insideCapacity);
  }

  sendFromNet(frame: Frame): boolean {
    return offer(this.fromNet, frame, this.#options.outsideCapacity);
  }

  // What the gateway does by itself.

  turn(): number {
    const read = (this.nowNs < this.#quiescedUntilNs ? 0 : this.#inbound()) + this.#outbound(false);
    this.pump();
    return read;
  }

  pump(): void {
    this.#flushIn();
    this.#flushOut();
    while (this.refusedOut.length === 0) {
      const at = this.stored.findIndex((s) => s.dueNs !== null);
      const next = this.stored[at];
      if (next === undefined || next.dueNs! > this.nowNs || (next.isBehind && this.#isSilent)) return;
      if (!this.#leave(next.frame, next.flow)) return;
      this.stored.splice(at, 1);
      this.#add('released');
    }
  }

  // What the host asks.

  start(holdFrom: 'now' | 'first-seal', leaseMs: number) {
    this.#flush();
    for (const s of this.stored) s.label = s.label <= this.epochs.committed ? 0 : 1;
    this.epochs.start(holdFrom);
    return this.#began(leaseMs);
  }

  takeOver(term: number, epoch: number, leaseMs: number) {
    this.epochs.takeOver(term, epoch);
    this.#flush();
    for (const s of this.stored) if (s.label !== 0) s.label = epoch + 1;
    return this.#began(leaseMs);
  }

  quiesce(term: number, leaseMs: number) {
    this.#hear(term);
    this.epochs.checkTerm(term);
    this.#quiescedUntilNs = this.nowNs + leaseMs * NS_PER_MS;
    this.pump();
    return { quiescent: this.refusedIn.length === 0 };
  }

  resume(term: number) {
    this.#hear(term);
    this.epochs.checkTerm(term);
    const before = this.count.inboundPassed ?? 0;
    const wasQuiesced = this.nowNs < this.#quiescedUntilNs;
    this.#quiescedUntilNs = AT_ONCE;
    for (let i = 0; wasQuiesced && i < RESUME_BATCHES; i++) this.#inbound();
    return { deliveredFrames: (this.count.inboundPassed ?? 0) - before };
  }

  seal(term: number, epoch: number, isLate: boolean) {
    this.#hear(term);
    this.epochs.checkSeal(term, epoch);
    let drained = false;
    while (this.#mayRead(true) > 0) {
      drained = this.#outbound(true) === 0;
      if (drained || isLate) break;
    }
    this.epochs.seal(epoch);
    return { openEpoch: epoch + 1, drained, heldFrames: this.stored.length, heldBytes: this.storedBytes };
  }

  commit(term: number, epoch: number) {
    this.#hear(term);
    if (!this.epochs.commit(term, epoch)) return { releasedFrames: 0, releasedBytes: 0 };
    return this.#release(epoch);
  }

  abort(term: number, epoch: number) {
    this.#hear(term);
    const next = this.epochs.abort(term, epoch);
    const moved = this.stored.filter((s) => s.label === epoch);
    for (const s of moved) s.label = next;
    return { movedFrames: moved.filter((s) => s.dueNs === null).length };
  }

  rollback(term: number, epoch: number) {
    this.#hear(term, false);
    const commits = this.epochs.rollback(term, epoch);
    this.#quiescedUntilNs = AT_ONCE;
    const discardedFrames = this.#discardAfter(epoch);
    this.#flush();
    const releasedFrames = commits ? this.#release(epoch).releasedFrames : 0;
    this.#flush();
    return { term: this.epochs.term, openEpoch: this.epochs.open, discardedFrames, releasedFrames };
  }

  /** The port stays: what nobody has read by now is dropped. */
  failover(term: number, epoch: number) {
    const undone = this.rollback(term, epoch);
    this.failed = false;
    for (const _ of this.fromVm.splice(0)) {
      this.#add('outbound');
      this.#drop('fenced');
    }
    return { ...undone, announced: [] };
  }

  fail() {
    this.failed = true;
    this.#quiescedUntilNs = AT_ONCE;
    const discardedFrames = this.#discardAfter(this.epochs.committed);
    this.epochs.abandon();
    this.#flush();
    return { discardedFrames };
  }

  stop(term: number, held: 'release' | 'discard' | 'keep') {
    const { committed } = this.epochs;
    this.epochs.stop(term, held === 'keep' ? 'waiting' : 'off');
    this.#quiescedUntilNs = AT_ONCE;
    const discardedFrames = held === 'discard' ? this.#discardAfter(committed) : 0;
    const releasedFrames = held === 'release' ? this.#release(Number.POSITIVE_INFINITY).releasedFrames : 0;
    this.#flush();
    for (const s of this.stored) s.label = held === 'keep' && s.label > committed ? 1 : 0;
    return { releasedFrames, discardedFrames };
  }

  swapRules(ruleSet: number): void {
    this.judge.swap(ruleSet);
    this.judgeInbound.swap(ruleSet);
    const texts = [...this.judge.texts(), ...this.judgeInbound.texts()];
    for (const text of Object.keys(this.rules)) if (!texts.includes(text)) delete this.rules[text];
  }

  // The parts.

  #began(leaseMs: number) {
    const wasSilent = this.#isSilent;
    this.failed = false;
    this.#leaseNs = leaseMs === 0 ? Number.POSITIVE_INFINITY : leaseMs * NS_PER_MS;
    this.#heardNs = this.nowNs;
    if (wasSilent) this.pump();
    this.#quiescedUntilNs = AT_ONCE;
    return { term: this.epochs.term, openEpoch: this.epochs.open };
  }

  #hear(term: number, mayLeave = true): void {
    if (this.epochs.state !== 'on' || this.epochs.term !== term) return;
    const wasSilent = this.#isSilent;
    this.#heardNs = this.nowNs;
    if (wasSilent && mayLeave) this.pump();
  }

  get #isSilent(): boolean {
    return this.epochs.state === 'on' && this.nowNs >= this.#heardNs + this.#leaseNs;
  }

  #inbound(): number {
    const frames = this.fromNet.splice(0, this.#slots(this.refusedIn));
    for (const frame of frames) {
      this.#add('inbound');
      const isOversize = frame.bytes.length > SLOT_BYTES;
      const { verdict, reason, rule } = this.judgeInbound.judge(frame, this.nowNs);
      this.#reason(isOversize ? 'oversize' : reason);
      if (!isOversize && rule !== null) this.#hit(rule);
      if (isOversize || verdict === 'drop') this.#add('inboundDropped');
      else this.refusedIn.push(frame);
    }
    if (frames.length > 0) this.#flushIn();
    return frames.length;
  }

  #outbound(draining: boolean): number {
    const frames = this.fromVm.splice(0, this.#mayRead(draining));
    for (const frame of frames) this.#handle(frame, draining);
    if (frames.length > 0) this.#flushOut();
    return frames.length;
  }

  #handle(frame: Frame, draining: boolean): void {
    this.#add('outbound');
    const isRefused = this.failed || frame.linkType !== 1 || frame.bytes.length > SLOT_BYTES;
    if (isRefused) {
      this.#drop(this.failed ? 'vm-failed' : frame.linkType !== 1 ? 'not-ethernet' : 'oversize');
      return;
    }
    const judged = this.judge.judge(frame, this.nowNs);
    if (judged.rule !== null) this.#hit(judged.rule);
    const { state, isBeforeFirstSeal } = this.epochs;
    const isSilent = this.#isSilent;
    let { verdict, reason } = judged;
    if (verdict === 'hold' && state === 'off') [verdict, reason] = ['pass', 'not-replicated'];
    else if (verdict === 'hold' && isBeforeFirstSeal && !isSilent) [verdict, reason] = ['pass', 'before-first-seal'];
    else if (verdict === 'pass' && state === 'waiting') [verdict, reason] = ['hold', 'waiting'];
    else if (verdict === 'pass' && isSilent) [verdict, reason] = ['hold', 'lease'];
    const flow = judged.ordered || keepsOrder(frame) ? flowOf(frame) : null;
    const ofFlow = this.stored.filter((s) => flow !== null && s.flow === flow);
    // After a stop that released frames, those leave before newer ones, of whatever flow.
    const earlier = state === 'off' ? this.stored : ofFlow;
    if (verdict === 'drop') {
      this.#drop(reason);
    } else if (verdict === 'pass' && earlier.length === 0) {
      this.#reason(reason);
      this.refusedOut.push({ frame, flow });
    } else {
      const isBehind = verdict === 'pass';
      const full = this.#whyFull(frame, isBehind, judged.unclassified, draining);
      const dueNs = isBehind && earlier.every((s) => s.dueNs !== null) ? this.nowNs + this.#trainShiftNs : null;
      if (full !== null) this.#drop(full);
      else this.#store(frame, isBehind ? 'behind-held' : reason, { flow, isBehind, dueNs, ...judged });
    }
  }

  #store(frame: Frame, reason: string, how: Pick<Stored, 'flow' | 'isBehind' | 'dueNs'> & Judgement): void {
    const { flow, isBehind, dueNs, unclassified } = how;
    const label = this.epochs.state === 'off' ? 0 : this.epochs.open;
    this.stored.push({ frame, label, arrivalNs: this.nowNs, flow, isBehind, isUnclassified: unclassified, dueNs });
    this.#add('held');
    this.#reason(reason);
    this.peakFrames = Math.max(this.peakFrames, this.stored.length);
    this.peakBytes = Math.max(this.peakBytes, this.storedBytes);
  }

  #whyFull(frame: Frame, isBehind: boolean, isUnclassified: boolean, draining: boolean): string | null {
    const { limits } = this.#options;
    const isOver = (list: readonly Stored[], frames: number, bytes: number) =>
      list.length + 1 > frames || bytesOf(list) + frame.bytes.length > bytes;
    const share = (of: number) => [limits.limitFrames * of, limits.limitBytes * of] as const;
    const strangers = this.stored.filter((s) => s.isUnclassified);
    if (isUnclassified && isOver(strangers, ...share(limits.unclassifiedShare))) return 'unclassified-full';
    const followers = this.stored.filter((s) => s.isBehind);
    if (isBehind && isOver(followers, ...share(limits.behindShare))) return 'behind-full';
    if (!draining) return isOver(this.stored, limits.limitFrames, limits.limitBytes) ? 'buffer-full' : null;
    const frames = limits.limitFrames + limits.sealReserveFrames;
    return isOver(this.stored, frames, limits.limitBytes + limits.sealReserveBytes) ? 'seal-overflow' : null;
  }

  #release(epoch: number) {
    this.#flush();
    // What the port refused, though it is due, takes the new ones along.
    const isBehindSchedule = this.stored.some((s) => s.dueNs !== null);
    const freed: Stored[] = [];
    this.stored.forEach((s, i) => {
      if (s.dueNs !== null) return;
      const blockers = this.stored.slice(0, i).filter((t) => t.dueNs === null && t.flow !== null && t.flow === s.flow);
      if (s.label > epoch && !(s.isBehind && blockers.length === 0)) return;
      if (freed.length === 0) {
        const isBurst = isBehindSchedule || this.#options.pacing === 'burst';
        this.#trainShiftNs = isBurst ? AT_ONCE : this.nowNs - s.arrivalNs;
      }
      s.dueNs = s.arrivalNs + this.#trainShiftNs;
      freed.push(s);
    });
    this.pump();
    return { releasedFrames: freed.length, releasedBytes: bytesOf(freed) };
  }

  #discardAfter(epoch: number): number {
    const kept = this.stored.filter((s) => s.label <= epoch);
    const discarded = this.stored.length - kept.length;
    this.stored = kept;
    this.#add('discarded', discarded);
    return discarded;
  }

  #flush(): void {
    this.#trainShiftNs = AT_ONCE;
    for (const s of this.stored) if (s.dueNs !== null) s.dueNs = AT_ONCE;
    this.pump();
  }

  /** A direction whose port refuses too much is not read any more; the other one goes on. */
  #slots(refused: readonly unknown[]): number {
    const { batchFrames } = this.#options;
    return Math.min(batchFrames, REFUSED_BATCHES * batchFrames - refused.length);
  }

  /** With backpressure only what certainly fits, whichever frames come: each may be as long as a slot. */
  #mayRead(draining: boolean): number {
    const { limits, overflow } = this.#options;
    if (overflow === 'drop') return this.#slots(this.refusedOut);
    const followers = this.stored.filter((s) => s.isBehind);
    const reserve = draining ? 1 : 0;
    return Math.max(
      0,
      Math.floor(
        Math.min(
          this.#slots(this.refusedOut),
          limits.limitFrames + reserve * limits.sealReserveFrames - this.stored.length,
          Math.floor(limits.limitFrames * limits.behindShare) - followers.length,
          (limits.limitBytes + reserve * limits.sealReserveBytes - this.storedBytes) / SLOT_BYTES,
          (limits.limitBytes * limits.behindShare - bytesOf(followers)) / SLOT_BYTES,
        ),
      ),
    );
  }

  #flushOut(): void {
    while (
      this.refusedOut.length > 0 &&
      !this.#isSilent &&
      this.#leave(this.refusedOut[0]!.frame, this.refusedOut[0]!.flow)
    ) {
      this.refusedOut.shift();
      this.#add('passed');
    }
  }

  #flushIn(): void {
    while (this.refusedIn.length > 0 && offer(this.toVm, this.refusedIn[0]!, this.#options.insideCapacity)) {
      this.refusedIn.shift();
      this.#add('inboundPassed');
    }
  }

  #leave(frame: Frame, flow: string | null): boolean {
    if (!offer(this.toNet, frame, this.#options.outsideCapacity)) return false;
    this.left.push({ serial: frame.serial, atNs: this.nowNs, flow });
    return true;
  }

  #drop(reason: string): void {
    this.#add('dropped');
    this.#reason(reason);
  }

  #add(name: string, by = 1): void {
    this.count[name] = (this.count[name] ?? 0) + by;
  }

  #hit(rule: string): void {
    this.rules[rule] = (this.rules[rule] ?? 0) + 1;
  }

  #reason(name: string): void {
    this.reasons[name] = (this.reasons[name] ?? 0) + 1;
  }
}

/** TCP, SCTP and what is not IP keep their order whatever the rules say. */
function keepsOrder({ kind }: Frame): boolean {
  return !kind.startsWith('udp');
}

/** @returns the name of the flow that the frame is of */
function flowOf({ kind, flow, vlan, colour }: Frame): string {
  if (kind === 'stub') return 'stub';
  const [protocol, part] = kind.split('-');
  if (part !== undefined) return `${protocol} fragments/${flow}/${vlan}`;
  // A colour is the port of UDP.
  if (kind === 'udp') return `udp/${flow}/${vlan}/${colour}`;
  return `${kind === 'cut' ? 'tcp' : kind}/${flow}/${vlan}`;
}

function bytesOf(list: readonly Stored[]): number {
  return list.reduce((sum, s) => sum + s.frame.bytes.length, 0);
}

function offer(lane: Frame[], frame: Frame, capacity: number): boolean {
  if (lane.length >= capacity) return false;
  lane.push(frame);
  return true;
}
