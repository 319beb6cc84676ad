import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PcapWriter } from '../../pcaps/pcap-writer.ts';
import type { FrameSet } from './frames.ts';

/** 2026-01-01. */
const FIRST_SECOND = 1_767_225_600;
/** 50,000 frames a second: an epoch of 100 ms has some thousands to hold. */
const GAP_NS = 20_000;

export interface BenchCapture {
  readonly path: string;
  readonly frames: number;
  readonly bytes: number;
  remove(): void;
}

/** Writes a classic pcap in a folder of its own: the frames again and again, their times `GAP_NS` apart. */
export function writeBenchCapture(set: FrameSet, frames: number): BenchCapture {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
  const path = join(folder, 'bench.pcap');
  const fd = openSync(path, 'w');
  let bytes = 0;
  const writer = new PcapWriter((chunk) => {
    for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
    bytes += chunk.length;
  });
  for (let i = 0; i < frames; i++) {
    const ns = i * GAP_NS;
    const seconds = Math.floor(ns / 1e9);
    const from = i % set.count;
    writer.writePacket(
      FIRST_SECOND + seconds,
      ns - seconds * 1e9,
      set.slab.bytes,
      set.offset[from]!,
      set.length[from]!,
      set.wireLength[from]!,
    );
  }
  writer.flush();
  closeSync(fd);
  return { path, frames, bytes, remove: () => rmSync(folder, { recursive: true }) };
}
