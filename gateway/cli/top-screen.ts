import { styles } from './output.ts';
import type { Line } from './top-text.ts';

/** The alternate screen, so that what was there before comes back; no cursor. */
const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const CLEAR_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';
const UP = '\u001b[A';
const DOWN = '\u001b[B';
const CTRL_C = '\u0003';
/** A cursor key in three characters, or any other key. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what terminals send
const KEYS = /\u001b\[[A-D]|./gs;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A terminal that shows one view at a time and reads keys. Whatever ends the process gives it back as it was. */
export class TopScreen {
  isPaused = false;
  isOver = false;
  readonly #style = styles(true);
  #lines: readonly Line[] = [];
  /** Lines above the first that is shown. */
  #above = 0;
  #wake: (() => void) | null = null;

  constructor() {
    process.stdout.write(ENTER);
    process.once('exit', restore);
    for (const signal of SIGNALS) process.on(signal, this.#end);
    process.stdout.on('resize', this.#draw);
    if (process.stdin.isTTY === true) {
      process.stdin.setRawMode(true);
      process.stdin.setEncoding('utf8').on('data', this.#typed);
    }
  }

  show(lines: readonly Line[]): void {
    this.#lines = lines;
    this.#draw();
  }

  /** Ends early where a key asks for it. */
  wait(ms: number): Promise<void> {
    if (this.isOver) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  close(): void {
    for (const signal of SIGNALS) process.off(signal, this.#end);
    process.stdout.off('resize', this.#draw);
    if (process.stdin.isTTY === true) {
      process.stdin.off('data', this.#typed);
      process.stdin.setRawMode(false);
      process.stdin.pause();
    }
    process.off('exit', restore);
    restore();
  }

  readonly #end = () => {
    this.isOver = true;
    this.#wake?.();
  };

  /** @param text one or more keys, as they were typed */
  readonly #typed = (text: string) => {
    for (const key of text.match(KEYS) ?? []) this.#key(key);
  };

  #key(key: string): void {
    if (key === 'q' || key === CTRL_C) {
      this.#end();
    } else if (key === ' ') {
      this.isPaused = !this.isPaused;
      this.#draw();
      if (!this.isPaused) this.#wake?.();
    } else if (key === UP || key === DOWN) {
      this.#above += key === UP ? -1 : 1;
      this.#draw();
    }
  }

  readonly #draw = () => {
    const { columns = 80, rows = 24 } = process.stdout;
    const room = Math.max(1, rows - 1);
    this.#above = Math.max(0, Math.min(this.#above, this.#lines.length - room));
    const shown = this.#lines.slice(this.#above, this.#above + room);
    const text = shown.map(({ text: line, style }) => {
      const cut = line.slice(0, columns);
      return `${style === null ? cut : this.#style(style, cut)}${CLEAR_LINE}\n`;
    });
    const more = this.#lines.length > room ? ', arrows scroll' : '';
    const keys = `${this.isPaused ? 'paused: space goes on' : 'space pauses'}, q ends${more}`;
    const footer = this.#style(this.isPaused ? 'yellow' : 'dim', keys.slice(0, columns));
    process.stdout.write(`${HOME}${text.join('')}${footer}${CLEAR_LINE}${CLEAR_BELOW}`);
  };
}

function restore(): void {
  // On a terminal this has happened when it returns.
  process.stdout.write(LEAVE);
}
