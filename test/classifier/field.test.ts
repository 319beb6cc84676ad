import { describe, expect, test } from 'vitest';
import { needsNetwork, splitWords, wordsOf } from '../../classifier/field.ts';
import type { FieldName, Match, RawBase } from '../../rules/rule.ts';
import { match } from '../support/arbitrary-rules.ts';

describe('a value in words', () => {
  test('has the most significant word first and what is left over in the last', () => {
    expect([...splitWords(48, 0x0102_0304_0506n)]).toEqual([0x01020304, 0x0506]);
    expect([...splitWords(64, 0x01020304_05060708n)]).toEqual([0x01020304, 0x05060708]);
    expect([...splitWords(33, 0b11n)]).toEqual([1, 1]);
    expect([...splitWords(128, 1n)]).toEqual([0, 0, 0, 1]);
    expect([...splitWords(1, 1n)]).toEqual([1]);
    expect([...splitWords(32, 0x01020304n)]).toEqual([0x01020304]);
  });

  test('is signed where a word is full, and cut to its bits', () => {
    expect([...splitWords(32, 0xffffffffn)]).toEqual([-1]);
    expect([...splitWords(16, -1n)]).toEqual([0xffff]);
    expect([...splitWords(48, -1n)]).toEqual([-1, 0xffff]);
    expect([...wordsOf('tcp.flags', -1n)]).toEqual([0xff]);
    expect([...wordsOf('ether.saddr', 5n)]).toEqual([0, 5]);
  });
});

describe('what lies behind a network header', () => {
  const several = (kind: 'concat' | 'set', ...fields: FieldName[]): Match =>
    kind === 'set' ? { kind, fields, set: 'a', negated: false } : { kind, fields, negated: false, tuples: [] };
  const raw = (base: RawBase): Match => ({
    ...{ kind: 'raw', base, offsetBits: 0, lengthBits: 8 },
    ...{ mask: null, negated: false, intervals: [] },
  });

  test('is asked for by fields above layer 2, even one among several', () => {
    expect(needsNetwork(match('vlan.id'))).toBe(false);
    expect(needsNetwork(match('ip.saddr'))).toBe(true);
    expect(needsNetwork(match('udp.dport'))).toBe(true);
    for (const kind of ['concat', 'set'] as const) {
      expect(needsNetwork(several(kind, 'ether.saddr', 'vlan.id'))).toBe(false);
      expect(needsNetwork(several(kind, 'ether.saddr', 'ip.saddr'))).toBe(true);
      expect(needsNetwork(several(kind, 'ip.saddr', 'ether.saddr'))).toBe(true);
    }
  });

  test('is asked for by `@th`, applications and declared flows', () => {
    expect([raw('ll'), raw('nh'), raw('th')].map(needsNetwork)).toEqual([false, false, true]);
    expect(needsNetwork({ kind: 'app', app: 'sip', types: null, negated: false })).toBe(true);
    expect(needsNetwork({ kind: 'declared' })).toBe(true);
  });
});
