import { afterOption, optionAt } from './pcapng-options.ts';

/** isb_ifdrop (draft-ietf-opsawg-pcapng §4.6). */
const DROPPED = 5;

/** @returns what a whole, little-endian Interface Statistics Block says of frames that were lost; 0 if it does not */
export function statisticsIn(block: Buffer): { readonly dropped: number } {
  const view = new DataView(block.buffer, block.byteOffset, block.length);
  const end = block.length - 4;
  let at = optionAt(view, 20, end, true);
  while (at >= 0) {
    if (view.getUint16(at, true) === DROPPED && view.getUint16(at + 2, true) === 8) {
      return { dropped: Number(view.getBigUint64(at + 4, true)) };
    }
    at = optionAt(view, afterOption(view, at, true), end, true);
  }
  return { dropped: 0 };
}
