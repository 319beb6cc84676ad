import { type FileHandle, open } from 'node:fs/promises';
import { Gunzip } from './gunzip.ts';
import type { CaptureDamage } from './record.ts';

/** The file cannot be read at all. Its message is one line that names the path. */
export class CaptureUnreadableError extends Error {
  readonly code = 'capture-unreadable';
}

/** The path that stands for standard input. */
export const STDIN = '-';

const CHUNK_BYTES = 512 * 1024;

/** ID1, ID2 and the only compression method there is (RFC 1952 §2.3.1). */
const GZIP_MAGIC = [0x1f, 0x8b, 0x08];

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  ENOTDIR: 'no such file',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'it is a directory',
};

function unreadable(path: string, error: unknown): CaptureUnreadableError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const reason = REASONS[code] ?? (error instanceof Error ? error.message : String(error));
  const name = path === STDIN ? 'standard input' : path;
  return new CaptureUnreadableError(`cannot read ${name}: ${reason}`, { cause: error });
}

/** Where the packed bytes come from; `null` ends them. */
interface RawInput {
  read(): Promise<Uint8Array | null>;
  close(): Promise<void>;
}

/** Reads one chunk ahead: while the caller works on a chunk, the next one is on its way. */
function fileInput(handle: FileHandle): RawInput {
  let [next, spare] = [new Uint8Array(CHUNK_BYTES), new Uint8Array(CHUNK_BYTES)];
  let pending: Promise<{ bytesRead: number }> | null = null;
  const ahead = () => {
    const reading = handle.read(next, 0, CHUNK_BYTES, null);
    // A failure is reported by the `read` that would have given these bytes, which may never be called.
    reading.catch(() => {});
    return reading;
  };
  return {
    async read() {
      const { bytesRead } = await (pending ?? ahead());
      const chunk = next.subarray(0, bytesRead);
      [next, spare] = [spare, next];
      pending = bytesRead === 0 ? null : ahead();
      return bytesRead === 0 ? null : chunk;
    },
    async close() {
      await pending?.catch(() => {});
      await handle.close();
    },
  };
}

function streamInput(stream: AsyncIterable<Uint8Array>): RawInput {
  const iterator = stream[Symbol.asyncIterator]();
  return {
    async read() {
      const { done, value } = await iterator.next();
      return done === true ? null : value;
    },
    async close() {
      await iterator.return?.();
    },
  };
}

/** The bytes of a capture, unpacked where they are gzipped, whatever the file's name says. */
export class CaptureSource {
  /** Set when the gzip stream is damaged; its offset counts the unpacked bytes before the damage. */
  damage: CaptureDamage | null = null;
  /** Bytes taken from the file, packed where it is packed. */
  bytesRead = 0;
  /** The size of the file, or null where it has none that is known beforehand: standard input, a pipe. */
  readonly totalBytes: number | null;
  readonly #path: string;
  readonly #input: RawInput;
  #begun = false;
  #gunzip: Gunzip | null = null;
  #packed: Uint8Array = new Uint8Array(0);
  #unpackedBytes = 0;

  private constructor(path: string, input: RawInput, totalBytes: number | null) {
    this.#path = path;
    this.#input = input;
    this.totalBytes = totalBytes;
  }

  /**
   * @param path of a file or pipe, or `-` for standard input
   * @throws CaptureUnreadableError
   */
  static async open(path: string, stdin: AsyncIterable<Uint8Array> = process.stdin): Promise<CaptureSource> {
    if (path === STDIN) return new CaptureSource(path, streamInput(stdin), null);
    let handle: FileHandle | null = null;
    try {
      handle = await open(path, 'r');
      const status = await handle.stat();
      if (status.isDirectory()) throw Object.assign(new Error('directory'), { code: 'EISDIR' });
      return new CaptureSource(path, fileInput(handle), status.isFile() ? status.size : null);
    } catch (error) {
      await handle?.close();
      throw unreadable(path, error);
    }
  }

  /**
   * @returns the next bytes, valid until the next call; null at the end and at damage
   * @throws CaptureUnreadableError
   */
  async read(): Promise<Uint8Array | null> {
    if (!this.#begun) {
      this.#begun = true;
      const first = await this.#readFirst();
      if (!GZIP_MAGIC.every((byte, i) => first[i] === byte)) return first.length === 0 ? null : first;
      this.#gunzip = new Gunzip();
      this.#packed = first;
    }
    return this.#gunzip === null ? this.#readRaw() : this.#readUnpacked(this.#gunzip);
  }

  async close(): Promise<void> {
    this.#gunzip?.close();
    await this.#input.close();
  }

  async #readRaw(): Promise<Uint8Array | null> {
    try {
      const chunk = await this.#input.read();
      this.bytesRead += chunk?.length ?? 0;
      return chunk;
    } catch (error) {
      throw unreadable(this.#path, error);
    }
  }

  /** Enough bytes to tell whether they are gzip: a pipe may give them one by one. */
  async #readFirst(): Promise<Uint8Array> {
    let first: Uint8Array = new Uint8Array(0);
    while (first.length < GZIP_MAGIC.length) {
      const chunk = await this.#readRaw();
      if (chunk === null) break;
      first = first.length === 0 && chunk.length >= GZIP_MAGIC.length ? chunk : Buffer.concat([first, chunk]);
    }
    return first;
  }

  async #readUnpacked(gunzip: Gunzip): Promise<Uint8Array | null> {
    for (;;) {
      const unpacked = gunzip.take();
      if (unpacked !== undefined) {
        this.#unpackedBytes += unpacked.length;
        return unpacked;
      }
      if (gunzip.finished) {
        if (gunzip.error !== null) {
          this.damage = { byteOffset: this.#unpackedBytes, reason: `gzip stream is damaged: ${gunzip.error}` };
        }
        return null;
      }
      if (this.#packed.length === 0) {
        const chunk = await this.#readRaw();
        if (chunk === null) {
          await gunzip.end();
          continue;
        }
        this.#packed = chunk;
      }
      const length = gunzip.pieceOf(this.#packed);
      await gunzip.write(this.#packed.subarray(0, length));
      this.#packed = this.#packed.subarray(length);
    }
  }
}
