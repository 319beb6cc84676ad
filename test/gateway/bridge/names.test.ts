import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pairNames } from '../../../gateway/bridge/names.ts';
import { isNetdevName } from '../../../gateway/port/netdev.ts';
import { runs, SEED } from '../../support/runs.ts';

test('the pair of a tap has its name', () => {
  const names = { outside: 'hf-tap0', bridgePort: 'hf-tap0-br', standIn: 'hf-tap0-s', standInPeer: 'hf-tap0-t' };
  expect(pairNames('tap0')).toEqual(names);
  expect(pairNames('vnet12345').bridgePort).toBe('hf-vnet12345-br');
  expect(pairNames('vnet123456').bridgePort).toMatch(/^hf-vnet[\da-f]{5}-br$/);
});

test('whatever the tap is called, its pair can have its names, and different taps have different pairs', () => {
  const name = fc
    .stringMatching(/^[^\s/:.-][^\s/:]{0,14}$/)
    .filter(isNetdevName)
    .filter((text) => Buffer.byteLength(text) <= 15);
  fc.assert(
    fc.property(name, name, (one, other) => {
      for (const device of Object.values(pairNames(one))) {
        expect(isNetdevName(device)).toBe(true);
        expect(Buffer.byteLength(device)).toBeLessThanOrEqual(15);
      }
      expect(new Set(Object.values(pairNames(one))).size).toBe(4);
      if (one !== other) expect(pairNames(one).outside).not.toBe(pairNames(other).outside);
    }),
    { numRuns: runs(300), ...SEED },
  );
});
