import { chmodSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../clock.ts';
import type { FrameBatch } from '../frame-batch.ts';
import { libc, NativeMemory } from './libc.ts';
import type { LinkState, LivePort, PortCapabilities } from './port.ts';
import { PORT_COUNT, PortCounters } from './port-counters.ts';
import { StreamInput } from './stream-buffers.ts';
import { StreamOutput } from './stream-output.ts';

/** Where the other end is, or is awaited: a unix socket's path, or a TCP address. */
export type StreamAddress = { readonly path: string } | { readonly host: string; readonly port: number };

export interface StreamPortOptions {
  /**
   * `connect` goes to the other end; `listen` waits for it, and turns a second peer away while one is there; `either` goes
   * there once, and if nobody is there waits.
   */
  readonly role?: 'connect' | 'listen' | 'either';
  /** What may wait to be read, bytes; then the other end has to wait. */
  readonly inputBytes?: number;
  /** How long after a failure the other end is tried again. */
  readonly reconnectMs?: number;
  /** Where it counts; by default in counters of its own. */
  readonly counters?: PortCounters;
}

const DEFAULTS = { role: 'connect', inputBytes: 2 ** 21, reconnectMs: 500 } as const;
/** Node reads this much at once. */
const READ_BYTES = 65536;
/** Room for a read that is under way while the stream is told to pause. */
const LEAST_INPUT_BYTES = 8 * READ_BYTES;
const MSG_DONTWAIT = 0x40;
/** After a refusal. */
const RETRY_MS = 1;
/** asm-generic/socket.h; the second needs no privilege, and heeds net.core.wmem_max. */
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SO_SNDBUF = 7;
const SEND_BUFFER_BYTES = 4 * 2 ** 20;
const LINKTYPE_ETHERNET = 1;

/**
 * A stream of frames, as QEMU's `-netdev stream` and `-netdev socket` have it: no device, no privilege. Frames are whole and
 * their checksums finished; super-frames are cut before they leave.
 */
export class StreamPort implements LivePort {
  readonly name: string;
  readonly capabilities: PortCapabilities = { pushesBack: true, cutsFrames: false };
  readonly counters: PortCounters;
  readonly mtu = null;
  onReady: (() => void) | null = null;
  onLink: (() => void) | null = null;

  readonly #address: StreamAddress;
  readonly #options: Required<Omit<StreamPortOptions, 'counters'>>;
  readonly #clock: Clock;
  readonly #input: StreamInput;
  readonly #output: StreamOutput;
  #role: 'connect' | 'listen' | 'either';
  #gathered: NativeMemory | null = null;
  #server: Server | null = null;
  #socket: Socket | null = null;
  #reconnect: NodeJS.Timeout | null = null;
  #wantsFrames = true;
  #isPaused = false;
  /** Something has come from the peer that is there. */
  #hasSpoken = false;
  #retry: NodeJS.Timeout | null = null;
  #link: LinkState = 'absent';
  #trouble: string | null = null;
  #closed = false;

  constructor(name: string, address: StreamAddress, clock: Clock, options: StreamPortOptions = {}) {
    this.name = name;
    this.#address = address;
    this.#clock = clock;
    this.counters = options.counters ?? new PortCounters();
    this.#output = new StreamOutput(this.counters);
    this.#options = { ...DEFAULTS, ...options };
    this.#input = new StreamInput(Math.max(LEAST_INPUT_BYTES, this.#options.inputBytes));
    this.#role = this.#options.role;
    this.#trouble = this.#waiting();
    if (this.#role === 'listen') this.#listen();
    else this.#connect();
  }

  get link(): LinkState {
    return this.#link;
  }

  get trouble(): string | null {
    return this.#trouble;
  }

  get isReady(): boolean {
    return this.#link === 'up' || this.#server?.listening === true;
  }

  /** Reads what the kernel has without waiting for the event loop's turn to do so. */
  gather(): void {
    const socket = this.#socket;
    if (socket === null || this.#link !== 'up') return;
    // What Node has read already comes first; `read` hands it to the listener for data.
    while (this.#input.room >= 2 * READ_BYTES && socket.read() !== null);
    if (socket.readableLength > 0) return;
    const fd = fdOf(socket);
    if (fd < 0) return;
    this.#gathered ??= new NativeMemory(READ_BYTES);
    while (this.#input.room >= READ_BYTES) {
      const length = libc().recv(fd, this.#gathered.address, READ_BYTES, MSG_DONTWAIT);
      if (length <= 0) return;
      this.#hasSpoken = true;
      this.#input.add(this.#gathered.bytes.subarray(0, length));
    }
  }

  receive(batch: FrameBatch, from: number, max: number, slotBytes: number): number {
    if (this.#closed || max <= 0) return 0;
    const { values } = this.counters;
    const input = this.#input;
    let count = 0;
    let now = 0;
    while (count < max) {
      const whole = input.next();
      if (whole === -2) this.#giveUp('the other end sends no frames: a length is out of range');
      if (whole < 0) break;
      if (count === 0) now = this.#clock.nowNs();
      const i = from + count;
      const length = whole < slotBytes ? whole : slotBytes;
      input.take(whole, batch.slab.view, batch.offset[i]!, length);
      batch.length[i] = length;
      batch.wireLength[i] = whole;
      batch.linkType[i] = LINKTYPE_ETHERNET;
      batch.arrivalNs[i] = now;
      batch.gsoType[i] = 0;
      values[PORT_COUNT.receivedBytes]! += whole;
      count++;
    }
    values[PORT_COUNT.received]! += count;
    if (this.#isPaused && input.room > input.length) {
      this.#isPaused = false;
      this.#socket?.resume();
    }
    return count;
  }

  transmit(batch: FrameBatch, from: number, count: number): number {
    const fd = this.#socket === null || this.#link !== 'up' ? -1 : fdOf(this.#socket);
    if (fd < 0) {
      this.counters.values[PORT_COUNT.linkDown]! += count;
      return count;
    }
    const done = this.#output.send(fd, batch, from, count);
    if (this.#output.isBroken) this.#socket!.destroy();
    else if (done < count) this.#retryLater();
    return done;
  }

  setReading(wanted: boolean): void {
    this.#wantsFrames = wanted;
    if (wanted && this.#input.next() !== -1) setImmediate(() => this.#ready());
  }

  reset(): void {
    // Who has said nothing yet has come in place of an earlier one, and waits for the VM to go on there.
    if (!this.#hasSpoken) return;
    // Node may still have what the peer sent.
    this.#socket?.removeAllListeners('data').destroy();
    this.#forgetInput();
    this.#note('absent', this.#waiting());
  }

  updateCounters(): void {
    // The stream loses nothing that it does not count itself.
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#reconnect !== null) clearTimeout(this.#reconnect);
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#server?.close();
    this.#socket?.destroy();
    this.#link = 'absent';
  }

  /** The kernel does not say when a socket that Node has takes bytes again. */
  #retryLater(): void {
    if (this.#retry !== null) return;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.onReady?.();
    }, RETRY_MS);
  }

  #connect(): void {
    this.#adopt(connect({ ...this.#address, noDelay: true }));
  }

  #listen(): void {
    const server = createServer({ noDelay: true }, (socket) => {
      if (this.#socket !== null) socket.destroy();
      else this.#adopt(socket);
    });
    this.#server = server;
    server.on('listening', () => {
      if ('path' in this.#address) chmodSync(this.#address.path, 0o600);
      // A peer's end is the same news as being able to wait for one.
      this.onLink?.();
    });
    server.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' && 'path' in this.#address) this.#replaceStale(this.#address.path);
      else this.#failed(error.message);
    });
    this.#bind(server);
  }

  /** Nobody but the owner may connect, not even before the mode is set. */
  #bind(server: Server): void {
    const mask = process.umask(0o177);
    try {
      server.listen(this.#address);
    } finally {
      process.umask(mask);
    }
  }

  /** A socket that a process left behind when it was killed is replaced; one that somebody listens on is not. */
  #replaceStale(path: string): void {
    const probe = connect(path);
    probe.on('connect', () => {
      probe.destroy();
      this.#failed(`somebody else listens on ${path}`);
    });
    probe.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNREFUSED') return this.#failed(error.message);
      if (this.#closed) return;
      try {
        unlinkSync(path);
      } catch (why) {
        return this.#failed((why as Error).message);
      }
      this.#bind(this.#server!);
    });
  }

  #adopt(socket: Socket): void {
    this.#socket = socket;
    const up = () => {
      if (this.#role === 'either') this.#role = 'connect';
      this.#forgetInput();
      this.#output.reset();
      widenSendBuffer(fdOf(socket));
      this.#isPaused = false;
      this.#hasSpoken = false;
      this.#note('up', null);
    };
    if (socket.connecting) socket.on('connect', up);
    else up();
    socket.on('data', (chunk) => {
      this.#hasSpoken = true;
      this.#input.add(chunk);
      if (this.#input.room < 2 * READ_BYTES) {
        this.#isPaused = true;
        socket.pause();
      }
      this.#ready();
    });
    let why = this.#waiting();
    let code: string | undefined;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      why = error.message;
      code = error.code;
    });
    socket.on('close', () => {
      this.#socket = null;
      if (this.#role === 'either' && !this.#closed && (code === 'ENOENT' || code === 'ECONNREFUSED')) {
        this.#role = 'listen';
        this.#note('absent', this.#waiting());
        this.#listen();
      } else {
        this.#failed(why);
      }
    });
  }

  #ready(): void {
    if (this.#wantsFrames && !this.#closed) this.onReady?.();
  }

  /** The other end is gone or was never there; it may come back. */
  #failed(why: string): void {
    if (this.#closed) return;
    this.#note('absent', why);
    if (this.#server?.listening) return;
    if (this.#reconnect !== null) return;
    this.#reconnect = setTimeout(() => {
      this.#reconnect = null;
      if (this.#server !== null) this.#bind(this.#server);
      else this.#connect();
    }, this.#options.reconnectMs);
  }

  #giveUp(why: string): void {
    this.#forgetInput();
    this.#note(this.#link, why);
    this.#socket?.destroy(new Error(why));
  }

  /** What is left of an earlier peer's stream can be read until there is another one. */
  #forgetInput(): void {
    this.counters.values[PORT_COUNT.lost]! += this.#input.forget();
  }

  #waiting(): string {
    const place = 'path' in this.#address ? this.#address.path : `${this.#address.host}:${this.#address.port}`;
    return this.#role === 'listen' ? `waiting for a peer on ${place}` : `waiting for ${place}`;
  }

  #note(link: LinkState, trouble: string | null): void {
    if (link === this.#link && trouble === this.#trouble) return;
    this.#link = link;
    this.#trouble = trouble;
    this.onLink?.();
  }
}

/** @returns the socket's descriptor, which Node does not tell officially; -1: it has none any more */
function fdOf(socket: Socket): number {
  return (socket as unknown as { readonly _handle: { readonly fd?: number } | null })._handle?.fd ?? -1;
}

/** Room for bursts: what does not fit has to wait for a timer. */
function widenSendBuffer(fd: number): void {
  const size = new NativeMemory(4);
  size.words[0] = SEND_BUFFER_BYTES;
  const c = libc();
  if (c.setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, size.address, 4) !== 0) {
    c.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, size.address, 4);
  }
}
