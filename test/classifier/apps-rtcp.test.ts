import { describe, expect, it } from 'vitest';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { joined, rtcp, TCP, times } from '../support/app-samples.ts';
import { askApp, askCuts } from '../support/ask-app.ts';

describe('app rtcp', () => {
  it('takes the packet types that are assigned, none of which is RTP', () => {
    const taken = Array.from({ length: 256 }, (_, type) => type).filter((type) => {
      const answer = askApp('rtcp', rtcp(0x80, type, 6));
      if (answer === ANSWER.yes) expect(askApp('rtp', rtcp(0x80, type, 6))).toBe(ANSWER.no);
      return answer === ANSWER.yes;
    });
    expect(taken).toEqual([192, 193, 194, 195, ...Array.from({ length: 14 }, (_, i) => 200 + i)]);
  });

  it('takes version 2 only, and l4Ports from 1024 on at both ends', () => {
    for (const version of [0, 1, 3]) expect(askApp('rtcp', rtcp(version << 6, 201, 1))).toBe(ANSWER.no);
    expect(askApp('rtcp', rtcp(0x80, 201, 1), { ports: [1024, 1024] })).toBe(ANSWER.yes);
    expect(askApp('rtcp', rtcp(0x80, 201, 1), { ports: [1023, 1024] })).toBe(ANSWER.no);
    expect(askApp('rtcp', rtcp(0x80, 201, 1), { ports: [1024, 1023] })).toBe(ANSWER.no);
  });

  it.each([
    ['a sender report', 200, 0, 6],
    ['a sender report of two blocks', 200, 2, 18],
    ['a receiver report', 201, 0, 1],
    ['a receiver report of 31 blocks', 201, 31, 187],
    ['a BYE of no source', 203, 0, 0],
    ['a BYE of two sources', 203, 2, 2],
    ['transport feedback', 205, 15, 2],
    ['payload feedback', 206, 1, 2],
    ['an extended report', 207, 0, 0],
    ['a source description', 202, 1, 0],
  ])('wants %s to hold what it counts', (_, type, count, words) => {
    expect(askApp('rtcp', rtcp(0x80 | count, type, words))).toBe(ANSWER.yes);
    if (words > 0) expect(askApp('rtcp', rtcp(0x80 | count, type, words - 1))).toBe(ANSWER.no);
  });

  it('wants the first packet to fit', () => {
    expect(askApp('rtcp', rtcp(0x80, 201, 3).slice(0, -1))).toBe(ANSWER.no);
    expect(askApp('rtcp', [0x80, 203, 0])).toBe(ANSWER.no);
  });

  it('wants behind it nothing, another header, or what SRTCP adds', () => {
    const report = rtcp(0x80, 201, 1);
    const taken = Array.from({ length: 16 }, (_, i) => i).filter(
      (i) => askApp('rtcp', joined(report, times(i, 0x55))) === ANSWER.yes,
    );
    expect(taken).toEqual([0, 8, 9, 10, 11, 12, 13, 14, 15]);
    expect(askApp('rtcp', joined(report, [0x80, 203, 0, 0]))).toBe(ANSWER.yes);
    expect(askApp('rtcp', joined(report, [0x40, 203, 0, 0]))).toBe(ANSWER.no);
    expect(askApp('rtcp', joined(report, [0x80, 100, 0, 0]))).toBe(ANSWER.no);
  });

  it('says unknown until the headers were captured', () => {
    const report = rtcp(0x80, 201, 1);
    expect(askCuts('rtcp', report)).toEqual([...times(4, ANSWER.unknown), ...times(4, ANSWER.yes)]);
    expect(askCuts('rtcp', rtcp(0x40, 201, 1))).toEqual([ANSWER.unknown, ...times(7, ANSWER.no)]);
    expect(askCuts('rtcp', rtcp(0x80, 199, 1))).toEqual([...times(2, ANSWER.unknown), ...times(6, ANSWER.no)]);
    expect(askCuts('rtcp', rtcp(0x81, 201, 1))).toEqual([...times(4, ANSWER.unknown), ...times(4, ANSWER.no)]);
    const compound = joined(report, [0x80, 203, 0, 0]);
    expect(askCuts('rtcp', compound)).toEqual([...times(10, ANSWER.unknown), ...times(2, ANSWER.yes)]);
  });

  it('is not asked of TCP', () => {
    expect(askApp('rtcp', rtcp(0x80, 201, 1), TCP)).toBe(ANSWER.no);
  });
});
