import { MappedMemory } from './mapped-memory.ts';

/** Where the parts of a ring are in its memory: struct xdp_ring_offset. */
export interface RingOffsets {
  readonly producer: number;
  readonly consumer: number;
  readonly descriptors: number;
}

/**
 * One of the four rings of an AF_XDP socket, with one end here and the other in the kernel. `at` is our place, which the kernel
 * knows of after `publish`; places count on without end, modulo 2^32.
 */
export class XskRing {
  readonly words: Int32Array;
  at = 0;
  readonly size: number;
  readonly #memory: MappedMemory;
  readonly #mine: number;
  readonly #theirs: number;
  readonly #first: number;
  readonly #entryWords: number;

  /**
   * @param size entries, a power of two
   * @param entryBytes 16 for frames, 8 for addresses
   * @throws PortError
   */
  constructor(
    fd: number,
    page: number,
    offsets: RingOffsets,
    size: number,
    entryBytes: number,
    end: 'producer' | 'consumer',
  ) {
    this.#memory = new MappedMemory(fd, offsets.descriptors + size * entryBytes, page);
    this.words = this.#memory.words;
    this.size = size;
    this.#mine = offsets[end] >> 2;
    this.#theirs = offsets[end === 'producer' ? 'consumer' : 'producer'] >> 2;
    this.#first = offsets.descriptors >> 2;
    this.#entryWords = entryBytes >> 2;
  }

  /** Entries that the kernel has put in and we have not taken, for the consumer. */
  get filled(): number {
    return (Atomics.load(this.words, this.#theirs) - this.at) | 0;
  }

  /** Entries that we can put in, for the producer. */
  get free(): number {
    return this.size - ((this.at - Atomics.load(this.words, this.#theirs)) | 0);
  }

  /** @returns index in `words` of the entry at our place */
  get entry(): number {
    return this.#first + (this.at & (this.size - 1)) * this.#entryWords;
  }

  publish(): void {
    Atomics.store(this.words, this.#mine, this.at);
  }

  unmap(): void {
    this.#memory.unmap();
  }
}
