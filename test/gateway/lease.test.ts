import { describe, expect, test } from 'vitest';
import { Lease } from '../../gateway/lease.ts';
import { answerOf, Scene } from '../support/rig.ts';
import { ACK, counts, HOLD, PASS, SYN } from '../support/scene.ts';

const MS = 1e6;

function leased(leaseMs: number, holdFrom: 'now' | 'first-seal' = 'now'): Scene {
  const scene = new Scene();
  scene.vm.start(holdFrom, leaseMs * MS);
  return scene;
}

function at(scene: Scene, ms: number): void {
  scene.rig.clock.advanceTo(ms * MS);
}

describe('a lease', () => {
  test('lapses at its end and not before: data passes until then, and is held from then on', () => {
    const scene = leased(5);
    at(scene, 4.999999);
    scene.send(1, PASS);
    at(scene, 5);
    scene.send(2, PASS);
    scene.send(3, HOLD);
    expect(scene.left()).toEqual([1]);
    expect(scene.vm.counters.reasonsByName()).toEqual({ rule: 1, lease: 1, default: 1 });
    expect(scene.vm.forwarder.hostSilent).toBe(true);
  });

  test('that lapsed while no frame came is known without one', () => {
    const scene = leased(5);
    at(scene, 5);
    expect(scene.vm.forwarder.hostSilent).toBe(false);
    scene.vm.watchHost();
    expect(scene.vm.forwarder.hostSilent).toBe(true);
    expect(scene.vm.lease.silentNs(scene.rig.clock.nowNs())).toBe(5 * MS);
  });

  test.each([
    ['seal', (s: Scene) => s.vm.seal(1, 1)],
    ['a seal that is refused', (s: Scene) => s.vm.seal(1, 2)],
    ['commit', (s: Scene) => s.vm.commit(1, 1)],
    ['abort', (s: Scene) => s.vm.abort(1, 1)],
    ['a rollback that is refused', (s: Scene) => s.vm.rollback(1, 7)],
    ['a rollback', (s: Scene) => s.vm.rollback(1, 0)],
    ['a failover that is asked about', (s: Scene) => s.vm.checkFailover(1, 0)],
    ['quiesce', (s: Scene) => s.vm.quiesce(1, 0)],
    ['resume', (s: Scene) => s.vm.resume(1)],
  ])('is renewed by any request of the term: %s', (_, request) => {
    const scene = leased(5);
    at(scene, 4);
    answerOf(() => request(scene));
    at(scene, 8);
    scene.send(1, PASS);
    at(scene, 9);
    scene.send(2, PASS);
    expect(scene.left()).toEqual([1]);
  });

  test.each([
    ['a stale term', 0],
    ['a term to come', 2],
  ])('is not renewed by a request of %s', (_, term) => {
    const scene = leased(5);
    at(scene, 4);
    for (const what of ['seal', 'commit', 'abort', 'rollback'] as const) {
      expect(answerOf(() => scene.vm[what](term, 1))).toEqual({ code: 'stale-term' });
    }
    at(scene, 5);
    scene.send(1, PASS);
    expect(scene.left()).toEqual([]);
  });

  test('whose host comes back lets data pass again; what was held meanwhile waits for its commit', () => {
    const scene = leased(5);
    at(scene, 6);
    scene.send(1, PASS);
    scene.vm.seal(1, 1);
    scene.send(2, PASS);
    expect(scene.left()).toEqual([2]);
    scene.vm.commit(1, 1);
    expect(scene.left()).toEqual([1]);
    expect(counts(scene)).toMatchObject({ passed: 1, held: 1, released: 1 });
  });

  test('keeps the order of a flow: data behind what it held waits too', () => {
    const scene = leased(5);
    at(scene, 6);
    scene.send(1, ACK);
    scene.vm.seal(1, 1);
    scene.send(2, ACK);
    expect(scene.left()).toEqual([]);
    scene.vm.commit(1, 1);
    expect(scene.left()).toEqual([1, 2]);
    expect(scene.vm.counters.reasonsByName()).toEqual({ lease: 1, 'behind-held': 1 });
  });

  test('that lapses before the first seal ends the passing of control too', () => {
    const scene = leased(5, 'first-seal');
    scene.send(1, SYN);
    at(scene, 5);
    scene.send(2, SYN);
    scene.send(3, { ...PASS, flow: 1 });
    expect(scene.left()).toEqual([1]);
    scene.vm.seal(1, 1);
    scene.vm.commit(1, 1);
    expect(scene.left()).toEqual([2, 3]);
  });

  test('of Infinity never lapses, and ends with its term', () => {
    const scene = new Scene();
    scene.vm.start();
    at(scene, 1e9);
    scene.send(1, PASS);
    expect(scene.left()).toEqual([1]);
    const stopped = leased(5);
    at(stopped, 6);
    stopped.vm.turn();
    stopped.vm.stop(1, 'release');
    stopped.send(2, PASS);
    expect(stopped.left()).toEqual([2]);
    expect(stopped.vm.counters.reasonsByName()).toEqual({ rule: 1 });
    expect(stopped.vm.lease.silentNs(0)).toBeNaN();
  });

  test('that lapsed keeps what the port had refused before, until the host speaks again', () => {
    const scene = new Scene({ outsideCapacity: 1 });
    scene.vm.start('now', 5 * MS);
    for (const serial of [1, 2, 3]) scene.send(serial, PASS);
    expect(scene.left()).toEqual([1]);
    at(scene, 5);
    scene.vm.turn();
    scene.vm.pump();
    scene.send(4, HOLD);
    expect(scene.left()).toEqual([]);
    expect(scene.vm.nextDueNs()).toBe(Number.POSITIVE_INFINITY);
    expect(counts(scene)).toMatchObject({ passed: 1, stillHeld: 3 });
    scene.vm.seal(1, 1);
    expect(scene.left()).toEqual([2]);
    scene.vm.pump();
    expect(scene.left()).toEqual([3]);
  });

  test('that lapsed lets what is committed go on, as far as no data stands before it', () => {
    const scene = new Scene({ outsideCapacity: 1 });
    scene.vm.start('now', 5 * MS);
    scene.send(1, SYN);
    scene.send(2, SYN);
    scene.send(3, ACK);
    scene.vm.seal(1, 1);
    expect(scene.vm.commit(1, 1)).toMatchObject({ releasedFrames: 3 });
    expect(scene.left()).toEqual([1]);
    at(scene, 5);
    scene.vm.pump();
    expect(scene.left()).toEqual([2]);
    expect(scene.vm.nextDueNs()).toBe(Number.POSITIVE_INFINITY);
    scene.vm.pump();
    expect(scene.left()).toEqual([]);
    scene.vm.seal(1, 2);
    expect(scene.left()).toEqual([3]);
  });

  test('that lapsed keeps what a rollback discards, though the host speaks by it', () => {
    const scene = new Scene({ outsideCapacity: 1 });
    scene.vm.start('now', 5 * MS);
    scene.send(1, SYN);
    scene.vm.seal(1, 1);
    scene.send(2, ACK);
    scene.send(3, ACK);
    expect(scene.vm.commit(1, 1)).toMatchObject({ releasedFrames: 3 });
    at(scene, 5);
    expect(scene.left()).toEqual([1]);
    expect(scene.vm.rollback(1, 1)).toMatchObject({ discardedFrames: 2 });
    scene.vm.turn();
    expect(scene.left()).toEqual([]);
  });

  test('is counted from its grant anew', () => {
    const lease = new Lease();
    expect(lease.deadline[0]).toBe(Number.POSITIVE_INFINITY);
    lease.grant(10, 100);
    expect([lease.deadline[0], lease.silentNs(104)]).toEqual([110, 4]);
    lease.renew(105);
    expect([lease.deadline[0], lease.silentNs(105)]).toEqual([115, 0]);
    lease.end();
    expect(lease.deadline[0]).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('a takeover', () => {
  test('goes on in the next term behind the epoch that the standby has, and holds what waited for the epoch after it', () => {
    const scene = new Scene({ replicated: true });
    scene.send(1, PASS);
    expect(scene.vm.takeOver(7, 3, 5 * MS)).toEqual({ term: 8, openEpoch: 4 });
    scene.send(2, HOLD);
    expect(scene.vm.commit(8, 3)).toEqual({ releasedFrames: 0, releasedBytes: 0 });
    expect(scene.left()).toEqual([]);
    scene.vm.seal(8, 4);
    scene.vm.commit(8, 4);
    expect(scene.left()).toEqual([1, 2]);
    at(scene, 5);
    scene.send(3, PASS);
    expect(scene.left()).toEqual([]);
  });

  test('rolled back to its checkpoint loses what waited before it', () => {
    const scene = new Scene({ replicated: true });
    scene.send(1, PASS);
    scene.vm.takeOver(7, 3);
    expect(scene.vm.rollback(8, 3)).toEqual({ term: 9, openEpoch: 5, discardedFrames: 1, releasedFrames: 0 });
    expect(answerOf(() => scene.vm.rollback(9, 2))).toEqual({ code: 'output-already-released' });
  });

  test('of a term that is older than the last one here, or while one is in force, is refused', () => {
    const scene = new Scene({ replicated: true });
    scene.vm.takeOver(7, 3);
    for (const term of [7, 8, 9]) expect(answerOf(() => scene.vm.takeOver(term, 3))).toEqual({ code: 'stale-term' });
    scene.vm.stop(8, 'keep');
    expect(answerOf(() => scene.vm.takeOver(7, 3))).toEqual({ code: 'stale-term' });
    expect(scene.vm.takeOver(8, 9)).toEqual({ term: 9, openEpoch: 10 });
  });
});

describe('a VM that waits for its host', () => {
  test.each([
    ['release', { releasedFrames: 2, discardedFrames: 0 }, 'off', [1, 2, 3]],
    ['discard', { releasedFrames: 0, discardedFrames: 2 }, 'off', [3]],
    ['keep', { releasedFrames: 0, discardedFrames: 0 }, 'waiting', []],
  ] as const)('is told by its operator what becomes of it: %s', (held, answer, state, left) => {
    const scene = new Scene({ replicated: true });
    scene.send(1, PASS);
    scene.send(2, HOLD);
    expect(answerOf(() => scene.vm.stop(1, held))).toEqual({ code: 'stale-term' });
    expect(scene.vm.stop(0, held)).toEqual(answer);
    scene.send(3, PASS);
    expect(scene.vm.epochs.state).toBe(state);
    expect(scene.left()).toEqual(left);
    const again = answerOf(() => scene.vm.stop(0, 'release'));
    expect(again).toEqual(state === 'off' ? { code: 'not-replicated' } : { releasedFrames: 3, discardedFrames: 0 });
  });
});
