import { expect, it } from 'vitest';
import { slabOf } from '../../classifier/slab.ts';
import { VirtualClock } from '../../gateway/clock.ts';
import { FrameBatch } from '../../gateway/frame-batch.ts';
import { FilePort } from '../../gateway/port/file.ts';
import { recordOf } from '../support/replay-frames.ts';

const BYTES = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

function port() {
  const clock = new VirtualClock();
  const sent: number[] = [];
  const batch = new FrameBatch(slabOf(new Uint8Array(64)), 4);
  batch.offset.set([16, 32, 48, 0]);
  return { clock, sent, batch, port: new FilePort('file', clock, (_, index) => sent.push(index)) };
}

it('a staged record is received once, at the time of the clock, without its frame check sequence', () => {
  const { port: file, clock, batch } = port();
  const record = recordOf(BYTES, 101);
  record.fcsLength = 4;
  record.wireLength = 12;
  file.stage(record);
  clock.advanceTo(77);
  expect(file.hasStaged).toBe(true);
  expect(file.receive(batch, 1, 3, 16)).toBe(1);
  expect(file.hasStaged).toBe(false);
  expect([...batch.slab.bytes.slice(32, 41)]).toEqual([...BYTES, 0]);
  expect([batch.length[1], batch.wireLength[1], batch.linkType[1], batch.arrivalNs[1]]).toEqual([8, 8, 101, 77]);
  expect(file.receive(batch, 1, 3, 16)).toBe(0);
});

it('a frame longer than a slot is cut, and says how long it was', () => {
  const { port: file, batch } = port();
  file.stage(recordOf(BYTES));
  expect(file.receive(batch, 0, 1, 5)).toBe(1);
  expect([batch.length[0], batch.wireLength[0]]).toEqual([5, 8]);
  expect([...batch.slab.bytes.slice(16, 24)]).toEqual([1, 2, 3, 4, 5, 0, 0, 0]);
});

it('a reader without room leaves the record where it is; a second one may not be staged', () => {
  const { port: file, batch } = port();
  file.stage(recordOf(BYTES));
  expect(file.receive(batch, 0, 0, 16)).toBe(0);
  expect(file.hasStaged).toBe(true);
  expect(() => file.stage(recordOf(BYTES))).toThrow('the record before was not received');
  file.close();
  expect(file.hasStaged).toBe(false);
});

it('hands on whatever it is given, in order', () => {
  const { port: file, batch, sent } = port();
  expect(file.transmit(batch, 1, 3)).toBe(3);
  expect(sent).toEqual([1, 2, 3]);
  expect(new FilePort('nobody listens', new VirtualClock()).transmit(batch, 0, 2)).toBe(2);
  expect(file.capabilities).toEqual({ pushesBack: true, cutsFrames: true });
});
