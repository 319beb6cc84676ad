import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FLOW_KEY_WORDS, hashFlowKey } from '../../classifier/flow-key.ts';
import { FlowOrder } from '../../gateway/flow-order.ts';
import { keyOf } from '../support/buffer.ts';

/** `count` keys that fall into the same bucket of a table for `capacity` flows. */
function collidingKeys(count: number, capacity: number): Int32Array[] {
  const buckets = 2 ** Math.ceil(Math.log2(capacity + 1));
  const keys: Int32Array[] = [];
  for (let flow = 0; keys.length < count; flow++) {
    if ((hashFlowKey(keyOf(flow)) & (buckets - 1)) === 0) keys.push(keyOf(flow));
  }
  return keys;
}

describe('a flow', () => {
  test('is known as long as a frame of it waits', () => {
    const flows = new FlowOrder(4);
    expect(flows.find(keyOf(7))).toBe(-1);
    const entry = flows.add(keyOf(7));
    expect(flows.add(keyOf(7))).toBe(entry);
    expect(flows.waiting[entry]).toBe(2);
    flows.remove(entry);
    expect(flows.find(keyOf(7))).toBe(entry);
    expect(flows.waiting[entry]).toBe(1);
    flows.remove(entry);
    expect(flows.find(keyOf(7))).toBe(-1);
  });

  test('is told apart by every word of its key', () => {
    const flows = new FlowOrder(FLOW_KEY_WORDS + 1);
    const entries = new Set([flows.add(new Int32Array(FLOW_KEY_WORDS))]);
    for (let word = 0; word < FLOW_KEY_WORDS; word++) {
      const key = new Int32Array(FLOW_KEY_WORDS);
      key[word] = 1;
      expect(flows.find(key)).toBe(-1);
      entries.add(flows.add(key));
    }
    expect(entries.size).toBe(FLOW_KEY_WORDS + 1);
  });

  test('that takes the place of another starts with a clean slate', () => {
    const flows = new FlowOrder(1);
    const entry = flows.add(keyOf(1));
    flows.blocking[entry] = 5;
    flows.stamp[entry] = 9;
    flows.remove(entry);
    expect(flows.add(keyOf(2))).toBe(entry);
    expect([flows.waiting[entry], flows.blocking[entry], flows.stamp[entry]]).toEqual([1, 0, 0]);
    expect(flows.find(keyOf(1))).toBe(-1);
  });

  test('copies its key: the caller uses the array again', () => {
    const flows = new FlowOrder(2);
    const key = keyOf(1);
    const entry = flows.add(key);
    key.fill(3);
    expect(flows.find(keyOf(1))).toBe(entry);
    expect(flows.find(key)).toBe(-1);
  });
});

describe('a table', () => {
  test('takes as many flows as it has room for, and one more is a bug of the caller', () => {
    const flows = new FlowOrder(3);
    for (const flow of [1, 2, 3]) flows.add(keyOf(flow));
    expect(() => flows.add(keyOf(4))).toThrow(new Error('flow order: more flows than frames in the buffer'));
    expect(flows.add(keyOf(2))).toBe(flows.find(keyOf(2)));
    flows.remove(flows.find(keyOf(1)));
    expect(flows.add(keyOf(4))).toBeGreaterThanOrEqual(0);
    for (const flow of [2, 3, 4]) expect(flows.find(keyOf(flow))).toBeGreaterThanOrEqual(0);
  });

  test('without room takes none', () => {
    const flows = new FlowOrder(0);
    expect(flows.find(keyOf(1))).toBe(-1);
    expect(() => flows.add(keyOf(1))).toThrow(/more flows than frames/);
  });

  test('flows that share a bucket come and go in any order', () => {
    const keys = collidingKeys(4, 7);
    for (const order of [
      [0, 1, 2, 3],
      [3, 2, 1, 0],
      [1, 3, 0, 2],
      [2, 0, 3, 1],
    ]) {
      const flows = new FlowOrder(7);
      const entries = keys.map((key) => flows.add(key));
      expect(new Set(entries).size).toBe(4);
      const here = new Set([0, 1, 2, 3]);
      for (const gone of order) {
        flows.remove(entries[gone]!);
        here.delete(gone);
        for (let i = 0; i < 4; i++) expect(flows.find(keys[i]!)).toBe(here.has(i) ? entries[i] : -1);
      }
    }
  });

  test('counts like a map from flow to number', () => {
    const op = fc.record({ flow: fc.nat(9), isAdded: fc.boolean() });
    const property = fc.property(fc.array(op, { maxLength: 200 }), (ops) => {
      const flows = new FlowOrder(10);
      const counts = new Map<number, number>();
      for (const { flow, isAdded } of ops) {
        const entry = flows.find(keyOf(flow));
        const count = counts.get(flow) ?? 0;
        if (isAdded) {
          flows.add(keyOf(flow));
          counts.set(flow, count + 1);
        } else if (entry >= 0) {
          flows.remove(entry);
          counts.set(flow, count - 1);
        }
        for (let f = 0; f <= 9; f++) {
          const at = flows.find(keyOf(f));
          expect(at < 0 ? 0 : flows.waiting[at]).toBe(counts.get(f) ?? 0);
        }
      }
    });
    fc.assert(property);
  });
});
