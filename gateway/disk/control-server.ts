import { createServer, type Server, type Socket } from 'node:net';
import { StateError } from '../epoch.ts';
import { LineReader } from '../host/line-reader.ts';
import { encodeError, encodeResult, parseLine, RequestError, type RequestId, RPC } from '../host/protocol.ts';
import { DISK_METHODS, type DiskMethod, MAX_DISK_LINE_BYTES } from './control-protocol.ts';
import type { DiskBarrier } from './disk-barrier.ts';
import { DiskError } from './disk-error.ts';
import { listenPrivately } from './listen.ts';

const MAX_CLIENTS = 16;
/** Requests of one client that have no answer yet. */
const MAX_REQUESTS = 64;

interface Call {
  readonly id: RequestId;
  readonly method: DiskMethod;
  readonly term: number;
  readonly epoch: number;
}

/**
 * Lets another process drive a disk: JSON-RPC 2.0 on a unix socket, one object a line, as the host interface has it. Answers come in
 * the order in which requests are done.
 */
export class DiskControlServer {
  readonly #disk: DiskBarrier;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(disk: DiskBarrier) {
    this.#disk = disk;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** @throws Error as `listenPrivately` */
  listen(path: string): Promise<void> {
    return listenPrivately(this.#server, { path });
  }

  /** Hangs up on everybody. The disk stays open. */
  async close(): Promise<void> {
    const isClosed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await isClosed;
  }

  #accept(socket: Socket): void {
    if (this.#sockets.size >= MAX_CLIENTS) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    const reader = new LineReader(MAX_DISK_LINE_BYTES);
    let underWay = 0;
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', (chunk) => {
      const taken = reader.feed(chunk, (line) => {
        // Who asks more than that, or does not read what it is told, is no driver.
        if (++underWay > MAX_REQUESTS || socket.writableLength > MAX_DISK_LINE_BYTES) {
          socket.destroy();
          return false;
        }
        void this.#answer(line).then((answer) => {
          underWay--;
          if (!socket.destroyed) socket.write(answer);
        });
        return true;
      });
      if (taken < 0) socket.destroy();
    });
  }

  async #answer(line: Uint8Array): Promise<string> {
    const call = decodeCall(line);
    if ('error' in call) return encodeError(call.id, call.error);
    try {
      return encodeResult(call.id, await this.#perform(call));
    } catch (error) {
      if (error instanceof StateError || error instanceof DiskError) {
        return encodeError(call.id, new RequestError(RPC.state, error.code, error.message));
      }
      const { message } = error as Error;
      const isWrong = error instanceof RangeError;
      return encodeError(
        call.id,
        isWrong
          ? new RequestError(RPC.invalidParams, 'invalid-params', message)
          : new RequestError(RPC.state, 'disk-failed', message),
      );
    }
  }

  async #perform({ method, term, epoch }: Call): Promise<unknown> {
    const disk = this.#disk;
    if (method === 'disk.status') return disk.status;
    if (method === 'disk.commit') return { isNew: await disk.commit(term, epoch) };
    if (method === 'disk.failover') return { epoch: await disk.failover(term) };
    if (method === 'disk.start') await disk.start(term, epoch);
    else if (method === 'disk.seal') await disk.seal(term, epoch);
    else if (method === 'disk.durable') await disk.durableThrough(term, epoch);
    else if (method === 'disk.abort') await disk.abort(term, epoch);
    else if (method === 'disk.rollback') await disk.rollback(term, epoch);
    else if (method === 'disk.stop') await disk.stop(term);
    else await disk.settle();
    return null;
  }
}

function decodeCall(line: Uint8Array): Call | { readonly id: RequestId; readonly error: RequestError } {
  const parsed = parseLine(line);
  if (parsed instanceof RequestError) return { id: null, error: parsed };
  const { id, method, params } = (parsed.value ?? {}) as Record<string, unknown>;
  if (typeof id !== 'number' && typeof id !== 'string') {
    return { id: null, error: new RequestError(RPC.invalidRequest, 'invalid-request', "'id' is missing") };
  }
  if (typeof method !== 'string' || !Object.hasOwn(DISK_METHODS, method)) {
    return { id, error: new RequestError(RPC.methodNotFound, 'method-not-found', 'there is no such method') };
  }
  const values = (params ?? {}) as Record<string, unknown>;
  for (const name of DISK_METHODS[method as DiskMethod]) {
    if (Number.isSafeInteger(values[name]) && (values[name] as number) >= 0) continue;
    const message = `'${name}': expected a whole number from 0 on`;
    return { id, error: new RequestError(RPC.invalidParams, 'invalid-params', message, name) };
  }
  return { id, method: method as DiskMethod, term: Number(values.term), epoch: Number(values.epoch) };
}
