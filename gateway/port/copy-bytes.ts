/** Copies between two blocks of memory without allocating: `TypedArray.set` would need a subarray for every frame. */
export function copyBytes(from: DataView, fromOffset: number, to: DataView, toOffset: number, length: number): void {
  let i = 0;
  // The processor's own byte order, here and there: the other one would turn each word round twice.
  for (const last = length - 15; i < last; i += 16) {
    to.setInt32(toOffset + i, from.getInt32(fromOffset + i, true), true);
    to.setInt32(toOffset + i + 4, from.getInt32(fromOffset + i + 4, true), true);
    to.setInt32(toOffset + i + 8, from.getInt32(fromOffset + i + 8, true), true);
    to.setInt32(toOffset + i + 12, from.getInt32(fromOffset + i + 12, true), true);
  }
  for (; i < length; i++) to.setUint8(toOffset + i, from.getUint8(fromOffset + i));
}
