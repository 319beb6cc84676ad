import type { Socket } from 'node:net';
import { connectIn } from './connect-in.ts';

/** How often it asks. */
const PERIOD_MS = 2;
/** Requests that may wait for their answers: a disk takes a while. */
const MOST_WAITING = 32;

/** What the guest finds when it compares its disk with its memory. */
export interface DiskCheck {
  /** Records that memory knows. */
  readonly memory: number;
  /** The first one that the disk does not have as memory does; 0: none. */
  readonly wrong: number;
  /** Records on the disk that memory knows nothing of. */
  readonly ahead: number;
}

/**
 * A client of the guest's recorder, over one TCP connection: asks for a record every 2 ms, without waiting for most of them, each with a
 * word of its own.
 * What it is told must come in order, with each number and each word once.
 */
export class RecordingClient {
  /** The word of each record that it was told of; record 1 is the first. */
  readonly told: string[] = [];
  /** What it saw that cannot be, in words; null: nothing. */
  violation: string | null = null;
  readonly #socket: Socket;
  readonly #name: string;
  #ticker: NodeJS.Timeout | null = null;
  #sent = 0;
  #first: number | null = null;
  #line = '';
  #checked: ((check: DiskCheck) => void) | null = null;

  private constructor(socket: Socket, name: string) {
    this.#socket = socket;
    this.#name = name;
    socket.setEncoding('latin1').on('data', (text: string) => this.#read(text));
    socket.on('error', (error) => {
      this.violation ??= `the connection broke: ${error.message}`;
    });
    socket.on('end', () => {
      this.violation ??= 'the connection was closed';
    });
  }

  /** @param name what its words begin with @param enter see `connectIn` */
  static async connect(
    host: string,
    port: number,
    name: string,
    enter: () => void,
    leave: () => void,
  ): Promise<RecordingClient> {
    return new RecordingClient(await connectIn(host, port, enter, leave), name);
  }

  /** All that was asked for has been answered. */
  get isQuiet(): boolean {
    return this.told.length === this.#sent;
  }

  /** The number of the record that it was told of last; 0 before. */
  get last(): number {
    return this.#first === null ? 0 : this.#first + this.told.length - 1;
  }

  /** @returns the word of a record that it was told of; undefined for another one */
  wordOf(number: number): string | undefined {
    return this.told[number - (this.#first ?? 1)];
  }

  start(): void {
    this.#ticker ??= setInterval(() => {
      if (this.#sent - this.told.length >= MOST_WAITING) return;
      this.#sent++;
      this.#socket.write(`w ${this.#word(this.#sent)}\n`);
    }, PERIOD_MS);
  }

  /** Asks no more; answers may still come. */
  pause(): void {
    if (this.#ticker !== null) clearInterval(this.#ticker);
    this.#ticker = null;
  }

  /** @returns what the guest finds, once everything before has been answered */
  check(): Promise<DiskCheck> {
    return new Promise((resolve) => {
      this.#checked = resolve;
      this.#socket.write('c\n');
    });
  }

  close(): void {
    this.pause();
    this.#socket.removeAllListeners('end').destroy();
  }

  #word(request: number): string {
    return `${this.#name}-${request}`;
  }

  #read(text: string): void {
    const lines = (this.#line + text).split('\n');
    this.#line = lines.pop()!;
    for (const line of lines) {
      const fields = line.split(' ');
      if (fields.length === 3) {
        const [memory, wrong, ahead] = fields.map(Number);
        this.#checked?.({ memory: memory!, wrong: wrong!, ahead: ahead! });
        continue;
      }
      const number = Number(fields[0]);
      this.#first ??= number;
      const expected = `${this.#first + this.told.length} ${this.#word(this.told.length + 1)}`;
      if (line !== expected) this.violation ??= `the guest said '${line}', not '${expected}'`;
      this.told.push(fields[1]!);
    }
  }
}
