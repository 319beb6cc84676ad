import type { FrameBatch } from '../frame-batch.ts';
import { copyBytes } from './copy-bytes.ts';
import { NativeMemory } from './libc.ts';
import { segmentCount, segmentLength, writeSegment } from './segment.ts';

/** Each frame is preceded by its length, a 32-bit number, most significant byte first. */
const LENGTH_BYTES = 4;
/** The longest frame that QEMU takes (NET_BUFSIZE, net/net.h). */
export const LONGEST_STREAM_FRAME = 4096 + 65536;

/** What came over a stream and was not taken yet. */
export class StreamInput {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #start = 0;
  #end = 0;

  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#end - this.#start;
  }

  get room(): number {
    return this.#bytes.length - this.length;
  }

  /** Adds what came; there is room for it. */
  add(chunk: Uint8Array): void {
    if (this.#end + chunk.length > this.#bytes.length) {
      this.#bytes.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    this.#bytes.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** @returns length of the next frame if all of it is there, -1 if it is not, -2 if no frame can be that long */
  next(): number {
    while (this.length >= LENGTH_BYTES) {
      const length = this.#view.getUint32(this.#start);
      if (length > LONGEST_STREAM_FRAME) return -2;
      if (length > 0) return this.length < LENGTH_BYTES + length ? -1 : length;
      this.#start += LENGTH_BYTES;
    }
    return -1;
  }

  /** Takes the next frame, whose length is `whole`: its first `length` bytes go to `to`. */
  take(whole: number, to: DataView, offset: number, length: number): void {
    copyBytes(this.#view, this.#start + LENGTH_BYTES, to, offset, length);
    this.#start += LENGTH_BYTES + whole;
  }

  /** Gives up what is here. @returns how many frames that were, a part of one counted as one */
  forget(): number {
    let frames = 0;
    for (let length = this.next(); length >= 0; length = this.next()) {
      this.#start += LENGTH_BYTES + length;
      frames++;
    }
    if (this.length > 0) frames++;
    this.#start = 0;
    this.#end = 0;
    return frames;
  }
}

/** A piece of memory in which frames travel to the stream. */
export class StreamChunk {
  readonly memory: NativeMemory;
  length = 0;
  /** Frames of the stream: of a super-frame each segment. */
  frames = 0;

  constructor(capacity: number) {
    this.memory = new NativeMemory(capacity);
  }

  clear(): void {
    this.length = 0;
    this.frames = 0;
  }

  /** @returns bytes that frame `i` takes, a super-frame in segments; 0: it cannot be sent */
  static need(batch: FrameBatch, i: number): number {
    const length = batch.length[i]!;
    if (batch.gsoType[i] === 0) return length === 0 || length > LONGEST_STREAM_FRAME ? 0 : LENGTH_BYTES + length;
    const count = segmentCount(batch, i);
    if (count === 0) return 0;
    return count * (LENGTH_BYTES + segmentLength(batch, i, 0));
  }

  /** @returns as how many frames frame `i` is sent */
  static segments(batch: FrameBatch, i: number): number {
    return batch.gsoType[i] === 0 ? 1 : segmentCount(batch, i);
  }

  /** Adds frame `i`, for which there is room. */
  add(batch: FrameBatch, i: number): void {
    if (batch.gsoType[i] === 0) {
      const length = batch.length[i]!;
      copyBytes(batch.slab.view, batch.offset[i]!, this.memory.view, this.length + LENGTH_BYTES, length);
      this.#close(length);
      return;
    }
    const count = segmentCount(batch, i);
    for (let n = 0; n < count; n++)
      this.#close(writeSegment(batch, i, n, this.memory.view, this.length + LENGTH_BYTES));
  }

  #close(length: number): void {
    this.memory.view.setUint32(this.length, length);
    this.length += LENGTH_BYTES + length;
    this.frames++;
  }
}
