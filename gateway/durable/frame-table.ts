import { FLAG, FrameRecords } from '../frame-records.ts';
import { checkBytes, mix } from './checksum.ts';

/** Flags that never change while the frame is stored. */
const LASTING = FLAG.behind | FLAG.unclassified | FLAG.ordered;

/**
 * The records of a transmit buffer as they stand in a file: each with a check, which is written last and so says that the frame is
 * there. A check of 0 says that there is none. It covers the record's number, all that is known of the frame, and its bytes; not
 * where these lie, so that they can be moved.
 */
export class FrameTable {
  readonly records: FrameRecords;
  readonly check: Int32Array;
  /** The hash that stands for the frame's flow, where it keeps order: see FlowOrder. */
  readonly flowHigh: Int32Array;
  readonly flowLow: Int32Array;
  readonly #arrival: Int32Array;
  readonly #epoch: Int32Array;
  readonly #bytes: DataView;
  readonly #ring: number;

  /** @returns bytes that `count` records take, a multiple of 8 */
  static bytesFor(count: number): number {
    return FrameTable.#recordBytes(count) + 3 * 4 * count;
  }

  static #recordBytes(count: number): number {
    return Math.ceil(FrameRecords.bytesFor(count) / 8) * 8;
  }

  /**
   * @param start where the table begins in `buffer`, bytes, a multiple of 8
   * @param bytes what frames lie in
   * @param ring where places count from in `bytes`
   */
  constructor(count: number, buffer: ArrayBuffer, start: number, bytes: DataView, ring: number) {
    this.records = new FrameRecords(count, buffer, start);
    const rest = start + FrameTable.#recordBytes(count);
    this.check = new Int32Array(buffer, rest, count);
    this.flowHigh = new Int32Array(buffer, rest + 4 * count, count);
    this.flowLow = new Int32Array(buffer, rest + 8 * count, count);
    const { arrivalNs, epoch } = this.records;
    this.#arrival = new Int32Array(buffer, arrivalNs.byteOffset, 2 * count);
    this.#epoch = new Int32Array(buffer, epoch.byteOffset, 2 * count);
    this.#bytes = bytes;
    this.#ring = ring;
  }

  /** @returns the check that record `number` at index `at` must have, never 0 */
  checkOf(number: number, at: number): number {
    const { records } = this;
    // Products with odd numbers, so that every bit of every word counts; none waits for another.
    const sum =
      Math.imul(this.contentOf(at), 0x9e3779b1) +
      Math.imul(number, 0x85ebca6b) +
      Math.imul(records.length[at]!, 0xc2b2ae35) +
      Math.imul(records.wireLength[at]!, 0x27d4eb2f) +
      Math.imul(this.#arrival[2 * at]!, 0x165667b1) +
      Math.imul(this.#arrival[2 * at + 1]!, 0xd3a2646d) +
      Math.imul(this.#epoch[2 * at]!, 0xfd7046c5) +
      Math.imul(this.#epoch[2 * at + 1]!, 0xb55a4f09) +
      Math.imul(records.era[at]!, 0x8cb92ba7) +
      Math.imul(records.rule[at]!, 0x61c88647) +
      Math.imul((records.gsoSize[at]! << 16) | records.l4Start[at]!, 0x7feb352d) +
      Math.imul(((records.flags[at]! & LASTING) << 8) | records.pair[at]!, 0x846ca68b) +
      Math.imul((records.reason[at]! << 16) | (records.verdict[at]! << 8) | records.gsoType[at]!, 0xed5ad4bb) +
      Math.imul(this.flowHigh[at]!, 0xac4c1b51) +
      Math.imul(this.flowLow[at]!, 0x31848bab);
    const check = mix(records.count, sum | 0);
    return check === 0 ? 1 : check;
  }

  /** @returns a check over the frame's bytes */
  contentOf(at: number): number {
    const { place, length } = this.records;
    return checkBytes(this.#bytes, this.#ring + place[at]!, length[at]!);
  }
}
