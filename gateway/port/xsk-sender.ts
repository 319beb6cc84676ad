import { copyBytes } from './copy-bytes.ts';
import { ERRNO, libc } from './libc.ts';
import type { XskRing } from './xsk-ring.ts';

/** A longer frame travels in several chunks. */
export const CHUNK_BYTES = 2048;
export const TRANSMIT_CHUNKS = 1024;
/** What the kernel sends at most in one call (TX_BATCH_SIZE, net/xdp/xsk.c). */
const KERNEL_BATCH = 32;
/** On a descriptor: the frame goes on in the next one. */
export const FRAME_GOES_ON = 1;
const MSG_DONTWAIT = 0x40;

/** What became of the frames that were put in since the last time. */
export const FLUSH = {
  sent: 0,
  /** The kernel has some still, and takes no more now. */
  later: 1,
  /** None was sent and all are forgotten: the device is down. */
  down: 2,
} as const;

/** The sending half of an AF_XDP socket in copy mode: the kernel reads the ring while it is told to, and then only. */
export class XskSender {
  /** Frames that the kernel dropped since the last `flush` began: the device refused them. */
  dropped = 0;
  readonly #fd: number;
  readonly #ring: XskRing;
  readonly #completion: XskRing;
  readonly #frames: DataView;
  readonly #free = new Int32Array(TRANSMIT_CHUNKS);
  #freeCount = TRANSMIT_CHUNKS;
  /** Descriptors that the kernel does not know yet. */
  #fresh = 0;
  #isPending = false;

  /** @param frames memory whose first `TRANSMIT_CHUNKS` chunks are for sending */
  constructor(fd: number, ring: XskRing, completion: XskRing, frames: DataView) {
    this.#fd = fd;
    this.#ring = ring;
    this.#completion = completion;
    this.#frames = frames;
    for (let k = 0; k < TRANSMIT_CHUNKS; k++) this.#free[k] = k * CHUNK_BYTES;
  }

  /** The kernel should be told now. */
  get isFull(): boolean {
    return this.#fresh >= KERNEL_BATCH;
  }

  /** @returns whether `chunks` more can be put in */
  hasRoom(chunks: number): boolean {
    return this.#freeCount >= chunks && this.#ring.free >= chunks;
  }

  /** Puts a frame in, for which there is room. */
  add(from: DataView, offset: number, length: number): void {
    const ring = this.#ring;
    for (let done = 0; done < length; ) {
      const address = this.#free[--this.#freeCount]!;
      const part = length - done < CHUNK_BYTES ? length - done : CHUNK_BYTES;
      copyBytes(from, offset + done, this.#frames, address, part);
      done += part;
      const { entry } = ring;
      ring.words[entry] = address;
      ring.words[entry + 1] = 0;
      ring.words[entry + 2] = part;
      ring.words[entry + 3] = done < length ? FRAME_GOES_ON : 0;
      ring.at++;
      this.#fresh++;
    }
  }

  /** Has the kernel send what was put in. @returns one of FLUSH */
  flush(): number {
    const c = libc();
    this.#ring.publish();
    this.dropped = 0;
    let tries = this.#fresh + TRANSMIT_CHUNKS / KERNEL_BATCH;
    for (let isFirst = true; tries > 0; isFirst = false, tries--) {
      if (c.send(this.#fd, 0, 0, MSG_DONTWAIT) >= 0) return this.#flushed(FLUSH.sent);
      const errno = c.errno();
      if (errno === ERRNO.EBUSY) {
        this.dropped++;
      } else if (errno === ERRNO.ENETDOWN || errno === ERRNO.ENXIO || errno === ERRNO.ENODEV) {
        if (isFirst) this.#takeBack();
        return this.#flushed(isFirst ? FLUSH.down : FLUSH.sent);
      } else if (errno !== ERRNO.EAGAIN && errno !== ERRNO.EINTR) {
        break;
      } else if (!isFirst && tries < TRANSMIT_CHUNKS / KERNEL_BATCH) {
        break;
      }
    }
    return this.#flushed(FLUSH.later);
  }

  /** @returns whether the kernel has sent all it had been given before; if not it takes no more */
  catchUp(): boolean {
    this.#reclaim();
    return !this.#isPending || this.flush() !== FLUSH.later;
  }

  #flushed(outcome: number): number {
    this.#fresh = 0;
    this.#isPending = outcome === FLUSH.later;
    this.#reclaim();
    return outcome;
  }

  /** The kernel says so before it looks into the ring. */
  #takeBack(): void {
    const ring = this.#ring;
    for (; this.#fresh > 0; this.#fresh--) {
      ring.at--;
      this.#free[this.#freeCount++] = ring.words[ring.entry]!;
    }
    ring.publish();
  }

  #reclaim(): void {
    const ring = this.#completion;
    const { filled } = ring;
    for (let k = 0; k < filled; k++) {
      this.#free[this.#freeCount++] = ring.words[ring.entry]!;
      ring.at++;
    }
    if (filled > 0) ring.publish();
  }
}
