import { connect, type Socket } from 'node:net';
import { LineReader } from '../host/line-reader.ts';

/** Longer than any answer to what is asked here. */
const MAX_LINE_BYTES = 2 ** 20;
/** An answer comes at once; QEMU's main loop may be busy with a migration's last pass. */
const DEFAULT_TIMEOUT_MS = 10_000;

export type QmpErrorCode =
  /** Nobody listens there: `cause` says why. A machine that was killed looks like this. */
  | 'unreachable'
  /** What listens there does not greet as QEMU does; also while it serves another client, for it serves one at a time. */
  | 'no-greeting'
  /** The machine refused the command; `message` has its words. */
  | 'refused'
  /** No answer in time. The command may have been carried out. */
  | 'timeout'
  /** The connection has ended: the machine is gone, or hung up. */
  | 'closed'
  /** There is no place where the machine could send its memory. */
  | 'no-image-socket';

/** A command without a result. */
export class QmpError extends Error {
  readonly code: QmpErrorCode;

  constructor(code: QmpErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'QmpError';
    this.code = code;
  }
}

/** Something that happened to the machine, with QEMU's name for it: STOP, RESUME, MIGRATION, SHUTDOWN … */
export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

interface Pending {
  readonly command: string;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: QmpError) => void;
}

/**
 * QEMU's machine protocol on a unix socket (docs/interop/qmp-spec of QEMU), for a machine that runs already: `-qmp
 * unix:PATH,server=on,wait=off`, or a second such socket beside libvirt's.
 */
export class QmpClient {
  /** `7.2.22`. */
  readonly version: string;
  /** Resolves when the connection has ended. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #hasOutOfBand: boolean;
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Set<(event: QmpEvent) => void>();
  #lastId = 0;
  #isClosed = false;

  private constructor(socket: Socket, greeted: Greeting, lines: LineReader) {
    this.#socket = socket;
    this.version = greeted.version;
    this.#hasOutOfBand = greeted.hasOutOfBand;
    socket.removeAllListeners('data').on('data', (chunk: Buffer) => {
      if (lines.feed(chunk, (line) => this.#read(line)) < 0) socket.destroy();
    });
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#isClosed = true;
        for (const id of [...this.#pending.keys()]) this.#settle(id)?.reject(closedError());
        resolve();
      });
    });
  }

  /** Connects, and agrees on capabilities. @throws QmpError */
  static async connect(path: string, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<QmpClient> {
    const socket = connect(path);
    const lines = new LineReader(MAX_LINE_BYTES);
    try {
      const greeted = await greeting(socket, lines, path, timeoutMs);
      const client = new QmpClient(socket, greeted, lines);
      await client.execute('qmp_capabilities', greeted.hasOutOfBand ? { enable: ['oob'] } : undefined);
      return client;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** @throws QmpError */
  execute<T = unknown>(command: string, parameters?: object, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<T> {
    return this.#send('execute', command, parameters, timeoutMs);
  }

  /**
   * As `execute`, also while the machine's main loop is stuck in another command, where QEMU can: a socket's monitor can, and a few commands.
   * @throws QmpError
   */
  executeNow<T = unknown>(command: string, parameters?: object, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<T> {
    return this.#send(this.#hasOutOfBand ? 'exec-oob' : 'execute', command, parameters, timeoutMs);
  }

  #send<T>(
    how: 'execute' | 'exec-oob',
    command: string,
    parameters: object | undefined,
    timeoutMs: number,
  ): Promise<T> {
    if (this.#isClosed) return Promise.reject(closedError());
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new QmpError('timeout', `no answer to ${command} within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#pending.set(id, { command, timer, resolve: resolve as (result: unknown) => void, reject });
      const line = `${JSON.stringify({ [how]: command, arguments: parameters, id })}\n`;
      // Writing to a machine that has hung up ends the connection with all that was not read, SHUTDOWN among it. So the loop looks at its
      // sockets once more in between: behind the first call.
      setImmediate(() => setImmediate(() => this.#isClosed || this.#socket.write(line)));
    });
  }

  /** @param listener gets every event from now on @returns ends it */
  listen(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(line: Uint8Array): boolean {
    const message = parse(line);
    if (message === null) {
      this.#socket.destroy();
      return false;
    }
    if (typeof message.event === 'string') {
      const event = { event: message.event, data: (message.data ?? {}) as Record<string, unknown> };
      for (const listener of this.#listeners) listener(event);
      return true;
    }
    const pending = this.#settle(message.id as number);
    if (message.error === undefined) pending?.resolve(message.return);
    else pending?.reject(new QmpError('refused', `${pending.command}: ${(message.error as { desc: string }).desc}`));
    return true;
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    clearTimeout(pending?.timer);
    this.#pending.delete(id);
    return pending;
  }
}

function closedError(): QmpError {
  return new QmpError('closed', 'the machine has closed its QMP connection');
}

function parse(line: Uint8Array): Record<string, unknown> | null {
  try {
    return JSON.parse(Buffer.from(line.buffer, line.byteOffset, line.length).toString());
  } catch {
    return null;
  }
}

interface Greeting {
  readonly version: string;
  readonly hasOutOfBand: boolean;
}

function greeting(socket: Socket, lines: LineReader, path: string, timeoutMs: number): Promise<Greeting> {
  return new Promise((resolve, reject) => {
    const none = (why: string) => reject(new QmpError('no-greeting', `no QEMU greets at ${path}: ${why}`));
    const timer = setTimeout(() => none(`silent for ${timeoutMs} ms; it serves one client at a time`), timeoutMs);
    socket.on('error', (cause) => {
      clearTimeout(timer);
      reject(new QmpError('unreachable', `no QEMU listens at ${path}: ${cause.message}`, { cause }));
    });
    socket.on('close', () => {
      clearTimeout(timer);
      none('it hung up');
    });
    socket.on('data', (chunk: Buffer) => {
      lines.feed(chunk, (line) => {
        clearTimeout(timer);
        const greeted = parse(line)?.QMP as
          | { version: { qemu: Record<'major' | 'minor' | 'micro', number> }; capabilities?: readonly string[] }
          | undefined;
        const hasOutOfBand = greeted?.capabilities?.includes('oob') === true;
        const qemu = greeted?.version?.qemu;
        if (qemu === undefined) none('it says something else');
        else resolve({ version: `${qemu.major}.${qemu.minor}.${qemu.micro}`, hasOutOfBand });
        return true;
      });
    });
  });
}
