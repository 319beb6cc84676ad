import type { Socket } from 'node:net';
import type { EventKind, Events } from './api.ts';
import { LineReader } from './line-reader.ts';
import type { Client, Stream } from './methods.ts';
import { encodeCall, encodeError, MAX_LINE_BYTES, RequestError, RPC } from './protocol.ts';
import { type Access, isPaced } from './roles.ts';

/** Above this a client that does not read what it asked for is not read either. */
const HIGH_WATER_BYTES = 65_536;
/** Above this a client that does not read its events is cut off. */
const MAX_OUTPUT_BYTES = 2 ** 20;
/** For a line to end that has begun, and for a client to read on. */
const PATIENCE_NS = 10e9;
/** For a client that was told why it is cut off to hang up itself. */
const FAREWELL_NS = 1e9;
/** Of the thread's time, for a client that is paced: others wait for the same thread, and so do frames. */
const SHARE = 0.2;
/** What such a client may take at once. */
const BURST_NS = 5e6;
const LONGEST_REST_NS = 1e9;
const NS_PER_MS = 1e6;
const LINE_END = 0x0a;

export interface SessionOwner {
  nowNs(): number;
  /** @returns whether more lines may come */
  onLine(line: Uint8Array, session: Session): boolean;
  onClose(session: Session): void;
  /** A session stores `bytes` more of an unfinished line. */
  onStored(bytes: number): void;
}

/** One connection: bytes to lines, answers to bytes, with bounds on all that a client can make the gateway keep. */
export class Session implements Client {
  kinds: ReadonlySet<EventKind> = new Set();
  /** The client has sent a request that was one. */
  hasSpoken = false;
  stream?: Stream;
  name?: string;
  readonly uid: number | null;
  readonly access: Access | null;
  readonly #socket: Socket;
  readonly #owner: SessionOwner;
  readonly #reader = new LineReader(MAX_LINE_BYTES);
  #storedBytes = 0;
  #lineSinceNs = Number.NaN;
  #stuckSinceNs = Number.NaN;
  #farewellNs = Number.NaN;
  /** What the client has taken beyond its share, when it had last. */
  #debtNs = 0;
  #debtAtNs = Number.NaN;
  #isResting = false;
  #isGone = false;
  #isStreaming = false;
  /** What came and was not read, because the client does not read either. */
  #unread: Buffer | null = null;

