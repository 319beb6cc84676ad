import { expect, test } from 'vitest';
import { VirtualClock } from '../../../gateway/clock.ts';
import type { Faults } from '../../../gateway/port/fault-line.ts';
import { FaultyPort } from '../../../gateway/port/faults.ts';
import { memoryLink } from '../../../gateway/port/memory.ts';
import { GSO } from '../../../gateway/port/vnet-header.ts';
import { until } from '../../support/netns.ts';
import { brief, frameOf, PortHand } from './hands.ts';
import { unfinishedFrame } from './internet.ts';

const FRAMES = 1000;

/** A faulty port and a hand at the other end of its link. */
function rig(receive: Faults, transmit: Faults, seed = 7, slots = 64) {
  const clock = new VirtualClock();
  const [inner, far] = memoryLink('link', 2048, 2048, clock);
  const port = new FaultyPort(inner, clock, { seed, receive, transmit, slots, slotBytes: 2048 });
  return { clock, port, near: new PortHand(port), far: new PortHand(far) };
}

function numbered(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => {
    const frame = frameOf(60, i);
    new DataView(frame.buffer).setUint32(20, i);
    return frame;
  });
}

function number(frame: Uint8Array): number {
  return new DataView(frame.buffer, frame.byteOffset).getUint32(20);
}

/** Sends frames through the port, in bursts. @returns numbers of what arrived */
function through(faults: Faults, seed?: number): number[] {
  const { near, far } = rig({}, faults, seed);
  const got: number[] = [];
  const frames = numbered(FRAMES);
  for (let i = 0; i < FRAMES; i += 20) {
    expect(near.offer(frames.slice(i, i + 20))).toBe(20);
    for (let more = far.take(); more.length > 0; more = far.take()) got.push(...more.map(number));
  }
  return got;
}

test('about as many frames are dropped as was asked for, and counted', () => {
  const { near, far, port } = rig({}, { drop: 0.2 });
  let arrived = 0;
  for (let i = 0; i < 50; i++) {
    near.offer(numbered(20));
    arrived += far.take().length;
  }
  expect(port.sent.dropped).toBeGreaterThan(150);
  expect(port.sent.dropped).toBeLessThan(250);
  expect(arrived).toBe(FRAMES - port.sent.dropped);
});

test('a duplicate follows its frame', () => {
  const got = through({ duplicate: 0.3 });
  expect(got.length).toBeGreaterThan(1200);
  expect(got.length).toBeLessThan(1400);
  expect([...got].sort((a, b) => a - b)).toEqual(got);
  expect(new Set(got).size).toBe(FRAMES);
});

test('frames overtake each other, by a few places, and none is lost', () => {
  const got = through({ reorder: 0.2 });
  expect([...got].sort((a, b) => a - b)).toEqual(Array.from({ length: FRAMES }, (_, i) => i));
  const displaced = got.filter((serial, i) => serial !== i).length;
  expect(displaced).toBeGreaterThan(100);
});

test('a corrupted frame differs in one bit', () => {
  const { near, far, port } = rig({ corrupt: 1 }, {});
  const frames = numbered(40);
  far.offer(frames);
  const got = near.take();
  expect(port.received.corrupted).toBe(40);
  got.forEach((frame, i) => {
    const bits = frame.map((byte, k) => byte ^ frames[i]![k]!).reduce((sum, byte) => sum + ones(byte), 0);
    expect(bits).toBe(1);
  });
});

test('a super-frame is not corrupted, because its checksum would be made to fit', () => {
  const { near, far } = rig({ corrupt: 1 }, {});
  const { bytes, l4Start } = unfinishedFrame({ version: 4, protocol: 'tcp', payloadBytes: 1500 });
  far.offer([bytes], { gsoType: GSO.tcp4, gsoSize: 500, l4Start });
  near.take();
  expect(near.superFrame).toEqual({ gsoType: GSO.tcp4, gsoSize: 500, l4Start });
  const offset = near.batch.offset[0]!;
  expect(brief(near.batch.slab.bytes.slice(offset, offset + bytes.length))).toBe(brief(bytes));
});

test.each(['receive', 'transmit'] as const)('a delayed frame comes when it is due, and in order (%s)', (direction) => {
  const delayNs = 5e6;
  const { clock, near, far } = direction === 'receive' ? rig({ delayNs }, {}) : rig({}, { delayNs });
  const [from, to] = direction === 'receive' ? [far, near] : [near, far];
  /** The port looks at the time only when it is asked. */
  const take = () => {
    near.port.transmit(near.batch, 0, 0);
    return to.take().map(number);
  };
  const frames = numbered(3);
  from.offer(frames.slice(0, 2));
  expect(take()).toEqual([]);
  clock.advanceTo(4_999_999);
  from.offer(frames.slice(2));
  expect(take()).toEqual([]);
  clock.advanceTo(5_000_000);
  expect(take()).toEqual([0, 1]);
  clock.advanceTo(9_999_998);
  expect(take()).toEqual([]);
  clock.advanceTo(9_999_999);
  expect(take()).toEqual([2]);
  near.port.close();
});

test('what is delayed leaves without anybody asking', async () => {
  const clock = { nowNs: () => performance.now() * 1e6 };
  const [inner, farPort] = memoryLink('link', 64, 2048, clock);
  const port = new FaultyPort(inner, clock, { seed: 1, transmit: { delayNs: 3e6 } });
  const far = new PortHand(farPort);
  expect(new PortHand(port).offer(numbered(2))).toBe(2);
  expect(far.take()).toEqual([]);
  const got: number[] = [];
  await until(() => {
    got.push(...far.take().map(number));
    return got.length === 2;
  }, 'the frames');
  expect(got).toEqual([0, 1]);
  port.close();
});

test('a line that is full refuses', () => {
  const { near } = rig({}, { delayNs: 1e9 }, 7, 8);
  expect(near.offer(numbered(20))).toBe(7);
  expect(near.offer(numbered(20))).toBe(0);
  near.port.close();
});

test('the same seed gives the same faults, another one others', () => {
  const faults = { drop: 0.1, duplicate: 0.1, corrupt: 0, reorder: 0.1 };
  expect(through(faults, 3)).toEqual(through(faults, 3));
  expect(through(faults, 3)).not.toEqual(through(faults, 4));
});

test('one fault does not move another: with drops as without, the same frames are duplicated', () => {
  const twice = (got: readonly number[]) => got.filter((serial, i) => got[i - 1] === serial);
  const without = twice(through({ duplicate: 0.2 }));
  const both = through({ duplicate: 0.2, drop: 0.3 });
  expect(twice(both)).toEqual(without.filter((serial) => both.includes(serial)));
});

function ones(byte: number): number {
  let count = 0;
  for (let rest = byte; rest > 0; rest >>= 1) count += rest & 1;
  return count;
}
