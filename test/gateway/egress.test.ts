import { expect, test } from 'vitest';
import { slabOf } from '../../classifier/slab.ts';
import { Egress } from '../../gateway/egress.ts';
import { FrameBatch } from '../../gateway/frame-batch.ts';
import { FramePool } from '../../gateway/frame-pool.ts';
import type { Port } from '../../gateway/port/port.ts';

/** A port that accepts as many frames as it is told, and writes down their first bytes. */
class MoodyPort implements Port {
  readonly name = 'moody';
  readonly capabilities = { pushesBack: false, cutsFrames: false };
  accepts = 0;
  calls = 0;
  readonly sent: number[] = [];

  receive(): number {
    return 0;
  }

  transmit(batch: FrameBatch, from: number, count: number): number {
    this.calls++;
    const n = Math.min(count, this.accepts);
    for (let i = from; i < from + n; i++) this.sent.push(batch.slab.bytes[batch.offset[i]!]!);
    this.accepts -= n;
    return n;
  }

  close(): void {}
}

function rig() {
  const slab = slabOf(new Uint8Array(4 * 8));
  const pool = new FramePool(slab, 0, 4, 8);
  const port = new MoodyPort();
  const egress = new Egress(port, pool);
  const batch = new FrameBatch(slab, 1);
  const add = (name: number): void => {
    pool.show(batch.offset, 1);
    pool.takeShown(1);
    batch.length[0] = 1;
    slab.bytes[batch.offset[0]!] = name;
    egress.send(batch, 1);
  };
  return { pool, port, egress, add };
}

test('what the port accepts gives its slot back, the rest keeps it and its turn', () => {
  const { pool, port, egress, add } = rig();
  for (const name of [1, 2, 3]) add(name);
  expect([egress.queued, pool.free]).toEqual([3, 1]);
  port.accepts = 1;
  expect(egress.flush()).toBe(1);
  expect([egress.queued, pool.free]).toEqual([2, 2]);
  add(4);
  port.accepts = 2;
  expect(egress.flush()).toBe(2);
  expect([egress.queued, pool.free]).toEqual([1, 3]);
  port.accepts = 9;
  expect(egress.flush()).toBe(1);
  expect([egress.queued, pool.free]).toEqual([0, 4]);
  expect(port.sent).toEqual([1, 2, 3, 4]);
});

test('a port that accepts nothing loses nothing', () => {
  const { pool, port, egress, add } = rig();
  for (const name of [1, 2, 3, 4]) add(name);
  expect(egress.flush()).toBe(0);
  expect([egress.queued, pool.free]).toEqual([4, 0]);
  port.accepts = 4;
  expect(egress.flush()).toBe(4);
  expect(port.sent).toEqual([1, 2, 3, 4]);
});

test('an empty queue does not trouble the port', () => {
  const { port, egress } = rig();
  expect(egress.flush()).toBe(0);
  expect(port.calls).toBe(0);
});

test('a batch leaves at once as far as the port takes it, the rest waits and goes before the next batch', () => {
  const { pool, port, egress } = rig();
  const batch = new FrameBatch(pool.slab, 4);
  const send = (...names: number[]) => {
    pool.takeShown(pool.show(batch.offset, names.length));
    for (const [i, name] of names.entries()) pool.slab.bytes[batch.offset[i]!] = name;
    return egress.send(batch, names.length);
  };
  port.accepts = 2;
  expect(send(1, 2, 3)).toBe(2);
  expect([egress.queued, pool.free, port.calls]).toEqual([1, 3, 1]);
  port.accepts = 2;
  expect(send(4, 5)).toBe(2);
  expect([egress.queued, pool.free, port.calls]).toEqual([1, 3, 2]);
  port.accepts = 9;
  expect(egress.send(batch, 0)).toBe(1);
  expect(egress.send(batch, 0)).toBe(0);
  expect(port.sent).toEqual([1, 2, 3, 4, 5]);
  expect([egress.queued, pool.free, port.calls]).toEqual([0, 4, 3]);
});
