import { expect, test } from 'vitest';
import { slabOf } from '../../../classifier/slab.ts';
import { VirtualClock } from '../../../gateway/clock.ts';
import { FrameBatch } from '../../../gateway/frame-batch.ts';
import { memoryLink } from '../../../gateway/port/memory.ts';

const SLOT = 16;

function batchOf(...frames: readonly string[]): FrameBatch {
  const batch = new FrameBatch(slabOf(new Uint8Array(8 * SLOT)), 8);
  frames.forEach((text, i) => {
    batch.offset[i] = i * SLOT;
    batch.slab.bytes.set(Buffer.from(text), i * SLOT);
    batch.length[i] = text.length;
    batch.wireLength[i] = text.length;
    batch.linkType[i] = 1;
  });
  return batch;
}

function texts(batch: FrameBatch, from: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const offset = batch.offset[from + i]!;
    return Buffer.from(batch.slab.bytes.slice(offset, offset + batch.length[from + i]!)).toString();
  });
}

/** A batch whose slots are empty. */
function slots(): FrameBatch {
  return batchOf('', '', '', '', '', '', '', '');
}

test('what one end transmits the other receives, in order, each direction apart', () => {
  const clock = new VirtualClock();
  const [a, b] = memoryLink('link', 4, SLOT, clock);
  expect([a.name, b.name]).toEqual(['link.a', 'link.b']);
  expect(a.transmit(batchOf('one', 'two'), 0, 2)).toBe(2);
  expect(b.transmit(batchOf('back'), 0, 1)).toBe(1);
  expect([a.waiting, b.waiting]).toEqual([1, 2]);
  clock.advanceTo(70);
  const there = slots();
  expect(b.receive(there, 1, 5, SLOT)).toBe(2);
  expect(texts(there, 1, 2)).toEqual(['one', 'two']);
  expect([...there.arrivalNs.slice(0, 4)]).toEqual([0, 70, 70, 0]);
  expect([...there.wireLength.slice(1, 3)]).toEqual([3, 3]);
  const back = slots();
  expect(a.receive(back, 0, 8, SLOT)).toBe(1);
  expect(texts(back, 0, 1)).toEqual(['back']);
  expect(b.receive(there, 0, 8, SLOT)).toBe(0);
});

test('a full link refuses, and takes more when there is room again, round and round', () => {
  const [a, b] = memoryLink('link', 3, SLOT, new VirtualClock());
  const there = slots();
  const seen: string[] = [];
  let sent = 0;
  for (let round = 0; round < 7; round++) {
    const names = [0, 1, 2, 3].map((i) => `f${sent + i}`);
    sent += a.transmit(batchOf(...names), 0, 4);
    expect(b.waiting).toBe(3);
    expect(a.transmit(batchOf('no'), 0, 1)).toBe(0);
    const count = b.receive(there, 0, 2, SLOT);
    expect(count).toBe(2);
    seen.push(...texts(there, 0, count));
  }
  expect(seen).toEqual(Array.from({ length: 14 }, (_, i) => `f${i}`));
});

test('transmission begins where it is told', () => {
  const [a, b] = memoryLink('link', 8, SLOT, new VirtualClock());
  expect(a.transmit(batchOf('zero', 'one', 'two'), 1, 2)).toBe(2);
  const there = slots();
  expect(texts(there, 0, b.receive(there, 0, 8, SLOT))).toEqual(['one', 'two']);
});

test('a frame longer than the slot is cut and says how long it was', () => {
  const [a, b] = memoryLink('link', 8, SLOT, new VirtualClock());
  a.transmit(batchOf('0123456789', '01234567'), 0, 2);
  const there = slots();
  expect(b.receive(there, 0, 8, 8)).toBe(2);
  expect(texts(there, 0, 2)).toEqual(['01234567', '01234567']);
  expect([...there.wireLength.slice(0, 2)]).toEqual([10, 8]);
});

test('a frame longer than the link takes is a bug of the caller', () => {
  const [a] = memoryLink('link', 8, 4, new VirtualClock());
  expect(a.transmit(batchOf('0123'), 0, 1)).toBe(1);
  expect(() => a.transmit(batchOf('01234'), 0, 1)).toThrow(new RangeError('link.a: a frame of 5 bytes does not fit'));
});

test('the link type travels along', () => {
  const [a, b] = memoryLink('link', 8, SLOT, new VirtualClock());
  const batch = batchOf('x');
  batch.linkType[0] = 101;
  a.transmit(batch, 0, 1);
  const there = slots();
  b.receive(there, 0, 1, SLOT);
  expect(there.linkType[0]).toBe(101);
});

test('a closed port neither sends nor receives', () => {
  const [a, b] = memoryLink('link', 8, SLOT, new VirtualClock());
  a.transmit(batchOf('x'), 0, 1);
  b.transmit(batchOf('y'), 0, 1);
  a.close();
  expect(a.transmit(batchOf('z'), 0, 1)).toBe(0);
  expect(a.receive(slots(), 0, 1, SLOT)).toBe(0);
  expect([a.waiting, b.waiting]).toEqual([1, 1]);
});

test('it can push back, and cuts no frames by itself', () => {
  const [a] = memoryLink('link', 1, SLOT, new VirtualClock());
  expect(a.capabilities).toEqual({ pushesBack: true, cutsFrames: false });
});
