import type { FrameBatch } from '../frame-batch.ts';
import { ERRNO, libc } from './libc.ts';
import { PORT_COUNT, type PortCounters } from './port-counters.ts';
import { StreamChunk } from './stream-buffers.ts';

const CHUNK_BYTES = 2 ** 18;
/** Frames of one system call. */
const MOST_FRAMES = 256;
const LENGTH_BYTES = 4;
const MSG_DONTWAIT_NOSIGNAL = 0x40 | 0x4000;

/**
 * Frames into a stream's socket, past Node, whose own queue would die with the process: what is accepted here is wholly in the
 * kernel's hand.
 */
export class StreamOutput {
  /** The other end is gone. */
  isBroken = false;
  readonly #counters: PortCounters;
  readonly #chunk = new StreamChunk(CHUNK_BYTES);
  /** Where each of the chunk's frames ends. */
  readonly #ends = new Uint32Array(MOST_FRAMES);
  /** Of a frame that the kernel has taken a part of, which lies at the chunk's start: from where on it has not. */
  #cutAt = 0;
  #cutEnd = 0;

  constructor(counters: PortCounters) {
    this.#counters = counters;
  }

  /** Another peer: it gets frames from their beginning. */
  reset(): void {
    this.isBroken = false;
    this.#cutEnd = 0;
  }

  /** @returns how many frames are in the kernel's hand, or were dropped, from the first on */
  send(fd: number, batch: FrameBatch, from: number, count: number): number {
    const { values } = this.#counters;
    let done = 0;
    while (done < count && !this.isBroken) {
      if (this.#cutEnd > 0) {
        if (!this.#sendRest(fd)) break;
        // What was offered then is offered first now, unless it was given up meanwhile.
        if (this.#isFirst(batch, from + done)) done += this.#sent(batch, from + done, 1);
        continue;
      }
      const filled = this.#fill(batch, from + done, count - done);
      if (filled === 0) {
        values[batch.gsoType[from + done] === 0 ? PORT_COUNT.tooLong : PORT_COUNT.invalid]!++;
        done++;
        continue;
      }
      const length = this.#write(fd, 0, this.#chunk.length);
      let taken = 0;
      while (taken < filled && this.#ends[taken]! <= length) taken++;
      done += this.#sent(batch, from + done, taken);
      if (taken === filled) continue;
      this.#cut(taken, length);
      break;
    }
    if (this.isBroken) {
      values[PORT_COUNT.linkDown]! += count - done;
      return count;
    }
    if (done < count) values[PORT_COUNT.refused]! += count - done;
    return done;
  }

  /** @returns how many frames are in the chunk, from the first on: one that cannot be sent ends it */
  #fill(batch: FrameBatch, from: number, count: number): number {
    const chunk = this.#chunk;
    chunk.clear();
    const most = count < MOST_FRAMES ? count : MOST_FRAMES;
    for (let k = 0; k < most; k++) {
      const need = StreamChunk.need(batch, from + k);
      if (need === 0 || chunk.length + need > CHUNK_BYTES) return k;
      chunk.add(batch, from + k);
      this.#ends[k] = chunk.length;
    }
    return most;
  }

  /** @returns bytes that the kernel took */
  #write(fd: number, from: number, to: number): number {
    const c = libc();
    for (;;) {
      const length = c.send(fd, this.#chunk.memory.address + from, to - from, MSG_DONTWAIT_NOSIGNAL);
      if (length >= 0) return length;
      const errno = c.errno();
      if (errno === ERRNO.EINTR) continue;
      this.isBroken = errno !== ERRNO.EAGAIN && errno !== ERRNO.ENOBUFS && errno !== ERRNO.ENOMEM;
      return 0;
    }
  }

  /** @param length of the chunk, that the kernel has, in the middle of frame `taken` perhaps */
  #cut(taken: number, length: number): void {
    const start = taken === 0 ? 0 : this.#ends[taken - 1]!;
    if (length === start) return;
    this.#cutAt = length - start;
    this.#cutEnd = this.#ends[taken]! - start;
    this.#chunk.memory.bytes.copyWithin(0, start, start + this.#cutEnd);
  }

  /** @returns whether the kernel has all of the frame that was cut */
  #sendRest(fd: number): boolean {
    this.#cutAt += this.#write(fd, this.#cutAt, this.#cutEnd);
    return this.#cutAt === this.#cutEnd;
  }

  /** Frame `i` is the one that was cut, and has now gone. */
  #isFirst(batch: FrameBatch, i: number): boolean {
    const length = this.#cutEnd;
    this.#cutEnd = 0;
    if (StreamChunk.need(batch, i) !== length) return false;
    if (batch.gsoType[i] !== 0) return true;
    const { bytes } = batch.slab;
    const at = batch.offset[i]!;
    for (let k = LENGTH_BYTES; k < length; k++) {
      if (bytes[at + k - LENGTH_BYTES] !== this.#chunk.memory.bytes[k]) return false;
    }
    return true;
  }

  #sent(batch: FrameBatch, from: number, count: number): number {
    const { values } = this.#counters;
    for (let i = from; i < from + count; i++) {
      const segments = StreamChunk.segments(batch, i);
      values[PORT_COUNT.sent]! += segments;
      values[PORT_COUNT.sentBytes]! += StreamChunk.need(batch, i) - segments * LENGTH_BYTES;
    }
    return count;
  }
}
