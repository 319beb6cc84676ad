import type { FrameBatch } from './frame-batch.ts';

/** LINKTYPE_ETHERNET: nothing else is ever held. */
const ETHERNET = 1;

/** Parallel arrays that frames in a transmit buffer are described by, one index each. Their memory may be a file's. */
export class FrameRecords {
  readonly count: number;
  /** Where the frame's bytes begin in the ring. */
  readonly place: Uint32Array;
  readonly length: Uint32Array;
  readonly wireLength: Uint32Array;
  readonly arrivalNs: Float64Array;
  readonly epoch: Float64Array;
  /** How often labels had been given anew when the frame was stored. */
  readonly era: Int32Array;
  readonly rule: Int32Array;
  readonly flags: Uint8Array;
  readonly reason: Uint8Array;
  readonly verdict: Uint8Array;
  readonly gsoType: Uint8Array;
  readonly gsoSize: Uint16Array;
  readonly l4Start: Uint16Array;
  readonly pair: Uint8Array;

  /** @returns bytes that `count` records take */
  static bytesFor(count: number): number {
    return count * (2 * 8 + 5 * 4 + 2 * 2 + 5);
  }

  /** @param start bytes from the buffer's start, a multiple of 8; `count` too */
  constructor(count: number, buffer = new ArrayBuffer(FrameRecords.bytesFor(count)), start = 0) {
    let at = start;
    const take = (bytes: number): number => {
      at += count * bytes;
      return at - count * bytes;
    };
    this.count = count;
    this.arrivalNs = new Float64Array(buffer, take(8), count);
    this.epoch = new Float64Array(buffer, take(8), count);
    this.place = new Uint32Array(buffer, take(4), count);
    this.length = new Uint32Array(buffer, take(4), count);
    this.wireLength = new Uint32Array(buffer, take(4), count);
    this.era = new Int32Array(buffer, take(4), count);
    this.rule = new Int32Array(buffer, take(4), count);
    this.gsoSize = new Uint16Array(buffer, take(2), count);
    this.l4Start = new Uint16Array(buffer, take(2), count);
    this.flags = new Uint8Array(buffer, take(1), count);
    this.reason = new Uint8Array(buffer, take(1), count);
    this.verdict = new Uint8Array(buffer, take(1), count);
    this.gsoType = new Uint8Array(buffer, take(1), count);
    this.pair = new Uint8Array(buffer, take(1), count);
  }

  /** Writes all that a batch knows of frame `i`, but for its bytes. */
  write(at: number, batch: FrameBatch, i: number): void {
    this.length[at] = batch.length[i]!;
    this.wireLength[at] = batch.wireLength[i]!;
    this.arrivalNs[at] = batch.arrivalNs[i]!;
    this.epoch[at] = batch.epoch[i]!;
    this.rule[at] = batch.rule[i]!;
    this.reason[at] = batch.reason[i]!;
    this.verdict[at] = batch.verdict[i]!;
    this.gsoType[at] = batch.gsoType[i]!;
    this.gsoSize[at] = batch.gsoSize[i]!;
    this.l4Start[at] = batch.l4Start[i]!;
    this.pair[at] = batch.pair[i]!;
  }

  /** Makes of it frame `i` of a batch, but for its bytes. */
  read(at: number, batch: FrameBatch, i: number): void {
    batch.length[i] = this.length[at]!;
    batch.wireLength[i] = this.wireLength[at]!;
    batch.linkType[i] = ETHERNET;
    batch.arrivalNs[i] = this.arrivalNs[at]!;
    batch.epoch[i] = this.epoch[at]!;
    batch.rule[i] = this.rule[at]!;
    batch.reason[i] = this.reason[at]!;
    batch.verdict[i] = this.verdict[at]!;
    batch.gsoType[i] = this.gsoType[at]!;
    batch.gsoSize[i] = this.gsoSize[at]!;
    batch.l4Start[i] = this.l4Start[at]!;
    batch.pair[i] = this.pair[at]!;
  }

  copy(to: number, from: number): void {
    this.place[to] = this.place[from]!;
    this.length[to] = this.length[from]!;
    this.wireLength[to] = this.wireLength[from]!;
    this.arrivalNs[to] = this.arrivalNs[from]!;
    this.epoch[to] = this.epoch[from]!;
    this.era[to] = this.era[from]!;
    this.rule[to] = this.rule[from]!;
    this.flags[to] = this.flags[from]!;
    this.reason[to] = this.reason[from]!;
    this.verdict[to] = this.verdict[from]!;
    this.gsoType[to] = this.gsoType[from]!;
    this.gsoSize[to] = this.gsoSize[from]!;
    this.l4Start[to] = this.l4Start[from]!;
    this.pair[to] = this.pair[from]!;
  }
}

/** What a stored frame is. */
export const FLAG = {
  /** Verdict pass: waits only until no earlier frame of its flow remains. */
  behind: 1,
  unclassified: 2,
  /** May leave; waits for its time or for the port. */
  leaving: 4,
  /** Left already; its place is free once every older frame has left too. */
  gone: 8,
  /** Keeps the order of its flow. */
  ordered: 16,
} as const;
