import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Samples } from '../../gateway/samples.ts';

it('a percentile is the smallest sample that so many do not exceed', () => {
  const share = fc.constantFrom(0, 0.01, 0.25, 0.5, 0.9, 0.99, 1);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 200 }), share, (values, part) => {
      const samples = new Samples();
      for (const value of values) samples.add(value);
      const least = [...values]
        .sort((a, b) => a - b)
        .find((value) => values.filter((v) => v <= value).length >= part * values.length);
      expect(samples.percentiles(part)).toEqual([least]);
      expect(samples.count).toBe(values.length);
    }),
  );
});

it('keeps every sample however many there are, and has no percentile of none', () => {
  const samples = new Samples();
  expect(samples.percentiles(0.5)).toBeNull();
  for (let i = 100_000; i > 0; i--) samples.add(i);
  expect(samples.percentiles(0.5, 0.99, 1)).toEqual([50_000, 99_000, 100_000]);
  samples.add(0);
  expect(samples.percentiles(0)).toEqual([0]);
});
