import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import { Readable } from 'node:stream';

/** A packet as npm `pcap-parser` gives it; the package has no types of its own. */
interface ParsedPacket {
  readonly header: {
    readonly timestampSeconds: number;
    readonly timestampMicroseconds: number;
    readonly capturedLength: number;
    readonly originalLength: number;
  };
  readonly data: Uint8Array;
}

interface PcapParser {
  parse(input: Readable): EventEmitter;
}

const require = createRequire(import.meta.url);
const pcapParser = require('pcap-parser') as PcapParser;

/** What an independent reader of classic microsecond pcap makes of a capture. */
export interface IndependentReading {
  readonly packets: readonly ParsedPacket[];
  readonly linkLayerType: number | null;
  /** What it complained of; then `packets` is empty. */
  readonly error: string | null;
}

export function parseIndependently(capture: Uint8Array): Promise<IndependentReading> {
  return new Promise((resolve) => {
    const packets: ParsedPacket[] = [];
    let linkLayerType: number | null = null;
    const parser = pcapParser.parse(Readable.from([Buffer.from(capture)]));
    parser.on('globalHeader', (header: { readonly linkLayerType: number }) => {
      linkLayerType = header.linkLayerType;
    });
    parser.on('packet', (packet: ParsedPacket) => packets.push(packet));
    parser.on('error', (error: Error) => resolve({ packets: [], linkLayerType, error: error.message }));
    parser.on('end', () => resolve({ packets, linkLayerType, error: null }));
  });
}
