import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../gateway/clock.ts';
import { type MemoryPort, memoryLink } from '../../gateway/port/memory.ts';
import type { Port } from '../../gateway/port/port.ts';
import { Vm } from '../../gateway/vm.ts';
import { makeFrame, SLOT_BYTES } from '../support/frames.ts';
import { generationOf } from '../support/judge.ts';
import { answerOf, Hand, Scene } from '../support/rig.ts';
import { ACK, counts, HOLD, PASS, SYN, started, TIGHT } from '../support/scene.ts';

describe('a port that gives cut frames', () => {
  test('has them judged by what is there; elsewhere a cut frame is one that is too long', () => {
    for (const cutsFrames of [true, false]) {
      const clock = new VirtualClock();
      const [guest, inside] = memoryLink('inside', 4, SLOT_BYTES, clock);
      const [net, outside] = memoryLink('outside', 4, SLOT_BYTES, clock);
      const cutting = (port: MemoryPort): Port => ({
        name: port.name,
        capabilities: { pushesBack: true, cutsFrames },
        receive: (batch, from, max, slotBytes) => port.receive(batch, from, max, slotBytes),
        transmit: (batch, from, count) => port.transmit(batch, from, count),
        close: () => port.close(),
      });
      const vm = new Vm(cutting(inside), cutting(outside), generationOf(0), clock, { slotBytes: 64, limits: TIGHT });
      const frame = makeFrame({ flow: 0, vlan: 0, pad: 40, ...ACK }, 1);
      new Hand(guest).send(frame);
      new Hand(net).send(frame);
      expect(vm.turn()).toBe(2);
      const sizes = [new Hand(net).take(), new Hand(guest).take()].map((taken) => taken.map((text) => text.length / 2));
      expect(sizes).toEqual(cutsFrames ? [[64], [64]] : [[], []]);
      expect(vm.counters.reasonsByName()).toEqual(cutsFrames ? { rule: 1, inbound: 1 } : { oversize: 2 });
      const counted = (['passed', 'dropped', 'inboundPassed', 'inboundDropped'] as const).map((n) =>
        vm.counters.get(n),
      );
      expect(counted).toEqual(cutsFrames ? [1, 0, 1, 0] : [0, 1, 0, 1]);
    }
  });
});

describe('states', () => {
  test('a VM that is not replicated holds nothing, and drops what rules drop', () => {
    const scene = new Scene();
    scene.send(1, HOLD);
    scene.send(2, PASS);
    scene.send(3, { kind: 'udp', colour: 2 });
    expect(scene.left()).toEqual([1, 2]);
    expect(scene.vm.counters.reasonsByName()).toEqual({ 'not-replicated': 1, rule: 2 });
  });

  test('a replicated VM whose host has not come yet holds everything, and the first commit releases it', () => {
    const scene = new Scene({ replicated: true });
    scene.send(1, PASS);
    scene.send(2, HOLD);
    expect(scene.left()).toEqual([]);
    expect(scene.vm.counters.reasonsByName()).toEqual({ waiting: 1, default: 1 });
    scene.vm.start();
    scene.send(3, PASS);
    expect(scene.left()).toEqual([3]);
    scene.vm.seal(1, 1);
    scene.vm.commit(1, 1);
    expect(scene.left()).toEqual([1, 2]);
  });

  test('before the first seal output passes where the host says so, then it is held', () => {
    const scene = new Scene();
    scene.vm.start('first-seal');
    scene.send(1, HOLD);
    expect(scene.left()).toEqual([1]);
    scene.vm.seal(1, 1);
    scene.send(2, HOLD);
    expect(scene.left()).toEqual([]);
    expect(scene.vm.counters.reasonsByName()).toEqual({ 'before-first-seal': 1, default: 1 });
  });

  test('a start in the middle of a term takes what was not committed along to its epoch 1', () => {
    const scene = started();
    for (const epoch of [1, 2, 3]) {
      scene.send(epoch, HOLD);
      scene.vm.seal(1, epoch);
    }
    scene.vm.commit(1, 1);
    expect(scene.vm.start()).toEqual({ term: 2, openEpoch: 1 });
    expect(scene.left()).toEqual([1]);
    scene.send(4, HOLD);
    scene.vm.seal(2, 1);
    scene.vm.commit(2, 1);
    expect(scene.left()).toEqual([2, 3, 4]);
  });

  test('stop releases, discards or keeps what is held', () => {
    for (const [held, answer, after] of [
      ['release', { releasedFrames: 2, discardedFrames: 0 }, [1, 2, 3]],
      ['discard', { releasedFrames: 0, discardedFrames: 2 }, [3]],
      ['keep', { releasedFrames: 0, discardedFrames: 0 }, []],
    ] as const) {
      const scene = started();
      scene.send(1, HOLD);
      scene.vm.seal(1, 1);
      scene.send(2, HOLD);
      expect(scene.vm.stop(1, held)).toEqual(answer);
      scene.send(3, HOLD);
      expect(scene.left()).toEqual(after);
      expect(scene.vm.epochs.state).toBe(held === 'keep' ? 'waiting' : 'off');
      expect(answerOf(() => scene.vm.commit(1, 1))).toEqual({ code: 'not-replicated' });
      if (held !== 'keep') continue;
      scene.vm.start();
      scene.vm.seal(2, 1);
      scene.vm.commit(2, 1);
      expect(scene.left()).toEqual([1, 2, 3]);
    }
  });

  test('a stop of a stale term releases nothing', () => {
    const scene = started();
    scene.send(1, HOLD);
    expect(answerOf(() => scene.vm.stop(0, 'release'))).toEqual({ code: 'stale-term' });
    expect(scene.left()).toEqual([]);
  });

  test('what a dead VM did not commit never leaves, and what it still sends is dropped', () => {
    const scene = started();
    scene.send(1, HOLD);
    scene.vm.seal(1, 1);
    scene.send(2, HOLD);
    scene.vm.commit(1, 1);
    expect(scene.vm.fail()).toEqual({ discardedFrames: 1 });
    scene.send(3, PASS);
    expect(scene.left()).toEqual([1]);
    expect(scene.vm.counters.reasonsByName()).toMatchObject({ 'vm-failed': 1 });
    expect(answerOf(() => scene.vm.seal(1, 2))).toEqual({ code: 'stale-term' });
    scene.vm.start();
    scene.send(4, PASS);
    expect(scene.left()).toEqual([4]);
  });
});

