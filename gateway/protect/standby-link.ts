import { connect, type Socket } from 'node:net';
import { crc32 } from 'node:zlib';
import { connectTo } from '../host/connect.ts';
import { LineReader } from '../host/line-reader.ts';
import { encodeCall, parseLine, RequestError } from '../host/protocol.ts';
import type { Address } from './address.ts';
import {
  type Checkpoint,
  MAX_PIECE_BYTES,
  type StandbyMethod,
  type StandbyParams,
  type StandbyResults,
} from './standby-api.ts';

const MAX_LINE_BYTES = 65_536;

/** The standby cannot be reached, or says nothing. What it had been asked for may have been done. */
export class LinkError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LinkError';
  }
}

interface Pending {
  readonly sentAt: number;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

/** One connection to a standby. */
export class StandbyLink {
  /** Resolves when the connection has ended. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  /** When the newest request was sent that has been answered: the standby was there then or later. */
  #answeredAt = Number.NEGATIVE_INFINITY;
  #isClosed = false;
  /** The standby has answered: it takes our certificate. */
  #isWelcome: boolean;

  private constructor(socket: Socket, timeoutMs: number, isKnown: boolean) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    this.#isWelcome = isKnown;
    const lines = new LineReader(MAX_LINE_BYTES);
    socket.on('data', (chunk: Buffer) => {
      if (lines.feed(chunk, (line) => this.#read(line)) < 0) socket.destroy();
    });
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#isClosed = true;
        for (const id of [...this.#pending.keys()]) this.#settle(id)?.reject(this.#hungUp());
        resolve();
      });
    });
  }

  /** @param timeoutMs for the connection, and for each answer @throws LinkError */
  static connect(address: Address, timeoutMs: number): Promise<StandbyLink> {
    return new Promise((resolve, reject) => {
      const isTls = 'tls' in address;
      const connected = () => {
        clearTimeout(timer);
        socket.setNoDelay(true);
        resolve(new StandbyLink(socket, timeoutMs, !isTls));
      };
      const socket =
        'host' in address ? connect(address).once('connect', connected) : connectTo(address, false, connected);
      const timer = setTimeout(() => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs);
      socket.on('error', (cause) => {
        clearTimeout(timer);
        reject(new LinkError(`the standby cannot be reached: ${cause.message}`, { cause }));
      });
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Whether a request was answered that was sent so long ago at the most. A process that was not let run for a while finds out by this, and
   * not by a timer, how long it is since the standby was there.
   */
  isHeard(withinMs: number): boolean {
    return !this.#isClosed && performance.now() - this.#answeredAt <= withinMs;
  }

  /** @throws RequestError what the standby refuses; LinkError without an answer */
  call<M extends StandbyMethod>(
    method: M,
    params: StandbyParams<M>,
    timeoutMs = this.#timeoutMs,
  ): Promise<StandbyResults[M]> {
    if (this.#isClosed) return Promise.reject(this.#hungUp());
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      const timer = setTimeout(() => {
        this.#settle(id);
        reject(new LinkError(`no answer to ${method} within ${timeoutMs} ms`));
        // Its answers cannot be told from silence any more.
        this.#socket.destroy();
      }, timeoutMs);
      this.#pending.set(id, { sentAt: performance.now(), timer, resolve, reject });
      this.#socket.write(encodeCall(method, params, id));
    });
  }

  /** The image of a checkpoint begins. @returns what takes its bytes */
  begin(checkpoint: Checkpoint): ImageSender {
    this.#socket.write(encodeCall('image.begin', checkpoint));
    return new ImageSender(this, this.#socket, checkpoint);
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(line: Uint8Array): boolean {
    const parsed = parseLine(line);
    if (parsed instanceof RequestError) {
      this.#socket.destroy();
      return false;
    }
    const { id, result, error } = parsed.value as Record<string, unknown>;
    const pending = this.#settle(id as number);
    if (pending === undefined) return true;
    this.#isWelcome = true;
    this.#answeredAt = Math.max(this.#answeredAt, pending.sentAt);
    if (error === undefined) pending.resolve(result as never);
    else {
      const { code, message, data } = error as { code: number; message: string; data: { code: string } };
      pending.reject(new RequestError(code, data.code, message));
    }
    return true;
  }

  #hungUp(): LinkError {
    return new LinkError(
      this.#isWelcome ? 'the standby hung up' : 'the standby hung up: it may not know our certificate',
    );
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    clearTimeout(pending?.timer);
    this.#pending.delete(id);
    return pending;
  }
}

/** One image on its way to the standby. */
export class ImageSender {
  readonly #link: StandbyLink;
  readonly #socket: Socket;
  readonly #checkpoint: Checkpoint;
  #bytes = 0;
  #crc = 0;

  constructor(link: StandbyLink, socket: Socket, checkpoint: Checkpoint) {
    this.#link = link;
    this.#socket = socket;
    this.#checkpoint = checkpoint;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @returns false: the way is full, and `drained` tells when it is no more */
  write(bytes: Uint8Array): boolean {
    this.#bytes += bytes.length;
    this.#crc = crc32(bytes, this.#crc);
    let goesOn = true;
    for (let at = 0; at < bytes.length; at += MAX_PIECE_BYTES) {
      const piece = bytes.subarray(at, at + MAX_PIECE_BYTES);
      this.#socket.cork();
      this.#socket.write(encodeCall('image.data', { bytes: piece.length }));
      goesOn = this.#socket.write(piece);
      this.#socket.uncork();
    }
    return goesOn;
  }

  /** Calls back once. */
  onDrained(listener: () => void): void {
    this.#socket.once('drain', listener);
  }

  /** All has been written. @param timeoutMs what is on its way included @throws RequestError, LinkError */
  async end(timeoutMs: number): Promise<void> {
    await this.#link.call('image.end', { ...this.#checkpoint, bytes: this.#bytes, crc: this.#crc }, timeoutMs);
  }

  abandon(): void {
    if (!this.#link.isClosed) this.#socket.write(encodeCall('image.abandon', {}));
  }
}
