import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LineReader } from '../../../gateway/host/line-reader.ts';
import { runs, SEED } from '../../support/runs.ts';

function feedAll(reader: LineReader, pieces: readonly string[]): { lines: string[]; isFine: boolean } {
  const lines: string[] = [];
  const isFine = pieces.every(
    (piece) =>
      reader.feed(Buffer.from(piece, 'latin1'), (line) => {
        lines.push(Buffer.from(line).toString('latin1'));
        return true;
      }) === piece.length,
  );
  return { lines, isFine };
}

test('lines are the same however the bytes are cut', () => {
  const text = fc.array(fc.constantFrom('a', 'b', '\n', '\r', 'ÿ'), { maxLength: 60 }).map((all) => all.join(''));
  fc.assert(
    fc.property(text, fc.array(fc.nat(60), { maxLength: 10 }), (all, cuts) => {
      const at = [0, ...cuts.filter((cut) => cut <= all.length).sort((a, b) => a - b), all.length];
      const pieces = at.slice(1).map((end, i) => all.slice(at[i], end));
      const lines = all.split('\n');
      const rest = lines.pop()!;
      const reader = new LineReader(100);
      expect(feedAll(reader, pieces)).toEqual({ lines, isFine: true });
      expect(reader.isInLine).toBe(rest !== '');
    }),
    { numRuns: runs(300), ...SEED },
  );
});

test('a line of the greatest length is read, a longer one is not, whole or in pieces', () => {
  expect(feedAll(new LineReader(4), ['abcd\n'])).toEqual({ lines: ['abcd'], isFine: true });
  expect(feedAll(new LineReader(4), ['ab', 'cd', '\n'])).toEqual({ lines: ['abcd'], isFine: true });
  expect(feedAll(new LineReader(4), ['x\nabcde\n'])).toEqual({ lines: ['x'], isFine: false });
  expect(feedAll(new LineReader(4), ['ab', 'cde'])).toEqual({ lines: [], isFine: false });
});

test('a line that comes byte by byte takes at most twice its memory, which is given back when it was long', () => {
  const reader = new LineReader(2 ** 20);
  const byte = Buffer.from('x');
  for (let i = 0; i < 150_000; i++) reader.feed(byte, () => true);
  expect(reader.storedBytes).toBeGreaterThanOrEqual(150_000);
  expect(reader.storedBytes).toBeLessThanOrEqual(300_000);
  let length = 0;
  reader.feed(Buffer.from('\n'), (line) => {
    length = line.length;
    return true;
  });
  expect([length, reader.storedBytes, reader.isInLine]).toEqual([150_000, 0, false]);
});

test('after a line that is the last for now nothing more is taken', () => {
  const lines: string[] = [];
  const chunk = Buffer.from('a\nb\nc\n');
  const reader = new LineReader(10);
  const onLine = (line: Uint8Array) => {
    lines.push(Buffer.from(line).toString());
    return lines.length !== 2;
  };
  expect(reader.feed(chunk, onLine)).toBe(4);
  expect(lines).toEqual(['a', 'b']);
  expect(reader.feed(chunk.subarray(4), onLine)).toBe(2);
  expect(lines).toEqual(['a', 'b', 'c']);
});
