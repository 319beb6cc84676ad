import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../gateway/clock.ts';
import { memoryLink } from '../../gateway/port/memory.ts';
import type { Port } from '../../gateway/port/port.ts';
import { Vm } from '../../gateway/vm.ts';
import { makeFrame, SLOT_BYTES } from '../support/frames.ts';
import { generationOf } from '../support/judge.ts';
import { Scene } from '../support/rig.ts';
import { counts, HOLD, PASS, started, TIGHT } from '../support/scene.ts';

describe('a full buffer', () => {
  const limits = { ...TIGHT, limitFrames: 3, sealReserveFrames: 2, behindShare: 1 };

  test('at the moment of a seal: answered, nothing released early, all counted', () => {
    const scene = started({ limits });
    for (const serial of [1, 2, 3, 4]) scene.send(serial, HOLD);
    expect(scene.vm.counters.reasonsByName()).toMatchObject({ 'buffer-full': 1 });
    for (const serial of [5, 6, 7]) scene.put(serial, HOLD);
    scene.put(8, PASS);
    const heldBytes = 5 * makeFrame({ kind: 'udp', flow: 0, colour: 1, vlan: 0, pad: 0 }, 0).bytes.length;
    expect(scene.vm.seal(1, 1)).toEqual({ openEpoch: 2, drained: true, heldFrames: 5, heldBytes });
    expect(scene.left()).toEqual([8]);
    expect(scene.vm.counters.reasonsByName()).toEqual({ rule: 1, default: 5, 'buffer-full': 1, 'seal-overflow': 1 });
    scene.send(9, HOLD);
    expect(counts(scene)).toMatchObject({ outbound: 9, passed: 1, held: 5, dropped: 3, stillHeld: 5 });
    scene.vm.commit(1, 1);
    expect(scene.left()).toEqual([1, 2, 3, 5, 6]);
  });

  test('drops what would be held and lets pass what passes', () => {
    const scene = started({ limits });
    for (const serial of [1, 2, 3, 4]) scene.send(serial, HOLD);
    scene.send(5, PASS);
    expect(scene.left()).toEqual([5]);
    expect(counts(scene)).toMatchObject({ dropped: 1, passed: 1, stillHeld: 3 });
  });

  test('with backpressure is not read into, so that nothing is lost', () => {
    const scene = started({ limits, overflow: 'backpressure' });
    for (let serial = 1; serial <= 5; serial++) scene.put(serial, HOLD);
    scene.vm.turn();
    scene.vm.turn();
    expect(counts(scene)).toMatchObject({ outbound: 3, held: 3, dropped: 0 });
    expect(scene.vm.seal(1, 1)).toMatchObject({ drained: false, heldFrames: 5 });
    scene.vm.commit(1, 1);
    expect(scene.left()).toEqual([1, 2, 3, 4, 5]);
  });

  test('backpressure needs a port that can push back', () => {
    const clock = new VirtualClock();
    const [, port] = memoryLink('link', 4, SLOT_BYTES, clock);
    const deaf: Port = {
      name: 'tap0',
      capabilities: { pushesBack: false, cutsFrames: false },
      receive: () => 0,
      transmit: () => 0,
      close: () => {},
    };
    const options = { slotBytes: SLOT_BYTES, overflow: 'backpressure' } as const;
    expect(() => new Vm(deaf, port, generationOf(0), clock, options)).toThrow(
      new RangeError("port tap0 cannot push back: overflow must be 'drop'"),
    );
    expect(new Vm(deaf, port, generationOf(0), clock, { ...options, overflow: 'drop' }).stillHeld).toBe(0);
    expect(new Vm(port, deaf, generationOf(0), clock, options).generation).toBe(generationOf(0));
  });

  test('backpressure that would never read a frame is refused', () => {
    const words = /nothing would ever be read/;
    const behindShare = 0.5;
    expect(() => new Scene({ overflow: 'backpressure', limits: { ...TIGHT, limitFrames: 1, behindShare } })).toThrow(
      words,
    );
    const limitBytes = 2 * SLOT_BYTES;
    const fits = { ...TIGHT, limitFrames: 2, limitBytes, behindShare };
    expect(new Scene({ overflow: 'backpressure', limits: fits }).vm.stillHeld).toBe(0);
    const tooShort = { ...fits, limitBytes: limitBytes - 1 };
    expect(() => new Scene({ overflow: 'backpressure', limits: tooShort })).toThrow(words);
    expect(new Scene({ overflow: 'drop', limits: tooShort }).vm.stillHeld).toBe(0);
  });

  test('frames that nobody can classify do not take the place of those that can be', () => {
    const scene = started({ limits: { ...TIGHT, limitFrames: 4, unclassifiedShare: 0.5 } });
    for (let serial = 1; serial <= 5; serial++) scene.send(serial, { kind: 'stub', flow: 1 });
    for (let serial = 6; serial <= 7; serial++) scene.send(serial, HOLD);
    expect(scene.vm.counters.reasonsByName()).toEqual({ truncated: 2, 'unclassified-full': 3, default: 2 });
  });
});
