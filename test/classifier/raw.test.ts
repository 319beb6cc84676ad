import { describe, expect, test } from 'vitest';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { L3, Parsed } from '../../classifier/parsed.ts';
import { RAW_BASE, rawPresence, rawStart, readBits } from '../../classifier/raw.ts';

/** 30 bytes on the wire, 20 of them captured, with the network header at 14 and no transport header. */
function frameAt(offset: number): Parsed {
  const p = new Parsed();
  p.offset = offset;
  p.wireLength = 30;
  p.length = 20;
  p.l3 = L3.arp;
  p.networkOffset = offset + 14;
  p.l4Offset = -1;
  return p;
}

describe('bits of the frame', () => {
  test('are there as long as the frame was captured, wherever it lies', () => {
    for (const offset of [0, 1, 100]) {
      const p = frameAt(offset);
      expect(rawPresence(p, RAW_BASE.ll, 0, 1)).toBe(ANSWER.yes);
      expect(rawPresence(p, RAW_BASE.ll, 159, 1)).toBe(ANSWER.yes);
      expect(rawPresence(p, RAW_BASE.ll, 159, 2)).toBe(ANSWER.unknown);
      expect(rawPresence(p, RAW_BASE.ll, 232, 8)).toBe(ANSWER.unknown);
      expect(rawPresence(p, RAW_BASE.ll, 232, 9)).toBe(ANSWER.no);
      expect(rawPresence(p, RAW_BASE.nh, 47, 1)).toBe(ANSWER.yes);
      expect(rawPresence(p, RAW_BASE.nh, 48, 1)).toBe(ANSWER.unknown);
      expect(rawStart(p, RAW_BASE.ll)).toBe(offset);
      expect(rawStart(p, RAW_BASE.nh)).toBe(offset + 14);
    }
  });

  test('are not there behind a header that the frame lacks, and not known behind one that was not read', () => {
    const p = frameAt(0);
    expect(rawPresence(p, RAW_BASE.th, 0, 1)).toBe(ANSWER.no);
    p.l3 = L3.unknown;
    expect(rawPresence(p, RAW_BASE.th, 0, 1)).toBe(ANSWER.unknown);
    expect(rawPresence(p, RAW_BASE.nh, 0, 1)).toBe(ANSWER.yes);
    p.l3 = L3.ip4;
    p.l4Offset = 18;
    expect(rawPresence(p, RAW_BASE.th, 0, 16)).toBe(ANSWER.yes);
    expect(rawPresence(p, RAW_BASE.th, 0, 17)).toBe(ANSWER.unknown);
    expect(rawStart(p, RAW_BASE.th)).toBe(18);
  });

  test('are read from the most significant one on, at any place and of any number', () => {
    const bytes = Uint8Array.of(0xa5, 0x5a, 0xff, 0x00, 0x12, 0x34, 0x56, 0x78, 0x9a);
    const slab = new DataView(bytes.buffer);
    const digits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('');
    for (let start = 0; start < 3; start++) {
      for (let offset = 0; offset < 17; offset++) {
        for (let length = 1; length <= 32; length++) {
          const from = start * 8 + offset;
          const expected = Number.parseInt(digits.slice(from, from + length), 2);
          expect(readBits(slab, start, offset, length) >>> 0, `${length} bits at ${from}`).toBe(expected);
        }
      }
    }
  });
});
