import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Exposition } from '../../gateway/exposition.ts';
import { readExposition, seriesValue } from '../support/read-exposition.ts';
import { runs, SEED } from '../support/runs.ts';

const GAUGE = { name: 'some_value', type: 'gauge', help: 'Some value', labels: ['who', 'what'] } as const;

test('any text as a label value and any number come back as they were', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string(), fc.double(), (who, what, value) => {
      const text = new Exposition().family(GAUGE).sample([who, what], value).text();
      expect(seriesValue(readExposition(text), 'some_value', { who, what })).toBe(value === 0 ? 0 : value);
    }),
    { numRuns: runs(500), ...SEED },
  );
});

test.each(['a"b', 'a\\', 'a\nb', '\\n', '"} 1\nevil_total 1', 'a,b="c"', ''])(
  'the label value %j cannot break out of its quotes',
  (who) => {
    const families = readExposition(new Exposition().family(GAUGE).sample([who, '-'], 5).text());
    expect([...families.keys()]).toEqual(['some_value']);
    expect(seriesValue(families, 'some_value', { who, what: '-' })).toBe(5);
  },
);

test('help texts keep backslashes and line feeds', () => {
  const help = 'one \\ two\nthree "four"';
  const text = new Exposition().family({ ...GAUGE, help }).text();
  expect(text.split('\n')).toHaveLength(3);
  expect(readExposition(text).get('some_value')?.help).toBe(help);
});

test('a histogram counts upwards, and ends with infinity', () => {
  const family = { name: 'some_seconds', type: 'histogram', help: 'Some time', labels: ['who'] } as const;
  const text = new Exposition().family(family).histogram(['me'], [0.5, 2], [3, 0, 4], 60.25).text();
  expect(text.split('\n').slice(2)).toEqual([
    'some_seconds_bucket{who="me",le="0.5"} 3',
    'some_seconds_bucket{who="me",le="2"} 3',
    'some_seconds_bucket{who="me",le="+Inf"} 7',
    'some_seconds_sum{who="me"} 60.25',
    'some_seconds_count{who="me"} 7',
    '',
  ]);
  readExposition(text);
});

test('a sample without all of its labels is a mistake of the program', () => {
  expect(() => new Exposition().family(GAUGE).sample(['me'], 1)).toThrow('some_value has the labels who, what');
});
