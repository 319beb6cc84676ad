import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { EXPOSITION_CONTENT_TYPE } from './exposition.ts';

/** Monitoring needs one or two. More are closed at once. */
const MAX_CONNECTIONS = 16;
/** A connection carries one request, and ends after this whatever the client does: also one that reads slowly. */
const CONNECTION_MS = 5000;
const HEADERS_MS = 2000;
const MAX_HEADER_BYTES = 8192;
/** How often overdue requests are looked for. */
const CHECK_MS = 500;
/** What took 1 ms to make is used again for this many: clients who ask all the time get a tenth of the loop at the most. */
const REUSE_FACTOR = 10;

export interface MetricsServerOptions {
  /** Makes what `/metrics` answers. */
  readonly metrics: () => string;
  /** What is wrong, a line each; empty: nothing (`/healthz`). */
  readonly health: () => readonly string[];
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/**
 * Answers `/metrics` and `/healthz` over HTTP. What a client does never reaches anybody else: connections are few, short and
 * carry one request each, and whatever goes wrong ends as a status code.
 */
export class MetricsServer {
  readonly #server: Server;
  readonly #metrics: () => Answer;
  readonly #health: () => readonly string[];
  #sockets = new Set<Socket>();

  constructor({ metrics, health }: MetricsServerOptions) {
    this.#metrics = reused(() => ({ status: 200, type: EXPOSITION_CONTENT_TYPE, body: metrics() }));
    this.#health = reused(health);
    this.#server = createServer({
      connectionsCheckingInterval: CHECK_MS,
      headersTimeout: HEADERS_MS,
      requestTimeout: HEADERS_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      keepAlive: false,
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.maxRequestsPerSocket = 1;
    this.#server.on('connection', (socket) => this.#limit(socket));
    this.#server.on('request', (request, response) => this.#answer(request, response));
    // Without a listener the request would be carried out: no body is wanted.
    this.#server.on('checkContinue', (_, response) => end(response, text(417, 'no body is wanted')));
    this.#server.on('clientError', (_, socket) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      else socket.destroy();
    });
  }

  /**
   * @param port 0: any that is free
   * @returns where it listens
   * @throws the system's error where it cannot: EADDRINUSE, EACCES, …
   */
  listen(host: string, port: number): Promise<{ host: string; port: number }> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject);
        // Out of descriptors, for one: the client is refused, and that is all.
        this.#server.on('error', () => {});
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? { host, port: address.port } : { host, port });
      });
    });
  }

  /** Ends every connection. */
  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #limit(socket: Socket): void {
    this.#sockets.add(socket);
    const deadline = setTimeout(() => socket.destroy(), CONNECTION_MS);
    deadline.unref();
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      clearTimeout(deadline);
      this.#sockets.delete(socket);
    });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    response.on('error', () => {});
    let answer: Answer;
    try {
      answer = this.#answerTo(request);
    } catch (error) {
      answer = text(500, error instanceof Error ? error.message : String(error));
    }
    if (answer.status === 405) response.setHeader('Allow', 'GET, HEAD');
    end(response, answer);
  }

  #answerTo({ method, url = '', headers }: IncomingMessage): Answer {
    const path = url.split('?', 1)[0];
    if (path !== '/metrics' && path !== '/healthz') return text(404, 'there are /metrics and /healthz');
    if (method !== 'GET' && method !== 'HEAD') return text(405, 'only GET and HEAD');
    if (path === '/metrics') return this.#metrics();
    const problems = this.#health();
    const status = problems.length === 0 ? 200 : 503;
    if (/\bapplication\/json\b/.test(headers.accept ?? '')) {
      const body = JSON.stringify({ ok: status === 200, problems });
      return { status, type: 'application/json', body: `${body}\n` };
    }
    return text(status, status === 200 ? 'ok' : problems.join('\n'));
  }
}

function text(status: number, body: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body: `${body}\n` };
}

function end(response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    Connection: 'close',
  });
  // Of HEAD Node leaves the body out.
  response.end(body);
}

/** @returns the same, but it gives the last result again as long as that is younger than ten times what it took to make */
function reused<T>(make: () => T): () => T {
  let last: { readonly value: T; readonly untilMs: number } | null = null;
  return () => {
    const beganMs = performance.now();
    if (last !== null && beganMs < last.untilMs) return last.value;
    const value = make();
    const endedMs = performance.now();
    last = { value, untilMs: endedMs + REUSE_FACTOR * (endedMs - beganMs) };
    return value;
  };
}
