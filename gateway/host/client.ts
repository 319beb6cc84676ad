import type { Socket } from 'node:net';
import type { EventKind, HostEvent, Method, ParamsOf, Results } from './api.ts';
import { addressText, connectTo, type GatewayAddress } from './connect.ts';
import { LineReader } from './line-reader.ts';
import { encodeCall, MAX_LINE_BYTES, PROTOCOL, parseLine, RequestError } from './protocol.ts';
import { isRepeatable, lostAnswer } from './repetition.ts';
import type { RuleProblem } from './rule-problem.ts';
import type { Problem } from './schema.ts';
import { VmClient } from './vm-client.ts';

export interface HostClientOptions extends GatewayAddress {
  /** Who is calling, for people. */
  readonly client: string;
  /** For an answer, connecting included. */
  readonly timeoutMs?: number;
  /** Before the first attempt to connect again; doubles up to `mostBackoffMs`. */
  readonly firstBackoffMs?: number;
  readonly mostBackoffMs?: number;
  /** A first connection that cannot be made is an error, `unreachable`; otherwise a gateway is waited for. Default: false. */
  readonly mustBeThere?: boolean;
}

export type HostClientErrorCode =
  /** There is no gateway: `cause` says why. */
  | 'unreachable'
  /** No answer in time. The request may have been granted. */
  | 'timeout'
  /** The connection broke before the answer. The request may have been granted, and must not be repeated blindly. */
  | 'answer-lost'
  /** The gateway is not the one any more that knew the request's term. */
  | 'gateway-restarted'
  /** `close` was called. */
  | 'closed';

/** A request without an answer. What the gateway refuses is a RequestError. */
export class HostClientError extends Error {
  readonly code: HostClientErrorCode;
  /** The request may have reached a gateway; false: there was none. */
  readonly wasSent: boolean;

  constructor(code: HostClientErrorCode, message: string, options?: ErrorOptions & { readonly wasSent?: boolean }) {
    super(message, options);
    this.name = 'HostClientError';
    this.code = code;
    this.wasSent = options?.wasSent ?? true;
  }
}

interface Pending {
  readonly id: number;
  readonly method: Method;
  readonly params: object;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
  timesSent: number;
}

/**
 * Speaks to a gateway's host interface. Connects again when the connection breaks, and then repeats what may be repeated; see
 * repetition.ts. Requests of one client are answered in the order of their sending, but for
 * `vm.quiesce` and those for which rules are compiled.
 */
export class HostClient {
  /** Called whenever the client has connected again: events, and flows that it declared, may have been lost. */
  onReconnect: ((hello: Results['hello']) => void) | null = null;
  readonly #options: HostClientOptions;
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Set<{
    readonly kinds: readonly EventKind[];
    readonly listener: (event: HostEvent) => void;
  }>();
  #socket: Socket | null = null;
  #backoff: NodeJS.Timeout | null = null;
  #failures = 0;
  #lastId = 0;
  /** The request that opens a connection; nothing else is sent before its answer. */
  #helloId: number | null = null;
  #isReady = false;
  #isClosed = false;
  /** Why the connection ended. */
  #error: Error | null = null;
  #bootId: string | null = null;

  constructor(options: HostClientOptions) {
    if ((options.path === undefined) === (options.tls === undefined)) {
      throw new TypeError('name either the path of a socket or a TLS address');
    }
    this.#options = options;
  }

  /** Connects, unless it is connected. @returns what the gateway says of itself and its VMs now */
  connect(): Promise<Results['hello']> {
    return this.call('hello', { client: this.#options.client, protocol: PROTOCOL });
  }

  /** One VM's requests; the term and the open epoch are kept for the caller. */
  vm(name: string): VmClient {
    return new VmClient(this, name);
  }

  /**
   * Connects if necessary.
   * @throws RequestError when the gateway refuses; HostClientError without an answer
   */
  call<M extends Method>(
    method: M,
    params: ParamsOf<M>,
    timeoutMs = this.#options.timeoutMs ?? 10_000,
  ): Promise<Results[M]> {
    if (this.#isClosed) return Promise.reject(new HostClientError('closed', 'the client is closed'));
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        const wasSent = pending.timesSent > 0;
        reject(new HostClientError('timeout', `no answer to ${method} within ${timeoutMs} ms`, { wasSent }));
      }, timeoutMs);
      const pending: Pending = { id, method, params, timer, resolve, reject, timesSent: 0 };
      this.#pending.set(id, pending);
      if (this.#isReady) this.#send(pending);
      else this.#open();
    });
  }

