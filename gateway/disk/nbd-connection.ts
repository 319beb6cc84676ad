import type { Socket } from 'node:net';
import type { Attachment } from './attachment.ts';
import { ByteQueue } from './byte-queue.ts';
import type { DiskBarrier } from './disk-barrier.ts';
import { type Exports, greeting, Handshake } from './nbd-handshake.ts';
import { BLOCK_SIZE, COMMAND } from './nbd-protocol.ts';
import { carryOut, costOf, type NbdRequest, REQUEST_BYTES, takeRequest } from './nbd-request.ts';
import type { NbdTls } from './nbd-tls.ts';

/** Requests of one client that are under way. */
const MAX_REQUESTS = 128;
/** Bytes of payload that they keep, besides a payload that is arriving: no less than the greatest request. */
const MAX_KEPT_BYTES = BLOCK_SIZE.maximum;

export interface ConnectionOptions {
  readonly exports: Exports;
  /** null: none */
  readonly tls: NbdTls | null;
  /** Whoever has not chosen an export by then is hung up on. */
  readonly handshakeMs: number;
  readonly onClose: (connection: NbdConnection) => void;
}

/** One client. Whatever it sends costs it at most its connection, and us a bounded amount of memory. */
export class NbdConnection {
  readonly #options: ConnectionOptions;
  readonly #input = new ByteQueue();
  readonly #timer: NodeJS.Timeout;
  readonly #handshake: Handshake;
  #socket: Socket;
  #disk: DiskBarrier | null = null;
  #attachment: Attachment | null = null;
  /** Of which the payload is arriving, or which waits for its turn. */
  #request: NbdRequest | null = null;
  #underWay = 0;
  #keptBytes = 0;
  #isLeaving = false;
  #isStartingTls = false;
  #isOver = false;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#options = options;
    this.#socket = socket;
    this.#handshake = new Handshake({
      exports: options.exports,
      wantsTls: options.tls !== null,
      send: (bytes) => this.#socket.write(bytes),
      startTls: () => this.#startTls(),
    });
    this.#timer = setTimeout(() => this.hangUp(), options.handshakeMs);
    this.#timer.unref();
    this.#listen(socket);
    socket.write(greeting());
  }

  /** null while it has chosen none */
  get disk(): DiskBarrier | null {
    return this.#disk;
  }

  hangUp(): void {
    this.#socket.destroy();
    this.#close();
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => {
      this.#input.push(chunk);
      this.#advance();
    });
    // A client that is done waits for its replies first: what is half closed is given up.
    socket.on('end', () => this.hangUp());
    socket.on('error', () => this.hangUp());
    socket.on('close', () => this.#close());
  }

  #close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    if (this.#attachment !== null) this.#disk!.detach(this.#attachment);
    this.#options.onClose(this);
  }

  #advance(): void {
    while (!this.#isOver && !this.#isLeaving && (this.#disk === null ? this.#negotiate() : this.#serve()));
    if (this.#isLeaving && this.#underWay === 0) this.#socket.end(() => this.hangUp());
    const isFull = this.#request !== null && !this.#hasRoom(this.#request);
    if (isFull || this.#isLeaving || this.#isStartingTls) this.#socket.pause();
    else this.#socket.resume();
  }

  /** @returns false where more must arrive first */
  #negotiate(): boolean {
    const result = this.#handshake.step(this.#input);
    if (result === null) return false;
    if (result === 'close') this.#isLeaving = true;
    else if (result !== 'go-on') {
      clearTimeout(this.#timer);
      this.#disk = result;
      this.#attachment = result.attach(() => this.hangUp());
    }
    return true;
  }

  /** @returns false where more must arrive, or a request must end, first */
  #serve(): boolean {
    if (this.#request === null) {
      if (this.#input.length < REQUEST_BYTES) return false;
      const request = takeRequest(this.#input);
      if (request === null || (request.command === COMMAND.write && request.length > BLOCK_SIZE.maximum)) {
        this.hangUp();
        return false;
      }
      if (request.command === COMMAND.disconnect) {
        this.#isLeaving = true;
        return false;
      }
      this.#request = request;
    }
    const request = this.#request;
    const payloadBytes = request.command === COMMAND.write ? request.length : 0;
    if (!this.#hasRoom(request) || this.#input.length < payloadBytes) return false;
    this.#request = null;
    void this.#answer(request, this.#input.takeChunks(payloadBytes));
    return true;
  }

  #hasRoom(request: NbdRequest): boolean {
    return this.#underWay < MAX_REQUESTS && this.#keptBytes + costOf(request) <= MAX_KEPT_BYTES;
  }

  async #answer(request: NbdRequest, payload: readonly Uint8Array[]): Promise<void> {
    const cost = costOf(request);
    this.#underWay++;
    this.#keptBytes += cost;
    const reply = await carryOut(this.#disk!, this.#attachment!, request, payload);
    // What the client does not take away counts until it does.
    if (!this.#isOver) await new Promise<void>((resolve) => this.#socket.write(reply, () => resolve()));
    this.#underWay--;
    this.#keptBytes -= cost;
    if (!this.#isOver) this.#advance();
  }

  /** What follows on the socket is TLS, and in it the negotiation goes on with the client's next option. */
  #startTls(): void {
    const raw = this.#socket;
    raw.removeAllListeners('data');
    if (this.#input.length > 0) {
      // Nobody can have an answer yet that these bytes would follow.
      this.hangUp();
      return;
    }
    this.#isStartingTls = true;
    const secured = (secure: Socket | null) => {
      if (secure === null || secure.destroyed || this.#isOver) {
        secure?.destroy();
        this.hangUp();
        return;
      }
      this.#isStartingTls = false;
      this.#socket = secure;
      this.#listen(secure);
    };
    this.#options.tls!.start(raw).then(secured, () => this.hangUp());
  }
}
