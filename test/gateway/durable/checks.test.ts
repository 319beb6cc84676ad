import { describe, expect, it } from 'vitest';
import { checkBytes, mix } from '../../../gateway/durable/checksum.ts';
import { FrameTable } from '../../../gateway/durable/frame-table.ts';
import { FLAG } from '../../../gateway/frame-records.ts';

/** Numbers without a pattern. */
function fill(bytes: Uint8Array): void {
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 167 + 13) & 0xff;
}

function flip(bytes: Uint8Array, bit: number): void {
  bytes[bit >> 3]! ^= 1 << (bit & 7);
}

describe('the check over bytes', () => {
  it('changes with every bit, whatever their number and place, and with that number', () => {
    const bytes = new Uint8Array(3 + 70);
    const view = new DataView(bytes.buffer);
    fill(bytes);
    for (let length = 0; length <= 70; length++) {
      const check = checkBytes(view, 3, length);
      for (let bit = 8 * 3; bit < 8 * (3 + length); bit++) {
        flip(bytes, bit);
        if (checkBytes(view, 3, length) === check) throw new Error(`bit ${bit} of ${length} bytes is not seen`);
        flip(bytes, bit);
      }
    }
    bytes.fill(0);
    expect(new Set(Array.from({ length: 71 }, (_, length) => checkBytes(view, 3, length))).size).toBe(71);
  });

  it('changes where words of a frame change places, next to each other or with those at its end', () => {
    const words = new Int32Array(11);
    fill(new Uint8Array(words.buffer));
    const view = new DataView(words.buffer);
    const check = checkBytes(view, 0, 44);
    // Words that have the same weight do not count: 16 bytes from each other, in the part of whole pieces.
    for (let a = 0; a < words.length; a++) {
      for (let b = a + 1; b < words.length; b++) {
        if (b < 8 && b - a === 4) continue;
        const swapped = words.slice();
        [swapped[a], swapped[b]] = [words[b]!, words[a]!];
        expect(checkBytes(new DataView(swapped.buffer), 0, 44), `${a} and ${b}`).not.toBe(check);
      }
    }
  });

  it('changes where sums of it change places', () => {
    const words = new Int32Array(9);
    const check = (...set: (readonly [number, number])[]) => {
      words.fill(0);
      for (const [word, value] of set) words[word] = value;
      return checkBytes(new DataView(words.buffer), 0, 36);
    };
    for (let a = 0; a < 4; a++) {
      // The first sum has the length in it.
      const own = a === 0 ? 36 : 0;
      for (let b = a + 1; b < 4; b++) {
        expect(check([a, 5 - own], [b, 9]), `${a} and ${b}`).not.toBe(check([a, 9 - own], [b, 5]));
      }
      expect(check([a, 5 - own], [8, 9]), `${a} and the rest`).not.toBe(check([a, 9 - own], [8, 5]));
    }
  });

  it('over words does not let highest bits make up for each other', () => {
    const check = (a: number, b: number) => mix(mix(1, a), b);
    expect(check(2 ** 31, 2 ** 31)).not.toBe(check(0, 0));
  });
});

describe('the check of a record', () => {
  const COUNT = 8;
  const RING_BYTES = 64;
  const buffer = new ArrayBuffer(FrameTable.bytesFor(COUNT) + RING_BYTES);
  const ring = FrameTable.bytesFor(COUNT);
  const table = new FrameTable(COUNT, buffer, 0, new DataView(buffer), ring);
  const { records } = table;
  const at = 3;

  it('changes with every bit that is known of the frame, with its bytes, and with its number', () => {
    fill(new Uint8Array(buffer));
    records.place[at] = 0;
    records.length[at] = 60;
    const check = table.checkOf(11, at);
    expect(table.checkOf(12, at)).not.toBe(check);
    const { place: _, flags, length, count, ...fields } = records;
    const { flowHigh, flowLow } = table;
    for (const [name, field] of Object.entries({ ...fields, flowHigh, flowLow })) {
      const size = field.BYTES_PER_ELEMENT;
      const bytes = new Uint8Array(field.buffer, field.byteOffset + at * size, size);
      for (let bit = 0; bit < 8 * size; bit++) {
        flip(bytes, bit);
        expect(table.checkOf(11, at), `${name}, bit ${bit}`).not.toBe(check);
        flip(bytes, bit);
      }
    }
    const frame = new Uint8Array(buffer, ring, 60);
    flip(frame, 479);
    expect(table.checkOf(11, at)).not.toBe(check);
    flip(frame, 479);
    for (const flag of [FLAG.behind, FLAG.unclassified, FLAG.ordered]) {
      flags[at]! ^= flag;
      expect(table.checkOf(11, at), `flag ${flag}`).not.toBe(check);
      flags[at]! ^= flag;
    }
    length[at]!--;
    expect(table.checkOf(11, at)).not.toBe(check);
    length[at]!++;
    expect([table.checkOf(11, at), count]).toEqual([check, COUNT]);
  });

  it('stays where the frame is moved, and where it may leave', () => {
    fill(new Uint8Array(buffer));
    records.place[at] = 4;
    records.length[at] = 20;
    const check = table.checkOf(11, at);
    records.flags[at]! ^= FLAG.leaving | FLAG.gone;
    new Uint8Array(buffer).copyWithin(ring + 32, ring + 4, ring + 24);
    records.place[at] = 32;
    expect(table.checkOf(11, at)).toBe(check);
  });

  it('is another in a table of another size', () => {
    const other = new ArrayBuffer(FrameTable.bytesFor(2 * COUNT) + RING_BYTES);
    const start = FrameTable.bytesFor(2 * COUNT);
    const greater = new FrameTable(2 * COUNT, other, 0, new DataView(other), start);
    new Uint8Array(buffer).fill(0);
    expect(greater.checkOf(0, 0)).not.toBe(table.checkOf(0, 0));
  });
});
