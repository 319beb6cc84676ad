import type { Clock } from '../clock.ts';
import type { FrameBatch } from '../frame-batch.ts';
import { ERRNO, errnoName, FramePointer, type Libc, libc, NativeMemory } from './libc.ts';
import { LinkWatch } from './link-watch.ts';
import { findNetdev, isNetdevName, type Netdev, setNetdevUp } from './netdev.ts';
import type { LinkState, LivePort, PortCapabilities } from './port.ts';
import { PORT_COUNT, PortCounters } from './port-counters.ts';
import { PortError } from './port-error.ts';
import { Readiness } from './readiness.ts';
import { SUPER_FRAME_BYTES, takeVnetHeader, VNET_HEADER_BYTES, writeVnetHeader } from './vnet-header.ts';

const DEVICE = '/dev/net/tun';
const O_RDWR_NONBLOCK_CLOEXEC = 2 | 0o4000 | 0o2000000;
/** linux/if_tun.h */
const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNGETIFF = 0x800454d2;
const IFF_TAP_NO_PI_VNET_HDR = 0x0002 | 0x1000 | 0x4000;
/** Unfinished checksums, TCP over IPv4 and IPv6, with ECN; UDP needs Linux 6.2. */
const OFFLOAD_TCP = 0x01 | 0x02 | 0x04 | 0x08;
const OFFLOAD_UDP = 0x20 | 0x40;
const LINKTYPE_ETHERNET = 1;
/** Three struct iovec: header, frame, and what of a frame does not fit its slot. */
const VECTORS = {
  headerBase: 0,
  headerLength: 8,
  frameBase: 16,
  frameLength: 24,
  restBase: 32,
  restLength: 40,
} as const;
const HEADER_AT = 48;
const REST_AT = 64;
const RETRY_MS = 1;

/**
 * A tap device that the port makes, or attaches to if it exists and is persistent; it goes when the port closes unless it
 * is persistent. The kernel's side of it is up, and belongs to whoever uses it.
 */
export class TapPort implements LivePort {
  readonly name: string;
  readonly capabilities: PortCapabilities = { pushesBack: false, cutsFrames: false };
  readonly counters = new PortCounters();
  onReady: (() => void) | null = null;
  onLink: (() => void) | null = null;

  readonly #clock: Clock;
  readonly #libc: Libc;
  readonly #wantedMtu: number | null;
  readonly #memory = new NativeMemory(REST_AT + SUPER_FRAME_BYTES);
  readonly #pointer = new FramePointer();
  readonly #watch: LinkWatch;
  #fd = -1;
  #device: Netdev | null = null;
  #lostBefore = 0;
  #readiness: Readiness | null = null;
  #wantsFrames = true;
  #link: LinkState = 'absent';
  #trouble: string | null = null;
  #retry: NodeJS.Timeout | null = null;
  #closed = false;

  /**
   * @param name the device's name
   * @param mtu null: what the kernel gives it
   * @throws PortError
   */
  constructor(name: string, clock: Clock, mtu: number | null = null) {
    if (!isNetdevName(name) || name.includes('%')) throw new PortError('bad-name', `"${name}" cannot be a tap's name`);
    this.name = name;
    this.#clock = clock;
    this.#libc = libc();
    this.#wantedMtu = mtu;
    const { view, address } = this.#memory;
    view.setBigUint64(VECTORS.headerBase, BigInt(address + HEADER_AT), true);
    view.setUint32(VECTORS.headerLength, VNET_HEADER_BYTES, true);
    view.setBigUint64(VECTORS.restBase, BigInt(address + REST_AT), true);
    view.setUint32(VECTORS.restLength, SUPER_FRAME_BYTES, true);
    this.#open();
    this.#watch = new LinkWatch(() => this.#check());
    this.#check();
  }

  get link(): LinkState {
    return this.#link;
  }

  get trouble(): string | null {
    return this.#trouble;
  }

  get isReady(): boolean {
    return this.#link !== 'absent';
  }

  get mtu(): number | null {
    return this.#device?.mtu ?? null;
  }