describe('a VM that dies', () => {
  test('before its first checkpoint loses what was kept for it, though output passed until the first seal', () => {
    for (const isSealed of [false, true]) {
      const scene = started();
      scene.send(1, HOLD);
      scene.vm.stop(1, 'keep');
      scene.vm.start('first-seal');
      scene.send(2, HOLD);
      expect(scene.left()).toEqual([2]);
      if (isSealed) scene.vm.seal(2, 1);
      expect(answerOf(() => scene.vm.rollback(2, 0))).toEqual({ code: 'output-already-released' });
      expect(scene.vm.fail()).toEqual({ discardedFrames: 1 });
      scene.vm.start();
      scene.vm.seal(4, 1);
      scene.vm.commit(4, 1);
      expect(scene.left()).toEqual([]);
    }
  });

  test('while it waits for its host loses all that was held for it', () => {
    const scene = new Scene({ replicated: true });
    scene.send(1, PASS);
    expect(scene.vm.fail()).toEqual({ discardedFrames: 1 });
    scene.send(2, PASS);
    expect(scene.left()).toEqual([]);
    expect(counts(scene)).toMatchObject({ held: 1, discarded: 1, dropped: 1, stillHeld: 0 });
  });
});

describe('rules', () => {
  test('a held frame is not judged again by rules that would let it pass, and counters of equal rules live on', () => {
    const scene = started();
    scene.send(1, HOLD);
    scene.send(2, ACK);
    scene.vm.swapRules(generationOf(1));
    expect(scene.vm.generation.number).toBe(2);
    expect(scene.left()).toEqual([2]);
    scene.send(3, HOLD);
    expect(scene.left()).toEqual([3]);
    scene.vm.seal(1, 1);
    expect(scene.left()).toEqual([]);
    scene.vm.commit(1, 1);
    expect(scene.left()).toEqual([1]);
    const tcp = scene.vm.ruleCounters.list().find((row) => row.text === 'meta l4proto tcp pass');
    expect(tcp?.frames).toBe(1);
  });

  test('later fragments share the fate of the first, but not across a rule change', () => {
    const scene = started();
    scene.send(1, { kind: 'udp-first', colour: 0 });
    scene.send(2, { kind: 'udp-middle' });
    scene.vm.swapRules(generationOf(2));
    scene.send(3, { kind: 'udp-last' });
    expect(scene.left()).toEqual([1, 2]);
    expect(scene.vm.counters.reasonsByName()).toEqual({ rule: 1, fragment: 1, 'fragment-unknown': 1 });
  });
});

describe('what is not a frame of the VM', () => {
  test('a frame longer than a slot, or of another link type, is dropped and counted, each way', () => {
    const scene = started();
    scene.send(1, { kind: 'oversize' });
    scene.send(2, { kind: 'alien' });
    expect(scene.vm.counters.reasonsByName()).toEqual({ oversize: 1, 'not-ethernet': 1 });
    const spec = { flow: 0, colour: 0, vlan: 0, pad: 0 };
    scene.rig.net.send(makeFrame({ ...spec, kind: 'oversize' }, 3));
    scene.rig.net.send(makeFrame({ ...spec, kind: 'tcp' }, 4));
    scene.vm.turn();
    expect(scene.rig.guest.take()).toHaveLength(1);
    expect(
      ['inbound', 'inboundPassed', 'inboundDropped'].map((name) => scene.vm.counters.get(name as 'inbound')),
    ).toEqual([2, 1, 1]);
  });

  test('an empty frame is held like anything that is too short', () => {
    const scene = started();
    scene.rig.guest.send({ bytes: new Uint8Array(0), linkType: 1 });
    scene.rig.guest.send({ bytes: new Uint8Array(0), linkType: 1 });
    scene.vm.turn();
    expect(counts(scene)).toMatchObject({ held: 2 });
    scene.vm.seal(1, 1);
    expect(scene.vm.commit(1, 1)).toEqual({ releasedFrames: 2, releasedBytes: 0 });
    expect(scene.rig.net.take()).toEqual(['', '']);
  });

  test('whatever addresses a frame carries, it goes out: another VM of the gateway is the outside', () => {
    const [first, second] = [new Scene(), new Scene()];
    first.vm.start();
    // Flow 2 comes from a stranger's address and goes to that of flow 0.
    first.send(1, { ...PASS, flow: 2 });
    first.send(2, { ...SYN, flow: 2 });
    second.vm.turn();
    expect(first.left()).toEqual([1]);
    expect(second.rig.guest.take()).toEqual([]);
    expect(counts(first)).toMatchObject({ passed: 1, held: 1 });
  });
});
