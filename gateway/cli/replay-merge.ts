import type { CaptureRecord } from '../../pcaps/record.ts';
import { advance, checkNames, type OpenCapture, openCapture, reportDamage } from './captures.ts';
import { EXIT } from './failure.ts';

interface Source {
  readonly capture: OpenCapture;
  /** The time that the record counts as: it never steps back, and a record without time takes the one before. */
  seconds: number;
  nanoseconds: number;
}

/** Several captures as one, in the order of time; ties go in the order of the arguments. */
export class MergedCaptures {
  readonly #sources: Source[] = [];
  #last: Source | null = null;
  #exitCode: number = EXIT.ok;
  #bytesDone = 0;
  #totalBytes: number | null = 0;

  /** @throws Failure with exit code 2 for a file that cannot be read or is no capture */
  static async open(paths: readonly string[]): Promise<MergedCaptures> {
    checkNames(paths);
    const merged = new MergedCaptures();
    try {
      for (const path of paths) {
        const source = { capture: await openCapture(path), seconds: Number.NEGATIVE_INFINITY, nanoseconds: 0 };
        const { totalBytes } = source.capture.cursor;
        if (merged.#totalBytes !== null)
          merged.#totalBytes = totalBytes === null ? null : merged.#totalBytes + totalBytes;
        if (await merged.#move(source)) merged.#sources.push(source);
      }
    } catch (error) {
      await merged.close();
      throw error;
    }
    return merged;
  }

  async close(): Promise<void> {
    await Promise.all(this.#sources.map(({ capture }) => capture.cursor.close()));
  }

  /** 1 as soon as one of the captures has turned out to be damaged. */
  get exitCode(): number {
    return this.#exitCode;
  }

  get bytesRead(): number {
    return this.#sources.reduce((sum, { capture }) => sum + capture.cursor.bytesRead, this.#bytesDone);
  }

  /** Null where a size is not known beforehand. */
  get totalBytes(): number | null {
    return this.#totalBytes;
  }

  /** @returns the next record, null at the end; a promise only where bytes must be read */
  next(): CaptureRecord | null | Promise<CaptureRecord | null> {
    if (this.#last === null) return this.#earliest();
    const moved = this.#move(this.#last);
    if (typeof moved === 'boolean') return this.#after(moved);
    return moved.then((there) => this.#after(there));
  }

  #after(moved: boolean): CaptureRecord | null {
    if (!moved) this.#sources.splice(this.#sources.indexOf(this.#last!), 1);
    return this.#earliest();
  }

  #earliest(): CaptureRecord | null {
    let best: Source | null = null;
    for (const source of this.#sources) if (best === null || isBefore(source, best)) best = source;
    this.#last = best;
    return best === null ? null : best.capture.cursor.record;
  }

  #move(source: Source): boolean | Promise<boolean> {
    const moved = advance(source.capture);
    return typeof moved === 'boolean' ? this.#moved(source, moved) : moved.then((there) => this.#moved(source, there));
  }

  #moved(source: Source, there: boolean): boolean {
    const { capture } = source;
    if (!there) {
      this.#exitCode = Math.max(this.#exitCode, reportDamage(capture));
      this.#bytesDone += capture.cursor.bytesRead;
      void capture.cursor.close();
      return false;
    }
    const { record } = capture.cursor;
    if (!record.hasTime) return true;
    const steps = record.seconds - source.seconds || record.nanoseconds - source.nanoseconds;
    if (steps > 0) {
      source.seconds = record.seconds;
      source.nanoseconds = record.nanoseconds;
    }
    return true;
  }
}

function isBefore(a: Source, b: Source): boolean {
  return a.seconds < b.seconds || (a.seconds === b.seconds && a.nanoseconds < b.nanoseconds);
}
