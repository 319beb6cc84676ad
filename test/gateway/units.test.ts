import { expect, test } from 'vitest';
import { parseDuration } from '../../gateway/units.ts';

test.each([
  ['250us', 250e3],
  ['2.5s', 2.5e9],
  ['30m', 1800e9],
  ['1h', 3600e9],
])('%s is so many nanoseconds', (text, ns) => {
  expect(parseDuration(text)).toBe(ns);
});

test.each(['1', '1d', '-1s', '1h30m', '', '1 s'])("'%s' is no duration", (text) => {
  expect(() => parseDuration(text)).toThrow('expected a duration such as 100ms, 2.5s or 250us');
});

test('what no number holds exactly is too long', () => {
  expect(() => parseDuration('2502h')).toThrow('expected a duration of at most 104 days');
});
