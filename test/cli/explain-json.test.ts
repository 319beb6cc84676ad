import fc from 'fast-check';
import { expect, test } from 'vitest';
import { L3, L4, Parsed } from '../../classifier/parsed.ts';
import { HEADERS_KEY_WORDS, headersJson, headersKey } from '../../gateway/cli/explain-json.ts';

const FIELDS = Object.keys(new Parsed()).filter((name) => name !== 'vlanTci') as Exclude<keyof Parsed, 'vlanTci'>[];

const BOUNDS: Partial<Record<keyof Parsed, readonly [number, number]>> = {
  length: [0, 20],
  srcMacLow: [0, 0xffff],
  dstMacLow: [0, 0xffff],
  vlanCount: [0, 2],
  etherType: [-1, 0xffff],
  l3: [0, Math.max(...Object.values(L3))],
  l4: [0, Math.max(...Object.values(L4))],
  proto: [-1, 255],
  fragOffset: [-1, 65528],
  moreFrags: [0, 1],
  srcPort: [-1, 0xffff],
  dstPort: [-1, 0xffff],
  tcpFlags: [-1, 0xfff],
};

const values = fc.record(
  Object.fromEntries(
    FIELDS.map((name) => {
      const [min, max] = BOUNDS[name] ?? [-0x8000_0000, 0x7fff_ffff];
      return [name, fc.oneof(fc.integer({ min, max }), fc.constantFrom(min, max))];
    }),
  ) as Record<(typeof FIELDS)[number], fc.Arbitrary<number>>,
);
const tags = fc.tuple(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0, max: 0xffff }));

function keyOf(p: Parsed): string | null {
  const key = new Int32Array(HEADERS_KEY_WORDS);
  return headersKey(key, p) ? key.join() : null;
}

test('frames whose explain lines differ in their headers have different keys', () => {
  fc.assert(
    fc.property(
      values,
      values,
      tags,
      tags,
      fc.subarray(FIELDS, { maxLength: 3 }),
      fc.boolean(),
      (a, b, ta, tb, changed, newTags) => {
        const one = Object.assign(new Parsed(), a);
        const other = Object.assign(new Parsed(), a, Object.fromEntries(changed.map((name) => [name, b[name]])));
        one.vlanTci.set(ta);
        other.vlanTci.set(newTags ? tb : ta);
        const keys = [keyOf(one), keyOf(other)];
        if (keys[0] === null || keys[1] === null) return;
        expect(keys[0] === keys[1] && headersJson(one) !== headersJson(other)).toBe(false);
      },
    ),
    { numRuns: 20_000 },
  );
});

test('only a frame with several VLAN tags has no key', () => {
  const parsed = new Parsed();
  for (const [count, hasKey] of [
    [0, true],
    [1, true],
    [2, false],
    [8, false],
  ] as const) {
    parsed.vlanCount = count;
    expect(headersKey(new Int32Array(HEADERS_KEY_WORDS), parsed)).toBe(hasKey);
  }
});