  receive(batch: FrameBatch, from: number, max: number, slotBytes: number): number {
    if (this.#fd < 0) return 0;
    const { words, address } = this.#memory;
    const { values } = this.counters;
    let count = 0;
    let now = 0;
    while (count < max) {
      const i = from + count;
      this.#pointer.write(words, VECTORS.frameBase >> 2, batch, i);
      words[VECTORS.frameLength >> 2] = slotBytes;
      const got = this.#libc.readv(this.#fd, address, 3);
      if (got < VNET_HEADER_BYTES) {
        if (got < 0) this.#failed(this.#libc.errno());
        break;
      }
      if (count === 0) now = this.#clock.nowNs();
      const whole = got - VNET_HEADER_BYTES;
      batch.length[i] = whole < slotBytes ? whole : slotBytes;
      batch.wireLength[i] = whole;
      batch.linkType[i] = LINKTYPE_ETHERNET;
      batch.arrivalNs[i] = now;
      takeVnetHeader(batch, i, this.#memory.view, HEADER_AT, 0);
      values[PORT_COUNT.receivedBytes]! += whole;
      count++;
    }
    values[PORT_COUNT.received]! += count;
    return count;
  }

  transmit(batch: FrameBatch, from: number, count: number): number {
    const { words, address, view } = this.#memory;
    const { values } = this.counters;
    for (let done = 0; done < count; ) {
      if (this.#fd < 0 || this.#link !== 'up') {
        values[PORT_COUNT.linkDown]! += count - done;
        return count;
      }
      const i = from + done;
      this.#pointer.write(words, VECTORS.frameBase >> 2, batch, i);
      words[VECTORS.frameLength >> 2] = batch.length[i]!;
      writeVnetHeader(batch, i, view, HEADER_AT);
      if (this.#libc.writev(this.#fd, address, 2) >= 0) {
        values[PORT_COUNT.sent]!++;
        values[PORT_COUNT.sentBytes]! += batch.length[i]!;
        done++;
        continue;
      }
      const errno = this.#libc.errno();
      if (errno === ERRNO.EINTR) continue;
      if (errno === ERRNO.EAGAIN || errno === ERRNO.ENOBUFS || errno === ERRNO.ENOMEM) {
        values[PORT_COUNT.refused]! += count - done;
        this.#retryLater();
        return done;
      }
      const isDown = errno === ERRNO.EIO || errno === ERRNO.EBADFD || errno === ERRNO.ENETDOWN;
      values[isDown ? PORT_COUNT.linkDown : PORT_COUNT.invalid]!++;
      this.#failed(errno);
      done++;
    }
    return count;
  }

  setReading(wanted: boolean): void {
    this.#wantsFrames = wanted;
    this.#listen();
  }

  updateCounters(): void {
    const device = this.#fd < 0 ? null : findNetdev(this.name);
    if (device === null || device.index !== this.#device?.index) return;
    this.counters.values[PORT_COUNT.lost]! += device.txDropped - this.#lostBefore;
    this.#lostBefore = device.txDropped;
  }

  close(): void {
    if (this.#closed) return;
    this.updateCounters();
    this.#closed = true;
    this.#watch.close();
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#leave();
    this.#link = 'absent';
  }

  #failed(errno: number): void {
    if (errno === ERRNO.EBADFD) this.#check();
  }

  #retryLater(): void {
    if (this.#retry !== null) return;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.onReady?.();
    }, RETRY_MS);
  }

  /** Looks what has become of the device: it may have moved to another network namespace; one that was deleted is made again. */
  #check(): void {
    if (this.#closed) return;
    let trouble: string | null = null;
    let device = findNetdev(this.name);
    if (device === null || device.index !== this.#device?.index) {
      if (this.#isAttached()) {
        // Whether it is up can no longer be seen; writing tells.
        this.#note(this.#device, 'up', null);
        return;
      }
      this.#leave();
      try {
        this.#open();
      } catch (error) {
        trouble = (error as Error).message;
      }
      device = this.#fd < 0 ? null : findNetdev(this.name);
    }
    this.#note(device, device === null ? 'absent' : device.isUp ? 'up' : 'down', trouble);
  }

  #note(device: Netdev | null, link: LinkState, trouble: string | null): void {
    this.#device = device;
    if (link === this.#link && trouble === this.#trouble) return;
    this.#link = link;
    this.#trouble = trouble;
    this.onLink?.();
  }

  /** @returns whether the descriptor still has its device */
  #isAttached(): boolean {
    return this.#fd >= 0 && this.#libc.ioctl(this.#fd, TUNGETIFF, this.#memory.address + REST_AT) === 0;
  }

  /** @throws PortError */
  #open(): void {
    const c = this.#libc;
    const fd = c.open(DEVICE, O_RDWR_NONBLOCK_CLOEXEC);
    if (fd < 0) throw new PortError('not-permitted', `${DEVICE}: ${errnoName(c.errno())}`);
    try {
      // struct ifreq
      const request = new NativeMemory(40);
      request.bytes.set(new TextEncoder().encode(this.name));
      request.view.setUint16(16, IFF_TAP_NO_PI_VNET_HDR, true);
      if (c.ioctl(fd, TUNSETIFF, request.address) < 0) {
        throw new PortError('system', `tap ${this.name}: ${errnoName(c.errno())}`);
      }
      if (c.ioctl(fd, TUNSETOFFLOAD, OFFLOAD_TCP | OFFLOAD_UDP) < 0 && c.ioctl(fd, TUNSETOFFLOAD, OFFLOAD_TCP) < 0) {
        throw new PortError('system', `tap ${this.name}: no offload: ${errnoName(c.errno())}`);
      }
      const device = findNetdev(this.name);
      if (device === null) throw new PortError('system', `tap ${this.name} was made and is not there`);
      setNetdevUp(device.index, this.#wantedMtu);
      this.#lostBefore = device.txDropped;
      this.#device = device;
    } catch (error) {
      c.close(fd);
      throw error;
    }
    this.#fd = fd;
    this.#listen();
  }

  #leave(): void {
    this.#readiness?.close();
    this.#readiness = null;
    if (this.#fd >= 0) this.#libc.close(this.#fd);
    this.#fd = -1;
    this.#device = null;
  }

  #listen(): void {
    if (this.#fd < 0 || !this.#wantsFrames) {
      this.#readiness?.close();
      this.#readiness = null;
      return;
    }
    if (this.#readiness !== null) return;
    // Only a device that was deleted makes its descriptor fail.
    const failed = () => {
      this.#readiness = null;
      this.#check();
    };
    this.#readiness = new Readiness(this.#fd, () => this.onReady?.(), failed);
  }
}
