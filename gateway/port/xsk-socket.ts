import { BusyPoll } from './busy-poll.ts';
import { receiveQueues, switchOff } from './ethtool.ts';
import { ERRNO, errnoName, libc, NativeMemory } from './libc.ts';
import { findNetdev, type Netdev } from './netdev.ts';
import type { DeviceSocket } from './netdev-port.ts';
import { joinPromiscuous } from './packet-socket.ts';
import { PortError } from './port-error.ts';
import { Readiness } from './readiness.ts';
import { type XdpMode, XdpProgram } from './xdp-program.ts';
import { type RingOffsets, XskRing } from './xsk-ring.ts';
import { CHUNK_BYTES, TRANSMIT_CHUNKS, XskSender } from './xsk-sender.ts';

const AF = { packet: 17, xdp: 44 } as const;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const SOL_SOCKET = 1;
const SO = { error: 4, sndbufForce: 32, busyPoll: 46, preferBusyPoll: 69, busyPollBudget: 70 } as const;
const SOL_XDP = 283;
/** linux/if_xdp.h */
const XDP = {
  mmapOffsets: 1,
  receiveRing: 2,
  transmitRing: 3,
  umem: 4,
  fillRing: 5,
  completionRing: 6,
  statistics: 7,
} as const;
const PAGE = { receive: 0, transmit: 0x80000000, fill: 0x1_0000_0000, completion: 0x1_8000_0000 } as const;
const BIND = { sharedMemory: 1 << 0, copy: 1 << 1, fragments: 1 << 4 } as const;
const FRAME_ENTRY_BYTES = 16;
const ADDRESS_ENTRY_BYTES = 8;
const SEND_BUFFER_BYTES = 8 * 2 ** 20;
const BUSY_POLL_US = 20;
const BUSY_POLL_BUDGET = 64;
/** The kernel releases a queue a moment after the socket that had it is closed. */
const BIND_TRIES = 25;
const BIND_RETRY_MS = 2;

export interface XskOptions {
  /** Frames, or pieces of 1792 bytes of long ones, that may wait to be read; a power of two. */
  readonly receiveChunks: number;
  readonly mode: XdpMode | null;
  readonly busyPoll: boolean;
}

/**
 * An AF_XDP socket on receive queue 0 of a device, in copy mode, with its memory: `TRANSMIT_CHUNKS` chunks to be sent, then those
 * that the kernel fills. The XDP program gives it every frame. Frames leave through a second socket on the same memory, which nobody
 * watches: for each of them the kernel would go and see who waits for room to send.
 */
export class XskSocket implements DeviceSocket {
  readonly fd: number;
  readonly receive: XskRing;
  readonly fill: XskRing;
  readonly sender: XskSender;
  /** The frames' memory; what rings call addresses are bytes from its start. */
  readonly frames: DataView;
  readonly mode: XdpMode;
  /** Frames in several chunks can be sent and received (Linux 6.6). */
  readonly hasFragments: boolean;
  /** Frames that were read; the port counts them. */
  read = 0;
  readonly trouble = null;
  queued = 0;
  dropped = 0;
  readonly #name: string;
  readonly #index: number;
  readonly #options: XskOptions;
  readonly #memory = new NativeMemory(128);
  /** Kept: the kernel writes to it. */
  readonly #umem: NativeMemory;
  readonly #program: XdpProgram;
  readonly #promiscuous: number;
  readonly #sendFd: number;
  readonly #rings: XskRing[] = [];
  readonly #switchBack: () => void;

