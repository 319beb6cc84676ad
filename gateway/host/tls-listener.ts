import type { X509Certificate } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import type { Clock } from '../clock.ts';
import { WatchedFiles, type WatchTimes } from '../live-rules/watched-files.ts';
import type { Log, LogFields } from '../log.ts';
import type { LimitedLog } from '../log-limit.ts';
import { namesOf, shownNames } from './certificate-names.ts';
import { TLS_SETTINGS, whyRefused } from './client-certificate.ts';
import { ConnectionRate } from './connection-rate.ts';
import type { Access } from './roles.ts';
import { readTlsFiles, type TlsFiles, type TlsMaterial, tlsSources } from './tls-files.ts';

/** Connections that have not shown who they are; the oldest makes room for the next. */
const MAX_UNKNOWN = 64;
/** A peer that is gone without a word is noticed within twice this. */
const KEEP_ALIVE_MS = 10_000;
const TICK_MS = 1000;

/** @typeParam A what a client may do */
export interface TlsListenerOptions<A = Access> {
  /** An IP address. */
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly files: TlsFiles;
  /** By a name that the certificate has. */
  readonly clients: ReadonlyMap<string, A>;
}

export interface TlsListenerParts<A = Access> {
  /** Gets every client that may do something. */
  readonly admit: (socket: Socket, access: A) => void;
  readonly clock: Clock;
  /** Milliseconds since 1970: certificates have dates. */
  readonly wallMs: () => number;
  readonly log: Pick<Log, 'info' | 'error'>;
  /** Gets what strangers bring about. */
  readonly refusals: Pick<LimitedLog, 'write'>;
  readonly watchTimes?: WatchTimes;
}

/** An interface over TCP, for clients with a certificate that is known here. Files may be exchanged at any time. */
export class TlsListener<A = Access> {
  readonly #options: TlsListenerOptions<A>;
  readonly #parts: TlsListenerParts<A>;
  /** Takes connections; those that are worth it are given to `#tls`, which listens to nothing itself. */
  readonly #server: Server;
  readonly #tls: TlsServer;
  readonly #rate: ConnectionRate;
  readonly #watch: WatchedFiles;
  readonly #ticker: NodeJS.Timeout;
  /** By the peer's address and port, oldest first. */
  readonly #unknown = new Map<string, Socket>();
  readonly #clients = new Map<TLSSocket, X509Certificate>();
  #material: TlsMaterial;

  /** @throws TlsFilesError, or the system's error where it cannot listen */
  static async open<A>(options: TlsListenerOptions<A>, parts: TlsListenerParts<A>): Promise<TlsListener<A>> {
    const print = await WatchedFiles.print(tlsSources(options.files));
    const listener = new TlsListener(options, parts, await readTlsFiles(options.files), print);
    try {
      await listener.#listen();
      return listener;
    } catch (error) {
      await listener.close();
      throw error;
    }
  }

  private constructor(
    options: TlsListenerOptions<A>,
    parts: TlsListenerParts<A>,
    material: TlsMaterial,
    print: string,
  ) {
    this.#options = options;
    this.#parts = parts;
    this.#material = material;
    this.#rate = new ConnectionRate(parts.clock);
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
    this.#tls = createTlsServer({ ...TLS_SETTINGS, ...material });
    this.#tls.on('secureConnection', (socket) => this.#introduced(socket));
    this.#tls.on('tlsClientError', (error, socket) => {
      const from = socket.remoteAddress ?? 'somebody';
      this.#tell(`handshake ${from}`, {}, `no TLS with ${from}: ${codeOf(error)}`);
      socket.destroy();
    });
    this.#watch = new WatchedFiles(tlsSources(options.files), print, () => void this.#readAgain(), parts.watchTimes);
    this.#ticker = setInterval(() => this.#partWithExpired(), TICK_MS).unref();
  }

  /** Where it listens. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : this.#options.port;
  }

  /** Hangs up on everybody. */
  async close(): Promise<void> {
    clearInterval(this.#ticker);
    this.#watch.close();
    const isClosed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of [...this.#unknown.values(), ...this.#clients.keys()]) socket.destroy();
    await isClosed;
  }

  async #listen(): Promise<void> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, resolve);
    });
    // Out of descriptors, for one: the client is refused, and that is all.
    this.#server.on('error', () => {});
  }

  #accept(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined || !this.#rate.admits(remoteAddress)) {
      socket.destroy();
      return;
    }
    if (this.#unknown.size >= MAX_UNKNOWN) this.#unknown.values().next().value?.destroy();
    const peer = `${remoteAddress} ${remotePort}`;
    this.#unknown.set(peer, socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#forget(peer, socket));
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    this.#tls.emit('connection', socket);
  }

  #forget(peer: string, socket: Socket | null): void {
    if (socket === null || this.#unknown.get(peer) === socket) this.#unknown.delete(peer);
  }

  #introduced(socket: TLSSocket): void {
    this.#forget(`${socket.remoteAddress} ${socket.remotePort}`, null);
    socket.on('error', () => {});
    const certificate = socket.getPeerX509Certificate();
    const { clients } = this.#options;
    const known = certificate === undefined ? [] : namesOf(certificate).filter((name) => clients.has(name));
    const why = whyRefused(socket, certificate, known);
    if (why !== null) {
      const from = socket.remoteAddress ?? 'somebody';
      const client = certificate === undefined ? from : shownNames(certificate);
      this.#tell(`${client} ${why}`, { client, reason: why }, `a client's certificate is refused: ${why}`);
      socket.destroy();
      return;
    }
    this.#clients.set(socket, certificate!);
    socket.on('close', () => this.#clients.delete(socket));
    this.#parts.admit(socket, clients.get(known[0]!)!);
  }

  #partWithExpired(): void {
    const nowMs = this.#parts.wallMs();
    for (const [socket, certificate] of this.#clients) {
      if (Date.parse(certificate.validTo) >= nowMs) continue;
      const client = shownNames(certificate);
      this.#tell(`${client} expired`, { client }, "a client's certificate has expired: its connection ends");
      socket.destroy();
    }
  }

  async #readAgain(): Promise<void> {
    const before = this.#material;
    const { log } = this.#parts;
    const { cert: path } = this.#options.files;
    try {
      const material = await readTlsFiles(this.#options.files);
      this.#tls.setSecureContext({ ...TLS_SETTINGS, ...material });
      this.#material = material;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      log.error({ path }, `new certificates are not used, the old ones stay: ${message}`);
      return;
    }
    log.info({ path }, 'certificates were read anew');
    const { ca, crl } = this.#material;
    if (before.ca.join() === ca.join() && before.crl?.join() === crl?.join()) return;
    // Whoever is there may not be welcome any more: they come back and are looked at again.
    for (const socket of this.#clients.keys()) socket.destroy();
  }

  #tell(subject: string, fields: LogFields, message: string): void {
    this.#parts.refusals.write('warn', subject, fields, message);
  }
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : error.message;
}
