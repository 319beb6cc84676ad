import { createServer, type Server, type Socket } from 'node:net';
import { peerUid } from './peer.ts';
import type { Access } from './roles.ts';
import { listenOnSocket } from './socket-file.ts';

const OTHERS_MASK = 0o177;
/** Whoever may connect is told by the peer's user then, not by the mode. */
const NO_MASK = 0o111;

export interface UnixListenerOptions {
  readonly path: string;
  /** A user whose processes may connect besides root's and the gateway's own; null: nobody's. */
  readonly uid: number | null;
  readonly access: Access;
}

/** A unix socket of the host interface beside the control socket: all its clients may do the same. */
export class UnixListener {
  readonly #options: UnixListenerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /** @param admit gets every client */
  constructor(options: UnixListenerOptions, admit: (socket: Socket, access: Access) => void) {
    this.#options = options;
    this.#server = createServer((socket) => {
      if (!this.#isWelcome(peerUid(socket))) {
        socket.destroy();
        return;
      }
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      admit(socket, options.access);
    });
  }

  /** @throws Error as `listenOnSocket` */
  async listen(): Promise<void> {
    const { path, uid } = this.#options;
    await listenOnSocket(this.#server, path, uid === null ? OTHERS_MASK : NO_MASK);
  }

  /** Hangs up on everybody; the socket is gone. */
  async close(): Promise<void> {
    const isClosed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await isClosed;
  }

  /** @param peer null: it cannot be told, and the socket's mode is all there is */
  #isWelcome(peer: number | null): boolean {
    const { uid } = this.#options;
    if (peer === null) return uid === null;
    return peer === 0 || peer === process.geteuid?.() || peer === uid;
  }
}