  /** @throws PortError */
  constructor(name: string, { index }: Netdev, options: XskOptions) {
    const c = libc();
    const queues = receiveQueues(name);
    if (queues > 1) {
      throw new PortError(
        'several-queues',
        `${name} has ${queues} receive queues and an xdp port reads one: ethtool -L ${name} combined 1 (or rx 1)`,
      );
    }
    this.#name = name;
    this.#index = index;
    this.#options = options;
    const { receiveChunks } = options;
    const chunks = TRANSMIT_CHUNKS + receiveChunks;
    const page = c.getpagesize();
    this.#umem = new NativeMemory(chunks * CHUNK_BYTES + page);
    const shift = (page - (this.#umem.address % page)) % page;
    this.frames = new DataView(this.#umem.bytes.buffer, shift, chunks * CHUNK_BYTES);
    this.fd = this.#socket(AF.xdp);
    this.#promiscuous = this.#socket(AF.packet, this.fd);
    this.#sendFd = this.#socket(AF.xdp, this.fd, this.#promiscuous);
    // What these do to a frame an XDP program cannot see: merge several, take its tag out.
    this.#switchBack = switchOff(name, ['gro', 'lro', 'rxvlan']);
    try {
      joinPromiscuous(this.#promiscuous, index);
      this.#registerMemory(this.#umem.address + shift, chunks * CHUNK_BYTES);
      this.#number('fill ring', XDP.fillRing, receiveChunks);
      this.#number('completion ring', XDP.completionRing, TRANSMIT_CHUNKS);
      this.#number('receive ring', XDP.receiveRing, receiveChunks);
      this.#number('transmit ring', XDP.transmitRing, TRANSMIT_CHUNKS, this.#sendFd);
      const offsets = this.#offsets();
      const map = (page: number, k: number, size: number, entryBytes: number, end: 'producer' | 'consumer') => {
        const fd = page === PAGE.transmit ? this.#sendFd : this.fd;
        const ring = new XskRing(fd, page, offsets[k]!, size, entryBytes, end);
        this.#rings.push(ring);
        return ring;
      };
      this.receive = map(PAGE.receive, 0, receiveChunks, FRAME_ENTRY_BYTES, 'consumer');
      const transmit = map(PAGE.transmit, 1, TRANSMIT_CHUNKS, FRAME_ENTRY_BYTES, 'producer');
      this.fill = map(PAGE.fill, 2, receiveChunks, ADDRESS_ENTRY_BYTES, 'producer');
      const completion = map(PAGE.completion, 3, TRANSMIT_CHUNKS, ADDRESS_ENTRY_BYTES, 'consumer');
      this.sender = new XskSender(this.#sendFd, transmit, completion, this.frames);
      for (let k = 0; k < receiveChunks; k++) {
        this.fill.words[this.fill.entry] = (TRANSMIT_CHUNKS + k) * CHUNK_BYTES;
        this.fill.at++;
      }
      this.fill.publish();
      this.#set(this.#sendFd, SOL_SOCKET, SO.sndbufForce, SEND_BUFFER_BYTES);
      for (const fd of options.busyPoll ? [this.fd, this.#sendFd] : []) {
        // Where the driver has no NAPI to poll, these do nothing.
        this.#set(fd, SOL_SOCKET, SO.preferBusyPoll, 1);
        this.#set(fd, SOL_SOCKET, SO.busyPoll, BUSY_POLL_US);
        this.#set(fd, SOL_SOCKET, SO.busyPollBudget, BUSY_POLL_BUDGET);
      }
      this.hasFragments = this.#bind(index);
      if (!this.#bindTo(this.#sendFd, index, BIND.sharedMemory, this.fd)) this.#failed('second socket');
      this.#program = new XdpProgram(index, this.fd, options.mode);
      this.mode = this.#program.mode;
    } catch (error) {
      this.#switchBack();
      for (const ring of this.#rings) ring.unmap();
      this.#closeSockets();
      throw error;
    }
  }

  updateStatistics(): void {
    const { view, address } = this.#memory;
    // struct xdp_statistics: u64 each.
    view.setUint32(64, 48, true);
    if (libc().getsockopt(this.fd, SOL_XDP, XDP.statistics, address, address + 64) === 0) {
      const count = (at: number) => Number(view.getBigUint64(at, true));
      // No chunk for it or too long; no room in the ring.
      this.dropped = count(0) + count(24);
    }
    this.queued = this.read + this.receive.filled;
  }

  watch(ready: () => void, failed: () => void): { close(): void } {
    if (!this.#options.busyPoll) return new Readiness(this.fd, ready, failed);
    return new BusyPoll({ hasFrames: () => this.receive.filled > 0, ready });
  }

  clearError(): void {
    const { view, address } = this.#memory;
    view.setUint32(64, 4, true);
    libc().getsockopt(this.fd, SOL_SOCKET, SO.error, address, address + 64);
  }

  close(): void {
    this.#program.close();
    for (const ring of this.#rings) ring.unmap();
    this.#closeSockets();
    if (findNetdev(this.#name)?.index === this.#index) this.#switchBack();
  }

  #closeSockets(): void {
    const c = libc();
    for (const fd of [this.#sendFd, this.#promiscuous, this.fd]) c.close(fd);
  }

  /** @param others that are closed where it cannot be had */
  #socket(family: number, ...others: readonly number[]): number {
    const c = libc();
    const fd = c.socket(family, SOCK_RAW_CLOEXEC, 0);
    if (fd >= 0) return fd;
    const errno = c.errno();
    for (const other of others) c.close(other);
    if (errno === ERRNO.EPERM) throw new PortError('not-permitted', 'AF_XDP needs CAP_NET_RAW and CAP_NET_ADMIN');
    throw new PortError('system', `AF_XDP: ${errnoName(errno)}`);
  }

  /** struct xdp_umem_reg */
  #registerMemory(address: number, length: number): void {
    const { view, bytes } = this.#memory;
    bytes.fill(0);
    view.setBigUint64(0, BigInt(address), true);
    view.setBigUint64(8, BigInt(length), true);
    view.setUint32(16, CHUNK_BYTES, true);
    if (libc().setsockopt(this.fd, SOL_XDP, XDP.umem, this.#memory.address, 32) < 0) this.#failed('memory');
  }

  #offsets(): RingOffsets[] {
    const { view, address } = this.#memory;
    const length = new NativeMemory(4);
    length.view.setUint32(0, 128, true);
    if (libc().getsockopt(this.fd, SOL_XDP, XDP.mmapOffsets, address, length.address) < 0) this.#failed('offsets');
    return [0, 32, 64, 96].map((at) => ({
      producer: Number(view.getBigUint64(at, true)),
      consumer: Number(view.getBigUint64(at + 8, true)),
      descriptors: Number(view.getBigUint64(at + 16, true)),
    }));
  }

  /** @returns whether frames may have several chunks */
  #bind(index: number): boolean {
    for (let tries = 1; ; tries++) {
      for (const fragments of [BIND.fragments, 0]) {
        if (this.#bindTo(this.fd, index, BIND.copy | fragments)) return fragments !== 0;
        if (libc().errno() !== ERRNO.EINVAL) break;
      }
      if (libc().errno() !== ERRNO.EBUSY) this.#failed('bind');
      if (tries === BIND_TRIES) throw new PortError('taken', 'another AF_XDP socket has the device');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BIND_RETRY_MS);
    }
  }

  /** @param memoryOf the socket whose memory it shares */
  #bindTo(fd: number, index: number, flags: number, memoryOf = 0): boolean {
    const { view, bytes, address } = this.#memory;
    // struct sockaddr_xdp
    bytes.fill(0);
    view.setUint16(0, AF.xdp, true);
    view.setUint16(2, flags, true);
    view.setUint32(4, index, true);
    view.setUint32(12, memoryOf, true);
    return libc().bind(fd, address, 16) === 0;
  }

  #number(what: string, option: number, value: number, fd = this.fd): void {
    if (!this.#set(fd, SOL_XDP, option, value)) this.#failed(what);
  }

  #set(fd: number, level: number, option: number, value: number): boolean {
    this.#memory.view.setUint32(0, value, true);
    return libc().setsockopt(fd, level, option, this.#memory.address, 4) === 0;
  }

  #failed(what: string): never {
    throw new PortError('system', `AF_XDP ${what}: ${errnoName(libc().errno())}`);
  }
}
