import { Classifier, type Generation } from '../../classifier/classifier.ts';
import { FLOW_KEY_WORDS, flowKey } from '../../classifier/flow-key.ts';
import { parse } from '../../classifier/parse.ts';
import { Parsed } from '../../classifier/parsed.ts';
import { REASON, REASON_NAMES, type ReasonName, VERDICT } from '../../classifier/verdict.ts';
import type { VmAddresses } from '../../gateway/vm-addresses.ts';
import type { CaptureRecord } from '../../pcaps/record.ts';

/** One record and what the classifier says of it. Times are nanoseconds after the first record that has one. */
export interface JudgedFrame {
  readonly bytes: Buffer;
  readonly atNs: number | null;
  readonly inbound: boolean;
  readonly verdict: number;
  readonly reason: ReasonName;
  /** Names the flow that the frame keeps the order of; null: of none. */
  readonly flow: string | null;
  readonly unclassified: boolean;
  /** Handle, 0 without one. */
  readonly rule: number;
}

/** Judges records one after the other, as `explain` does. */
export class Judge {
  readonly #vm: VmAddresses;
  readonly #outbound: Classifier;
  readonly #inbound: Classifier;
  readonly #parsed = new Parsed();
  readonly #key = new Int32Array(FLOW_KEY_WORDS);
  #origin: { seconds: number; nanoseconds: number } | null = null;
  #nowNs = 0;

  constructor(generation: Generation, vm: VmAddresses) {
    this.#vm = vm;
    generation.live.begin(0);
    this.#outbound = new Classifier(generation, false, 'outbound');
    this.#inbound = new Classifier(generation, false, 'inbound');
  }