  /**
   * @param listener gets events of these kinds from now on, also after connecting again
   * @returns ends it
   */
  async subscribe<K extends EventKind>(
    kinds: readonly K[],
    listener: (event: Extract<HostEvent, { readonly kind: K }>) => void,
  ): Promise<() => Promise<void>> {
    const entry = { kinds, listener: listener as (event: HostEvent) => void };
    this.#listeners.add(entry);
    await this.#subscribeAll();
    return async () => {
      this.#listeners.delete(entry);
      if (!this.#isClosed) await this.#subscribeAll();
    };
  }

  /** Hangs up. Requests without an answer are rejected. */
  close(): void {
    this.#isClosed = true;
    if (this.#backoff !== null) clearTimeout(this.#backoff);
    this.#socket?.destroy();
    this.#rejectAll(() => new HostClientError('closed', 'the client was closed'));
  }

  async #subscribeAll(): Promise<void> {
    await this.call('events.subscribe', { kinds: this.#kinds() });
  }

  #kinds(): EventKind[] {
    return [...new Set([...this.#listeners].flatMap(({ kinds }) => kinds))];
  }

  #open(): void {
    if (this.#socket !== null || this.#backoff !== null || this.#isClosed) return;
    const socket = connectTo(this.#options, false, () => {
      this.#helloId = ++this.#lastId;
      socket.write(encodeCall('hello', { client: this.#options.client, protocol: PROTOCOL }, this.#helloId));
    });
    const reader = new LineReader(MAX_LINE_BYTES);
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      if (reader.feed(chunk, (line) => this.#read(line)) < 0) socket.destroy();
    });
    this.#error = null;
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.on('close', () => this.#closed());
  }

  #closed(): void {
    this.#socket = null;
    this.#isReady = false;
    this.#helloId = null;
    if (this.#options.mustBeThere === true && this.#bootId === null) {
      const message = `there is no gateway at ${addressText(this.#options)}`;
      this.#rejectAll(() => new HostClientError('unreachable', message, { cause: this.#error }));
    }
    this.#rejectAll(({ method, timesSent }) =>
      timesSent > 0 && !isRepeatable(method)
        ? new HostClientError('answer-lost', `the connection broke before the answer to ${method}`)
        : null,
    );
    if (this.#isClosed || (this.#pending.size === 0 && this.#listeners.size === 0)) return;
    const { firstBackoffMs = 50, mostBackoffMs = 2000 } = this.#options;
    const waitMs = Math.min(mostBackoffMs, firstBackoffMs * 2 ** this.#failures);
    this.#failures++;
    this.#backoff = setTimeout(() => {
      this.#backoff = null;
      this.#open();
    }, waitMs);
  }

  /** @returns whether the line was one that a gateway sends */
  #read(line: Uint8Array): boolean {
    const parsed = parseLine(line);
    if (parsed instanceof RequestError) {
      this.#socket?.destroy();
      return false;
    }
    const { id, method, params, result, error } = parsed.value as Record<string, unknown>;
    if (method === 'event') this.#tell(params as HostEvent);
    else if (error !== undefined) this.#refused(id as number, errorOf(error as WireError));
    else if (id === this.#helloId) this.#opened(result as Results['hello']);
    else this.#settle(id as number)?.resolve(result as never);
    return true;
  }

  #opened(hello: Results['hello']): void {
    const isFirst = this.#bootId === null;
    if (!isFirst && hello.bootId !== this.#bootId) {
      // A term of the gateway that is gone may by now name something else.
      this.#rejectAll(({ params }) =>
        'term' in params ? new HostClientError('gateway-restarted', 'the gateway has been started anew') : null,
      );
    }
    this.#bootId = hello.bootId;
    this.#failures = 0;
    this.#isReady = true;
    const kinds = this.#kinds();
    if (!isFirst && kinds.length > 0) this.#socket?.write(encodeCall('events.subscribe', { kinds }));
    for (const pending of this.#pending.values()) this.#send(pending);
    if (!isFirst) this.onReconnect?.(hello);
  }

  #send(pending: Pending): void {
    pending.timesSent++;
    this.#socket?.write(encodeCall(pending.method, pending.params, pending.id));
  }

  #refused(id: number | null, error: RequestError): void {
    // The gateway cuts the connection and says why, or does not speak to us at all.
    if (id === null || id === this.#helloId) {
      this.#rejectAll(() => error);
      this.#socket?.destroy();
      return;
    }
    const pending = this.#settle(id);
    if (pending === null) return;
    if (pending.timesSent < 2) {
      pending.reject(error);
      return;
    }
    lostAnswer(pending.method, pending.params as ParamsOf<Method>, error, () => this.call('status', {})).then(
      (answer) => {
        if (answer === null) pending.reject(error);
        else pending.resolve(answer as never);
      },
      pending.reject,
    );
  }

  #tell(event: HostEvent): void {
    for (const { kinds, listener } of this.#listeners) if (kinds.includes(event.kind)) listener(event);
  }

  /** @returns the request that waits for this answer; null: nobody does any more */
  #settle(id: number): Pending | null {
    const pending = this.#pending.get(id);
    if (pending === undefined) return null;
    clearTimeout(pending.timer);
    this.#pending.delete(id);
    return pending;
  }

  /** @param why null: this one goes on waiting */
  #rejectAll(why: (pending: Pending) => Error | null): void {
    for (const pending of [...this.#pending.values()]) {
      const error = why(pending);
      if (error !== null) this.#settle(pending.id)?.reject(error);
    }
  }
}

interface WireError {
  readonly code: number;
  readonly message: string;
  readonly data?: {
    readonly code: string;
    readonly field?: string;
    readonly errors?: readonly (Problem | RuleProblem)[];
  };
}

function errorOf({ code, message, data }: WireError): RequestError {
  return new RequestError(code, data?.code ?? 'unknown', message, data?.field, data?.errors);
}
