import { type CaptureFormat, CaptureReader } from './reader.ts';
import { type CaptureDamage, CaptureFormatError, CaptureRecord } from './record.ts';
import { CaptureSource } from './source.ts';

/**
 * A place in a capture that moves from packet to packet, so that several captures can be merged. It waits only when bytes
 * have to be read: a loop that awaits nothing but promises stays synchronous for most packets.
 */
export class CaptureCursor {
  /** The packet that `advance` moved to; always the same object. Its bytes stay valid until the next `advance`. */
  readonly record = new CaptureRecord();
  readonly #path: string;
  readonly #source: CaptureSource;
  readonly #reader = new CaptureReader();

  private constructor(path: string, source: CaptureSource) {
    this.#path = path;
    this.#source = source;
  }

  /**
   * @param path of a capture, or `-` for standard input
   * @throws CaptureUnreadableError
   */
  static async open(path: string, stdin?: AsyncIterable<Uint8Array>): Promise<CaptureCursor> {
    return new CaptureCursor(path, await CaptureSource.open(path, stdin));
  }

  /** Null until the first `advance` has been answered. */
  get format(): CaptureFormat | null {
    return this.#reader.format;
  }

  /** Set once `advance` has answered false before the end of a whole capture. */
  get damage(): CaptureDamage | null {
    // A gzip stream that breaks off leaves a cut record behind; the cause is the better report.
    return this.#source.damage ?? this.#reader.damage;
  }

  /** Bytes taken from the file so far, packed where it is packed; ahead of the record by what is buffered. */
  get bytesRead(): number {
    return this.#source.bytesRead;
  }

  /** The size of the file, or null where it is not known: standard input, a pipe. */
  get totalBytes(): number | null {
    return this.#source.totalBytes;
  }

  /**
   * Moves to the next packet.
   * @returns false at the end or at damage; a promise when bytes have to be read first, which is rejected with
   * CaptureFormatError (the file is no capture) or CaptureUnreadableError
   */
  advance(): boolean | Promise<boolean> {
    if (this.#reader.next(this.record)) return true;
    return this.#reader.finished ? false : this.#refill();
  }

  close(): Promise<void> {
    return this.#source.close();
  }

  async #refill(): Promise<boolean> {
    for (;;) {
      const chunk = await this.#source.read();
      try {
        if (chunk === null) this.#reader.end();
        else this.#reader.feed(chunk);
      } catch (error) {
        throw this.#named(error);
      }
      if (this.#reader.next(this.record)) return true;
      if (this.#reader.finished) return false;
    }
  }

  #named(error: unknown): unknown {
    if (!(error instanceof CaptureFormatError)) return error;
    const broken = this.#source.damage;
    const reason = broken === null ? error.message : `${broken.reason}, after ${broken.byteOffset} unpacked bytes`;
    return new CaptureFormatError(`${this.#path === '-' ? 'standard input' : this.#path}: ${reason}`, { cause: error });
  }
}

/** What `readCapture` found. */
export interface CaptureSummary {
  readonly packets: number;
  readonly damage: CaptureDamage | null;
  readonly format: CaptureFormat | null;
}

/**
 * Reads a whole capture, and of a damaged one what precedes the damage.
 * @param path of a capture, plain or gzipped, or `-` for standard input
 * @param onRecord gets the same record object each time, and its number from 1
 * @param onProgress called now and then with the bytes read and the file's size, if it has one
 * @throws CaptureUnreadableError, CaptureFormatError
 */
export async function readCapture(
  path: string,
  onRecord: (record: CaptureRecord, ordinal: number) => void,
  onProgress?: (bytesRead: number, totalBytes: number | null) => void,
): Promise<CaptureSummary> {
  const cursor = await CaptureCursor.open(path);
  let packets = 0;
  try {
    for (;;) {
      let more = cursor.advance();
      if (typeof more !== 'boolean') {
        more = await more;
        onProgress?.(cursor.bytesRead, cursor.totalBytes);
      }
      if (!more) return { packets, damage: cursor.damage, format: cursor.format };
      packets += 1;
      onRecord(cursor.record, packets);
    }
  } finally {
    await cursor.close();
  }
}
