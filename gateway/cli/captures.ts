import { CaptureCursor } from '../../pcaps/cursor.ts';
import { CaptureFormatError, type CaptureRecord } from '../../pcaps/record.ts';
import { CaptureUnreadableError, STDIN } from '../../pcaps/source.ts';
import { EXIT, Failure } from './failure.ts';

/** A capture that a command reads, with its name for messages. */
export interface OpenCapture {
  readonly name: string;
  readonly cursor: CaptureCursor;
}

/** @throws Failure with exit code 2 if standard input is named twice */
export function checkNames(names: readonly string[]): void {
  if (names.filter((name) => name === STDIN).length > 1) throw new Failure('standard input can be read only once');
}

/** @throws Failure with exit code 2 for a file that cannot be opened */
export async function openCapture(name: string): Promise<OpenCapture> {
  try {
    return { name, cursor: await CaptureCursor.open(name) };
  } catch (error) {
    throw failureOf(error);
  }
}

/**
 * Moves to the next packet.
 * @returns false at the end, also at damage: ask `reportDamage`; a promise only where bytes must be read
 * @throws Failure with exit code 2 for what is no capture
 */
export function advance({ cursor }: OpenCapture): boolean | Promise<boolean> {
  try {
    const moved = cursor.advance();
    return typeof moved === 'boolean' ? moved : moved.catch((error) => abandon(cursor, error));
  } catch (error) {
    return abandon(cursor, error);
  }
}

async function abandon(cursor: CaptureCursor, error: unknown): Promise<never> {
  await cursor.close();
  throw failureOf(error);
}

/** Says on stderr where the capture is damaged. @returns the exit code: 0 for a whole capture */
export function reportDamage({ name, cursor }: OpenCapture): number {
  const { damage } = cursor;
  if (damage === null) return EXIT.ok;
  process.stderr.write(`holdfast: ${name}: damaged at byte ${damage.byteOffset}: ${damage.reason}\n`);
  return EXIT.no;
}

/** Bytes of the frame on the wire, without a frame check sequence. */
export function frameWireLength(record: CaptureRecord): number {
  return record.fcsLength === 0 ? record.wireLength : Math.max(0, record.wireLength - record.fcsLength);
}

/** Both kinds name the capture in their messages. */
function failureOf(error: unknown): unknown {
  const isKnown = error instanceof CaptureUnreadableError || error instanceof CaptureFormatError;
  return isKnown ? new Failure(error.message) : error;
}
