import type { Clock } from '../clock.ts';
import type { FrameBatch } from '../frame-batch.ts';
import { copyBytes } from './copy-bytes.ts';
import { NetdevPort } from './netdev-port.ts';
import { PORT_COUNT } from './port-counters.ts';
import { segmentCount, segmentLength, writeSegment } from './segment.ts';
import { finishUnfinishedChecksum } from './unfinished-checksum.ts';
import { SUPER_FRAME_BYTES } from './vnet-header.ts';
import type { XdpMode } from './xdp-program.ts';
import { CHUNK_BYTES, FLUSH, FRAME_GOES_ON, TRANSMIT_CHUNKS } from './xsk-sender.ts';
import { XskSocket } from './xsk-socket.ts';

export interface XdpPortOptions {
  /** Null: native, or skb where the driver cannot. */
  readonly mode?: XdpMode | null;
  /** Never sleeps while frames are wanted: one core is busy all the time. */
  readonly busyPoll?: boolean;
  /** Frames, or pieces of 1792 bytes of long ones, that may wait to be read; a power of two. */
  readonly receiveChunks?: number;
}

const DEFAULTS = { mode: null, busyPoll: false, receiveChunks: 4096 } as const;
const LINKTYPE_ETHERNET = 1;
const ETHERNET_BYTES = 14;
const TAG_BYTES = 4;
const TAG_AT = 12;
const TPID_8021Q = 0x8100;

/**
 * An existing network device, through an AF_XDP socket: frames come past the kernel's stack. There are no virtio headers, so
 * nothing on the link may make super-frames or leave VLAN tags to hardware; unfinished checksums are finished here.
 */
export class XdpPort extends NetdevPort<XskSocket> {
  /** A segment of a super-frame that does not fit one chunk. */
  readonly #segment = new DataView(new ArrayBuffer(SUPER_FRAME_BYTES));

  /**
   * @param name the device's name
   * @throws PortError for a device that must not be a port, or without the right to use it
   */
  constructor(name: string, clock: Clock, options: XdpPortOptions = {}) {
    super(name, clock, (device) => new XskSocket(name, device, { ...DEFAULTS, ...options }));
  }

  /** How the device gives frames; null while it is not there. */
  get mode(): XdpMode | null {
    return this.socket?.mode ?? null;
  }

  receive(batch: FrameBatch, from: number, max: number, slotBytes: number): number {
    const { socket } = this;
    if (socket === null) return 0;
    const { values } = this.counters;
    const { receive, fill, frames } = socket;
    const { view } = batch.slab;
    const longest = this.device!.mtu + ETHERNET_BYTES + 2 * TAG_BYTES;
    const startedAt = receive.at;
    let { filled } = receive;
    let count = 0;
    let now = 0;
    while (count < max && filled > 0) {
      const i = from + count;
      const offset = batch.offset[i]!;
      let length = 0;
      for (let goesOn = true; goesOn && filled > 0; filled--) {
        const { entry } = receive;
        const address = receive.words[entry]!;
        const part = receive.words[entry + 2]!;
        const room = slotBytes - length;
        if (room > 0) copyBytes(frames, address, view, offset + length, part < room ? part : room);
        length += part;
        goesOn = (receive.words[entry + 3]! & FRAME_GOES_ON) !== 0;
        receive.at++;
        fill.words[fill.entry] = address & ~(CHUNK_BYTES - 1);
        fill.at++;
      }
      socket.read++;
      this.taken++;
      if (length > longest) {
        // A super-frame: nothing tells any more where it is to be cut.
        values[PORT_COUNT.lost]!++;
        continue;
      }
      if (count === 0) now = this.clock.nowNs();
      batch.length[i] = length < slotBytes ? length : slotBytes;
      batch.wireLength[i] = length;
      batch.linkType[i] = LINKTYPE_ETHERNET;
      batch.arrivalNs[i] = now;
      batch.gsoType[i] = 0;
      finishUnfinishedChecksum(batch, i);
      values[PORT_COUNT.receivedBytes]! += length;
      count++;
    }
    if (receive.at === startedAt) return 0;
    receive.publish();
    fill.publish();
    values[PORT_COUNT.received]! += count;
    return count;
  }

  transmit(batch: FrameBatch, from: number, count: number): number {
    const { values } = this.counters;
    for (let done = 0; done < count; ) {
      const { socket } = this;
      if (socket === null || this.link !== 'up') {
        values[PORT_COUNT.linkDown]! += count - done;
        return count;
      }
      const posted = socket.sender.catchUp() ? this.#post(socket, batch, from + done, count - done) : 0;
      if (posted === 0) {
        values[PORT_COUNT.refused]! += count - done;
        this.retryLater();
        return done;
      }
      done += posted;
    }
    return count;
  }

  /** Sends the first frames, as many as the kernel takes at once. @returns how many are dealt with */
  #post(socket: XskSocket, batch: FrameBatch, from: number, count: number): number {
    const { values } = this.counters;
    const { sender } = socket;
    let done = 0;
    let frames = 0;
    let bytes = 0;
    for (; done < count && !sender.isFull; done++) {
      const i = from + done;
      const pieces = batch.gsoType[i] === 0 ? 1 : segmentCount(batch, i);
      const longest = batch.gsoType[i] === 0 || pieces === 0 ? batch.length[i]! : segmentLength(batch, i, 0);
      const chunks = Math.ceil(longest / CHUNK_BYTES);
      if (pieces === 0 || pieces * chunks > TRANSMIT_CHUNKS || longest < ETHERNET_BYTES) {
        values[PORT_COUNT.invalid]!++;
        continue;
      }
      if (this.#isTooLong(batch, i, longest) || (chunks > 1 && !socket.hasFragments)) {
        values[PORT_COUNT.tooLong]!++;
        continue;
      }
      if (!sender.hasRoom(pieces * chunks)) break;
      if (batch.gsoType[i] === 0) {
        sender.add(batch.slab.view, batch.offset[i]!, longest);
      } else {
        for (let n = 0; n < pieces; n++) sender.add(this.#segment, 0, writeSegment(batch, i, n, this.#segment, 0));
      }
      frames++;
      bytes += batch.length[i]!;
    }
    if (frames === 0) return done;
    if (sender.flush() === FLUSH.down) {
      values[PORT_COUNT.linkDown]! += frames;
      this.check();
      return done;
    }
    const { dropped } = sender;
    values[PORT_COUNT.sent]! += frames - dropped;
    values[PORT_COUNT.sentBytes]! += bytes;
    if (dropped > 0) {
      this.check();
      values[this.link === 'up' ? PORT_COUNT.invalid : PORT_COUNT.linkDown]! += dropped;
    }
    return done;
  }

  #isTooLong(batch: FrameBatch, i: number, length: number): boolean {
    const isTagged = batch.slab.view.getUint16(batch.offset[i]! + TAG_AT) === TPID_8021Q;
    return length > this.device!.mtu + ETHERNET_BYTES + (isTagged ? TAG_BYTES : 0);
  }
}
