import type { Clock } from '../clock.ts';
import type { FrameBatch } from '../frame-batch.ts';
import { copyBytes } from './copy-bytes.ts';
import { ERRNO } from './libc.ts';
import { MessageRing } from './message-ring.ts';
import type { Netdev } from './netdev.ts';
import { PACKET_DEFAULTS } from './packet.ts';
import { PacketSocket } from './packet-socket.ts';
import { PacketSocketPort } from './packet-socket-port.ts';
import { ReceiveRing } from './receive-ring.ts';
import { VNET_HEADER_BYTES } from './vnet-header.ts';

export interface RingPortOptions {
  /** Memory for frames that wait to be read: each takes 2 KiB, or what the MTU needs. */
  readonly ringBytes?: number;
}

const DEFAULT_RING_BYTES = 16 * 2 ** 20;
const TAG_AT = 12;
const TAG_BYTES = 4;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
/** Errors that may stand in front of a frame in the socket's queue. */
const MAX_ERRORS = 4;

/**
 * An existing network device, through an AF_PACKET socket whose frames the kernel writes into shared memory: reading them takes
 * no system call. For many small frames; super-frames go the way of the `packet` port.
 */
export class RingPort extends PacketSocketPort<RingSocket> {
  readonly #long = new MessageRing(1, VNET_HEADER_BYTES, true);

  /**
   * @param name the device's name
   * @throws PortError for a device that must not be a port, or without the right to use it
   */
  constructor(name: string, clock: Clock, { ringBytes = DEFAULT_RING_BYTES }: RingPortOptions = {}) {
    super(name, clock, PACKET_DEFAULTS.batchFrames, (device) => new RingSocket(device, ringBytes));
  }

  receive(batch: FrameBatch, from: number, max: number, slotBytes: number): number {
    const { socket } = this;
    if (socket === null) return 0;
    const { ring } = socket;
    let count = 0;
    let now = 0;
    while (count < max && ring.look()) {
      if (count === 0) now = this.clock.nowNs();
      batch.arrivalNs[from + count] = now;
      if (!ring.isElsewhere || !this.#takeLong(socket, batch, from + count, slotBytes)) {
        this.#take(ring, batch, from + count, slotBytes);
      }
      ring.release();
      count++;
    }
    return count;
  }

  /** Copies the ring's next frame to slot `i`, and puts back what the kernel took out of it or left undone. */
  #take(ring: ReceiveRing, batch: FrameBatch, i: number, slotBytes: number): void {
    const { start, tag } = ring;
    const shift = tag === 0 ? 0 : TAG_BYTES;
    const have = ring.length + shift;
    const length = have < slotBytes ? have : slotBytes;
    const { view } = batch.slab;
    const offset = batch.offset[i]!;
    if (tag === 0) {
      copyBytes(ring.view, start, view, offset, length);
    } else {
      copyBytes(ring.view, start, view, offset, TAG_AT);
      view.setInt32(offset + TAG_AT, tag);
      copyBytes(ring.view, start + TAG_AT, view, offset + TAG_AT + TAG_BYTES, length - TAG_AT - TAG_BYTES);
    }
    this.describe(batch, i, length, ring.wireLength + shift, ring.view, start - VNET_HEADER_BYTES, shift);
  }

  /** @returns whether the frame that is too long for the ring was in the socket's queue */
  #takeLong(socket: PacketSocket, batch: FrameBatch, i: number, slotBytes: number): boolean {
    this.#long.point(0, batch, i, slotBytes);
    this.#long.offerControl(0);
    for (let errors = 0; errors < MAX_ERRORS; errors++) {
      if (this.libc.recvmmsg(socket.fd, this.#long.address, 1, MSG_DONTWAIT | MSG_TRUNC, 0) === 1) {
        this.takeMessage(this.#long, 0, batch, i, slotBytes);
        return true;
      }
      if (this.libc.errno() === ERRNO.EAGAIN) return false;
    }
    return false;
  }
}

/** A packet socket with its ring. */
class RingSocket extends PacketSocket {
  readonly ring: ReceiveRing;

  /** @throws PortError */
  constructor({ index, mtu }: Netdev, ringBytes: number) {
    let ring: ReceiveRing | null = null;
    try {
      super(index, PACKET_DEFAULTS.receiveBufferBytes, PACKET_DEFAULTS.qdiscBypass, (fd) => {
        ring = new ReceiveRing(fd, mtu, ringBytes);
      });
    } catch (error) {
      (ring as ReceiveRing | null)?.unmap();
      throw error;
    }
    this.ring = ring!;
  }

  override close(): void {
    this.ring.unmap();
    super.close();
  }
}
