import type { Attachment } from './attachment.ts';
import type { ByteQueue } from './byte-queue.ts';
import type { DiskBarrier } from './disk-barrier.ts';
import { DiskError } from './disk-error.ts';
import { BLOCK_SIZE, COMMAND, COMMAND_FLAG, MAGIC, NBD_ERROR } from './nbd-protocol.ts';

export interface NbdRequest {
  readonly flags: number;
  readonly command: number;
  /** The client's; comes back in the reply. */
  readonly cookie: bigint;
  /** May be beyond any disk. */
  readonly from: number;
  readonly length: number;
}

export const REQUEST_BYTES = 28;
const REPLY_BYTES = 16;

/** Flags that a command may have besides FUA, which goes with every one. */
const FLAGS_OF: Readonly<Record<number, number>> = {
  [COMMAND.read]: 0,
  [COMMAND.write]: 0,
  [COMMAND.flush]: 0,
  [COMMAND.trim]: 0,
  [COMMAND.writeZeroes]: COMMAND_FLAG.noHole | COMMAND_FLAG.fastZero,
};

/** Takes a request's header; there must be as many bytes. @returns null where it is none: what follows cannot be understood either */
export function takeRequest(input: ByteQueue): NbdRequest | null {
  const head = input.take(REQUEST_BYTES);
  if (head.readUInt32BE(0) !== MAGIC.request) return null;
  return {
    flags: head.readUInt16BE(4),
    command: head.readUInt16BE(6),
    cookie: head.readBigUInt64BE(8),
    from: head.readUInt32BE(16) * 2 ** 32 + head.readUInt32BE(20),
    length: head.readUInt32BE(24),
  };
}

/** Bytes that a request makes the server keep: its payload, or that of its reply. */
export function costOf({ command, length }: NbdRequest): number {
  const carries = command === COMMAND.read || command === COMMAND.write;
  return carries && length <= BLOCK_SIZE.maximum ? length : 0;
}

/**
 * Carries out a request.
 * @param payload of a write
 * @returns the whole reply
 */
export async function carryOut(
  disk: DiskBarrier,
  who: Attachment,
  request: NbdRequest,
  payload: readonly Uint8Array[],
): Promise<Buffer> {
  const isRead = request.command === COMMAND.read;
  const error = problemOf(disk, request);
  if (error !== NBD_ERROR.none) return reply(request, error, 0);
  const bytes = reply(request, NBD_ERROR.none, isRead ? request.length : 0);
  try {
    if (isRead) await disk.read(bytes.subarray(REPLY_BYTES), request.from);
    else await change(disk, who, request, payload);
    return bytes;
  } catch (failure) {
    if (!(failure instanceof Error)) throw failure;
    return reply(request, errorOf(failure), 0);
  }
}

async function change(
  disk: DiskBarrier,
  who: Attachment,
  { command, flags, from, length }: NbdRequest,
  payload: readonly Uint8Array[],
): Promise<void> {
  if (command === COMMAND.write) await disk.write(from, payload, who);
  else if (command === COMMAND.trim) await disk.zero(from, length, true, who);
  else if (command === COMMAND.writeZeroes) await disk.zero(from, length, (flags & COMMAND_FLAG.noHole) === 0, who);
  if (command === COMMAND.flush || (flags & COMMAND_FLAG.fua) !== 0) await disk.flush();
}

function problemOf(disk: DiskBarrier, { command, flags, from, length }: NbdRequest): number {
  const allowed = FLAGS_OF[command];
  if (allowed === undefined || (flags & ~(allowed | COMMAND_FLAG.fua)) !== 0) return NBD_ERROR.invalid;
  if (command === COMMAND.flush) return from === 0 && length === 0 ? NBD_ERROR.none : NBD_ERROR.invalid;
  if (command === COMMAND.read && length > BLOCK_SIZE.maximum) return NBD_ERROR.invalid;
  if (from + length <= disk.sizeBytes) return NBD_ERROR.none;
  const isWrite = command === COMMAND.write || command === COMMAND.writeZeroes;
  return isWrite ? NBD_ERROR.noSpace : NBD_ERROR.invalid;
}

function errorOf(error: Error): number {
  if (!(error instanceof DiskError)) return NBD_ERROR.io;
  if (error.code === 'log-full') return NBD_ERROR.noSpace;
  if (error.code === 'out-of-range') return NBD_ERROR.invalid;
  return error.code === 'cut-off' || error.code === 'disk-closed' ? NBD_ERROR.shutdown : NBD_ERROR.io;
}

function reply({ cookie }: NbdRequest, error: number, dataBytes: number): Buffer {
  // Not from the pool: a small reply would keep a piece of it that others share.
  const bytes = Buffer.allocUnsafeSlow(REPLY_BYTES + dataBytes);
  bytes.writeUInt32BE(MAGIC.simpleReply, 0);
  bytes.writeUInt32BE(error, 4);
  bytes.writeBigUInt64BE(cookie, 8);
  return bytes;
}
