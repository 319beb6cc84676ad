import type { Clock } from '../clock.ts';
import type { FrameBatch } from '../frame-batch.ts';
import { ClaimedDevice } from './claimed-device.ts';
import { ERRNO, type Libc, libc } from './libc.ts';
import { LinkWatch } from './link-watch.ts';
import { MessageRing } from './message-ring.ts';
import { findNetdev, isNetdevName, type Netdev } from './netdev.ts';
import { PacketSocket } from './packet-socket.ts';
import type { LinkState, LivePort, PortCapabilities } from './port.ts';
import { PORT_COUNT, PortCounters } from './port-counters.ts';
import { PortError } from './port-error.ts';
import { Readiness } from './readiness.ts';
import { superFrameHeaderLength, takeVnetHeader, VNET_HEADER_BYTES, writeVnetHeader } from './vnet-header.ts';

export interface PacketPortOptions {
  /** Frames of one system call. */
  readonly batchFrames?: number;
  /** What may wait to be read, as the kernel counts it: a small frame counts as 768 bytes or more. */
  readonly receiveBufferBytes?: number;
  /**
   * Frames go to the driver without queueing. Only for devices whose frames are no super-frames: the kernel drops those that
   * the device cannot cut itself, and says nothing.
   */
  readonly qdiscBypass?: boolean;
}

const DEFAULT_BATCH_FRAMES = 64;
const DEFAULT_RECEIVE_BUFFER_BYTES = 32 * 2 ** 20;
const LINKTYPE_ETHERNET = 1;
const ETHERNET_BYTES = 14;
const TAG_BYTES = 4;
const TPID_8021Q = 0x8100;
/** MAC addresses, behind which a tag stands. */
const TAG_AT = 12;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
/** After a refusal for which the kernel announces no end. */
const RETRY_MS = 1;
/** Errors of a socket that one call of `receive` reads away before it gives up. */
const MAX_ERRORS = 64;

/**
 * An existing network device, through an AF_PACKET socket. While it is open the device is promiscuous, speaks no IPv6 of its
 * own, and what comes in goes nowhere but here. A device that does not exist yet, or any more, is waited for.
 */
export class PacketPort implements LivePort {
  readonly name: string;
  readonly capabilities: PortCapabilities = { pushesBack: false, cutsFrames: false };
  readonly counters = new PortCounters();
  onReady: (() => void) | null = null;
  onLink: (() => void) | null = null;

  readonly #clock: Clock;
  readonly #libc: Libc;
  readonly #options: Required<PacketPortOptions>;
  readonly #in: MessageRing;
  readonly #out: MessageRing;
  readonly #watch: LinkWatch;
  #device: Netdev | null = null;
  #socket: PacketSocket | null = null;
  #claim: ClaimedDevice | null = null;
  #readiness: Readiness | null = null;
  #wantsFrames = true;
  #link: LinkState = 'absent';
  #trouble: string | null = null;
  #retry: NodeJS.Timeout | null = null;
  #closed = false;
  /** Frames that this socket gave or refused to give, and losses of it that the counters have. */
  #taken = 0;
  #lostBefore = 0;

