/**
 * The Internet checksum's sum (RFC 1071) of `length` bytes, as if they began at an even place of what is summed.
 * @param sum what was summed before
 * @returns a sum that is not folded yet
 */
export function onesSum(view: DataView, offset: number, length: number, sum: number): number {
  let at = offset;
  const end = offset + length;
  let total = sum;
  for (const last = end - 15; at < last; at += 16) {
    const a = view.getUint32(at);
    const b = view.getUint32(at + 4);
    const c = view.getUint32(at + 8);
    const d = view.getUint32(at + 12);
    total += (a >>> 16) + (a & 0xffff) + (b >>> 16) + (b & 0xffff);
    total += (c >>> 16) + (c & 0xffff) + (d >>> 16) + (d & 0xffff);
  }
  for (; at + 1 < end; at += 2) total += view.getUint16(at);
  if (at < end) total += view.getUint8(at) << 8;
  return total;
}

/** @returns the checksum of a sum: folded to 16 bits and inverted */
export function foldSum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x1_0000) + Math.floor(folded / 0x1_0000);
  return ~folded & 0xffff;
}

/**
 * Finishes a checksum whose field holds the pseudo-header's sum, as a stack leaves it to hardware: writes the checksum from
 * `start` to `end` into the field.
 * @param field bytes from the slab's start, within `start..end`
 */
export function finishChecksum(view: DataView, start: number, end: number, field: number): void {
  const checksum = foldSum(onesSum(view, start, end - start, 0));
  // 0 would say that there is no checksum (RFC 768); its other form sums to the same in every protocol.
  view.setUint16(field, checksum === 0 ? 0xffff : checksum);
}

/** CRC-32C, reflected: polynomial 0x1edc6f41 (RFC 9260, appendix A). */
const CRC32C = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** Writes SCTP's checksum over `start..end` into its field, 8 bytes behind `start`; what the field holds counts as 0. */
export function finishSctpChecksum(view: DataView, start: number, end: number): void {
  view.setUint32(start + 8, 0);
  let crc = 0xffffffff;
  for (let at = start; at < end; at++) crc = (crc >>> 8) ^ CRC32C[(crc ^ view.getUint8(at)) & 0xff]!;
  // Least significant byte first.
  view.setUint32(start + 8, ~crc >>> 0, true);
}
