import type { Generation } from '../classifier/classifier.ts';
import { parse } from '../classifier/parse.ts';
import { Parsed } from '../classifier/parsed.ts';
import { type CaptureRecord, LINKTYPE_ETHERNET } from '../pcaps/record.ts';
import { VirtualClock } from './clock.ts';
import type { OverflowPolicy } from './forward.ts';
import type { FrameBatch } from './frame-batch.ts';
import { SimulatedHost, type SimulatedHostOptions } from './host/simulated.ts';
import { DEFAULT_LIMITS } from './occupancy.ts';
import { FilePort } from './port/file.ts';
import { Samples } from './samples.ts';
import { Timeline } from './timeline.ts';
import type { Pacing } from './tx-buffer.ts';
import { Vm } from './vm.ts';
import type { VmAddresses } from './vm-addresses.ts';

/** The longest frame that a capture reader gives. */
const SLOT_BYTES = 262_144;
/** Later times are not told apart: epoch numbers stay safe integers, and a double's steps shorter than an epoch. */
const MAX_EPOCHS = 2 ** 50;

export interface ReplayOptions extends SimulatedHostOptions {
  readonly generation: Generation;
  readonly vm: VmAddresses;
  readonly pacing: Pacing;
  readonly overflow: OverflowPolicy;
  readonly limitBytes: number;
  readonly limitFrames: number;
  readonly verifyChecksums: boolean;
}

/** Receives every frame that leaves for the network: its bytes lie in the batch's slab during the call. */
export type ReplaySink = (batch: FrameBatch, index: number, leftSeconds: number, leftNanoseconds: number) => void;

/**
 * A capture through the gateway's own pipeline: the clock is virtual and moves from record to record, the host is
 * simulated, both ports are files. The same records and options give the same result, to the byte.
 */
export class Replay {
  readonly clock = new VirtualClock();
  readonly vm: Vm;
  readonly host: SimulatedHost;
  readonly timeline = new Timeline();
  /** Hold times of the frames that were released, ns. */
  readonly delaysNs = new Samples();
  /** Null: nobody wants to see what leaves. */
  sink: ReplaySink | null = null;
  #frames = 0;
  readonly #inside: FilePort;
  readonly #outside: FilePort;
  readonly #addresses: VmAddresses;
  readonly #parsed = new Parsed();
  /** Time of the first record that has one: the clock's 0. */
  #originSeconds = Number.NaN;
  #originNanoseconds = 0;
  /** A record that claims a later time (a garbled capture may say anything) counts as of this one. */
  readonly #lastNs: number;

  /** @throws RangeError for limits of the transmit buffer that cannot work */
  constructor(options: ReplayOptions) {
    const onLeave = (batch: FrameBatch, index: number) => this.#emit(batch, index);
    this.#inside = new FilePort('inside', this.clock);
    this.#outside = new FilePort('outside', this.clock, onLeave);
    this.#addresses = options.vm;
    this.#lastNs = options.epochNs * MAX_EPOCHS;
    this.vm = new Vm(this.#inside, this.#outside, options.generation, this.clock, {
      slotBytes: SLOT_BYTES,
      limits: { ...DEFAULT_LIMITS, limitBytes: options.limitBytes, limitFrames: options.limitFrames },
      pacing: options.pacing,
      overflow: options.overflow,
      verifyChecksums: options.verifyChecksums,
      batchFrames: 1,
      replicated: true,
    });
    if (options.overflow === 'backpressure' && this.vm.txBuffer.occupancy.roomFor(SLOT_BYTES, false) === 0) {
      throw new RangeError(`with backpressure the transmit buffer must take two frames of ${SLOT_BYTES} bytes`);
    }
    this.vm.forwarder.onReleased = (batch, count) => {
      for (let i = 0; i < count; i++) this.delaysNs.add(this.clock.nowNs() - batch.arrivalNs[i]!);
    };
    this.host = new SimulatedHost(this.vm, options);
  }

  get frames(): number {
    return this.#frames;
  }

  /** Takes the next record: records come in the order of their time; one that steps back counts as of now. */
  frame(record: CaptureRecord): void {
    this.#runUntil(this.#timeOf(record));
    if (this.#frames === 0) this.host.start(this.clock);
    // The start is an instant too: a failure at it comes before the frame.
    if (this.#frames === 0) this.#runUntil(this.clock.nowNs());
    this.#frames++;
    if (this.#isOutbound(record)) {
      this.#inside.stage(record);
      this.vm.forwarder.outbound(false);
      // The port waits while the buffer is full; time goes on.
      while (this.#inside.hasStaged) {
        this.#step();
        if (this.#inside.hasStaged) this.vm.forwarder.outbound(false);
        // Nothing can be read before something leaves, also not at the seals until then.
        if (this.#inside.hasStaged) this.host.skipIdle(Math.min(this.host.nextCommitNs(), this.vm.nextDueNs()));
      }
    } else {
      this.#outside.stage(record);
      this.vm.forwarder.inbound();
    }
    this.#sample();
  }

  /** No record follows: the open epoch is sealed at its time and everything commits at its own. */
  drain(): void {
    if (this.#frames === 0) return;
    this.host.finish();
    while (this.#nextNs() < Number.POSITIVE_INFINITY) this.#step();
  }

  #runUntil(timeNs: number): void {
    this.host.skipIdle(timeNs);
    while (this.#nextNs() <= timeNs) {
      this.#step();
      this.host.skipIdle(timeNs);
    }
    this.clock.advanceTo(timeNs);
  }

  #nextNs(): number {
    return Math.min(this.host.nextNs(), this.vm.nextDueNs());
  }

  /** Moves to the next instant at which something happens, and lets one thing happen. */
  #step(): void {
    const next = this.#nextNs();
    if (next === Number.POSITIVE_INFINITY) throw new Error('replay: a frame waits, and nothing will ever happen');
    this.clock.advanceTo(next);
    if (this.vm.nextDueNs() <= next) this.vm.pump();
    else this.host.step();
    this.#sample();
  }

  #sample(): void {
    this.timeline.sample(this.clock.nowNs(), this.vm.txBuffer.frames, this.vm.txBuffer.bytes);
  }

  #timeOf(record: CaptureRecord): number {
    if (!record.hasTime) return this.clock.nowNs();
    if (Number.isNaN(this.#originSeconds)) {
      this.#originSeconds = record.seconds;
      this.#originNanoseconds = record.nanoseconds;
    }
    const ns = (record.seconds - this.#originSeconds) * 1e9 + (record.nanoseconds - this.#originNanoseconds);
    return Math.min(ns, this.#lastNs);
  }

  #isOutbound(record: CaptureRecord): boolean {
    if (record.linkType !== LINKTYPE_ETHERNET || this.#addresses.isEmpty) return true;
    parse(this.#parsed, record.view, record.offset, record.frameLength, record.wireLength);
    return this.#addresses.isOutbound(this.#parsed);
  }

  #emit(batch: FrameBatch, index: number): void {
    if (this.sink === null) return;
    const ns = this.clock.nowNs() + this.#originNanoseconds;
    const whole = Math.floor(ns / 1e9);
    this.sink(batch, index, (Number.isNaN(this.#originSeconds) ? 0 : this.#originSeconds) + whole, ns - whole * 1e9);
  }
}
