import { afterOption, BAD_OPTION, optionAt } from './pcapng-options.ts';
import { TimeBase } from './time-base.ts';

const OPTION = { timeResolution: 9, fcsLength: 13, timeOffset: 14 } as const;

/** The resolution of an interface that names none: 10^-6 s. */
const MICROSECONDS = 6;

/** What a pcapng section says about one of its interfaces. */
export interface CaptureInterface {
  readonly linkType: number;
  /** 0 is no limit. */
  readonly snapLength: number;
  /** Bytes of frame check sequence at the end of each packet. */
  readonly fcsLength: number;
  readonly time: TimeBase;
}

/**
 * Reads an Interface Description Block (draft-ietf-opsawg-pcapng §4.2) that is there as a whole.
 * @param start offset of the block's type
 * @param end offset of its trailing length
 * @returns null if an option leaves the block
 */
export function describedInterface(
  view: DataView,
  start: number,
  end: number,
  littleEndian: boolean,
): CaptureInterface | null {
  let resolution = MICROSECONDS;
  let offsetSeconds = 0;
  let fcsLength = 0;
  let at = optionAt(view, start + 16, end, littleEndian);
  while (at >= 0) {
    const code = view.getUint16(at, littleEndian);
    const length = view.getUint16(at + 2, littleEndian);
    if (code === OPTION.timeResolution && length >= 1) resolution = view.getUint8(at + 4);
    if (code === OPTION.fcsLength && length >= 1) fcsLength = fcsBytes(view.getUint8(at + 4));
    if (code === OPTION.timeOffset && length >= 8) offsetSeconds = Number(view.getBigInt64(at + 4, littleEndian));
    at = optionAt(view, afterOption(view, at, littleEndian), end, littleEndian);
  }
  if (at === BAD_OPTION) return null;
  return {
    linkType: view.getUint16(start + 8, littleEndian),
    snapLength: view.getUint32(start + 12, littleEndian),
    fcsLength,
    time: new TimeBase(resolution, offsetSeconds),
  };
}

/** The draft counts if_fcslen in bits, many writers in octets; no frame check sequence has under 8 bits or over 7 octets. */
function fcsBytes(value: number): number {
  return value < 8 ? value : value >>> 3;
}