  /**
   * @param name the device's name
   * @throws PortError for a device that must not be a port, or without the right to use it
   */
  constructor(name: string, clock: Clock, options: PacketPortOptions = {}) {
    if (!isNetdevName(name)) throw new PortError('bad-name', `"${name}" cannot be the name of a network device`);
    this.name = name;
    this.#clock = clock;
    this.#libc = libc();
    this.#options = {
      batchFrames: options.batchFrames ?? DEFAULT_BATCH_FRAMES,
      receiveBufferBytes: options.receiveBufferBytes ?? DEFAULT_RECEIVE_BUFFER_BYTES,
      qdiscBypass: options.qdiscBypass ?? false,
    };
    this.#in = new MessageRing(this.#options.batchFrames, VNET_HEADER_BYTES, true);
    this.#out = new MessageRing(this.#options.batchFrames, VNET_HEADER_BYTES, false);
    const device = findNetdev(name);
    if (device !== null) this.#open(device);
    this.#note(device, device === null ? this.#waiting() : null);
    this.#watch = new LinkWatch(() => this.#check());
    // What changed before the watch began was not told.
    this.#check();
  }

  get link(): LinkState {
    return this.#link;
  }

  get trouble(): string | null {
    return this.#trouble;
  }

  get mtu(): number | null {
    return this.#device?.mtu ?? null;
  }

  receive(batch: FrameBatch, from: number, max: number, slotBytes: number): number {
    const socket = this.#socket;
    if (socket === null || max <= 0) return 0;
    const ring = this.#in;
    const room = max < ring.capacity ? max : ring.capacity;
    for (let k = 0; k < room; k++) {
      ring.point(k, batch, from + k, slotBytes);
      ring.offerControl(k);
    }
    for (let errors = 0; errors < MAX_ERRORS; errors++) {
      const count = this.#libc.recvmmsg(socket.fd, ring.address, room, MSG_DONTWAIT | MSG_TRUNC, 0);
      if (count >= 0) {
        const now = this.#clock.nowNs();
        for (let k = 0; k < count; k++) {
          batch.arrivalNs[from + k] = now;
          this.#take(k, batch, from + k, slotBytes);
        }
        return count;
      }
      const errno = this.#libc.errno();
      if (errno === ERRNO.EAGAIN) return 0;
      this.#receiveFailed(errno);
    }
    return 0;
  }

  transmit(batch: FrameBatch, from: number, count: number): number {
    const { values } = this.counters;
    let done = 0;
    while (done < count) {
      const socket = this.#socket;
      if (socket === null || this.#link !== 'up') {
        values[PORT_COUNT.linkDown]! += count - done;
        return count;
      }
      const ready = this.#fill(batch, from + done, count - done);
      if (ready === 0) {
        values[PORT_COUNT.tooLong]!++;
        done++;
        continue;
      }
      const sent = this.#libc.sendmmsg(socket.fd, this.#out.address, ready, MSG_DONTWAIT);
      if (sent > 0) {
        for (let i = from + done; i < from + done + sent; i++) values[PORT_COUNT.sentBytes]! += batch.length[i]!;
        values[PORT_COUNT.sent]! += sent;
        done += sent;
        continue;
      }
      const errno = this.#libc.errno();
      if (errno === ERRNO.EAGAIN || errno === ERRNO.ENOBUFS || errno === ERRNO.ENOMEM) {
        values[PORT_COUNT.refused]! += count - done;
        this.#retryLater();
        return done;
      }
      if (errno === ERRNO.EINTR) continue;
      this.#sendFailed(errno);
      done++;
    }
    return count;
  }

  setReading(wanted: boolean): void {
    this.#wantsFrames = wanted;
    this.#listen();
  }

  updateCounters(): void {
    const socket = this.#socket;
    if (socket === null) return;
    socket.updateStatistics();
    this.counters.values[PORT_COUNT.lost]! += socket.dropped - this.#lostBefore;
    this.#lostBefore = socket.dropped;
  }

  /** Leaves the device as it was found. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch.close();
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#leave(false);
    this.#link = 'absent';
  }

  /** Frame `i` is what came as message `k`: puts back what the kernel took out of it or left undone. */
  #take(k: number, batch: FrameBatch, i: number, slotBytes: number): void {
    const { values } = this.counters;
    const tag = this.#in.strippedTag(k);
    const shift = tag === 0 ? 0 : TAG_BYTES;
    const whole = this.#in.lengthOf(k) - VNET_HEADER_BYTES + shift;
    const length = whole < slotBytes ? whole : slotBytes;
    const offset = batch.offset[i]!;
    if (tag !== 0) {
      const { bytes, view } = batch.slab;
      bytes.copyWithin(offset + TAG_AT + TAG_BYTES, offset + TAG_AT, offset + length - TAG_BYTES);
      view.setUint32(offset + TAG_AT, tag);
    }
    batch.length[i] = length;
    batch.wireLength[i] = whole;
    batch.linkType[i] = LINKTYPE_ETHERNET;
    takeVnetHeader(batch, i, this.#in.headers, this.#in.headerAt(k), shift);
    this.#taken++;
    values[PORT_COUNT.received]!++;
    values[PORT_COUNT.receivedBytes]! += whole;
  }

  /** Points messages to frames. @returns to how many, from the first on: one that is too long ends it */
  #fill(batch: FrameBatch, from: number, count: number): number {
    const ring = this.#out;
    const room = count < ring.capacity ? count : ring.capacity;
    for (let k = 0; k < room; k++) {
      const i = from + k;
      // Of a super-frame's segments the kernel does not ask how long they become.
      if (batch.gsoType[i] !== 0 && this.#isTooLong(batch, i)) return k;
      ring.point(k, batch, i, batch.length[i]!);
      writeVnetHeader(batch, i, ring.headers, ring.headerAt(k));
    }
    return room;
  }

  #isTooLong(batch: FrameBatch, i: number): boolean {
    const isTagged = batch.slab.view.getUint16(batch.offset[i]! + TAG_AT) === TPID_8021Q;
    const most = this.#device!.mtu + ETHERNET_BYTES + (isTagged ? TAG_BYTES : 0);
    return superFrameHeaderLength(batch, i) + batch.gsoSize[i]! > most;
  }

  #receiveFailed(errno: number): void {
    if (errno === ERRNO.ENETDOWN) {
      this.#check();
    } else if (errno !== ERRNO.EINTR) {
      // The kernel could not describe a frame in a virtio header, and has dropped it.
      this.#taken++;
      this.counters.values[PORT_COUNT.lost]!++;
    }
  }

  #sendFailed(errno: number): void {
    const { values } = this.counters;
    if (errno === ERRNO.EMSGSIZE) {
      values[PORT_COUNT.tooLong]!++;
    } else if (errno === ERRNO.ENETDOWN || errno === ERRNO.ENXIO || errno === ERRNO.ENODEV) {
      values[PORT_COUNT.linkDown]!++;
      this.#check();
    } else {
      values[PORT_COUNT.invalid]!++;
    }
  }

  #retryLater(): void {
    if (this.#retry !== null) return;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.onReady?.();
    }, RETRY_MS);
  }

  /** Looks what has become of the device. */
  #check(): void {
    if (this.#closed) return;
    const device = findNetdev(this.name);
    let trouble = device === null ? this.#waiting() : null;
    if (device !== null && device.index !== this.#device?.index) {
      this.#leave(true);
      try {
        this.#open(device);
      } catch (error) {
        trouble = (error as Error).message;
      }
    } else if (device !== null && device.master !== 0) {
      trouble = `${this.name} was enslaved while it is a port`;
    }
    this.#note(device, trouble);
  }

  #waiting(): string {
    return `waiting for network device ${this.name}`;
  }

  #note(device: Netdev | null, trouble: string | null): void {
    let link: LinkState = 'absent';
    // A device that is gone can come back with the same index; what it still gave can be read until another one is there.
    if (device !== null && this.#socket !== null) {
      link = device.isUp ? 'up' : 'down';
      this.#device = device;
    } else if (device === null && this.#device !== null) {
      this.#device = { ...this.#device, index: -1 };
    }
    if (link === this.#link && trouble === this.#trouble) return;
    this.#link = link;
    this.#trouble = trouble;
    this.onLink?.();
  }

  /** @throws PortError */
  #open(device: Netdev): void {
    const { receiveBufferBytes, qdiscBypass } = this.#options;
    const claim = new ClaimedDevice(this.name, device);
    try {
      this.#socket = new PacketSocket(device.index, receiveBufferBytes, qdiscBypass);
    } catch (error) {
      claim.release(false);
      throw error;
    }
    this.#claim = claim;
    this.#device = device;
    this.#taken = 0;
    this.#lostBefore = 0;
    this.#listen();
  }

  /** Gives socket and device up, as far as they are there. What was not read is lost. */
  #leave(isReplaced: boolean): void {
    this.#readiness?.close();
    this.#readiness = null;
    const socket = this.#socket;
    if (socket !== null) {
      this.updateCounters();
      this.counters.values[PORT_COUNT.lost]! += Math.max(0, socket.queued - this.#taken);
      socket.close();
      this.#socket = null;
    }
    this.#claim?.release(isReplaced);
    this.#claim = null;
    this.#device = null;
  }

  /** Watches the socket, or does not, as is wanted. */
  #listen(): void {
    const socket = this.#socket;
    if (socket === null || !this.#wantsFrames) {
      this.#readiness?.close();
      this.#readiness = null;
      return;
    }
    if (this.#readiness !== null) return;
    const failed = () => {
      this.#readiness = null;
      // A link that went down leaves an error on the socket, which would end every watch at once.
      this.#socket?.clearError();
      this.#check();
      this.#listen();
      this.onReady?.();
    };
    this.#readiness = new Readiness(socket.fd, () => this.onReady?.(), failed);
  }
}
