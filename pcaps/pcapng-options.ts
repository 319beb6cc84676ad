/** Bytes of an option's code and length. */
const OPTION_HEADER = 4;

/** opt_endofopt (draft-ietf-opsawg-pcapng §3.5). */
const END_OF_OPTIONS = 0;

/** What `optionAt` returns instead of an offset. */
export const NO_OPTION = -1;
export const BAD_OPTION = -2;

/**
 * Walks a list of pcapng options.
 * @param at offset of an option, or of the end of the list
 * @param end offset behind the list
 * @returns `at` if a whole option begins there, NO_OPTION at the end of the list, BAD_OPTION if the option leaves it
 */
export function optionAt(view: DataView, at: number, end: number, littleEndian: boolean): number {
  if (at + OPTION_HEADER > end) return NO_OPTION;
  if (view.getUint16(at, littleEndian) === END_OF_OPTIONS) return NO_OPTION;
  return at + OPTION_HEADER + view.getUint16(at + 2, littleEndian) > end ? BAD_OPTION : at;
}

/** @returns the offset behind the option at `at`, whose value is padded to 32 bits */
export function afterOption(view: DataView, at: number, littleEndian: boolean): number {
  return at + OPTION_HEADER + ((view.getUint16(at + 2, littleEndian) + 3) & ~3);
}
