import type { Clock } from './clock.ts';
import { COUNT, type Counters } from './counters.ts';
import type { Forwarder } from './forward.ts';
import { Lease } from './lease.ts';
import { Quiesce } from './quiesce.ts';
import type { TxBuffer } from './tx-buffer.ts';
import type { VmParts } from './vm-parts.ts';

/** Batches that a failover reads away at the most: more than a packet socket's buffer has room for. */
const UNREAD_BATCHES = 1024;
/** Batches that `deliver` moves at the most. */
const DELIVERED_BATCHES = 64;

/** What one VM does with frames by itself, turn by turn, and what its host's requests do with them. */
export abstract class VmTurns {
  readonly counters: Counters;
  readonly txBuffer: TxBuffer;
  readonly forwarder: Forwarder;
  readonly lease = new Lease();
  readonly quiesced = new Quiesce();
  /** The last `pump` has sent as many released frames as may leave at a time, and there are more: it is to be called again soon. */
  mayGoOn = false;
  protected readonly clock: Clock;

  constructor({ clock, counters, txBuffer, forwarder }: VmParts) {
    this.clock = clock;
    this.counters = counters;
    this.txBuffer = txBuffer;
    this.forwarder = forwarder;
  }

  /** Outbound frames that were read and have neither left nor been given up. */
  get stillHeld(): number {
    return this.txBuffer.frames + this.forwarder.queued;
  }

  /** Inbound frames that were read before `quiesce` have been delivered. */
  get quiescent(): boolean {
    return this.forwarder.queuedInbound === 0;
  }

  /** Reads and forwards one batch in each direction, then what is due. @returns frames read */
  turn(): number {
    this.watchHost();
    const read = (this.#isQuiesced() ? 0 : this.forwarder.inbound()) + this.#readInside();
    // The clock's answer may be allocated: it is asked only where something waits for it.
    if (this.forwarder.hasWork) this.pump(read);
    return read;
  }

  /** One direction of `turn`. @returns frames read */
  turnOutbound(): number {
    this.watchHost();
    const read = this.#readInside();
    if (this.forwarder.hasWork) this.pump(read);
    return read;
  }

  #readInside(): number {
    return this.forwarder.outbound(false) + this.forwarder.dropFenced();
  }

  /** The other direction. @returns frames read */
  turnInbound(): number {
    this.watchHost();
    const read = this.#isQuiesced() ? 0 : this.forwarder.inbound();
    if (this.forwarder.hasWork) this.pump(read);
    return read;
  }

  /**
   * The host has spoken. What a port had refused and no lease has let go since goes on.
   * @param sentNs when, at the latest: it may be so long ago that this renews nothing, and lets no data pass
   * @param leaseNs of a term that begins, or is resumed
   * @param mayLeave false: what waited goes on at the next `pump`
   */
  protected hear(sentNs: number, leaseNs?: number, mayLeave = true): void {
    const { forwarder, lease } = this;
    this.watchHost();
    const wasSilent = forwarder.hostSilent;
    if (leaseNs === undefined) lease.renew(sentNs);
    else lease.grant(leaseNs, sentNs);
    forwarder.hostSilent = false;
    this.watchHost();
    if (wasSilent && !forwarder.hostSilent && mayLeave) this.pump();
  }

  /** Holds data too once the lease has run out. Every turn does this; for when no frame comes, so that the state is known. */
  watchHost(): void {
    const deadlineNs = this.lease.deadline[0]!;
    if (deadlineNs < Number.POSITIVE_INFINITY && deadlineNs <= this.clock.nowNs()) this.forwarder.hostSilent = true;
  }

  #isQuiesced(): boolean {
    const untilNs = this.quiesced.until[0]!;
    return untilNs > Number.NEGATIVE_INFINITY && untilNs > this.clock.nowNs();
  }

  /**
   * Sends what is due by now.
   * @param read frames that have just been read; see `Forwarder.pump`
   */
  pump(read = 0): void {
    const nowNs = this.clock.nowNs();
    const { forwarder } = this;
    if (this.lease.deadline[0]! <= nowNs) forwarder.hostSilent = true;
    this.mayGoOn = forwarder.pump(nowNs, read);
    if (nowNs < forwarder.announcer.nextDueNs()) return;
    // Whose lease has run out may not be the one who has the VM any more.
    if (forwarder.hostSilent) forwarder.announcer.end();
    else forwarder.announcer.pump(nowNs);
  }

  /** @returns when `pump` is needed next (-Infinity: now), Infinity when nothing waits for its time */
  nextDueNs(): number {
    const announcesNs = this.forwarder.announcer.nextDueNs();
    if (this.txBuffer.leavingFrames === 0) return announcesNs;
    const isSilent = this.lease.deadline[0]! <= this.clock.nowNs();
    return Math.min(this.txBuffer.nextDueNs(!isSilent), announcesNs);
  }

  /** What the VM has sent and nobody has read by now is dropped: its timeline is over. A part of a failover. */
  dropUnread(): void {
    const { forwarder } = this;
    for (let batches = 0; batches < UNREAD_BATCHES; batches++) {
      forwarder.gather();
      if (forwarder.dropUnread() + forwarder.dropFenced() === 0) return;
    }
  }

  protected release(epoch: number): { releasedFrames: number; releasedBytes: number } {
    this.flush();
    // Without a lease nothing passes: what is committed leaves, data behind it waits for its own epoch.
    this.txBuffer.releaseThrough(epoch, this.clock.nowNs(), !this.forwarder.hostSilent);
    const released = { releasedFrames: this.txBuffer.changedFrames, releasedBytes: this.txBuffer.changedBytes };
    this.pump();
    return released;
  }

  protected discard(afterEpoch: number): number {
    this.txBuffer.discardAfter(afterEpoch);
    this.counters.values[COUNT.discarded]! += this.txBuffer.changedFrames;
    return this.txBuffer.changedFrames;
  }

  /** What may leave and still waits for its time leaves now. Of a paced train all does, else what is released next would not be paced. */
  protected flush(): void {
    this.txBuffer.hurry();
    do this.pump();
    while (this.mayGoOn && this.txBuffer.pacing === 'paced');
  }

  /** @returns whether the inside port had nothing more */
  protected drain(deadlineNs: number): boolean {
    while (this.forwarder.mayRead(true) > 0) {
      this.forwarder.gather();
      this.watchHost();
      if (this.forwarder.outbound(true) === 0) return true;
      if (this.clock.nowNs() >= deadlineNs) return false;
    }
    return false;
  }

  /** What has come for the VM meanwhile. @returns inbound frames that were delivered */
  protected deliver(): number {
    const before = this.counters.get('inboundPassed');
    for (let batches = 0; batches < DELIVERED_BATCHES && this.forwarder.inbound() > 0; batches++);
    return this.counters.get('inboundPassed') - before;
  }
}
