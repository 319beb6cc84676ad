import { writeSync } from 'node:fs';
import { Failure } from './failure.ts';

const CHUNK = 64 * 1024;
const STDOUT = 1;
const DIGIT_0 = 48;
/** Up to here a loop is faster than a call of `set`. */
const FEW_BYTES = 24;

/** Text on its way to stdout in large pieces. A reader that went away (`| head`) ends the program quietly. */
export class Output {
  readonly #bytes = Buffer.allocUnsafe(CHUNK);
  #length = 0;

  write(text: string): void {
    // No UTF-16 unit takes more than three bytes of UTF-8.
    if (this.#reserve(3 * text.length)) this.#length += this.#bytes.write(text, this.#length);
    else writeAll(Buffer.from(text));
  }

  line(text: string): void {
    this.write(`${text}\n`);
  }

  /** Writes text that was encoded before. */
  encoded(text: Uint8Array): void {
    if (!this.#reserve(text.length)) {
      writeAll(text);
      return;
    }
    const start = this.#length;
    this.#length += text.length;
    if (text.length > FEW_BYTES) {
      this.#bytes.set(text, start);
      return;
    }
    for (let i = 0; i < text.length; i++) this.#bytes[start + i] = text[i]!;
  }

  /** Writes what `String(value)` gives; whole numbers below 2^32 are quick. */
  number(value: number): void {
    if (value >>> 0 !== value) {
      this.write(String(value));
      return;
    }
    if (value < 1e9) {
      this.digits(value, countDigits(value));
      return;
    }
    const high = Math.floor(value / 1e5);
    this.digits(high, countDigits(high));
    this.digits(value - high * 1e5, 5);
  }

  /** Writes the last `count` decimal digits of a whole number below 2^31, with leading zeros. */
  digits(value: number, count: number): void {
    this.#reserve(count);
    const start = this.#length;
    let rest = value | 0;
    for (let at = start + count - 1; at >= start; at--) {
      const tens = (rest / 10) | 0;
      this.#bytes[at] = DIGIT_0 + rest - tens * 10;
      rest = tens;
    }
    this.#length = start + count;
  }

  flush(): void {
    const length = this.#length;
    this.#length = 0;
    writeAll(this.#bytes.subarray(0, length));
  }

  /** Makes room. @returns false if so many bytes never fit; everything before them is written out then */
  #reserve(length: number): boolean {
    if (this.#length + length > CHUNK) this.flush();
    return length <= CHUNK;
  }
}

function countDigits(value: number): number {
  let digits = 1;
  for (let limit = 10; limit <= value; limit *= 10) digits++;
  return digits;
}

/** Writes bytes to stdout, waiting for a slow reader. */
export function writeAll(bytes: Uint8Array): void {
  let at = 0;
  while (at < bytes.length) {
    try {
      at += writeSync(STDOUT, bytes, at, bytes.length - at);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : '';
      if (code === 'EPIPE') process.exit(0);
      if (code !== 'EAGAIN') throw new Failure(`cannot write standard output: ${code || String(error)}`);
      // A pipe that somebody else made non-blocking: give its reader a moment.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    }
  }
}

/** @returns a function that wraps text in an ANSI style where the stream is a terminal and NO_COLOR is not set */
export function styles(
  isTerminal: boolean,
): (style: 'bold' | 'dim' | 'red' | 'green' | 'yellow', text: string) => string {
  const on = isTerminal && (process.env.NO_COLOR ?? '') === '';
  const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;
  return (style, text) => (on ? `\u001b[${codes[style]}m${text}\u001b[0m` : text);
}
