import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../gateway/clock.ts';
import type { FrameBatch } from '../../gateway/frame-batch.ts';
import { memoryLink } from '../../gateway/port/memory.ts';
import type { Port } from '../../gateway/port/port.ts';
import { Vm } from '../../gateway/vm.ts';
import { makeFrame, SLOT_BYTES } from '../support/frames.ts';
import { generationOf } from '../support/judge.ts';
import { Hand } from '../support/rig.ts';
import { ACK, counts, HOLD, PASS, SYN, started, TIGHT } from '../support/scene.ts';

describe('order', () => {
  test('data of another flow, of UDP, or of another VLAN, does not wait', () => {
    const scene = started();
    scene.send(1, SYN);
    scene.send(2, { ...ACK, flow: 1 });
    scene.send(3, { ...ACK, vlan: 10 });
    scene.send(4, HOLD);
    scene.send(5, PASS);
    expect(scene.left()).toEqual([2, 3, 5]);
  });

  test('a frame that is dropped by a rule is not held behind its flow', () => {
    const scene = started();
    scene.send(1, SYN);
    scene.send(2, { kind: 'tcp', colour: 2 });
    expect(counts(scene)).toMatchObject({ held: 1, dropped: 1 });
  });

  test('ARP keeps its order', () => {
    const scene = started();
    scene.send(1, { kind: 'arp', colour: 1 });
    scene.send(2, { kind: 'arp', colour: 0 });
    scene.vm.seal(1, 1);
    expect(scene.left()).toEqual([]);
    scene.vm.commit(1, 1);
    expect(scene.left()).toEqual([1, 2]);
  });

  test('what the outside port refused is not overtaken by what is released later', () => {
    const scene = started({ outsideCapacity: 2 });
    scene.put(1, { ...ACK, flow: 1 });
    scene.put(2, { ...ACK, flow: 1 });
    scene.put(3, ACK);
    scene.put(4, SYN);
    scene.vm.turn();
    scene.vm.seal(1, 1);
    expect(scene.vm.commit(1, 1).releasedFrames).toBe(1);
    expect(counts(scene)).toMatchObject({ passed: 2, released: 0, stillHeld: 2 });
    scene.send(5, ACK);
    expect(scene.left()).toEqual([1, 2]);
    scene.vm.pump();
    expect(scene.left()).toEqual([3, 4]);
    scene.vm.pump();
    expect(scene.left()).toEqual([5]);
    expect(counts(scene)).toMatchObject({ passed: 3, held: 2, released: 2, stillHeld: 0 });
  });
});

describe('an outside port that takes little at a time', () => {
  /** Takes one frame at every call. */
  class StingyPort implements Port {
    readonly name = 'stingy';
    readonly capabilities = { pushesBack: true, cutsFrames: false };
    readonly sent: number[] = [];
    isShut = true;

    receive(): number {
      return 0;
    }

    transmit(batch: FrameBatch, from: number): number {
      if (this.isShut) return 0;
      this.sent.push(batch.slab.view.getUint32(batch.offset[from]! + 38));
      return 1;
    }

    close(): void {}
  }

  test('gets what it refused before what is released, and every frame once', () => {
    const clock = new VirtualClock();
    const outside = new StingyPort();
    const [guest, inside] = memoryLink('link', 16, SLOT_BYTES, clock);
    const vm = new Vm(inside, outside, generationOf(0), clock, { slotBytes: SLOT_BYTES, limits: TIGHT });
    const hand = new Hand(guest);
    vm.start();
    // The serial number is the TCP sequence number, at byte 38.
    for (const [serial, spec] of [
      [1, ACK],
      [2, ACK],
      [3, SYN],
      [4, SYN],
    ] as const) {
      hand.send(makeFrame({ flow: 0, vlan: 0, pad: 0, ...spec }, serial));
    }
    vm.turn();
    vm.seal(1, 1);
    const told: number[] = [];
    vm.forwarder.onReleased = (batch, count) => {
      for (let i = 0; i < count; i++) told.push(batch.slab.view.getUint32(batch.offset[i]! + 38));
    };
    expect(vm.commit(1, 1).releasedFrames).toBe(2);
    expect([outside.sent, vm.stillHeld]).toEqual([[], 4]);
    outside.isShut = false;
    const left: number[][] = [];
    for (let i = 0; i < 3; i++) {
      vm.pump();
      left.push([...outside.sent]);
    }
    // One goes from the queue at each call; the buffer's turn comes when the queue is empty.
    expect(left).toEqual([[1], [1, 2, 3], [1, 2, 3, 4]]);
    expect(['passed', 'released'].map((name) => vm.counters.get(name as 'passed'))).toEqual([2, 2]);
    expect(vm.stillHeld).toBe(0);
    expect(told).toEqual([3, 4]);
  });
});

