/** A block of memory that frames lie in, seen two ways: `view` to read numbers, `bytes` to move memory. */
export interface Slab {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** @returns both views of the same memory */
export function slabOf(bytes: Uint8Array): Slab {
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
}
