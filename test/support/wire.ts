import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CaptureReader } from '../../pcaps/reader.ts';
import { CaptureRecord } from '../../pcaps/record.ts';
import { type Netns, type Program, until } from './netns.ts';

/** A program that is starved of its processor by others. */
const SLOW_MS = 60_000;

export interface SeenFrame {
  /** Seconds since 1970, as the kernel stamped it. */
  readonly time: number;
  readonly bytes: Uint8Array;
  readonly hash: string;
}

/** What an independent program sees on a device: tcpdump, in one direction. */
export class Wire {
  readonly #program: Program;
  readonly #folder: string;
  readonly #file: string;

  private constructor(program: Program, folder: string, file: string) {
    this.#program = program;
    this.#folder = folder;
    this.#file = file;
  }

  /** @param direction `out`: what the namespace sends, `in`: what comes to it */
  static async tap(netns: Netns, device: string, direction: 'in' | 'out'): Promise<Wire> {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-wire-'));
    const file = join(folder, 'wire.pcap');
    const flags = ['-Z', 'root', '-U', '-n', '-B', '65536', '-s', '0', '--immediate-mode', '-Q', direction];
    const program = netns.start('tcpdump', ...flags, '-i', device, '-w', file);
    await program.says('listening on');
    return new Wire(program, folder, file);
  }

  /** Ends the recording. @throws if tcpdump itself has lost frames */
  async frames(): Promise<SeenFrame[]> {
    const said = await endOf(this.#program);
    if (!/\b0 packets dropped by kernel/.test(said)) throw new Error(`tcpdump lost frames: ${said}`);
    const reader = new CaptureReader();
    reader.feed(readFileSync(this.#file));
    reader.end();
    const frames: SeenFrame[] = [];
    const record = new CaptureRecord();
    while (reader.next(record)) {
      const bytes = record.bytes.slice(record.offset, record.offset + record.frameLength);
      const hash = createHash('sha1').update(bytes).digest('base64');
      frames.push({ time: record.seconds + record.nanoseconds / 1e9, bytes, hash });
    }
    rmSync(this.#folder, { recursive: true, force: true });
    return frames;
  }
}

/**
 * Ends tcpdump once it has seen what has come: told to end, it leaves what it has not read yet. It sleeps only where there is nothing to read.
 * @returns what it printed
 */
export async function endOf(tcpdump: Program): Promise<string> {
  const stat = `/proc/${tcpdump.child.pid}/stat`;
  const isAsleep = () => /\) S /.test(readFileSync(stat, 'latin1'));
  await until(isAsleep, 'tcpdump to have seen everything', SLOW_MS);
  return tcpdump.stop();
}