describe('pacing', () => {
  test('paced frames leave with the gaps they came with, and what is left over goes at the next commit', () => {
    const scene = started({ pacing: 'paced' });
    const { clock } = scene.rig;
    for (const [at, serial] of [
      [10, 1],
      [40, 2],
      [90, 3],
    ] as const) {
      clock.advanceTo(at);
      scene.send(serial, HOLD);
    }
    scene.vm.seal(1, 1);
    expect(scene.vm.nextDueNs()).toBe(Number.POSITIVE_INFINITY);
    clock.advanceTo(100);
    scene.vm.commit(1, 1);
    expect(scene.left()).toEqual([1]);
    expect(scene.vm.nextDueNs()).toBe(130);
    clock.advanceTo(129);
    scene.vm.pump();
    expect(scene.left()).toEqual([]);
    clock.advanceTo(130);
    scene.vm.pump();
    expect(scene.left()).toEqual([2]);
    scene.send(4, HOLD);
    scene.vm.seal(1, 2);
    clock.advanceTo(140);
    scene.vm.commit(1, 2);
    expect(scene.left()).toEqual([3, 4]);
  });

  test('a burst leaves at the commit', () => {
    const scene = started({ pacing: 'burst' });
    scene.send(1, HOLD);
    scene.rig.clock.advanceTo(50);
    scene.send(2, HOLD);
    scene.vm.seal(1, 1);
    scene.vm.commit(1, 1);
    expect(scene.left()).toEqual([1, 2]);
  });
});

describe('a port that refuses', () => {
  const spec = { flow: 0, vlan: 0, pad: 0, ...PASS } as const;

  test('inside: a guest that reads nothing still has its own frames read, at a seal too', () => {
    const scene = started({ insideCapacity: 2, batchFrames: 2 });
    for (let i = 0; i < 20; i++) {
      scene.rig.net.send(makeFrame(spec, 100 + i));
      scene.vm.turn();
    }
    // Two in the link, two batches in the gateway; the rest waits outside.
    expect(scene.vm.counters.get('inbound')).toBe(6);
    expect(scene.rig.net.port.waiting).toBe(0);
    scene.send(1, PASS);
    expect(scene.left()).toEqual([1]);
    scene.put(2, HOLD);
    expect(scene.vm.seal(1, 1)).toMatchObject({ drained: true, heldFrames: 1 });
    const seen: string[] = [];
    for (let i = 0; i < 20; i++) {
      seen.push(...scene.rig.guest.take());
      scene.vm.turn();
    }
    expect(seen).toHaveLength(20);
  });

  test('outside: a network that takes nothing still delivers to the guest', () => {
    const scene = started({ outsideCapacity: 1, batchFrames: 2 });
    for (let serial = 1; serial <= 8; serial++) scene.send(serial, PASS);
    expect(counts(scene)).toMatchObject({ outbound: 5, passed: 1, stillHeld: 4 });
    scene.rig.net.send(makeFrame(spec, 100));
    scene.vm.turn();
    expect(scene.rig.guest.take()).toHaveLength(1);
    expect(scene.vm.seal(1, 1)).toMatchObject({ drained: false });
    const left: number[] = [];
    for (let i = 0; i < 10; i++) {
      left.push(...scene.left());
      scene.vm.turn();
    }
    expect(left).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });
});

describe('after a stop that releases', () => {
  test('held frames leave before newer ones, whatever their flow', () => {
    const scene = started({ outsideCapacity: 1 });
    scene.put(1, SYN);
    scene.put(2, HOLD);
    scene.vm.turn();
    expect(scene.vm.stop(1, 'release').releasedFrames).toBe(2);
    scene.send(3, { ...ACK, flow: 1 });
    for (const serial of [1, 2, 3]) {
      expect(scene.left()).toEqual([serial]);
      scene.vm.pump();
    }
    expect(counts(scene)).toMatchObject({ passed: 0, held: 3, released: 3, stillHeld: 0 });
  });

  test('newer frames that keep no order go behind held ones too, and leave', () => {
    const scene = started({ outsideCapacity: 1 });
    scene.put(1, SYN);
    scene.put(2, HOLD);
    scene.vm.turn();
    scene.vm.stop(1, 'release');
    scene.send(3, PASS);
    for (const serial of [1, 2, 3]) {
      expect(scene.left()).toEqual([serial]);
      scene.vm.pump();
    }
    expect(counts(scene)).toMatchObject({ released: 3, stillHeld: 0 });
  });
});
