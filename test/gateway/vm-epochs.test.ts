import { describe, expect, test } from 'vitest';
import { answerOf, type Scene } from '../support/rig.ts';
import { ACK, counts, HOLD, PASS, SYN, started } from '../support/scene.ts';

describe('epochs in flight', () => {
  test('a frame held in epoch 4 stays held when epoch 3 commits', () => {
    const scene = started();
    for (const epoch of [1, 2, 3]) scene.vm.seal(1, epoch);
    scene.send(40, HOLD);
    scene.vm.seal(1, 4);
    expect(scene.vm.commit(1, 3)).toEqual({ releasedFrames: 0, releasedBytes: 0 });
    expect(scene.left()).toEqual([]);
    expect(scene.vm.commit(1, 4).releasedFrames).toBe(1);
    expect(scene.left()).toEqual([40]);
  });

  test('seal 1, 2, 3, abort 2, late commit 2: nothing leaves; commit 3: everything, in hold order', () => {
    const scene = started();
    for (const epoch of [1, 2, 3]) {
      scene.send(epoch * 10, HOLD);
      scene.send(epoch * 10 + 1, { ...HOLD, flow: 1 });
      scene.vm.seal(1, epoch);
    }
    expect(scene.vm.abort(1, 2)).toEqual({ movedFrames: 2 });
    expect(answerOf(() => scene.vm.commit(1, 2))).toEqual({ code: 'epoch-aborted' });
    expect(scene.left()).toEqual([]);
    expect(scene.vm.commit(1, 3).releasedFrames).toBe(6);
    expect(scene.left()).toEqual([10, 11, 20, 21, 30, 31]);
  });

  test('seal 1, 2, 3, abort 2, commit 1: what epoch 2 held stays with epoch 3', () => {
    const scene = started();
    for (const epoch of [1, 2, 3]) {
      scene.send(epoch, HOLD);
      scene.vm.seal(1, epoch);
    }
    scene.vm.abort(1, 2);
    scene.vm.commit(1, 1);
    expect(scene.left()).toEqual([1]);
    expect(scene.vm.rollback(1, 1)).toEqual({ term: 2, openEpoch: 5, discardedFrames: 2, releasedFrames: 0 });
    expect(scene.left()).toEqual([]);
  });

  test('what aborted epochs hold moves on and on, and leaves with the first that is not aborted', () => {
    const scene = started();
    for (const epoch of [1, 2, 3]) {
      scene.send(epoch, HOLD);
      scene.vm.seal(1, epoch);
    }
    expect(scene.vm.abort(1, 1)).toEqual({ movedFrames: 1 });
    expect(scene.vm.abort(1, 2)).toEqual({ movedFrames: 2 });
    expect(scene.vm.abort(1, 3)).toEqual({ movedFrames: 3 });
    scene.send(4, HOLD);
    scene.vm.seal(1, 4);
    expect(scene.left()).toEqual([]);
    scene.vm.commit(1, 4);
    expect(scene.left()).toEqual([1, 2, 3, 4]);
  });

  test('five epochs in flight commit two, then one, then the rest', () => {
    const scene = started();
    for (const epoch of [1, 2, 3, 4, 5]) {
      scene.send(epoch, HOLD);
      scene.vm.seal(1, epoch);
    }
    scene.send(6, HOLD);
    expect(scene.vm.epochs.sealedEpochs).toEqual([1, 2, 3, 4, 5]);
    scene.vm.commit(1, 2);
    expect(scene.left()).toEqual([1, 2]);
    scene.vm.commit(1, 3);
    expect(scene.left()).toEqual([3]);
    scene.vm.commit(1, 5);
    expect(scene.left()).toEqual([4, 5]);
    expect(counts(scene)).toMatchObject({ released: 5, stillHeld: 1 });
  });

  test('a second commit of the same epoch does nothing, also when new frames wait', () => {
    const scene = started();
    scene.send(1, HOLD);
    scene.vm.seal(1, 1);
    scene.vm.commit(1, 1);
    scene.send(2, HOLD);
    expect(scene.vm.commit(1, 1)).toEqual({ releasedFrames: 0, releasedBytes: 0 });
    expect(scene.left()).toEqual([1]);
  });

  test('a commit of the open epoch releases nothing', () => {
    const scene = started();
    scene.send(1, HOLD);
    expect(answerOf(() => scene.vm.commit(1, 1))).toEqual({ code: 'epoch-not-sealed' });
    expect(scene.left()).toEqual([]);
  });
});

