/** Copies between two blocks of memory without allocating: `TypedArray.set` would need a subarray for every frame. */
export function copyBytes(from: DataView, fromOffset: number, to: DataView, toOffset: number, length: number): void {
  let i = 0;
  for (const last = length - 7; i < last; i += 8) {
    to.setInt32(toOffset + i, from.getInt32(fromOffset + i));
    to.setInt32(toOffset + i + 4, from.getInt32(fromOffset + i + 4));
  }
  for (; i < length; i++) to.setUint8(toOffset + i, from.getUint8(fromOffset + i));
}
