/** One packet of a pcapng file that Holdfast wrote, read without Holdfast's reader. */
export interface CommentedPacket {
  /** Nanoseconds since 1970. */
  readonly ns: bigint;
  readonly bytes: Buffer;
  readonly wireLength: number;
  readonly comment: string;
}

const ENHANCED_PACKET = 6;
const COMMENT = 1;

/** @param file little endian, one section, nanoseconds, a comment as first option of every packet */
export function commentedPackets(file: Buffer): CommentedPacket[] {
  const packets: CommentedPacket[] = [];
  for (let at = 0; at < file.length; at += file.readUInt32LE(at + 4)) {
    if (file.readUInt32LE(at) !== ENHANCED_PACKET) continue;
    const captured = file.readUInt32LE(at + 20);
    const options = at + 28 + captured + (-captured & 3);
    if (file.readUInt16LE(options) !== COMMENT) throw new Error(`the packet block at ${at} has no comment`);
    packets.push({
      ns: (BigInt(file.readUInt32LE(at + 12)) << 32n) | BigInt(file.readUInt32LE(at + 16)),
      bytes: Buffer.from(file.subarray(at + 28, at + 28 + captured)),
      wireLength: file.readUInt32LE(at + 24),
      comment: file.toString('utf8', options + 4, options + 4 + file.readUInt16LE(options + 2)),
    });
  }
  return packets;
}
