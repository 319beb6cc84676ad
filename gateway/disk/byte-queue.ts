/** Bytes that have arrived and are not used yet. */
export class ByteQueue {
  #chunks: Buffer[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** The first `count` bytes as they arrived, without a copy. There must be as many. */
  takeChunks(count: number): Buffer[] {
    const taken: Buffer[] = [];
    let left = count;
    let used = 0;
    while (left > 0) {
      const chunk = this.#chunks[used]!;
      if (chunk.length > left) {
        taken.push(chunk.subarray(0, left));
        this.#chunks[used] = chunk.subarray(left);
        break;
      }
      taken.push(chunk);
      left -= chunk.length;
      used++;
    }
    this.#chunks.splice(0, used);
    this.#length -= count;
    return taken;
  }

  /** The first `count` bytes in one piece. There must be as many. */
  take(count: number): Buffer {
    const chunks = this.takeChunks(count);
    return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  }
}
