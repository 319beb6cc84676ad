import { chmodSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../clock.ts';
import type { FrameBatch } from '../frame-batch.ts';
import type { LinkState, LivePort, PortCapabilities } from './port.ts';
import { PORT_COUNT, PortCounters } from './port-counters.ts';
import { StreamChunk, StreamInput } from './stream-buffers.ts';

/** Where the other end is, or is awaited: a unix socket's path, or a TCP address. */
export type StreamAddress = { readonly path: string } | { readonly host: string; readonly port: number };

export interface StreamPortOptions {
  /** Waits for the other end instead of going there. A second peer is turned away while one is there. */
  readonly listen?: boolean;
  /** What may wait to be read, bytes; then the other end has to wait. */
  readonly inputBytes?: number;
  /** Pieces of 256 KiB on their way to the other end; when all are, frames are refused. */
  readonly outputChunks?: number;
  /** How long after a failure the other end is tried again. */
  readonly reconnectMs?: number;
}

const DEFAULTS = { listen: false, inputBytes: 2 ** 21, outputChunks: 16, reconnectMs: 500 } as const;
const CHUNK_BYTES = 2 ** 18;
/** Node reads this much at once. */
const READ_BYTES = 65536;
/** Room for a read that is under way while the stream is told to pause. */
const LEAST_INPUT_BYTES = 8 * READ_BYTES;
const LINKTYPE_ETHERNET = 1;

/**
 * A stream of frames, as QEMU's `-netdev stream` and `-netdev socket` have it: no device, no privilege. Frames are whole and
 * their checksums finished; super-frames are cut before they leave.
 */
export class StreamPort implements LivePort {
  readonly name: string;
  readonly capabilities: PortCapabilities = { pushesBack: true, cutsFrames: false };
  readonly counters = new PortCounters();
  readonly mtu = null;
  onReady: (() => void) | null = null;
  onLink: (() => void) | null = null;

  readonly #address: StreamAddress;
  readonly #options: Required<StreamPortOptions>;
  readonly #clock: Clock;
  readonly #input: StreamInput;
  readonly #chunks: StreamChunk[];
  #server: Server | null = null;
  #socket: Socket | null = null;
  #reconnect: NodeJS.Timeout | null = null;
  #wantsFrames = true;
  #isPaused = false;
  #hasRefused = false;
  #link: LinkState = 'absent';
  #trouble: string | null = null;
  #closed = false;

  constructor(name: string, address: StreamAddress, clock: Clock, options: StreamPortOptions = {}) {
    this.name = name;
    this.#address = address;
    this.#clock = clock;
    this.#options = { ...DEFAULTS, ...options };
    this.#input = new StreamInput(Math.max(LEAST_INPUT_BYTES, this.#options.inputBytes));
    this.#chunks = Array.from({ length: this.#options.outputChunks }, () => new StreamChunk(CHUNK_BYTES));
    this.#trouble = this.#waiting();
    if (this.#options.listen) this.#listen();
    else this.#connect();
  }

  get link(): LinkState {
    return this.#link;
  }

  get trouble(): string | null {
    return this.#trouble;
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
    const { values } = this.counters;
    const socket = this.#socket;
    if (socket === null || this.#link !== 'up') {
      values[PORT_COUNT.linkDown]! += count;
      return count;
    }
    let done = 0;
    let chunk: StreamChunk | undefined;
    for (; done < count; done++) {
      const need = StreamChunk.need(batch, from + done);
      if (need === 0 || need > CHUNK_BYTES) {
        values[batch.gsoType[from + done] === 0 ? PORT_COUNT.tooLong : PORT_COUNT.invalid]!++;
        continue;
      }
      if (chunk !== undefined && chunk.length + need > CHUNK_BYTES) {
        this.#write(socket, chunk);
        chunk = undefined;
      }
      chunk ??= this.#chunks.pop();
      if (chunk === undefined) {
        values[PORT_COUNT.refused]! += count - done;
        this.#hasRefused = true;
        break;
      }
      chunk.add(batch, from + done);
    }
    if (chunk !== undefined) this.#write(socket, chunk);
    return done;
  }

  setReading(wanted: boolean): void {
    this.#wantsFrames = wanted;
    if (wanted && this.#input.next() !== -1) setImmediate(() => this.#ready());
  }

  updateCounters(): void {
    // The stream loses nothing that it does not count itself.
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#reconnect !== null) clearTimeout(this.#reconnect);
    this.#server?.close();
    this.#socket?.destroy();
    this.#link = 'absent';
  }

  #write(socket: Socket, chunk: StreamChunk): void {
    const { values } = this.counters;
    const { frames, frameBytes } = chunk;
    values[PORT_COUNT.sent]! += frames;
    values[PORT_COUNT.sentBytes]! += frameBytes;
    socket.write(chunk.bytes.subarray(0, chunk.length), (error) => {
      if (error) {
        // The other end went away before it had them.
        values[PORT_COUNT.sent]! -= frames;
        values[PORT_COUNT.sentBytes]! -= frameBytes;
        values[PORT_COUNT.linkDown]! += frames;
      }
      chunk.clear();
      this.#chunks.push(chunk);
      if (!this.#hasRefused) return;
      this.#hasRefused = false;
      this.onReady?.();
    });
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
      this.#forgetInput();
      this.#isPaused = false;
      this.#note('up', null);
    };
    if (socket.connecting) socket.on('connect', up);
    else up();
    socket.on('data', (chunk) => {
      this.#input.add(chunk);
      if (this.#input.room < 2 * READ_BYTES) {
        this.#isPaused = true;
        socket.pause();
      }
      this.#ready();
    });
    let why = this.#waiting();
    socket.on('error', (error) => {
      why = error.message;
    });
    socket.on('close', () => {
      this.#socket = null;
      this.#failed(why);
    });
  }

  #ready(): void {
    if (this.#wantsFrames && !this.#closed) this.onReady?.();
  }

  /** The other end is gone or was never there; it may come back. */
  #failed(why: string): void {
    if (this.#closed) return;
    this.#note('absent', why);
    if (this.#options.listen && this.#server?.listening) return;
    if (this.#reconnect !== null) return;
    this.#reconnect = setTimeout(() => {
      this.#reconnect = null;
      if (this.#options.listen) this.#bind(this.#server!);
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
    return this.#options.listen ? `waiting for a peer on ${place}` : `waiting for ${place}`;
  }

  #note(link: LinkState, trouble: string | null): void {
    if (link === this.#link && trouble === this.#trouble) return;
    this.#link = link;
    this.#trouble = trouble;
    this.onLink?.();
  }
}
