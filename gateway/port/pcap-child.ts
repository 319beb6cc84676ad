/**
 * The process that has npm's `cap` loaded, which aborts its process when the device goes down: frames of the device go to the
 * stream socket, those of the stream go to the device. Arguments: the device, the socket's path.
 */
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { libc, NativeMemory } from './libc.ts';
import { StreamInput } from './stream-buffers.ts';

/** The parts of `cap` that are used; it has no types. */
interface CapModule {
  readonly Cap: new () => {
    open(device: string, filter: string, bufferBytes: number, buffer: Buffer): string;
    send(frame: Buffer, length: number): void;
    on(event: 'packet', listener: (length: number, isCut: boolean) => void): void;
  };
}

/** What the parent is told beside the frames. */
export interface PcapReport {
  /** Frames that could not be handed to the parent. */
  readonly lost?: number;
  /** Frames that the device did not take: longer than its MTU, or for another reason. */
  readonly tooLong?: number;
  readonly invalid?: number;
  /** Why it ends. */
  readonly failed?: string;
}

const DESCRIPTORS = '/proc/self/fd';
const SOL_PACKET = 263;
const PACKET = { statistics: 6, ignoreOutgoing: 23 } as const;
const REPORT_MS = 10;
const LONGEST_FRAME = 65_535;
const LENGTH_BYTES = 4;
const KERNEL_BUFFER_BYTES = 128 * 2 ** 20;
const BATCH_BYTES = 2 ** 18;
/** What may wait for the parent. */
const WAITING_BYTES = 8 * 2 ** 20;
const INPUT_BYTES = 2 ** 21;

const [device, path] = process.argv.slice(2);
const counts = { lost: 0, tooLong: 0, invalid: 0 };
let batch = Buffer.allocUnsafe(BATCH_BYTES);
let filled = 0;

function fail(error: unknown): void {
  const failed = error instanceof Error ? error.message : String(error);
  process.send?.({ failed } satisfies PcapReport, () => process.exit(1));
}

function report(): void {
  if (counts.lost + counts.tooLong + counts.invalid === 0) return;
  process.send?.({ ...counts } satisfies PcapReport);
  counts.lost = 0;
  counts.tooLong = 0;
  counts.invalid = 0;
}

/**
 * Finds libpcap's packet socket, which `cap` does not name, and has it leave out what this host itself sends: libpcap's filter
 * `inbound` drops the first frame that comes, too.
 * @returns a function that returns how many frames the kernel had no room for since it was called last
 */
function packetStatistics(descriptors: readonly number[]): () => number {
  const c = libc();
  const { view, address } = new NativeMemory(16);
  view.setUint32(0, 1, true);
  const isPacketSocket = (fd: number) => c.setsockopt(fd, SOL_PACKET, PACKET.ignoreOutgoing, address, 4) === 0;
  const fd = descriptors.find(isPacketSocket);
  if (fd === undefined) throw new Error('libpcap captures with something else than a packet socket');
  return () => {
    view.setUint32(8, 8, true);
    // struct tpacket_stats; reading sets it back to 0.
    return c.getsockopt(fd, SOL_PACKET, PACKET.statistics, address, address + 8) < 0 ? 0 : view.getUint32(4, true);
  };
}

function run(): void {
  const { Cap } = createRequire(import.meta.url)('cap') as CapModule;
  const cap = new Cap();
  const frame = Buffer.alloc(LONGEST_FRAME);
  const outgoing = Buffer.alloc(INPUT_BYTES);
  const outgoingView = new DataView(outgoing.buffer, outgoing.byteOffset, outgoing.length);
  const input = new StreamInput(INPUT_BYTES);
  const before = new Set(readdirSync(DESCRIPTORS));
  const linkType = cap.open(device!, '', KERNEL_BUFFER_BYTES, frame);
  const opened = readdirSync(DESCRIPTORS).filter((fd) => !before.has(fd));
  const statistics = packetStatistics(opened.map(Number));
  if (linkType !== 'ETHERNET') throw new Error(`${device} is not an Ethernet device but ${linkType}`);
  // The link is up when the parent hears of this: frames are captured by then.
  const socket = connect(path!);

  const flush = () => {
    if (filled === 0) return;
    socket.write(batch.subarray(0, filled));
    batch = Buffer.allocUnsafe(BATCH_BYTES);
    filled = 0;
  };
  const fromDevice = (length: number, isCut: boolean) => {
    if (isCut || socket.writableLength > WAITING_BYTES) {
      counts.lost++;
      return;
    }
    if (filled + LENGTH_BYTES + length > BATCH_BYTES) flush();
    // After all that is there now.
    if (filled === 0) setImmediate(flush);
    batch.writeUInt32BE(length, filled);
    frame.copy(batch, filled + LENGTH_BYTES, 0, length);
    filled += LENGTH_BYTES + length;
  };
  const toDevice = (chunk: Buffer) => {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + input.room);
      input.add(part);
      at += part.length;
      for (let length = input.next(); length >= 0; length = input.next()) {
        input.take(length, outgoingView, 0, length);
        send(length);
      }
    }
  };
  const send = (length: number) => {
    try {
      cap.send(outgoing, length);
    } catch (error) {
      counts[/too long/i.test(String(error)) ? 'tooLong' : 'invalid']++;
    }
  };

  socket.on('data', toDevice);
  socket.on('error', fail);
  socket.on('close', () => process.exit(0));
  process.on('disconnect', () => process.exit(0));
  setInterval(() => {
    counts.lost += statistics();
    report();
  }, REPORT_MS);
  cap.on('packet', fromDevice);
}

try {
  run();
} catch (error) {
  fail(error);
}