  judge(record: CaptureRecord): JudgedFrame {
    const bytes = Buffer.from(record.bytes.slice(record.offset, record.offset + record.frameLength));
    if (record.hasTime) this.#origin ??= { seconds: record.seconds, nanoseconds: record.nanoseconds };
    const { seconds, nanoseconds } = this.#origin ?? record;
    const atNs = record.hasTime ? (record.seconds - seconds) * 1e9 + (record.nanoseconds - nanoseconds) : null;
    this.#nowNs = Math.max(this.#nowNs, atNs ?? 0);
    const none = { bytes, atNs, flow: null, unclassified: false, rule: 0 };
    if (record.linkType !== 1) return { ...none, inbound: false, verdict: VERDICT.drop, reason: 'not-ethernet' };
    const p = this.#parsed;
    const wireLength = Math.max(0, record.wireLength - record.fcsLength);
    parse(p, record.view, record.offset, record.frameLength, wireLength);
    const inbound = !this.#vm.isOutbound(p);
    const classifier = inbound ? this.#inbound : this.#outbound;
    classifier.classify(p, record.view, this.#nowNs);
    flowKey(this.#key, p);
    return {
      ...none,
      inbound,
      verdict: classifier.verdict,
      reason: REASON_NAMES[classifier.reason],
      flow: classifier.ordered ? this.#key.join() : null,
      unclassified: classifier.unclassified,
      rule: classifier.rule < 0 ? 0 : classifier.block!.rules[classifier.rule]!.handle,
    };
  }
}

export interface NaiveOptions {
  readonly epochNs: number;
  readonly commitDelayNs: number;
  readonly failAtNs: number | null;
  readonly pacing: 'burst' | 'paced';
  readonly drain: boolean;
  readonly limitFrames: number;
  readonly limitBytes: number;
}

/** A frame that left: which, when, and from which epoch. */
export interface Departure {
  readonly frame: number;
  readonly atNs: number;
  readonly epoch: number;
  readonly reason: string;
}

interface Waiting extends Departure {
  readonly arrivedNs: number;
  readonly behind: boolean;
  /** When it leaves; null: not before some commit. */
  leavesNs: number | null;
}

/**
 * What a replay must come to, worked out the slow way from DESIGN sections 2, 6 and 9: every epoch's commit is an
 * arithmetic fact, the buffer is an array.
 */
export class NaiveReplay {
  readonly counts = { passed: 0, held: 0, released: 0, discarded: 0, dropped: 0, inbound: 0 };
  inboundDropped = 0;
  readonly reasons: Record<string, number> = {};
  readonly delaysNs: number[] = [];
  readonly departures: Departure[] = [];
  peakFrames = 0;
  peakBytes = 0;
  sealed = 0;
  committed = 0;
  waiting: Waiting[] = [];
  readonly #frames: readonly JudgedFrame[];
  readonly #options: NaiveOptions;
  #failed = false;

  constructor(frames: readonly JudgedFrame[], options: NaiveOptions) {
    this.#frames = frames;
    this.#options = options;
    let nowNs = 0;
    frames.forEach((frame, i) => {
      nowNs = Math.max(nowNs, frame.atNs ?? 0);
      this.#runThrough(nowNs, Number.POSITIVE_INFINITY);
      this.#arrive(i, nowNs);
    });
    if (frames.length === 0 || !options.drain) return;
    const open = this.sealed + 1;
    this.#runThrough(this.#commitNs(open), open);
    this.#leaveDue(Number.POSITIVE_INFINITY);
  }

  /** Nearest rank. */
  delayUs(): { p50: number; p99: number; max: number } | null {
    const sorted = [...this.delaysNs].sort((a, b) => a - b);
    if (sorted.length === 0) return null;
    const at = (percent: number) => sorted[Math.ceil((percent * sorted.length) / 100) - 1]! / 1e3;
    return { p50: at(50), p99: at(99), max: at(100) };
  }

  #commitNs(epoch: number): number {
    return epoch * this.#options.epochNs + this.#options.commitDelayNs;
  }

  /** Everything that happens until `nowNs`, that instant included. */
  #runThrough(nowNs: number, lastEpoch: number): void {
    const failNs = this.#options.failAtNs ?? Number.POSITIVE_INFINITY;
    if (this.#failed) return;
    const { epochNs } = this.#options;
    for (;;) {
      const commitNs = this.committed < lastEpoch ? this.#commitNs(this.committed + 1) : Number.POSITIVE_INFINITY;
      if (Math.min(failNs, commitNs) > nowNs) break;
      if (failNs <= commitNs) {
        this.sealed = Math.max(this.sealed, Math.min(lastEpoch, Math.ceil(failNs / epochNs) - 1));
        this.#fail(failNs);
        return;
      }
      this.committed++;
      this.#commit(this.committed, commitNs);
    }
    this.sealed = Math.min(lastEpoch, Math.floor(nowNs / epochNs));
    this.#leaveDue(nowNs);
  }

  #arrive(i: number, nowNs: number): void {
    const frame = this.#frames[i]!;
    let { reason }: { reason: string } = frame;
    if (frame.inbound) {
      this.counts.inbound++;
      if (frame.verdict === VERDICT.drop) this.inboundDropped++;
    } else if (this.#failed || frame.verdict === VERDICT.drop) {
      this.counts.dropped++;
      if (this.#failed) reason = REASON_NAMES[REASON.vmFailed];
    } else {
      const behind =
        frame.verdict === VERDICT.pass &&
        frame.flow !== null &&
        this.waiting.some((earlier) => this.#frames[earlier.frame]!.flow === frame.flow);
      if (frame.verdict === VERDICT.pass && !behind) {
        this.counts.passed++;
        this.departures.push({ frame: i, atNs: nowNs, epoch: this.sealed + 1, reason });
      } else {
        reason = this.#hold(i, nowNs, behind);
      }
    }
    this.reasons[reason] = (this.reasons[reason] ?? 0) + 1;
  }

  /** @returns the reason that counts */
  #hold(i: number, nowNs: number, behind: boolean): string {
    const frame = this.#frames[i]!;
    const full = this.#whyFull(frame, behind);
    if (full !== null) {
      this.counts.dropped++;
      return full;
    }
    const reason = behind ? 'behind-held' : frame.reason;
    // Behind frames that are leaving already it joins their train.
    const ahead = this.waiting.filter((earlier) => this.#frames[earlier.frame]!.flow === frame.flow);
    const train = behind && ahead.every((earlier) => earlier.leavesNs !== null) ? ahead.at(-1)! : null;
    const leavesNs = train === null ? null : nowNs + train.leavesNs! - train.arrivedNs;
    this.waiting.push({ frame: i, atNs: nowNs, arrivedNs: nowNs, epoch: this.sealed + 1, reason, behind, leavesNs });
    this.counts.held++;
    this.peakFrames = Math.max(this.peakFrames, this.waiting.length);
    this.peakBytes = Math.max(
      this.peakBytes,
      this.#bytes(() => true),
    );
    return reason;
  }

  /** An eighth of the buffer is the most for what cannot be classified, half of it for frames behind others. */
  #whyFull(frame: JudgedFrame, behind: boolean): string | null {
    const { limitFrames, limitBytes } = this.#options;
    const over = (share: number, which: (entry: Waiting) => boolean) =>
      this.waiting.filter(which).length + 1 > limitFrames * share ||
      this.#bytes(which) + frame.bytes.length > limitBytes * share;
    if (frame.unclassified && over(1 / 8, (entry) => this.#frames[entry.frame]!.unclassified))
      return 'unclassified-full';
    if (behind && over(1 / 2, (entry) => entry.behind)) return 'behind-full';
    return over(1, () => true) ? 'buffer-full' : null;
  }

  #bytes(which: (entry: Waiting) => boolean): number {
    return this.waiting.filter(which).reduce((sum, entry) => sum + this.#frames[entry.frame]!.bytes.length, 0);
  }

  #commit(epoch: number, nowNs: number): void {
    this.#leaveDue(nowNs);
    this.#hurry(nowNs);
    let first: Waiting | null = null;
    const blocked = new Set<string | null>();
    for (const entry of this.waiting) {
      const { flow } = this.#frames[entry.frame]!;
      if (entry.epoch > epoch && (!entry.behind || blocked.has(flow))) {
        blocked.add(flow);
        continue;
      }
      first ??= entry;
      entry.leavesNs = this.#options.pacing === 'burst' ? nowNs : nowNs + entry.arrivedNs - first.arrivedNs;
    }
    this.#leaveDue(nowNs);
  }

  #fail(nowNs: number): void {
    this.#failed = true;
    this.#leaveDue(nowNs);
    const lost = this.waiting.filter((entry) => entry.epoch > this.committed);
    this.waiting = this.waiting.filter((entry) => entry.epoch <= this.committed);
    this.#hurry(nowNs);
    this.counts.discarded += lost.length;
  }

  #hurry(nowNs: number): void {
    for (const entry of this.waiting) if (entry.leavesNs !== null) entry.leavesNs = nowNs;
    this.#leaveDue(nowNs);
  }

  #leaveDue(nowNs: number): void {
    const isDue = ({ leavesNs }: Waiting) => leavesNs !== null && leavesNs <= nowNs;
    const due = this.waiting.filter(isDue).sort((a, b) => a.leavesNs! - b.leavesNs!);
    this.waiting = this.waiting.filter((entry) => !isDue(entry));
    for (const { frame, leavesNs, arrivedNs, epoch, reason } of due) {
      this.counts.released++;
      this.delaysNs.push(leavesNs! - arrivedNs);
      this.departures.push({ frame, atNs: leavesNs!, epoch, reason });
    }
  }
}
