import { describe, expect, test } from 'vitest';
import { WORD, WORD_COUNT } from '../../classifier/field.ts';
import { readWord } from '../../classifier/frame-value.ts';
import { CHUNK, RARELY_USED, readRareWords, USES_APPS } from '../../classifier/key.ts';
import { L3, L4, Parsed } from '../../classifier/parsed.ts';

type WordName = keyof typeof WORD;
const NAMES = Object.keys(WORD) as WordName[];
/** Words that are read together. */
const GROUPS: readonly (readonly WordName[])[] = [
  ['dstMacHigh', 'dstMacLow', 'srcMacHigh', 'srcMacLow'],
  ['vlanId', 'vlanPcp'],
  ['src1', 'src2', 'src3', 'dst1', 'dst2', 'dst3', 'nextHeader'],
  ['arpOperation', 'tcpFlags', 'udpLength', 'icmpType', 'icmpCode'],
  ['dscp', 'hopLimit', 'ipLength', 'fragOff'],
  ['metaLength', 'frameLength'],
  ['sctpChunk'],
];
const USUAL: readonly WordName[] = ['etherType', 'src0', 'dst0', 'proto', 'srcPort', 'dstPort'];
const NOT_READ = 0x5eadbeef;

const SLAB = new DataView(Uint8Array.from({ length: 64 }, (_, i) => 3 * i + 1).buffer);

/** A frame with another value in each word. */
function sctpFrame(): Parsed {
  const p = new Parsed();
  let next = 100;
  for (const name of NAMES) if (name in p && name !== 'etherType') Object.assign(p, { [name]: next++ });
  p.l3 = L3.ip4;
  p.l4 = L4.sctp;
  p.vlanCount = 1;
  p.vlanTci[0] = 0xb123;
  p.tcpFlags = 0xf55;
  p.wireLength = 500;
  p.l3Offset = 4;
  p.payloadOffset = 40;
  p.payloadLength = 5;
  p.payloadCaptured = 1;
  return p;
}

/** The key after `readRareWords`. @param words that some rule compares */
function keyOf(p: Parsed, ...words: readonly WordName[]): Int32Array {
  const key = new Int32Array(WORD_COUNT).fill(NOT_READ);
  readRareWords(
    key,
    p,
    SLAB,
    words.reduce((used, name) => used | (1 << WORD[name]), 0),
  );
  return key;
}

describe('of the words that few rule sets compare', () => {
  test.each(GROUPS.flatMap((group) => group.map((word) => [word, group] as const)))(
    '%s is read with its like, and no others are',
    (word, group) => {
      const p = sctpFrame();
      const key = keyOf(p, word);
      expect(NAMES.filter((name) => key[WORD[name]] !== NOT_READ)).toEqual(
        NAMES.filter((name) => group.includes(name)),
      );
      for (const name of group) expect(key[WORD[name]], name).toBe(readWord(p, WORD[name], SLAB));
    },
  );

  test('none is read where no rule asks for one', () => {
    expect([...keyOf(sctpFrame(), ...USUAL)]).toEqual(Array(WORD_COUNT).fill(NOT_READ));
  });

  test("the first chunk's type may be missing, or not captured", () => {
    const p = sctpFrame();
    expect(keyOf(p, 'sctpChunk')[WORD.sctpChunk]).toBe(121);
    p.payloadCaptured = 0;
    expect(keyOf(p, 'sctpChunk')[WORD.sctpChunk]).toBe(CHUNK.notCaptured);
    p.payloadLength = 0;
    expect(keyOf(p, 'sctpChunk')[WORD.sctpChunk]).toBe(CHUNK.missing);
  });
});

test('every word is either usual or rare, and applications have a bit beside them', () => {
  const rare = GROUPS.flat().reduce((bits, name) => bits | (1 << WORD[name]), 0);
  expect([...USUAL, ...GROUPS.flat()].sort()).toEqual([...NAMES].sort());
  expect(USES_APPS).toBe(-0x80000000);
  expect(RARELY_USED).toBe(rare | USES_APPS);
});
