const WIDTH = 30;
/** Bytes between two looks at the clock, and milliseconds between two drawings. */
const STEP_BYTES = 1 << 20;
const STEP_MS = 100;

/** A bar on stderr while a long capture is read; silent where stderr is no terminal. */
export class Progress {
  readonly #on = process.stderr.isTTY === true;
  #nextBytes = STEP_BYTES;
  #lastMs = 0;
  #drawn = false;

  /** @param totalBytes null where the size is not known */
  show(bytes: number, totalBytes: number | null, frames: number): void {
    if (!this.#on || bytes < this.#nextBytes) return;
    this.#nextBytes = bytes + STEP_BYTES;
    const nowMs = performance.now();
    if (nowMs - this.#lastMs < STEP_MS) return;
    this.#lastMs = nowMs;
    this.#drawn = true;
    if (totalBytes === null || totalBytes === 0) {
      process.stderr.write(`\r${(bytes / 1e6).toFixed(0)} MB, ${frames} frames`);
      return;
    }
    const part = Math.min(1, bytes / totalBytes);
    const full = Math.round(part * WIDTH);
    const bar = '#'.repeat(full) + '-'.repeat(WIDTH - full);
    process.stderr.write(`\r[${bar}] ${(part * 100).toFixed(0).padStart(3)} %, ${frames} frames`);
  }

  /** Wipes the bar. */
  end(): void {
    if (this.#drawn) process.stderr.write('\r\u001b[K');
    this.#drawn = false;
  }
}
