import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Slab, slabOf } from '../../classifier/slab.ts';
import { readCapture } from '../../pcaps/cursor.ts';
import { LINKTYPE_ETHERNET } from '../../pcaps/record.ts';

const TRACES = fileURLToPath(new URL('../../pcaps/traces/', import.meta.url));

/** Frames in one block of memory, by index. */
export interface FrameSet {
  readonly slab: Slab;
  readonly count: number;
  readonly offset: Uint32Array;
  readonly length: Uint32Array;
  readonly wireLength: Uint32Array;
}

/** @returns every Ethernet frame of the project's own captures, file by file in the order of their names */
export async function traceFrames(): Promise<FrameSet> {
  const frames: { bytes: Uint8Array; wireLength: number }[] = [];
  for (const name of readdirSync(TRACES).sort()) {
    if (!/\.pcap(ng)?(\.gz)?$/.test(name)) continue;
    await readCapture(TRACES + name, (record) => {
      if (record.linkType !== LINKTYPE_ETHERNET) return;
      const bytes = record.bytes.slice(record.offset, record.offset + record.frameLength);
      frames.push({ bytes, wireLength: Math.max(bytes.length, record.wireLength - record.fcsLength) });
    });
  }
  const bytes = new Uint8Array(frames.reduce((sum, frame) => sum + frame.bytes.length, 0));
  const offset = new Uint32Array(frames.length);
  let end = 0;
  frames.forEach((frame, i) => {
    offset[i] = end;
    bytes.set(frame.bytes, end);
    end += frame.bytes.length;
  });
  return {
    slab: slabOf(bytes),
    count: frames.length,
    offset,
    length: Uint32Array.from(frames, (frame) => frame.bytes.length),
    wireLength: Uint32Array.from(frames, (frame) => frame.wireLength),
  };
}
