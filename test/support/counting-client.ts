import type { Socket } from 'node:net';
import { connectIn } from './connect-in.ts';

/** How often it asks. */
const PERIOD_MS = 1;
/** Requests that it makes up for at once where its timer was late. */
const MOST_AT_ONCE = 50;

/**
 * A client of the guest's counter, over one TCP connection: a request each millisecond, without waiting for answers. What it must see is
 * each number exactly once, in order.
 */
export class CountingClient {
  /** When each answer came, ms. */
  readonly arrivals: number[] = [];
  /** What it saw that cannot be, in words; null: nothing. */
  violation: string | null = null;
  sent = 0;
  readonly #socket: Socket;
  #ticker: NodeJS.Timeout | null = null;
  #startedAt = performance.now();
  #line = '';
  #last: number | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('latin1').on('data', (text: string) => this.#read(text));
    socket.on('error', (error) => {
      this.violation ??= `the connection broke: ${error.message}`;
    });
    socket.on('end', () => {
      this.violation ??= 'the connection was closed';
    });
  }

  /** @param enter see `connectIn` */
  static async connect(host: string, port: number, enter: () => void, leave: () => void): Promise<CountingClient> {
    return new CountingClient(await connectIn(host, port, enter, leave));
  }

  get answers(): number {
    return this.arrivals.length;
  }

  /** @param since ms @returns the longest time without an answer since then, ms */
  gapSince(since: number): number {
    let last = since;
    let most = 0;
    for (const at of this.arrivals) {
      if (at < since) continue;
      most = Math.max(most, at - last);
      last = at;
    }
    return most;
  }

  start(): void {
    this.#startedAt = performance.now() - this.sent * PERIOD_MS;
    this.#ticker = setInterval(() => {
      const due = Math.floor((performance.now() - this.#startedAt) / PERIOD_MS) - this.sent;
      const count = Math.min(due, MOST_AT_ONCE);
      if (due > count) this.#startedAt += (due - count) * PERIOD_MS;
      if (count <= 0) return;
      this.#socket.write('\n'.repeat(count));
      this.sent += count;
    }, PERIOD_MS);
  }

  /** Asks no more; answers may still come. */
  pause(): void {
    if (this.#ticker !== null) clearInterval(this.#ticker);
  }

  close(): void {
    this.pause();
    this.#socket.removeAllListeners('end').destroy();
  }

  #read(text: string): void {
    const now = performance.now();
    const lines = (this.#line + text).split('\n');
    this.#line = lines.pop()!;
    for (const line of lines) {
      const number = Number(line);
      if (this.#last !== null && number !== this.#last + 1) {
        this.violation ??= `${number} came after ${this.#last}, answer ${this.answers + 1}`;
      }
      this.#last = number;
      this.arrivals.push(now);
    }
  }
}
