const HEADER_BYTES = 8;
/** Type, length twice. */
const MIN_BLOCK_BYTES = 12;

/** Cuts a stream of little-endian pcapng into its blocks, wherever its pieces begin and end. */
export class PcapngBlocks {
  #rest: Buffer = Buffer.alloc(0);

  /**
   * @param chunk the next bytes of the stream
   * @param visit gets each block that is whole, with its type; its memory is the chunk's, or a copy
   * @returns false if this is no pcapng: nothing more can be read
   */
  feed(chunk: Buffer, visit: (block: Buffer, type: number) => void): boolean {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= HEADER_BYTES) {
      const length = bytes.readUInt32LE(at + 4);
      if (length < MIN_BLOCK_BYTES || length % 4 !== 0) return false;
      if (bytes.length - at < length) break;
      visit(bytes.subarray(at, at + length), bytes.readUInt32LE(at));
      at += length;
    }
    this.#rest = bytes.subarray(at);
    return true;
  }
}
