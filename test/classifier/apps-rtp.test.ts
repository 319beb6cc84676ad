import { describe, expect, it } from 'vitest';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { L4 } from '../../classifier/parsed.ts';
import { askApp } from '../support/ask-app.ts';

/** An RTP packet: first byte, second byte, the rest of the fixed header, then `more`. */
function rtp(first: number, second: number, more: readonly number[]): number[] {
  return [first, second, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4, ...more];
}

describe('app rtp', () => {
  it('takes exactly the assigned and the dynamic payload types, with the marker and without', () => {
    const taken = Array.from({ length: 128 }, (_, type) => type).filter((type) => {
      const plain = askApp('rtp', rtp(0x80, type, [9]));
      expect(askApp('rtp', rtp(0x80, type | 0x80, [9]))).toBe(plain);
      return plain === ANSWER.yes;
    });
    const assigned = [0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 25, 26, 28, 31, 32, 33, 34];
    expect(taken).toEqual([...assigned, ...Array.from({ length: 32 }, (_, i) => 96 + i)]);
  });

  it('takes version 2 only', () => {
    for (const version of [0, 1, 3]) expect(askApp('rtp', rtp(version << 6, 0, [9]))).toBe(ANSWER.no);
  });

  it('takes l4Ports from 1024 on, at both ends', () => {
    expect(askApp('rtp', rtp(0x80, 0, [9]), { ports: [1024, 1024] })).toBe(ANSWER.yes);
    expect(askApp('rtp', rtp(0x80, 0, [9]), { ports: [1023, 1024] })).toBe(ANSWER.no);
    expect(askApp('rtp', rtp(0x80, 0, [9]), { ports: [1024, 1023] })).toBe(ANSWER.no);
  });

  it('is not asked of other transports', () => {
    expect(askApp('rtp', rtp(0x80, 0, [9]), { l4: L4.tcp })).toBe(ANSWER.no);
  });

  it('wants something after the header', () => {
    expect(askApp('rtp', rtp(0x80, 0, []))).toBe(ANSWER.no);
    expect(askApp('rtp', rtp(0x82, 0, Array(8).fill(1)))).toBe(ANSWER.no);
    expect(askApp('rtp', rtp(0x82, 0, Array(9).fill(1)))).toBe(ANSWER.yes);
  });

  it('wants the extension to fit', () => {
    expect(askApp('rtp', rtp(0x90, 0, [0xbe, 0xde, 0, 1, 1, 1, 1, 1]))).toBe(ANSWER.no);
    expect(askApp('rtp', rtp(0x90, 0, [0xbe, 0xde, 0, 1, 1, 1, 1, 1, 9]))).toBe(ANSWER.yes);
    expect(askApp('rtp', rtp(0x90, 0, [0xbe, 0xde, 0]))).toBe(ANSWER.no);
  });

  it('wants the padding to fit and to count itself', () => {
    expect(askApp('rtp', rtp(0xa0, 0, [9, 0, 0, 3]))).toBe(ANSWER.yes);
    expect(askApp('rtp', rtp(0xa0, 0, [0, 0, 0, 4]))).toBe(ANSWER.yes);
    expect(askApp('rtp', rtp(0xa0, 0, [0, 0, 0, 5]))).toBe(ANSWER.no);
    expect(askApp('rtp', rtp(0xa0, 0, [0, 0, 0, 0]))).toBe(ANSWER.no);
  });

  it('says unknown where the capture lacks the bytes that decide', () => {
    const padded = rtp(0xb0, 0, [0xbe, 0xde, 0, 0, 9, 9, 9, 1]);
    for (let captured = 0; captured < padded.length; captured++) {
      expect(askApp('rtp', padded, { captured })).toBe(ANSWER.unknown);
    }
    expect(askApp('rtp', padded)).toBe(ANSWER.yes);
    expect(askApp('rtp', rtp(0x80, 0, [9, 9]), { captured: 2 })).toBe(ANSWER.yes);
    expect(askApp('rtp', rtp(0x80, 72, [9, 9]), { captured: 2 })).toBe(ANSWER.no);
  });
});