  /**
   * @param uid whose process the peer is; null: not known
   * @param access null: everything, the peer is the gateway's owner
   */
  constructor(socket: Socket, owner: SessionOwner, uid: number | null = null, access: Access | null = null) {
    this.uid = uid;
    this.access = access;
    this.#socket = socket;
    this.#owner = owner;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('drain', () => {
      this.#stuckSinceNs = Number.NaN;
      this.#goOn();
    });
    // What goes wrong with a connection ends it; 'close' follows.
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#isGone = true;
      this.#account(0);
      owner.onClose(this);
    });
  }

  /** Memory that an unfinished line takes. */
  get storedBytes(): number {
    return this.#storedBytes;
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  get isStreaming(): boolean {
    return this.#isStreaming;
  }

  /** Sends an event that only this client asked for. @returns false if it has not read what it got before: this one is left out */
  readonly tell = <K extends EventKind>(kind: K, params: Events[K]): boolean => {
    if (this.#isGone || this.#isStreaming || this.#socket.writableLength > HIGH_WATER_BYTES) return false;
    this.send(encodeCall('event', { kind, ...params }));
    return true;
  };

  /** Sends a line, or cuts the client off if it has left too many unread. */
  send(line: string): void {
    if (this.#isGone || this.#isLeaving || this.#isStreaming) return;
    if (this.#socket.writableLength > MAX_OUTPUT_BYTES) {
      this.destroy();
      return;
    }
    this.#socket.write(line);
    if (this.#socket.writableLength <= HIGH_WATER_BYTES) return;
    if (!this.#isStuck) this.#stuckSinceNs = this.#owner.nowNs();
    this.#socket.pause();
  }

  /** The client has its answer: from now on it gets the stream that it asked for, and what it still sends is thrown away. */
  beginStream(): void {
    const { stream } = this;
    if (stream === undefined || this.#isGone || this.#isLeaving || this.#isStreaming) return;
    this.#isStreaming = true;
    this.kinds = new Set();
    this.#account(0);
    this.#lineSinceNs = Number.NaN;
    this.#stuckSinceNs = Number.NaN;
    const socket = this.#socket;
    // Before Node's own listener, which ends our side too.
    socket.prependOnceListener('end', () => stream.end());
    socket.resume();
    stream.start({
      get unreadBytes() {
        return socket.writableLength;
      },
      write: (bytes) => {
        socket.write(bytes);
      },
    });
  }

  /** Says why the connection ends; what the client still sends is thrown away. */
  leave(error: RequestError): void {
    if (this.#isGone || this.#isLeaving || this.#isStreaming) return;
    this.#farewellNs = this.#owner.nowNs();
    this.#account(0);
    this.#socket.end(encodeError(null, error));
    this.#socket.resume();
  }

  destroy(): void {
    if (this.#isStreaming && !this.#isGone) this.stream?.end();
    this.#isGone = true;
    this.#account(0);
    this.#socket.destroy();
  }

  /** Cuts off a client that has kept the gateway waiting for too long. */
  checkPatience(nowNs: number): void {
    const isLate = nowNs - this.#lineSinceNs > PATIENCE_NS || nowNs - this.#stuckSinceNs > PATIENCE_NS;
    if (isLate || nowNs - this.#farewellNs > FAREWELL_NS) this.destroy();
  }

  get #isStuck(): boolean {
    return !Number.isNaN(this.#stuckSinceNs);
  }

  /** The client has read what there was. */
  #goOn(): void {
    if (this.#isStuck || this.#isResting) return;
    const unread = this.#unread;
    this.#unread = null;
    if (unread !== null) this.#read(unread);
    if (!this.#isStuck && !this.#isResting) this.#socket.resume();
  }

  get #isLeaving(): boolean {
    return !Number.isNaN(this.#farewellNs);
  }

  #read(chunk: Buffer): void {
    // With TLS there is no ending of one side: Node's would throw away what is on its way.
    if (this.#isStreaming && this.access !== null && chunk.includes(LINE_END)) {
      this.stream?.end();
      this.#socket.end();
    }
    if (this.#isGone || this.#isLeaving || this.#isStreaming) return;
    const wasInLine = this.#reader.isInLine;
    let ended = false;
    const taken = this.#reader.feed(chunk, (line) => {
      ended = true;
      const beganNs = this.#owner.nowNs();
      const goesOn = this.#owner.onLine(line, this);
      if (isPaced(this.access)) this.#charge(beganNs);
      return goesOn && !this.#isStuck && !this.#isResting;
    });
    if (this.#isGone || this.#isLeaving || this.#isStreaming) return;
    if (taken < 0) {
      const message = `the line is longer than ${MAX_LINE_BYTES} bytes`;
      this.leave(new RequestError(RPC.parseError, 'parse-error', message));
      return;
    }
    if (taken < chunk.length) this.#unread = chunk.subarray(taken);
    this.#account(this.#reader.storedBytes);
    if (!this.#reader.isInLine) this.#lineSinceNs = Number.NaN;
    else if (!wasInLine || ended) this.#lineSinceNs = this.#owner.nowNs();
  }

  /** A request has been dealt with since: whoever asks for too much is not listened to for a while. */
  #charge(beganNs: number): void {
    const nowNs = this.#owner.nowNs();
    if (!Number.isNaN(this.#debtAtNs)) {
      this.#debtNs = Math.max(0, this.#debtNs - (beganNs - this.#debtAtNs) * SHARE);
    }
    this.#debtNs += nowNs - beganNs;
    this.#debtAtNs = nowNs;
    if (this.#debtNs < BURST_NS || this.#isGone || this.#isLeaving || this.#isStreaming) return;
    this.#isResting = true;
    this.#socket.pause();
    const restNs = Math.min(LONGEST_REST_NS, this.#debtNs / SHARE);
    setTimeout(() => {
      this.#isResting = false;
      this.#goOn();
    }, restNs / NS_PER_MS).unref();
  }

  #account(bytes: number): void {
    const more = bytes - this.#storedBytes;
    this.#storedBytes = bytes;
    if (more !== 0) this.#owner.onStored(more);
  }
}
