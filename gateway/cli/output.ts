import { writeSync } from 'node:fs';

const CHUNK = 64 * 1024;
const STDOUT = 1;

/** Text on its way to stdout in large pieces. A reader that went away (`| head`) ends the program quietly. */
export class Output {
  #text = '';

  write(text: string): void {
    this.#text += text;
    if (this.#text.length >= CHUNK) this.flush();
  }

  line(text: string): void {
    this.write(`${text}\n`);
  }

  flush(): void {
    const text = this.#text;
    this.#text = '';
    writeAll(Buffer.from(text));
  }
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
      if (code !== 'EAGAIN') throw error;
      // A pipe that somebody else made non-blocking: give its reader a moment.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    }
  }
}

/** @returns a function that wraps text in an ANSI style where the stream is a terminal and NO_COLOR is not set */
export function styles(isTerminal: boolean): (style: 'bold' | 'dim' | 'red' | 'green' | 'yellow', text: string) => string {
  const on = isTerminal && (process.env.NO_COLOR ?? '') === '';
  const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;
  return (style, text) => (on ? `\u001b[${codes[style]}m${text}\u001b[0m` : text);
}
