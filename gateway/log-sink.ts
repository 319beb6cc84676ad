import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import { sendWithoutWaiting } from './log-socket.ts';

/** Lines that wait for a slow reader take up to so many bytes. */
const MAX_WAITING_BYTES = 64 * 1024;
/** While lines wait, how often they are offered again when nothing else is written. */
const RETRY_MS = 200;
/** How long `close` waits for the reader: tries, and the time between two. */
const CLOSE = { tries: 20, pauseMs: 10 } as const;

/**
 * Where log lines go. `write` writes at once, so that nothing is lost when the process ends, but it never waits and never throws: a
 * reader that is stuck or gone costs lines, which are counted, and never the time of frames.
 */
export class LogSink {
  readonly #fd: number;
  /** The descriptor is the sink's own. */
  readonly #isOwn: boolean;
  readonly #onLost: (lines: number) => void;
  /** For sockets, as the journal's, which cannot be opened anew. */
  readonly #send: ((bytes: Buffer) => number) | null;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #lost = 0;
  #untold = 0;
  #isClosed = false;
  #retry: NodeJS.Timeout | null = null;

  /**
   * @param fd standard error, or what may be written to in its place; a pipe or terminal is opened anew, so that nobody
   * else's descriptor stops blocking
   * @param onLost called with how many lines were lost when lines get through again; it may write
   */
  constructor(fd: number, onLost: (lines: number) => void) {
    const kind = kindOf(fd);
    const own = kind === 'pipe' ? openAgain(fd) : null;
    this.#fd = own ?? fd;
    this.#isOwn = own !== null;
    this.#onLost = onLost;
    this.#send = kind === 'socket' ? sendWithoutWaiting(fd) : null;
  }

  /** Lines that nobody will see. */
  get lostLines(): number {
    return this.#lost;
  }

  /** @param line with its line end */
  write(line: string): void {
    if (this.#isClosed) {
      this.#lose(1);
      return;
    }
    const bytes = Buffer.from(line);
    const isBehind = this.#waiting.length > 0;
    if (this.#offerWaiting() && isBehind) this.#tellLost();
    if (this.#waiting.length > 0) this.#keep(bytes);
    else if (this.#offer(bytes)) this.#tellLost();
  }

  /** Gives a slow reader a moment for what still waits; the rest is lost, and what is written after. */
  close(): void {
    this.#isClosed = true;
    for (let tries = 0; !this.#offerWaiting() && tries < CLOSE.tries; tries++) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, CLOSE.pauseMs);
    }
    this.#lose(this.#waiting.length);
    this.#waiting = [];
    if (this.#retry !== null) clearTimeout(this.#retry);
    if (this.#isOwn) closeSync(this.#fd);
  }

  /** @returns whether nothing waits any more */
  #offerWaiting(): boolean {
    while (this.#waiting.length > 0) {
      const next = this.#waiting[0]!;
      const written = this.#tryWrite(next);
      if (written === 'later') return false;
      this.#waitingBytes -= next.length;
      if (written === 'never' || written === next.length) this.#waiting.shift();
      else {
        this.#waiting[0] = next.subarray(written);
        this.#waitingBytes += next.length - written;
      }
    }
    return true;
  }

  /** @returns whether the whole line is out */
  #offer(line: Buffer): boolean {
    const written = this.#tryWrite(line);
    if (written === 'later') this.#keep(line);
    // The rest of a line that was begun waits in any case: half a line would spoil the next one.
    else if (written !== 'never' && written < line.length) this.#keepRest(line.subarray(written));
    return written === line.length;
  }

  #keep(line: Buffer): void {
    // After a lost line nothing more is kept until lines get through: so the gap is one, and told where it is.
    if (this.#untold > 0 || this.#waitingBytes + line.length > MAX_WAITING_BYTES) this.#lose(1);
    else this.#keepRest(line);
  }

  #keepRest(line: Buffer): void {
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    this.#retryLater();
  }

  #retryLater(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = null;
      if (!this.#offerWaiting()) this.#retryLater();
      else this.#tellLost();
    }, RETRY_MS).unref();
  }

  #tellLost(): void {
    if (this.#untold === 0) return;
    const lines = this.#untold;
    this.#untold = 0;
    this.#onLost(lines);
  }

  #lose(lines: number): void {
    this.#lost += lines;
    this.#untold += lines;
  }

  /** @returns bytes that were written; `later`: the reader is slow; `never`: the line is lost */
  #tryWrite(bytes: Buffer): number | 'later' | 'never' {
    try {
      return this.#send === null ? writeSync(this.#fd, bytes) : this.#send(bytes);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EAGAIN' || code === 'EINTR') return 'later';
      // The reader is gone (EPIPE, EIO), the disk is full, or there is no standard error.
      this.#lose(1);
      return 'never';
    }
  }
}

/** A terminal is like a pipe here. */
function kindOf(fd: number): 'pipe' | 'socket' | 'other' {
  try {
    const what = fstatSync(fd);
    if (what.isSocket()) return 'socket';
    return what.isFIFO() || what.isCharacterDevice() ? 'pipe' : 'other';
  } catch {
    return 'other';
  }
}

/** @returns a descriptor of our own that does not block; null where the pipe or terminal belongs to somebody else */
function openAgain(fd: number): number | null {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return null;
  }
}
