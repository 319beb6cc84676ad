import type { Clock } from '../clock.ts';
import type { FrameBatch } from '../frame-batch.ts';
import type { LinkKind } from './claimed-device.ts';
import { ERRNO } from './libc.ts';
import { MessageRing } from './message-ring.ts';
import { PacketSocket } from './packet-socket.ts';
import { PacketSocketPort } from './packet-socket-port.ts';
import { VNET_HEADER_BYTES } from './vnet-header.ts';

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

export const PACKET_DEFAULTS = { batchFrames: 64, receiveBufferBytes: 32 * 2 ** 20, qdiscBypass: false } as const;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
/** Errors of a socket that one call of `receive` reads away before it gives up. */
const MAX_ERRORS = 64;
const LEAST_EXPECTED = 8;

/** An existing network device, through an AF_PACKET socket and calls that move many frames each. */
export class PacketPort extends PacketSocketPort<PacketSocket> {
  readonly #in: MessageRing;
  /** Frames that the next read asks for at first. */
  #expected = LEAST_EXPECTED;

  /**
   * @param name the device's name
   * @throws PortError for a device that must not be a port, or without the right to use it
   */
  constructor(name: string, clock: Clock, options: PacketPortOptions = {}, kind: LinkKind = 'ethernet') {
    const { batchFrames, receiveBufferBytes, qdiscBypass } = { ...PACKET_DEFAULTS, ...options };
    super(name, clock, batchFrames, ({ index }) => new PacketSocket(index, receiveBufferBytes, qdiscBypass), kind);
    this.#in = new MessageRing(batchFrames, VNET_HEADER_BYTES, true);
  }

  receive(batch: FrameBatch, from: number, max: number, slotBytes: number): number {
    const room = max < this.#in.capacity ? max : this.#in.capacity;
    // Each frame that is asked for costs, also one that is not there: at first not many more than came the last time.
    const first = this.#expected < room ? this.#expected : room;
    let count = this.#read(batch, from, first, slotBytes);
    if (count === first && first < room) count += this.#read(batch, from + first, room - first, slotBytes);
    this.#expected = count < LEAST_EXPECTED ? LEAST_EXPECTED : count << 1;
    return count;
  }

  /** One system call. @returns frames read, 0 to `room` */
  #read(batch: FrameBatch, from: number, room: number, slotBytes: number): number {
    const { socket } = this;
    if (socket === null || room <= 0) return 0;
    const ring = this.#in;
    for (let k = 0; k < room; k++) {
      ring.point(k, batch, from + k, slotBytes - this.skip, this.skip);
      ring.offerControl(k);
    }
    for (let errors = 0; errors < MAX_ERRORS; errors++) {
      const count = this.libc.recvmmsg(socket.fd, ring.address, room, MSG_DONTWAIT | MSG_TRUNC, 0);
      if (count >= 0) {
        const now = this.clock.nowNs();
        for (let k = 0; k < count; k++) {
          batch.arrivalNs[from + k] = now;
          this.takeMessage(ring, k, batch, from + k, slotBytes);
        }
        return count;
      }
      const errno = this.libc.errno();
      if (errno === ERRNO.EAGAIN) return 0;
      this.receiveFailed(errno);
    }
    return 0;
  }
}
