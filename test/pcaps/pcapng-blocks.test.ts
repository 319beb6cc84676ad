import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BLOCK } from '../../pcaps/pcapng.ts';
import { PcapngBlocks } from '../../pcaps/pcapng-blocks.ts';
import { statisticsIn } from '../../pcaps/pcapng-statistics.ts';
import { PcapngWriter } from '../../pcaps/pcapng-writer.ts';
import { runs, SEED } from '../support/runs.ts';

function fileOf(frames: readonly Uint8Array[], dropped: number): Buffer {
  const chunks: Uint8Array[] = [];
  const writer = new PcapngWriter((chunk) => chunks.push(chunk.slice()));
  writer.addInterface({ name: 'tap0' });
  for (const bytes of frames) writer.writePacket(0, 1, 2, bytes, 0, bytes.length, bytes.length, 'a comment');
  writer.writeStatistics(0, 3, 4, {
    received: frames.length,
    accepted: frames.length,
    dropped,
    written: frames.length,
  });
  writer.flush();
  return Buffer.concat(chunks);
}

describe('the blocks of a pcapng stream', () => {
  test('are the same wherever its pieces begin and end', () => {
    const frames = fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 8 });
    const cuts = fc.array(fc.nat(2000), { maxLength: 20 });
    fc.assert(
      fc.property(frames, cuts, fc.nat(2 ** 31), (packets, places, dropped) => {
        const file = fileOf(packets, dropped);
        const blocks = new PcapngBlocks();
        const seen: Buffer[] = [];
        const types: number[] = [];
        const at = [0, ...places.map((place) => Math.min(place, file.length)).sort((a, b) => a - b), file.length];
        for (let i = 1; i < at.length; i++) {
          const isFine = blocks.feed(file.subarray(at[i - 1], at[i]), (block, type) => {
            seen.push(Buffer.from(block));
            types.push(type);
          });
          expect(isFine).toBe(true);
        }
        expect(Buffer.concat(seen)).toEqual(file);
        const packetTypes = packets.map(() => BLOCK.enhancedPacket);
        expect(types).toEqual([
          BLOCK.sectionHeader,
          BLOCK.interfaceDescription,
          ...packetTypes,
          BLOCK.interfaceStatistics,
        ]);
        expect(statisticsIn(seen.at(-1)!)).toEqual({ dropped });
      }),
      { numRuns: runs(300), ...SEED },
    );
  });

  test.each([0, 8, 13])('of %i bytes are none: it is no pcapng', (length) => {
    const bytes = Buffer.alloc(16);
    bytes.writeUInt32LE(length, 4);
    expect(new PcapngBlocks().feed(bytes, () => {})).toBe(false);
  });

  test('that say nothing of lost frames have lost none', () => {
    const block = Buffer.alloc(24);
    expect(statisticsIn(block)).toEqual({ dropped: 0 });
  });
});
