import { QmpClient, QmpError } from './qmp.ts';

/** Nobody has the socket open any more, or it went with who had. Whatever else keeps from connecting says nothing of the machine. */
const GONE: readonly unknown[] = ['ECONNREFUSED', 'ENOENT'];

/** The machine that is protected: one QMP connection to it at a time. */
export class ProtectedMachine {
  readonly #path: string;
  readonly #prepare: (qmp: QmpClient) => Promise<void>;
  readonly #onClosed: () => void;
  #qmp: QmpClient | null = null;
  #isEnding = false;
  /** By `suspend`. */
  #isSuspended = false;

  /** @param prepare what is done with each new connection before it counts @param onClosed a connection has ended */
  constructor(path: string, prepare: (qmp: QmpClient) => Promise<void>, onClosed: () => void) {
    this.#path = path;
    this.#prepare = prepare;
    this.#onClosed = onClosed;
  }

  /** The connection that there was last. @throws Error before the first `attach` */
  get qmp(): QmpClient {
    if (this.#qmp === null) throw new Error('the machine has not been attached to');
    return this.#qmp;
  }

  get isClosed(): boolean {
    return this.#qmp?.isClosed !== false;
  }

  /** It said that it was told to end. */
  get isEnding(): boolean {
    return this.#isEnding;
  }

  /** @throws QmpError where there is none, and what `prepare` throws */
  async attach(): Promise<void> {
    const qmp = await QmpClient.connect(this.#path);
    this.#qmp = qmp;
    qmp.listen(({ event }) => {
      if (event === 'SHUTDOWN') this.#isEnding = true;
      // With `-no-shutdown` it may be started again.
      if (event === 'RESUME') this.#isEnding = false;
    });
    void qmp.closed.then(() => this.#onClosed());
    try {
      await this.#prepare(qmp);
    } catch (error) {
      qmp.close();
      throw error;
    }
  }

  /** It is paused by `suspend`. */
  get isSuspended(): boolean {
    return this.#isSuspended;
  }

  /** Pauses a machine that runs, until `resume`. */
  async suspend(): Promise<void> {
    if (this.isClosed) return;
    const { status } = await this.qmp.execute<{ readonly status: string }>('query-status');
    if (status !== 'running') return;
    await this.qmp.execute('stop');
    this.#isSuspended = true;
  }

  async resume(): Promise<void> {
    if (!this.#isSuspended) return;
    await this.qmp.execute('cont');
    this.#isSuspended = false;
  }

  /** Rejects when the connection that there is now ends. */
  async closed(): Promise<never> {
    await this.qmp.closed;
    throw new QmpError('closed', 'the machine has closed its QMP connection');
  }

  /** @returns whether there is none any more; else it has been attached to again, or nothing is known */
  async isGone(): Promise<boolean> {
    try {
      await this.attach();
      return false;
    } catch (error) {
      return error instanceof QmpError && GONE.includes((error.cause as NodeJS.ErrnoException | undefined)?.code);
    }
  }

  /** Nobody must go on with a VM that has gone on elsewhere. */
  async pause(): Promise<void> {
    try {
      await this.#qmp?.execute('stop');
    } catch {
      // It is gone, or does not listen: its frames are fenced where they pass.
    }
  }

  close(): void {
    this.#qmp?.close();
  }
}
