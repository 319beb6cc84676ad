import type { Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { namesOf, shownNames } from '../host/certificate-names.ts';
import { TLS_SETTINGS, whyRefused } from '../host/client-certificate.ts';
import { readTlsFiles, type TlsFiles, type TlsMaterial, tlsSources } from '../host/tls-files.ts';
import { type Told, toldTo } from '../host/told.ts';
import { WatchedFiles } from '../live-rules/watched-files.ts';
import { GroupSync } from './group-sync.ts';

/** For so long a client waits for files that do not answer, on a file system that has gone for one. */
const LOOK_MS = 1000;
const ANYBODY = ['anybody'];

export interface NbdTlsOptions {
  readonly files: TlsFiles;
  /** Names that certificates have: who has one of them is served. Null: who has any certificate of the authority. */
  readonly clients: readonly string[] | null;
  /** What people should know: who was refused, and new files. */
  readonly tell: (message: string) => void;
}

/** Who may come by TLS. Files are looked at whenever a client does, so that new ones are in force for the next one. */
export class NbdTls {
  readonly #options: NbdTlsOptions;
  readonly #told: Told;
  #material: TlsMaterial;
  /** How the files were when they were last read. */
  #print: string;
  /** One after another: nobody is let in by files that were there before those that somebody else reads. */
  readonly #looks = new GroupSync(() => this.#look());
  /** The files do not answer: nobody waits for them until they do. */
  #isStuck = false;

  /** @throws TlsFilesError where a file cannot be used, or they do not belong together */
  static async open(options: NbdTlsOptions): Promise<NbdTls> {
    const print = await WatchedFiles.print(tlsSources(options.files));
    return new NbdTls(options, await readTlsFiles(options.files), print);
  }

  private constructor(options: NbdTlsOptions, material: TlsMaterial, print: string) {
    this.#options = options;
    this.#told = toldTo(options.tell);
    this.#material = material;
    this.#print = print;
  }

  /**
   * What follows on a connection is TLS.
   * @param raw paused; what it has received already is TLS, too
   * @returns what is said in it; null: whoever it is gets nothing, and is to be hung up on
   */
  async start(raw: Socket): Promise<TLSSocket | null> {
    await this.#looked();
    this.#told.refusals.tick();
    if (raw.destroyed) return null;
    const from = raw.remoteAddress ?? 'somebody';
    return new Promise((resolve) => {
      // A server that never listens: it is what checks certificates.
      const server = createServer({ ...TLS_SETTINGS, ...this.#material });
      server.on('tlsClientError', (error) => {
        this.#refuse(`handshake ${from}`, {}, `no TLS for disks with ${from}: ${codeOf(error)}`);
        resolve(null);
      });
      server.on('secureConnection', (secure) => {
        secure.on('error', () => {});
        if (this.#isWelcome(secure, from)) resolve(secure);
        else {
          secure.destroy();
          resolve(null);
        }
      });
      server.emit('connection', raw);
    });
  }

  #isWelcome(secure: TLSSocket, from: string): boolean {
    const { clients } = this.#options;
    const certificate = secure.getPeerX509Certificate();
    const names = certificate === undefined ? [] : namesOf(certificate);
    const why = whyRefused(
      secure,
      certificate,
      clients === null ? ANYBODY : names.filter((one) => clients.includes(one)),
    );
    if (why === null) return true;
    const client = certificate === undefined ? from : shownNames(certificate);
    this.#refuse(`${client} ${why}`, { client }, `a client's certificate is refused at the disks: ${why}`);
    return false;
  }

  /** Resolves after a look at the files that began after this call, or without one: then what was read before is in force. */
  #looked(): Promise<void> {
    if (this.#isStuck) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        resolve();
        if (this.#isStuck) return;
        this.#isStuck = true;
        this.#told.log.error(
          {},
          'files of certificates of the disks do not answer: those that were read before are used',
        );
      }, LOOK_MS);
      const over = () => {
        clearTimeout(timer);
        this.#isStuck = false;
        resolve();
      };
      this.#looks.request().then(over, over);
    });
  }

  async #look(): Promise<void> {
    const { files } = this.#options;
    const { log } = this.#told;
    const print = await WatchedFiles.print(tlsSources(files));
    if (print === this.#print) return;
    this.#print = print;
    try {
      this.#material = await readTlsFiles(files);
      log.info({}, 'certificates of the disks were read anew');
    } catch (error) {
      log.error({}, `new certificates of the disks are not used, the old ones stay: ${(error as Error).message}`);
    }
  }

  #refuse(subject: string, fields: { readonly client?: string }, message: string): void {
    this.#told.refusals.write('warn', subject, fields, message);
  }
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : error.message;
}
