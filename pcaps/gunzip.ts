import { createGunzip } from 'node:zlib';

/**
 * Bytes given to zlib at a time. Where zlib finds an error it throws away what it had made of the piece, so the pieces
 * are small, and smaller at the beginning, where a short capture has all its packets.
 */
const PIECE_BYTES = 4096;
const FIRST_PIECE_BYTES = 64;
const FIRST_PIECES_UNTIL = 16_384;

/** Unpacks gzip (RFC 1952), also several members one after the other, and keeps what precedes an error. */
export class Gunzip {
  /** What is wrong with the gzip stream, or null. */
  error: string | null = null;
  readonly #stream = createGunzip();
  readonly #unpacked: Uint8Array[] = [];
  #bytesIn = 0;
  /** Ends the wait for zlib, whichever way it answers. */
  #settle: () => void = () => {};
  #ended = false;

  constructor() {
    this.#stream.on('data', (chunk: Uint8Array) => this.#unpacked.push(chunk));
    this.#stream.on('end', () => {
      this.#ended = true;
      this.#settle();
    });
    this.#stream.on('error', (error) => {
      this.error ??= error.message;
      this.#settle();
    });
  }

  /** True at the end, at an error, and at garbage behind the last member, which is ignored as gzip(1) does. */
  get finished(): boolean {
    return this.#ended || this.error !== null;
  }

  /** How much of `packed` the next `write` takes. */
  pieceOf(packed: Uint8Array): number {
    return Math.min(packed.length, this.#bytesIn < FIRST_PIECES_UNTIL ? FIRST_PIECE_BYTES : PIECE_BYTES);
  }

  /** Unpacks one piece, which must stay as it is until the promise is kept. It is never rejected. */
  write(piece: Uint8Array): Promise<void> {
    this.#bytesIn += piece.length;
    return this.#wait(() =>
      this.#stream.write(piece, (error) => {
        if (error) this.error ??= error.message;
        this.#settle();
      }),
    );
  }

  /** No more bytes will come; a stream that is cut is found here. */
  end(): Promise<void> {
    return this.#wait(() => this.#stream.end());
  }

  /** @returns unpacked bytes, in order, or undefined when there are none at present */
  take(): Uint8Array | undefined {
    return this.#unpacked.shift();
  }

  close(): void {
    this.#stream.destroy();
  }

  #wait(action: () => void): Promise<void> {
    if (this.finished) return Promise.resolve();
    return new Promise((resolve) => {
      this.#settle = resolve;
      action();
    });
  }
}
