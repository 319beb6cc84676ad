import { type ExtentMap, ZERO } from './extent-map.ts';
import type { Image } from './image.ts';
import type { RedoLog } from './redo-log.ts';

/** Bytes that are read from the log and written to the image at once. */
const RUN_BYTES = 2 ** 20;

/**
 * Writes what the log has into the image and makes it durable. Doing it again after it was cut short does no harm, as long as the
 * log still has everything from then on.
 * @param map must not change meanwhile, and the log must keep what it points to
 */
export async function flushImage(map: ExtentMap, log: RedoLog, image: Image): Promise<void> {
  const run = new Run(log, image);
  for (const [from, to, at] of extents(map)) {
    if (at < 0) {
      await run.end();
      await image.zero(from, to, at === ZERO.hole);
    } else {
      for (let done = from; done < to; done += RUN_BYTES) {
        await run.add(done, Math.min(to, done + RUN_BYTES), at + (done - from));
      }
    }
  }
  await run.end();
  await image.sync();
}

/** Bytes that follow one another on the disk. */
class Run {
  readonly #log: RedoLog;
  readonly #image: Image;
  readonly #buffer = Buffer.alloc(RUN_BYTES);
  #reads: Promise<void>[] = [];
  #from = 0;
  #length = 0;

  constructor(log: RedoLog, image: Image) {
    this.#log = log;
    this.#image = image;
  }

  async add(from: number, to: number, at: number): Promise<void> {
    const bytes = to - from;
    if (from !== this.#from + this.#length || this.#length + bytes > RUN_BYTES) {
      await this.end();
      this.#from = from;
    }
    this.#reads.push(this.#log.read(this.#buffer.subarray(this.#length, this.#length + bytes), at));
    this.#length += bytes;
  }

  async end(): Promise<void> {
    if (this.#length === 0) return;
    // All of them have to be over before the buffer is used again.
    const results = await Promise.allSettled(this.#reads);
    const bytes = this.#buffer.subarray(0, this.#length);
    this.#reads = [];
    this.#length = 0;
    for (const result of results) if (result.status === 'rejected') throw result.reason;
    await this.#image.write(bytes, this.#from);
  }
}

function* extents(map: ExtentMap): Generator<[number, number, number]> {
  const numbers = new Float64Array(3 * map.size);
  let count = 0;
  map.forEach((from, to, at) => {
    numbers[count] = from;
    numbers[count + 1] = to;
    numbers[count + 2] = at;
    count += 3;
  });
  for (let index = 0; index < count; index += 3) yield [numbers[index]!, numbers[index + 1]!, numbers[index + 2]!];
}
