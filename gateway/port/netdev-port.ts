import type { Clock } from '../clock.ts';
import type { FrameBatch } from '../frame-batch.ts';
import { ClaimedDevice, type LinkKind } from './claimed-device.ts';
import { type Libc, libc } from './libc.ts';
import { LinkWatch } from './link-watch.ts';
import { findNetdev, isNetdevName, type Netdev } from './netdev.ts';
import type { LinkState, LivePort, PortCapabilities } from './port.ts';
import { PORT_COUNT, PortCounters } from './port-counters.ts';
import { PortError } from './port-error.ts';

/** After a refusal for which the kernel announces no end. */
const RETRY_MS = 1;

/** What a port has open on its device. */
export interface DeviceSocket {
  /** Frames that the kernel put into its queue, and that it had no room for, since it was made. */
  readonly queued: number;
  readonly dropped: number;
  /** What keeps it from working though the device is up; null where nothing does. */
  readonly trouble: string | null;
  /** Reads the kernel's counts into `queued` and `dropped`. */
  updateStatistics(): void;
  /** Calls `ready` while frames are there; `failed` is told of an error of the socket, which ends the watch. */
  watch(ready: () => void, failed: () => void): { close(): void };
  /** Takes an error away that waits to be reported: it would keep the socket readable. */
  clearError(): void;
  close(): void;
}

/**
 * An existing network device. While it is open the device is promiscuous, speaks no IPv6 of its own, and what comes in goes
 * nowhere but here. A device that does not exist yet, or any more, or that belongs to a bridge is waited for. How frames come and
 * go is the back end's.
 */
export abstract class NetdevPort<S extends DeviceSocket> implements LivePort {
  readonly name: string;
  readonly capabilities: PortCapabilities = { pushesBack: false, cutsFrames: false };
  readonly counters: PortCounters;
  onReady: (() => void) | null = null;
  onLink: (() => void) | null = null;

  protected readonly clock: Clock;
  protected readonly libc: Libc;
  protected socket: S | null = null;
  /** Null until there is one. */
  protected device: Netdev | null = null;
  /** Frames that this socket gave or refused to give. */
  protected taken = 0;
  readonly #kind: LinkKind;
  readonly #openSocket: (device: Netdev) => S;
  readonly #linkWatch: LinkWatch;
  #claim: ClaimedDevice | null = null;
  #socketWatch: { close(): void } | null = null;
  #wantsFrames = true;
  #link: LinkState = 'absent';
  #trouble: string | null = null;
  #retry: NodeJS.Timeout | null = null;
  #closed = false;
  /** Losses of this socket that the counters have. */
  #lostBefore = 0;

  /**
   * @param name the device's name
   * @param openSocket opens the device, which is claimed; throws PortError
   * @throws PortError for a device that must not be a port, or without the right to use it
   */
  constructor(
    name: string,
    clock: Clock,
    openSocket: (device: Netdev) => S,
    counters = new PortCounters(),
    kind: LinkKind = 'ethernet',
  ) {
    if (!isNetdevName(name)) throw new PortError('bad-name', `"${name}" cannot be the name of a network device`);
    this.name = name;
    this.clock = clock;
    this.counters = counters;
    this.#kind = kind;
    this.libc = libc();
    this.#openSocket = openSocket;
    const device = findNetdev(name);
    // One that is enslaved can be taken out at any time, and then the link says so.
    const isEnslaved = device !== null && device.master !== 0;
    if (device !== null && !isEnslaved) this.#open(device);
    this.#note(device, device === null ? this.#waiting() : isEnslaved ? this.#tryOpen(device) : null);
    this.#linkWatch = new LinkWatch(() => this.check());
    // What changed before the watch began was not told.
    this.check();
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
    return this.device?.mtu ?? null;
  }

  abstract receive(batch: FrameBatch, from: number, max: number, slotBytes: number): number;
  abstract transmit(batch: FrameBatch, from: number, count: number): number;

  setReading(wanted: boolean): void {
    this.#wantsFrames = wanted;
    this.#listen();
  }

  updateCounters(): void {
    const { socket } = this;
    if (socket === null) return;
    socket.updateStatistics();
    this.counters.values[PORT_COUNT.lost]! += socket.dropped - this.#lostBefore;
    this.#lostBefore = socket.dropped;
  }

  /** Leaves the device as it was found. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#linkWatch.close();
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#leave(false);
    this.#link = 'absent';
  }

  /** Tells in a moment that what was refused may be offered again. */
  protected retryLater(): void {
    if (this.#retry !== null) return;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.onReady?.();
    }, RETRY_MS);
  }

  /** Looks what has become of the device. */
  protected check(): void {
    if (this.#closed) return;
    const device = findNetdev(this.name);
    let trouble = device === null ? this.#waiting() : null;
    // Whoever enslaves a device forwards its frames: as a port it would give them twice.
    if (device !== null && (device.index !== this.device?.index || device.master !== 0)) {
      this.#leave(device.index !== this.device?.index);
      trouble = this.#tryOpen(device);
    }
    this.#note(device, trouble);
  }

  #waiting(): string {
    return `waiting for network device ${this.name}`;
  }

  #note(device: Netdev | null, deviceTrouble: string | null): void {
    let link: LinkState = 'absent';
    let trouble = deviceTrouble;
    // A device that is gone can come back with the same index; what it still gave can be read until another one is there.
    if (device !== null && this.socket !== null) {
      trouble ??= device.isUp ? this.socket.trouble : null;
      link = device.isUp && this.socket.trouble === null ? 'up' : 'down';
      this.device = device;
    } else if (device === null && this.device !== null) {
      this.device = { ...this.device, index: -1 };
    }
    if (link === this.#link && trouble === this.#trouble) return;
    this.#link = link;
    this.#trouble = trouble;
    this.onLink?.();
  }

  /** @returns why it cannot be, null where it is open now */
  #tryOpen(device: Netdev): string | null {
    try {
      this.#open(device);
      return null;
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** @throws PortError */
  #open(device: Netdev): void {
    const claim = new ClaimedDevice(this.name, device, this.#kind);
    try {
      this.socket = this.#openSocket(device);
    } catch (error) {
      claim.undo();
      throw error;
    }
    this.#claim = claim;
    this.device = device;
    this.taken = 0;
    this.#lostBefore = 0;
    this.#listen();
  }

  /** Gives socket and device up, as far as they are there. What was not read is lost. */
  #leave(isReplaced: boolean): void {
    this.#socketWatch?.close();
    this.#socketWatch = null;
    const { socket } = this;
    if (socket !== null) {
      this.updateCounters();
      this.counters.values[PORT_COUNT.lost]! += Math.max(0, socket.queued - this.taken);
      socket.close();
      this.socket = null;
    }
    this.#claim?.release(isReplaced);
    this.#claim = null;
    this.device = null;
  }

  /** Watches the socket, or does not, as is wanted. */
  #listen(): void {
    const { socket } = this;
    if (socket === null || !this.#wantsFrames) {
      this.#socketWatch?.close();
      this.#socketWatch = null;
      return;
    }
    if (this.#socketWatch !== null) return;
    const failed = () => {
      this.#socketWatch = null;
      // A link that went down leaves an error on the socket, which would end every watch at once.
      this.socket?.clearError();
      this.check();
      this.#listen();
      this.onReady?.();
    };
    this.#socketWatch = socket.watch(() => this.onReady?.(), failed);
  }
}
