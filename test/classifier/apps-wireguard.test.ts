import { describe, expect, it } from 'vitest';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { WIREGUARD_TYPES } from '../../rules/apps.ts';
import { TCP, times, wireguard } from '../support/app-samples.ts';
import { askApp, askCuts } from '../support/ask-app.ts';

const { initiation, response, cookie, data } = WIREGUARD_TYPES;

describe('app wireguard', () => {
  it.each([
    ['an initiation', initiation, 148],
    ['a response', response, 92],
    ['a cookie reply', cookie, 64],
  ])('takes %s at exactly its length', (_, type, length) => {
    const taken = Array.from({ length: 200 }, (_, i) => i).filter(
      (i) => askApp('wireguard', wireguard(type, i)) === type,
    );
    expect(taken).toEqual([length]);
  });

  it('takes data from 32 bytes on, in multiples of 16', () => {
    const taken = Array.from({ length: 100 }, (_, i) => i).filter(
      (i) => askApp('wireguard', wireguard(data, i)) === data,
    );
    expect(taken).toEqual([32, 48, 64, 80, 96]);
  });

  it.each([0, 5, 255])('refuses type %i', (type) => {
    for (const length of [32, 64, 92, 148]) expect(askApp('wireguard', wireguard(type, length))).toBe(ANSWER.no);
  });

  it.each([1, 2, 3])('wants reserved byte %i to be zero', (at) => {
    for (const [type, length] of [
      [initiation, 148],
      [data, 96],
    ] as const) {
      const bytes = wireguard(type, length);
      bytes[at] = 1;
      expect(askApp('wireguard', bytes)).toBe(ANSWER.no);
    }
  });

  it.each([14, 15])('wants byte %i, the top of the counter, to be zero in data only', (at) => {
    const bytes = wireguard(data, 96);
    bytes[at] = 1;
    expect(askApp('wireguard', bytes)).toBe(ANSWER.no);
    const other = wireguard(cookie, 64);
    other[at] = 1;
    expect(askApp('wireguard', other)).toBe(cookie);
  });

  it('goes by the UDP length, in padded frames and in first fragments', () => {
    expect(askApp('wireguard', [...wireguard(cookie, 64), 0, 0], { told: 64 })).toBe(cookie);
    expect(askApp('wireguard', wireguard(data, 1408), { told: 1472, isFirstFragment: true })).toBe(data);
    expect(askApp('wireguard', wireguard(data, 1408), { told: 1473, isFirstFragment: true })).toBe(ANSWER.no);
    expect(askApp('wireguard', wireguard(data, 8), { told: 96, isFirstFragment: true })).toBe(ANSWER.no);
  });

  it('says unknown until type and zeros were captured', () => {
    expect(askCuts('wireguard', wireguard(cookie, 64))).toEqual([...times(4, ANSWER.unknown), ...times(60, cookie)]);
    expect(askCuts('wireguard', wireguard(data, 32))).toEqual([...times(16, ANSWER.unknown), ...times(16, data)]);
    expect(askCuts('wireguard', wireguard(9, 64))).toEqual([ANSWER.unknown, ...times(63, ANSWER.no)]);
    expect(askCuts('wireguard', wireguard(cookie, 65))).toEqual([ANSWER.unknown, ...times(64, ANSWER.no)]);
    expect(askCuts('wireguard', [4, 0, 1, ...times(93)])).toEqual([
      ...times(3, ANSWER.unknown),
      ...times(93, ANSWER.no),
    ]);
  });

  it('is not asked of TCP', () => {
    expect(askApp('wireguard', wireguard(data, 96), TCP)).toBe(ANSWER.no);
  });
});
