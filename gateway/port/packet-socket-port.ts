import type { Clock } from '../clock.ts';
import type { FrameBatch } from '../frame-batch.ts';
import type { LinkKind } from './claimed-device.ts';
import { ERRNO } from './libc.ts';
import { MessageRing } from './message-ring.ts';
import type { Netdev } from './netdev.ts';
import { NetdevPort } from './netdev-port.ts';
import type { PacketSocket } from './packet-socket.ts';
import { PORT_COUNT, PortCounters } from './port-counters.ts';
import { superFrameHeaderLength, takeVnetHeader, VNET_HEADER_BYTES } from './vnet-header.ts';

const ETHERNET_BYTES = 14;
const TAG_BYTES = 4;
const LINKTYPE_ETHERNET = 1;
const TPID_8021Q = 0x8100;
/** MAC addresses, behind which a tag stands. */
const TAG_AT = 12;
const MSG_DONTWAIT = 0x40;

/** A device through an AF_PACKET socket: sends with sendmmsg, super-frames whole. */
export abstract class PacketSocketPort<S extends PacketSocket> extends NetdevPort<S> {
  /** Bytes at a frame's start that the link does not have. */
  protected readonly skip: number;
  readonly #out: MessageRing;

  constructor(
    name: string,
    clock: Clock,
    batchFrames: number,
    openSocket: (device: Netdev) => S,
    kind: LinkKind = 'ethernet',
  ) {
    super(name, clock, openSocket, new PortCounters(), kind);
    this.skip = kind === 'ip' ? ETHERNET_BYTES : 0;
    this.#out = new MessageRing(batchFrames, VNET_HEADER_BYTES, false);
  }

  transmit(batch: FrameBatch, from: number, count: number): number {
    const { values } = this.counters;
    let done = 0;
    while (done < count) {
      const { socket } = this;
      if (socket === null || this.link !== 'up') {
        values[PORT_COUNT.linkDown]! += count - done;
        return count;
      }
      const ready = this.#fill(batch, from + done, count - done);
      if (ready === 0) {
        values[PORT_COUNT.tooLong]!++;
        done++;
        continue;
      }
      const sent = this.libc.sendmmsg(socket.sendFd, this.#out.address, ready, MSG_DONTWAIT);
      if (sent > 0) {
        let bytes = 0;
        for (let i = from + done; i < from + done + sent; i++) bytes += batch.length[i]!;
        values[PORT_COUNT.sentBytes]! += bytes;
        values[PORT_COUNT.sent]! += sent;
        done += sent;
        continue;
      }
      const errno = this.libc.errno();
      if (errno === ERRNO.EAGAIN || errno === ERRNO.ENOBUFS || errno === ERRNO.ENOMEM) {
        values[PORT_COUNT.refused]! += count - done;
        this.retryLater();
        return done;
      }
      if (errno === ERRNO.EINTR) continue;
      this.#sendFailed(errno);
      done++;
    }
    return count;
  }

  /** Frame `i` is what came as message `k` of `ring`: puts back what the kernel took out of it or left undone. */
  protected takeMessage(ring: MessageRing, k: number, batch: FrameBatch, i: number, slotBytes: number): void {
    const tag = ring.strippedTag(k);
    const shift = tag === 0 ? 0 : TAG_BYTES;
    const whole = ring.lengthOf(k) - VNET_HEADER_BYTES + shift + this.skip;
    const length = whole < slotBytes ? whole : slotBytes;
    const offset = batch.offset[i]!;
    if (tag !== 0) {
      const { bytes, view } = batch.slab;
      bytes.copyWithin(offset + TAG_AT + TAG_BYTES, offset + TAG_AT, offset + length - TAG_BYTES);
      view.setUint32(offset + TAG_AT, tag);
    }
    this.describe(batch, i, length, whole, ring.headers, ring.headerAt(k), shift + this.skip);
  }

  /**
   * Frame `i` is in its slot and has `length` of its `whole` bytes; the virtio header at `at` says the rest.
   * @param shift bytes that were put into the frame in front of its network header since the header was made
   */
  protected describe(
    batch: FrameBatch,
    i: number,
    length: number,
    whole: number,
    header: DataView,
    at: number,
    shift: number,
  ): void {
    const { values } = this.counters;
    batch.length[i] = length;
    batch.wireLength[i] = whole;
    batch.linkType[i] = LINKTYPE_ETHERNET;
    takeVnetHeader(batch, i, header, at, shift);
    this.taken++;
    values[PORT_COUNT.received]!++;
    values[PORT_COUNT.receivedBytes]! += whole;
  }

  protected receiveFailed(errno: number): void {
    if (errno === ERRNO.ENETDOWN) {
      this.check();
    } else if (errno !== ERRNO.EINTR) {
      // The kernel could not describe a frame in a virtio header, and has dropped it.
      this.taken++;
      this.counters.values[PORT_COUNT.lost]!++;
    }
  }

  /** Points messages to frames. @returns to how many, from the first on: one that is too long ends it */
  #fill(batch: FrameBatch, from: number, count: number): number {
    const ring = this.#out;
    const room = count < ring.capacity ? count : ring.capacity;
    for (let k = 0; k < room; k++) {
      const i = from + k;
      // Of a super-frame's segments the kernel does not ask how long they become.
      if (batch.gsoType[i] !== 0 && this.#isTooLong(batch, i)) return k;
      ring.point(k, batch, i, batch.length[i]! - this.skip, this.skip);
      ring.writeHeader(k, batch, i, this.skip);
    }
    return room;
  }

  #isTooLong(batch: FrameBatch, i: number): boolean {
    const isTagged = batch.slab.view.getUint16(batch.offset[i]! + TAG_AT) === TPID_8021Q;
    const most = this.device!.mtu + ETHERNET_BYTES + (isTagged ? TAG_BYTES : 0);
    return superFrameHeaderLength(batch, i) + batch.gsoSize[i]! > most;
  }

  #sendFailed(errno: number): void {
    const { values } = this.counters;
    if (errno === ERRNO.EMSGSIZE) {
      values[PORT_COUNT.tooLong]!++;
    } else if (errno === ERRNO.ENETDOWN || errno === ERRNO.ENXIO || errno === ERRNO.ENODEV) {
      values[PORT_COUNT.linkDown]!++;
      this.check();
    } else {
      values[PORT_COUNT.invalid]!++;
    }
  }
}
