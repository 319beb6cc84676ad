import { createServer, type Server, type Socket } from 'node:net';
import type { EventKind, Events } from './api.ts';
import { Watcher } from './events.ts';
import { type GatewayView, Methods } from './methods.ts';
import { peerUid } from './peer.ts';
import { decodeRequest, encodeCall, encodeError, encodeResult, type Request, RequestError, RPC } from './protocol.ts';
import { type Access, canSee } from './roles.ts';
import { Session, type SessionOwner } from './session.ts';
import { listenOnSocket } from './socket-file.ts';

const MAX_CLIENTS = 1024;
/** Of these, those that are not the owner's; and of one identity. */
const MAX_OTHERS = 256;
const MAX_ALIKE = 16;
/** Unfinished lines of all clients together: room for a few of the longest. */
const MAX_STORED_BYTES = 64 * 2 ** 20;
const TICK_MS = 100;
/** Only the owner may read and write. */
const OTHERS_MASK = 0o177;

export interface HostServerOptions extends GatewayView {
  /** Whose processes may connect besides root's; by default the gateway's own user. */
  readonly ownerUid?: number;
}

/**
 * The host interface on a unix socket. Everything about VMs happens synchronously in the gateway's thread between two turns; a client
 * that is slow, silent or gone costs nobody else anything but what `Session` bounds.
 */
export class HostServer implements SessionOwner {
  readonly #options: HostServerOptions;
  readonly #server: Server;
  readonly #methods: Methods;
  readonly #watcher: Watcher;
  /** In the order of their coming. */
  readonly #sessions = new Set<Session>();
  #storedBytes = 0;
  #ticker: NodeJS.Timeout | null = null;

  constructor(options: HostServerOptions) {
    this.#options = options;
    const publish = this.publish.bind(this);
    this.#methods = new Methods(options, publish);
    this.#watcher = new Watcher(options.vms, publish, new Set(options.rules?.keys()));
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Connected clients. */
  get clients(): number {
    return this.#sessions.size;
  }

  /**
   * Takes the path, also from a gateway that died without removing it.
   * @throws Error when another gateway answers there, something else than a socket stands there, or nothing can
   */
  async listen(path: string): Promise<void> {
    await listenOnSocket(this.#server, path, OTHERS_MASK);
    this.#ticker = setInterval(() => this.tick(), TICK_MS);
    this.#ticker.unref();
  }

  /** Hangs up on everybody. VMs go on as they are. */
  async close(): Promise<void> {
    if (this.#ticker !== null) clearInterval(this.#ticker);
    const isClosed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const session of this.#sessions) session.destroy();
    await isClosed;
  }

  /** A client that came another way than through the control socket. It may do what `access` says. */
  admit(socket: Socket, access: Access): void {
    const session = new Session(socket, this, null, access);
    const others = [...this.#sessions].filter((one) => one.access !== null);
    const alike = others.filter((one) => one.access!.identity === access.identity);
    if (alike.length >= MAX_ALIKE) {
      session.leave(new RequestError(RPC.state, 'overloaded', `there are ${MAX_ALIKE} such clients already`));
    } else if (others.length >= MAX_OTHERS) {
      session.leave(new RequestError(RPC.state, 'overloaded', `there are ${MAX_OTHERS} clients already`));
    }
    this.#sessions.add(session);
  }

  /** Tells those who subscribed to it. */
  publish<K extends EventKind>(kind: K, params: Events[K]): void {
    let line: string | null = null;
    for (const session of this.#sessions) {
      if (!session.kinds.has(kind) || !canSee(session.access, params.vm)) continue;
      line ??= encodeCall('event', { kind, ...params });
      session.send(line);
    }
  }

  /** Sees to what no request brings about. Happens ten times a second by itself. */
  tick(): void {
    const nowNs = this.nowNs();
    this.#watcher.look(nowNs);
    for (const session of this.#sessions) session.checkPatience(nowNs);
  }

  nowNs(): number {
    return this.#options.clock.nowNs();
  }

  onLine(line: Uint8Array, session: Session): boolean {
    const decoded = decodeRequest(line);
    if ('request' in decoded) {
      session.hasSpoken = true;
      this.#answer(decoded.request, session);
      return !session.isGone && !session.isStreaming;
    }
    const { error, id, isFatal } = decoded;
    if (isFatal) session.leave(error);
    else if (id !== undefined) session.send(encodeError(id, error));
    return !isFatal && !session.isGone;
  }

  onClose(session: Session): void {
    if (this.#sessions.delete(session)) this.#methods.forget(session);
  }

  onStored(bytes: number): void {
    this.#storedBytes += bytes;
    while (this.#storedBytes > MAX_STORED_BYTES) {
      // The owner goes last.
      const storing = [...this.#sessions].filter((one) => one.storedBytes > 0);
      const others = storing.filter((one) => one.access !== null);
      const greatest = (others.length > 0 ? others : storing).reduce((most, one) =>
        one.storedBytes > most.storedBytes ? one : most,
      );
      greatest.leave(new RequestError(RPC.state, 'overloaded', 'too many unfinished lines of all clients together'));
    }
  }

  #accept(socket: Socket): void {
    const uid = peerUid(socket);
    if (uid !== null && uid !== 0 && uid !== (this.#options.ownerUid ?? process.geteuid?.())) {
      socket.destroy();
      return;
    }
    const session = new Session(socket, this, uid);
    if (this.#sessions.size >= MAX_CLIENTS && !this.#makeRoom()) {
      const message = `there are ${MAX_CLIENTS} clients already`;
      session.leave(new RequestError(RPC.state, 'overloaded', message));
    }
    this.#sessions.add(session);
  }

  /** Whoever has been there for the longest without a request goes. */
  #makeRoom(): boolean {
    for (const session of this.#sessions) {
      if (session.hasSpoken) continue;
      session.destroy();
      this.onClose(session);
      return true;
    }
    return false;
  }

  #answer({ id, method, params }: Request, session: Session): void {
    // What has no answer cannot be followed by anything.
    if (method === 'capture.start' && id === undefined) return;
    try {
      const result = this.#methods.call(method, params, session);
      this.#options.onRequest?.();
      if (result instanceof Promise) {
        void result.then(
          (value) => {
            this.#options.onRequest?.();
            if (id !== undefined) session.send(encodeResult(id, value));
          },
          (error) => {
            const refusal = refusalOf(error);
            if (id !== undefined) session.send(encodeError(id, refusal));
          },
        );
      } else if (id !== undefined) {
        session.send(encodeResult(id, result));
        if (method === 'capture.start') session.beginStream();
      }
    } catch (error) {
      const refusal = refusalOf(error);
      if (id !== undefined) session.send(encodeError(id, refusal));
    }
  }
}

/** Anything but a refusal is a fault of the gateway's own, and nobody's request may hide it. */
function refusalOf(error: unknown): RequestError {
  if (error instanceof RequestError) return error;
  throw error;
}