describe('rollback', () => {
  test('rollback(5), then an old client commits 6 of the old term: no effect', () => {
    const scene = started();
    for (const epoch of [1, 2, 3, 4, 5, 6]) {
      scene.send(epoch, HOLD);
      scene.vm.seal(1, epoch);
    }
    scene.send(7, HOLD);
    const answer = scene.vm.rollback(1, 5);
    expect(answer).toEqual({ term: 2, openEpoch: 8, discardedFrames: 2, releasedFrames: 5 });
    scene.send(8, HOLD);
    const before = counts(scene);
    expect(answerOf(() => scene.vm.commit(1, 6))).toEqual({ code: 'stale-term' });
    expect(counts(scene)).toEqual(before);
    expect(scene.left()).toEqual([1, 2, 3, 4, 5]);
    expect(answerOf(() => scene.vm.commit(2, 6))).toEqual({ code: 'epoch-not-sealed' });
    scene.vm.seal(2, 8);
    scene.vm.commit(2, 8);
    expect(scene.left()).toEqual([8]);
  });

  test('discards the open epoch too, and passes data at once in the new term', () => {
    const scene = started();
    scene.send(1, HOLD);
    expect(scene.vm.rollback(1, 0)).toEqual({ term: 2, openEpoch: 2, discardedFrames: 1, releasedFrames: 0 });
    scene.send(2, PASS);
    expect(scene.left()).toEqual([2]);
  });

  test('below the committed epoch is refused, for the frames have left', () => {
    const scene = started();
    scene.send(1, HOLD);
    scene.vm.seal(1, 1);
    scene.vm.seal(1, 2);
    scene.send(3, HOLD);
    scene.vm.commit(1, 2);
    expect(answerOf(() => scene.vm.rollback(1, 1))).toEqual({ code: 'output-already-released' });
    expect(counts(scene)).toMatchObject({ discarded: 0, stillHeld: 1 });
  });

  test('of a paced train: what is committed leaves at once, what only followed its flow is discarded', () => {
    const scene = started({ pacing: 'paced' });
    scene.send(1, SYN);
    scene.rig.clock.advanceTo(100);
    scene.send(2, SYN);
    scene.vm.seal(1, 1);
    scene.vm.commit(1, 1);
    expect(scene.left()).toEqual([1]);
    scene.send(3, ACK);
    expect(scene.left()).toEqual([]);
    expect(scene.vm.rollback(1, 1)).toMatchObject({ discardedFrames: 1, releasedFrames: 0 });
    expect(scene.left()).toEqual([2]);
  });
});

describe('same flow hold(1), pass(1), seal, pass(2), hold(2)', () => {
  function scene(): Scene {
    const s = started();
    s.send(10, SYN);
    s.send(11, ACK);
    s.vm.seal(1, 1);
    s.send(20, ACK);
    s.send(21, SYN);
    expect(s.left()).toEqual([]);
    expect(s.vm.counters.reasonsByName()).toEqual({ rule: 2, 'behind-held': 2 });
    return s;
  }

  test('then commit(1): the first three leave, the last waits', () => {
    const s = scene();
    expect(s.vm.commit(1, 1).releasedFrames).toBe(3);
    expect(s.left()).toEqual([10, 11, 20]);
    s.send(22, ACK);
    expect(s.left()).toEqual([]);
    s.vm.seal(1, 2);
    s.vm.commit(1, 2);
    expect(s.left()).toEqual([21, 22]);
  });

  test('then abort(1): all wait for epoch 2', () => {
    const s = scene();
    expect(s.vm.abort(1, 1)).toEqual({ movedFrames: 2 });
    expect(s.left()).toEqual([]);
    s.vm.seal(1, 2);
    s.vm.commit(1, 2);
    expect(s.left()).toEqual([10, 11, 20, 21]);
  });

  test('then rollback(1): epoch 1 leaves, epoch 2 never does, whatever its verdict', () => {
    const s = scene();
    expect(s.vm.rollback(1, 1)).toEqual({ term: 2, openEpoch: 3, discardedFrames: 2, releasedFrames: 2 });
    expect(s.left()).toEqual([10, 11]);
    s.send(30, ACK);
    expect(s.left()).toEqual([30]);
    expect(counts(s)).toEqual({
      outbound: 5,
      passed: 1,
      held: 4,
      released: 2,
      discarded: 2,
      dropped: 0,
      stillHeld: 0,
    });
  });

  test('then rollback(0): nothing of it leaves', () => {
    const s = scene();
    expect(s.vm.rollback(1, 0)).toMatchObject({ discardedFrames: 4, releasedFrames: 0 });
    expect(s.left()).toEqual([]);
  });
});

describe('seal', () => {
  test('what waits in the inside port at a seal belongs to the sealed epoch', () => {
    const scene = started({ batchFrames: 2 });
    for (const serial of [1, 2, 3, 4, 5]) scene.put(serial, HOLD);
    expect(scene.vm.seal(1, 1)).toMatchObject({ drained: true, heldFrames: 5 });
    scene.send(6, HOLD);
    scene.vm.commit(1, 1);
    expect(scene.left()).toEqual([1, 2, 3, 4, 5]);
  });

  test('past its deadline it answers that it is not drained, and the rest belongs to the next epoch', () => {
    const scene = started({ batchFrames: 2 });
    for (const serial of [1, 2, 3]) scene.put(serial, HOLD);
    expect(scene.vm.seal(1, 1, 0)).toMatchObject({ drained: false, heldFrames: 2 });
    scene.vm.turn();
    scene.vm.commit(1, 1);
    expect(scene.left()).toEqual([1, 2]);
    scene.vm.rollback(1, 1);
    expect(scene.left()).toEqual([]);
  });

  test('a refused seal reads nothing', () => {
    const scene = started();
    scene.put(1, PASS);
    expect(answerOf(() => scene.vm.seal(1, 2))).toEqual({ code: 'epoch-not-open' });
    expect(answerOf(() => scene.vm.seal(2, 1))).toEqual({ code: 'stale-term' });
    expect(scene.vm.counters.get('outbound')).toBe(0);
  });
});
