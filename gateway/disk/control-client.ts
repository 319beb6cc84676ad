import { connect, type Socket } from 'node:net';
import { LineReader } from '../host/line-reader.ts';
import { encodeCall, parseLine, RequestError } from '../host/protocol.ts';
import { type DiskMethod, type DiskResults, MAX_DISK_LINE_BYTES } from './control-protocol.ts';

interface Pending {
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

interface Answer {
  readonly id: number | null;
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string; readonly data: { readonly code: string } };
}

/** Drives a disk that another process serves. What it cannot ask any more is refused: a new client asks the new process. */
export class DiskControlClient {
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #error: Error | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const reader = new LineReader(MAX_DISK_LINE_BYTES);
    socket.on('data', (chunk) => {
      if (reader.feed(chunk, (line) => this.#take(line)) < 0) socket.destroy();
    });
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.on('close', () => {
      this.#error ??= new Error('the disk server hung up');
      for (const { reject } of this.#pending.values()) reject(this.#error);
      this.#pending.clear();
    });
  }

  /** @throws Error where nobody answers at the path */
  static open(path: string): Promise<DiskControlClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.removeListener('error', reject);
        resolve(new DiskControlClient(socket));
      });
    });
  }

  /**
   * @param params `term` and `epoch`, as the method wants them
   * @throws RequestError what the disk refuses; Error where the connection ends first: the request may have been granted
   */
  call<M extends DiskMethod>(
    method: M,
    params: { readonly term?: number; readonly epoch?: number } = {},
  ): Promise<DiskResults[M]> {
    return new Promise((resolve, reject) => {
      if (this.#error !== null) {
        reject(this.#error);
        return;
      }
      const id = ++this.#lastId;
      this.#pending.set(id, { resolve, reject });
      this.#socket.write(encodeCall(method, params, id));
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(line: Uint8Array): boolean {
    const parsed = parseLine(line);
    const answer = parsed instanceof RequestError ? null : (parsed.value as Answer | null);
    const pending = this.#pending.get(answer?.id ?? 0);
    if (answer === null || pending === undefined) {
      // No answer to anything: whoever waits for one would wait for ever.
      this.#socket.destroy();
      return false;
    }
    const { id, result, error } = answer;
    this.#pending.delete(id!);
    if (error === undefined) pending.resolve(result as never);
    else pending.reject(new RequestError(error.code, error.data.code, error.message));
    return true;
  }
}
