import { flushImage } from './flush-image.ts';
import type { Image } from './image.ts';
import type { Layers } from './layers.ts';
import type { RedoLog } from './redo-log.ts';

/** A segment of which nothing is needed is given up when it is longer than this. */
const KEPT_BYTES = 2 ** 20;

/** Brings committed writes into the image, some time after their commit, and removes what the log no longer needs. */
export class Flusher {
  readonly #log: RedoLog;
  readonly #layers: Layers;
  readonly #image: Image;
  readonly #delayMs: number;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> | null = null;
  #isClosed = false;
  #failure: Error | null = null;
  /** Called when a flush fails after one that did not, and the other way round. @param why null: the image can be written again */
  onTurn: ((why: Error | null) => void) | null = null;
  #flushes = 0;

  /** @param delayMs from a commit to its flush, at most; also between a flush that fails and the next try */
  constructor(log: RedoLog, layers: Layers, image: Image, delayMs: number) {
    this.#log = log;
    this.#layers = layers;
    this.#image = image;
    this.#delayMs = delayMs;
  }

  /** Why the last flush failed; null where it did not. */
  get failure(): Error | null {
    return this.#failure;
  }

  get flushes(): number {
    return this.#flushes;
  }

  get hasWork(): boolean {
    return this.#layers.isFlushing || this.#layers.unflushed > 0;
  }

  /** Something may have been committed, or a flush has failed: also where only the log could not be made shorter, it is tried again. */
  wake(): void {
    if (this.#timer !== null || this.#isClosed || (!this.hasWork && this.#failure === null)) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      // The next try says it again, and `status` shows it.
      this.flush().then(
        () => this.wake(),
        () => this.wake(),
      );
    }, this.#delayMs);
    this.#timer.unref();
  }

  /** Resolves after a flush that ends after this call; it contains all that was committed only if none was under way. */
  flush(): Promise<void> {
    this.#running ??= this.#flush().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** Resolves when no committed write is missing in the image. @throws what a flush failed of that began after this call */
  async settle(): Promise<void> {
    await this.#running?.catch(() => {});
    do await this.flush();
    while (this.hasWork);
  }

  /** Waits for a flush that is under way; none begins afterwards. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#running?.catch(() => {});
  }

  async #flush(): Promise<void> {
    try {
      const map = this.#layers.beginFlush();
      if (map !== null) {
        // What says that these writes are committed must outlive a crash before the first of them is in the image.
        await this.#log.sync();
        await flushImage(map, this.#log, this.#image);
        this.#layers.flushed();
        this.#flushes++;
      }
      const isUnneeded = this.#layers.oldest === Number.POSITIVE_INFINITY;
      if (isUnneeded && this.#log.currentBytes > KEPT_BYTES) await this.#log.roll();
      await this.#log.removeBefore(() => this.#layers.oldest);
      this.#is(null);
    } catch (error) {
      this.#is(error as Error);
      // Also where nobody waited for its time, but asked for it.
      this.wake();
      throw error;
    }
  }

  #is(failure: Error | null): void {
    const isTurn = (failure === null) !== (this.#failure === null);
    this.#failure = failure;
    if (isTurn) this.onTurn?.(failure);
  }
}
