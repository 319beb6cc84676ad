import { createServer, type Server, type Socket } from 'node:net';
import { listenPrivately } from '../disk/listen.ts';
import { LineReader } from '../host/line-reader.ts';
import { encodeError, encodeResult, RequestError, RPC } from '../host/protocol.ts';
import type { Standby } from './standby.ts';
import { decodeStandbyRequest, type StandbyRequest } from './standby-api.ts';
import type { Driver } from './standby-options.ts';
import { type OpenTls, openTls, type StandbyTls } from './standby-tls.ts';

/** Of `protect.addresses`, with as many addresses and memberships as there can be. */
const MAX_LINE_BYTES = 2 ** 19;

/** A unix socket's path, a TCP address, or one for clients with certificates. */
export type ListenAddress =
  | { readonly path: string }
  | { readonly host: string; readonly port: number }
  | { readonly tls: StandbyTls };

/** Listens for drivers, and for people who ask how things are. */
export class StandbyServer {
  readonly #standby: Standby;
  readonly #server: Server;
  readonly #sessions = new Set<StandbySession>();
  #tls: OpenTls | null = null;

  constructor(standby: Standby) {
    this.#standby = standby;
    this.#server = createServer({ noDelay: true }, (socket) => this.#admit(socket));
  }

  /**
   * Takes a unix socket's path also from a standby that was killed.
   * @throws Error where another process answers, something else than a socket stands there, or nothing can listen
   */
  async listen(address: ListenAddress): Promise<void> {
    if ('tls' in address) {
      this.#tls = await openTls(address.tls, (socket) => this.#admit(socket));
      return;
    }
    await listenPrivately(this.#server, address);
  }

  /** For clients with certificates; null: there is none. */
  get tlsPort(): number | null {
    return this.#tls?.port ?? null;
  }

  async close(): Promise<void> {
    const isClosed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const session of this.#sessions) session.hangUp();
    await Promise.all([isClosed, this.#tls?.close()]);
  }

  #admit(socket: Socket): void {
    const session = new StandbySession(socket, this.#standby);
    this.#sessions.add(session);
    socket.on('close', () => this.#sessions.delete(session));
  }
}

/** One connection: lines, and pieces of images between them. */
class StandbySession implements Driver {
  readonly #socket: Socket;
  readonly #standby: Standby;
  readonly #lines = new LineReader(MAX_LINE_BYTES);
  /** Bytes of a piece that are still to come. */
  #pieceBytes = 0;

  constructor(socket: Socket, standby: Standby) {
    this.#socket = socket;
    this.#standby = standby;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', () => {});
    socket.on('close', () => standby.left(this));
  }

  hangUp(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.#socket.destroyed) {
      if (this.#pieceBytes > 0) {
        const piece = chunk.subarray(at, at + this.#pieceBytes);
        this.#standby.write(this, piece);
        this.#pieceBytes -= piece.length;
        at += piece.length;
        continue;
      }
      const taken = this.#lines.feed(chunk.subarray(at), (line) => this.#line(line));
      if (taken < 0) this.#socket.destroy();
      at += taken;
    }
  }

  /** @returns whether a line follows */
  #line(line: Uint8Array): boolean {
    let request: StandbyRequest;
    try {
      request = decodeStandbyRequest(line);
    } catch (error) {
      // What follows could be bytes of an image.
      this.#socket.end(encodeError(null, refusalOf(error)));
      this.#socket.destroySoon();
      return false;
    }
    if (request.method === 'image.data') {
      this.#pieceBytes = request.params.bytes;
      return false;
    }
    void this.#answer(request);
    return true;
  }

  async #answer(request: StandbyRequest): Promise<void> {
    const { id } = request;
    try {
      const result = await this.#call(request);
      if (id !== undefined && !this.#socket.destroyed) this.#socket.write(encodeResult(id, result));
    } catch (error) {
      const refusal = refusalOf(error);
      if (id !== undefined && !this.#socket.destroyed) this.#socket.write(encodeError(id, refusal));
    }
  }

  #call({ method, params }: StandbyRequest): object | Promise<object> {
    const standby = this.#standby;
    switch (method) {
      case 'protect.hello':
        return standby.hello(this, params);
      case 'protect.ping':
        standby.ping(this);
        return {};
      case 'protect.addresses':
        standby.know(this, params);
        return {};
      case 'protect.forget':
        standby.forget(this);
        return {};
      case 'protect.gone':
        standby.gone(this, params);
        return {};
      case 'image.begin':
        standby.begin(this, params);
        return {};
      case 'image.end':
        return standby.end(this, params).then(() => ({}));
      case 'image.abandon':
        standby.abandon(this);
        return {};
      case 'disk.copy':
        return standby.copyDisks(this);
      case 'disk.start':
        return standby
          .disksOf(this)
          .start(params)
          .then(() => ({}));
      case 'disk.resume':
        return standby.resumeDisks(this, params.term);
      case 'disk.seal':
        return standby
          .disksOf(this)
          .seal(params)
          .then(() => ({}));
      case 'disk.abort':
        return standby
          .disksOf(this)
          .abort(params)
          .then(() => ({}));
      case 'status':
        return standby.status;
      case 'failover':
        return standby.failover(params.why ?? 'it was told to', false);
      case 'forget':
        standby.standDown(params.why ?? 'it was told to');
        return {};
      case 'image.data':
        return {};
    }
  }
}

/** What went wrong here is told, too: whoever asked has to know that it was not done. */
function refusalOf(error: unknown): RequestError {
  if (error instanceof RequestError) return error;
  return new RequestError(RPC.state, 'failed', (error as Error).message);
}
