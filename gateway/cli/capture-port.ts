import { createWriteStream, openSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { BLOCK } from '../../pcaps/pcapng.ts';
import { PcapngBlocks } from '../../pcaps/pcapng-blocks.ts';
import { statisticsIn } from '../../pcaps/pcapng-statistics.ts';
import type { ParamsOf } from '../host/api.ts';
import { type OpenCapture, openCapture } from '../host/capture-client.ts';
import { addressText } from '../host/connect.ts';
import type { ControlOptions } from './control-option.ts';
import { EXIT, Failure } from './failure.ts';
import { grouped } from './table.ts';
import { failureOf, gatewayAddress } from './with-host.ts';

const NS_PER_MS = 1e6;
const STDOUT = 1;
/** How long what is on its way may take once the end was asked for. */
const LAST_MS = 5000;

export interface CaptureOptions extends ControlOptions {
  readonly vm?: string;
  readonly side?: 'inside' | 'outside';
  readonly write?: string;
  readonly snaplen?: number;
  readonly count?: number;
  /** Nanoseconds. */
  readonly duration?: number;
  readonly match?: string;
}

interface Summary {
  /** That were written. */
  frames: number;
  /** That the gateway had no room for; null: it did not say. */
  dropped: number | null;
}

/** @returns the exit code. @throws Failure */
export async function capturePort(port: string | null, options: CaptureOptions): Promise<number> {
  const address = gatewayAddress(options);
  try {
    const capture = await openCapture(address, paramsOf(port, options));
    const { socket } = capture;
    try {
      const { summary, isEnded } = await copied(capture, opened(options.write), options);
      tell(summary, options);
      if (!isEnded) throw new Failure('the gateway ended the capture', EXIT.no);
      return EXIT.ok;
    } finally {
      socket.destroy();
    }
  } catch (error) {
    throw failureOf(error, addressText(address), options.json === true && options.write !== undefined);
  }
}

function paramsOf(port: string | null, { vm, side, snaplen, match }: CaptureOptions): ParamsOf<'capture.start'> {
  return {
    ...(port === null ? {} : { port }),
    ...(vm === undefined ? {} : { vm }),
    ...(side === undefined ? {} : { side }),
    ...(snaplen === undefined ? {} : { snapLen: snaplen }),
    ...(match === undefined ? {} : { match }),
  };
}

/** @returns when all has been written; `isEnded`: because somebody wanted it to end. @throws Failure */
async function copied(
  { socket, end: askForEnd }: OpenCapture,
  out: Writable,
  { count = Number.POSITIVE_INFINITY, duration }: CaptureOptions,
): Promise<{ readonly summary: Summary; readonly isEnded: boolean }> {
  const summary: Summary = { frames: 0, dropped: null };
  const blocks = new PcapngBlocks();
  const timers: NodeJS.Timeout[] = [];
  let isEnded = false;
  const end = () => {
    // The second Ctrl-C is meant.
    if (isEnded) socket.destroy();
    isEnded = true;
    askForEnd();
    timers.push(setTimeout(() => socket.destroy(), LAST_MS));
  };
  if (duration !== undefined) timers.push(setTimeout(end, duration / NS_PER_MS));
  process.on('SIGINT', end).on('SIGTERM', end);
  const failed = new Promise<never>((_, reject) => {
    out.once('error', (error: NodeJS.ErrnoException) => {
      // The reader has seen enough.
      if (error.code === 'EPIPE') process.exit(EXIT.ok);
      reject(new Failure(`cannot write: ${error.message}`));
    });
  });
  out.on('drain', () => socket.resume());
  socket.on('end', () => socket.end());
  socket.on('data', (chunk: Buffer) => {
    const isCapture = blocks.feed(chunk, (block, type) => {
      if (type === BLOCK.interfaceStatistics) summary.dropped = (summary.dropped ?? 0) + statisticsIn(block).dropped;
      if (type === BLOCK.enhancedPacket && summary.frames++ >= count) {
        summary.frames--;
        return;
      }
      if (!out.write(block)) socket.pause();
    });
    if (!isCapture) socket.destroy();
    if (summary.frames >= count && !isEnded) end();
  });
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.resume();
  try {
    await Promise.race([closed, failed]);
  } finally {
    socket.destroy();
    // From here on a signal ends the process, also one whose reader is stuck.
    process.off('SIGINT', end).off('SIGTERM', end);
    for (const timer of timers) clearTimeout(timer);
  }
  await Promise.race([new Promise((resolve) => out.end(resolve)), failed]);
  return { summary, isEnded };
}

function tell({ frames, dropped }: Summary, { json, write }: CaptureOptions): void {
  const isFree = write !== undefined;
  if (json === true) {
    const line = `${JSON.stringify({ frames, dropped })}\n`;
    if (isFree) process.stdout.write(line);
    else process.stderr.write(line);
    return;
  }
  const lost = dropped === null ? '' : `, ${grouped(dropped)} lost because they were read too slowly`;
  process.stderr.write(`${grouped(frames)} frame${frames === 1 ? '' : 's'} captured${lost}\n`);
}

/** @param path undefined: standard output. @throws Failure */
function opened(path: string | undefined): Writable {
  // Not process.stdout: writing to a pipe that nobody reads would block the process, and its signals with it.
  if (path === undefined) return createWriteStream('', { fd: STDOUT, autoClose: false });
  try {
    return createWriteStream('', { fd: openSync(path, 'w') });
  } catch (error) {
    throw new Failure(`cannot write ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
