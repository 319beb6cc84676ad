import { parse } from '../../classifier/parse.ts';
import { Parsed } from '../../classifier/parsed.ts';
import { slabOf } from '../../classifier/slab.ts';
import { FrameBatch } from '../frame-batch.ts';
import { summaryOf } from '../frame-summary.ts';

/** Of each frame: to say what it is takes no more. */
const KEPT_BYTES = 2048;
const ETHERNET = 1;

/** A few frames that were copied on their way, to be described when there is time. All memory is taken at once. */
export class FrameCopies {
  /** What was known of the frames when they were copied. */
  readonly batch: FrameBatch;
  readonly #parsed = new Parsed();

  constructor(capacity: number) {
    this.batch = new FrameBatch(slabOf(new Uint8Array(capacity * KEPT_BYTES)), capacity);
  }

  /** Frame `i` of `from` becomes frame `index`. */
  keep(index: number, from: FrameBatch, i: number): void {
    const { batch } = this;
    const start = from.offset[i]!;
    const length = Math.min(KEPT_BYTES, from.length[i]!);
    batch.copyFrom(index, from, i);
    batch.offset[index] = index * KEPT_BYTES;
    batch.length[index] = length;
    batch.slab.bytes.set(from.slab.bytes.subarray(start, start + length), index * KEPT_BYTES);
  }

  /** @returns what frame `index` is, in the words of `holdfast explain` */
  summary(index: number): string {
    const { slab, offset, length, wireLength, linkType } = this.batch;
    if (linkType[index] !== ETHERNET) return `link type ${linkType[index]}`;
    parse(this.#parsed, slab.view, offset[index]!, length[index]!, wireLength[index]!);
    return summaryOf(this.#parsed, slab.view);
  }
}
