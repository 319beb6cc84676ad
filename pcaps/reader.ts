import { ByteWindow } from './byte-window.ts';
import type { RecordDecoder } from './decoder.ts';
import { PCAP_MAGICS, PcapDecoder } from './pcap.ts';
import { BLOCK, PcapngDecoder } from './pcapng.ts';
import { type CaptureDamage, CaptureFormatError, type CaptureRecord } from './record.ts';

export type CaptureFormat = 'pcap' | 'pcapng';

const MAGIC_BYTES = 4;
const EXPECTED = 'a pcap or pcapng file, plain or gzipped';

/** Files that people pass by mistake, by the hexadecimal of their first bytes. */
const OTHER_FORMATS: readonly (readonly [string, string])[] = [
  ['28b52ffd', 'zstd'],
  ['fd377a58', 'xz'],
  ['04224d18', 'lz4'],
  ['425a68', 'bzip2'],
  ['504b0304', 'zip'],
  ['736e6f6f', 'snoop'],
];

/**
 * Reads a capture that arrives in pieces of any size: `feed` bytes, take records with `next` until it returns false, and
 * `end` after the last byte. The first bytes tell the format, a name never does.
 */
export class CaptureReader {
  readonly #window = new ByteWindow();
  #decoder: RecordDecoder | null = null;
  #format: CaptureFormat | null = null;
  #finished = false;

  /** Null until the first four bytes have been fed. */
  get format(): CaptureFormat | null {
    return this.#format;
  }

  /** What is wrong with the capture; `next` has given all records before it and gives none after it. */
  get damage(): CaptureDamage | null {
    return this.#decoder?.damage ?? null;
  }

  /** True once `next` has returned false for good: at the end, or at damage. */
  get finished(): boolean {
    return this.#finished;
  }

  /**
   * Copies `chunk`, which the caller may use again. Invalidates the last record.
   * @throws CaptureFormatError if the bytes so far are no capture
   */
  feed(chunk: Uint8Array): void {
    if (this.#finished) return;
    this.#window.append(chunk);
    if (this.#decoder === null && this.#window.available >= MAGIC_BYTES) this.#recognise();
  }

  /**
   * No more bytes will come.
   * @throws CaptureFormatError if there were too few to recognise a capture
   */
  end(): void {
    this.#window.ended = true;
    if (this.#decoder !== null) return;
    if (this.#window.available === 0) throw new CaptureFormatError(`the file is empty, expected ${EXPECTED}`);
    throw this.#unknown();
  }

  /**
   * Fills `record` with the next packet; its bytes stay valid until the next call of `next` or `feed`.
   * @returns false if more bytes must be fed first, or if the reader is `finished`
   */
  next(record: CaptureRecord): boolean {
    if (this.#decoder === null) return false;
    if (this.#decoder.next(this.#window, record)) return true;
    this.#finished = this.#window.ended || this.#decoder.damage !== null;
    return false;
  }

  #recognise(): void {
    const magic = this.#window.view.getUint32(this.#window.start, false);
    const variant = PCAP_MAGICS.get(magic);
    if (variant !== undefined) {
      this.#format = 'pcap';
      this.#decoder = new PcapDecoder(variant);
    } else if (magic === BLOCK.sectionHeader) {
      this.#format = 'pcapng';
      this.#decoder = new PcapngDecoder();
    } else {
      throw this.#unknown();
    }
  }

  #unknown(): CaptureFormatError {
    const { bytes, start, available } = this.#window;
    const found = Array.from(bytes.subarray(start, start + Math.min(available, MAGIC_BYTES)), (byte) =>
      byte.toString(16).padStart(2, '0'),
    );
    const other = OTHER_FORMATS.find(([prefix]) => found.join('').startsWith(prefix));
    const guess = other === undefined ? '' : ` (${other[1]})`;
    return new CaptureFormatError(`not a capture: it begins with ${found.join(' ')}${guess}, expected ${EXPECTED}`);
  }
}
