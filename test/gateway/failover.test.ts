import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { FailoverScene } from '../support/failover-scene.ts';
import { igmpFrame } from '../support/group-frames.ts';
import { arpFrame, NETWORK_MAC, ndFrame, VM_IP4, VM_IP6 } from '../support/neighbour-frames.ts';
import { answerOf } from '../support/rig.ts';
import { runs, SEED } from '../support/runs.ts';
import { HOLD, PASS } from '../support/scene.ts';

const MS = 1e6;

let scene: FailoverScene;

beforeEach(() => {
  scene = new FailoverScene();
  scene.vm.start();
});

/** The VM fails over to machine b. */
function toB(term: number, epoch: number) {
  return scene.vm.failover(term, epoch, scene.b.port, scene.a.port);
}

function toA(term: number, epoch: number) {
  return scene.vm.failover(term, epoch, scene.a.port, scene.b.port);
}

describe('what the network gets', () => {
  test('a failover to a sealed epoch commits it: its frames leave, later ones never do, and a new term begins', () => {
    const { a, vm } = scene;
    scene.send(a.hand, 1, HOLD);
    vm.seal(1, 1);
    scene.send(a.hand, 2, HOLD);
    vm.seal(1, 2);
    scene.send(a.hand, 3, HOLD);
    vm.seal(1, 3);
    scene.send(a.hand, 4, HOLD);
    const answer = { term: 2, openEpoch: 5, discardedFrames: 2, releasedFrames: 2, announced: [], unannounced: [] };
    expect(toB(1, 2)).toEqual(answer);
    expect(scene.came(scene.net)).toEqual([1, 2]);
    scene.send(scene.b.hand, 5, HOLD);
    vm.seal(2, 5);
    vm.commit(2, 5);
    expect(scene.came(scene.net)).toEqual([5]);
    expect(scene.counts()).toEqual({ passed: 0, released: 3, discarded: 2, dropped: 0, stillHeld: 0 });
  });

  test('a failover to the committed epoch discards everything that is held', () => {
    const { a, vm } = scene;
    vm.seal(1, 1);
    vm.commit(1, 1);
    scene.send(a.hand, 1, HOLD);
    expect(toB(1, 1)).toMatchObject({ discardedFrames: 1, releasedFrames: 0 });
    expect(scene.came(scene.net)).toEqual([]);
  });

  test.each([
    ['below the committed epoch', 1, 0, 'output-already-released'],
    ['to an epoch that is not sealed', 1, 2, 'epoch-not-sealed'],
    ['to an epoch that was aborted', 1, 3, 'epoch-aborted'],
    ['of a stale term', 0, 1, 'stale-term'],
    ['of a term to come', 2, 1, 'stale-term'],
  ])('a failover %s is refused and changes nothing', (_, term, epoch, code) => {
    const { a, vm } = scene;
    vm.seal(1, 1);
    vm.commit(1, 1);
    if (epoch === 3) {
      for (const sealed of [2, 3]) vm.seal(1, sealed);
      vm.abort(1, 3);
    }
    scene.send(a.hand, 1, HOLD);
    const before = { open: vm.epochs.openEpoch, counts: scene.counts() };
    expect(answerOf(() => toB(term, epoch))).toEqual({ code });
    expect({ open: vm.epochs.openEpoch, counts: scene.counts() }).toEqual(before);
    scene.send(a.hand, 2, PASS);
    expect(scene.came(scene.net)).toEqual([2]);
  });

  test('the VM that had failed lives again', () => {
    scene.vm.fail();
    toB(2, 0);
    scene.send(scene.b.hand, 1, PASS);
    expect(scene.came(scene.net)).toEqual([1]);
  });
});

describe('the fence', () => {
  test('drops what the old machine had sent and nobody had read, and all that it still sends', () => {
    const { a, b, vm } = scene;
    for (let serial = 1; serial <= 20; serial++) scene.put(a.hand, serial, PASS);
    toB(1, 0);
    expect(vm.counters.reasonsByName()).toEqual({ fenced: 20 });
    scene.send(a.hand, 21, PASS);
    scene.send(a.hand, 22, HOLD);
    scene.send(b.hand, 23, PASS);
    vm.seal(2, 2);
    vm.commit(2, 2);
    expect(scene.came(scene.net)).toEqual([23]);
    expect(vm.counters.reasonsByName()).toMatchObject({ fenced: 22 });
    expect(scene.counts()).toEqual({ passed: 1, released: 0, discarded: 0, dropped: 22, stillHeld: 0 });
  });

  test('is read by a turn for one direction too, which says that there is more', () => {
    toB(1, 0);
    for (let serial = 1; serial <= 9; serial++) scene.put(scene.a.hand, serial, PASS);
    expect([scene.vm.turnOutbound(), scene.vm.turnOutbound(), scene.vm.turnOutbound()]).toEqual([8, 1, 0]);
  });

  test('keeps inbound frames from the old machine: those on their way to it go to the new one, in order', () => {
    scene = new FailoverScene({}, 2);
    scene.vm.start();
    for (let serial = 1; serial <= 5; serial++) scene.put(scene.net, serial, PASS);
    scene.vm.turn();
    expect(scene.vm.forwarder.queuedInbound).toBe(3);
    expect(scene.came(scene.a.hand)).toEqual([1, 2]);
    toB(1, 0);
    scene.send(scene.net, 6, PASS);
    expect([scene.came(scene.a.hand), scene.came(scene.b.hand)]).toEqual([[], [3, 4, 5, 6]]);
    expect(scene.vm.counters.get('inboundPassed')).toBe(6);
  });

  test('is ended by the next failover, which can lead back; what waited behind it is dropped', () => {
    toB(1, 0);
    scene.put(scene.a.hand, 1, PASS);
    scene.put(scene.b.hand, 2, PASS);
    toA(2, 0);
    scene.send(scene.a.hand, 3, PASS);
    scene.send(scene.b.hand, 4, PASS);
    expect(scene.came(scene.net)).toEqual([3]);
    expect(scene.vm.counters.reasonsByName()).toMatchObject({ fenced: 3 });
  });

  test('is ended by a stop, which closes the port', () => {
    toB(1, 0);
    scene.vm.stop(2, 'release');
    expect([scene.a.port.closed, scene.vm.forwarder.fence]).toEqual([true, null]);
    scene.send(scene.a.hand, 1, PASS);
    scene.send(scene.b.hand, 2, PASS);
    expect(scene.came(scene.net)).toEqual([2]);
    expect(scene.b.port.closed).toBe(false);
  });

  test('is not ended by another host that starts a term', () => {
    toB(1, 0);
    scene.vm.start();
    scene.send(scene.a.hand, 1, PASS);
    expect(scene.vm.counters.reasonsByName()).toEqual({ fenced: 1 });
  });

  test('where the port stays the same one: what was not read by now is dropped, what comes later is the VM’s', () => {
    const { a, vm } = scene;
    for (let serial = 1; serial <= 20; serial++) scene.put(a.hand, serial, PASS);
    vm.failover(1, 0, a.port, null);
    scene.send(a.hand, 21, PASS);
    expect(scene.came(scene.net)).toEqual([21]);
    expect(vm.counters.reasonsByName()).toMatchObject({ fenced: 20 });
  });

  test('stands also where the network takes nothing', () => {
    scene = new FailoverScene();
    scene.vm.start();
    let serial = 0;
    while (scene.vm.forwarder.mayRead(false) > 0) scene.send(scene.a.hand, ++serial, PASS);
    for (let n = 0; n < 20; n++) scene.put(scene.a.hand, ++serial, PASS);
    scene.vm.failover(1, 0, scene.a.port, null);
    scene.came(scene.net);
    scene.vm.pump();
    scene.send(scene.a.hand, ++serial, PASS);
    expect(scene.came(scene.net).at(-1)).toBe(serial);
    expect(scene.vm.counters.reasonsByName()).toMatchObject({ fenced: 20 });
  });
});

test('a failover ends that the VM gets no packets', () => {
  scene.vm.quiesce(1, 1e18);
  toB(1, 0);
  scene.send(scene.net, 1, PASS);
  expect(scene.came(scene.b.hand)).toEqual([1]);
});

describe('announcements', () => {
  const from = () => scene.a.hand;

  test('are made of what the VM announced in frames that left, released ones too, not of what was rolled back', () => {
    // Rule set 0 passes ARP requests and holds replies.
    scene.sendBytes(from(), arpFrame({ operation: 2 }));
    scene.vm.seal(1, 1);
    scene.sendBytes(from(), ndFrame());
    scene.sendBytes(from(), arpFrame({ senderIp: '10.0.0.11' }));
    scene.vm.seal(1, 2);
    scene.vm.commit(1, 1);
    scene.sendBytes(from(), arpFrame({ operation: 2, senderIp: '10.0.0.12' }));
    expect(toB(1, 2)).toMatchObject({ announced: [VM_IP4, '10.0.0.11', VM_IP6], discardedFrames: 1 });
    expect(scene.came(scene.net)).toHaveLength(6);
  });

  test('tell of groups that the VM joined in frames that left, not of what was rolled back', () => {
    scene.sendBytes(from(), arpFrame());
    // Rule set 0 holds what is neither UDP nor ARP.
    scene.sendBytes(from(), igmpFrame(0x16, '239.1.2.3'));
    scene.vm.seal(1, 1);
    scene.sendBytes(from(), igmpFrame(0x16, '239.9.9.9'));
    scene.sendBytes(from(), igmpFrame(0x17, '239.1.2.3'));
    expect(toB(1, 1)).toMatchObject({ announced: [VM_IP4], discardedFrames: 2 });
    const { announcer, ownAddresses } = scene.vm.forwarder;
    expect(ownAddresses.toAnnounce().memberships.map(({ group }) => group.join('.'))).toEqual(['239.1.2.3']);
    expect(announcer.sentFrames).toBe(2);
  });

  test('are made of what a VM that was not replicated announced', () => {
    scene = new FailoverScene();
    scene.sendBytes(from(), arpFrame());
    scene.vm.start();
    expect(toB(1, 0)).toMatchObject({ announced: [VM_IP4] });
  });

  test('name each address once, whatever VLANs it is in', () => {
    scene = new FailoverScene();
    for (const id of [5, 6]) scene.sendBytes(from(), arpFrame({ tags: [{ id }] }));
    scene.vm.start();
    scene.net.take();
    expect(toB(1, 0)).toMatchObject({ announced: [VM_IP4] });
    expect(scene.net.take()).toHaveLength(2);
  });

  test('leave out what another machine on the network announced since', () => {
    scene = new FailoverScene();
    scene.sendBytes(from(), arpFrame());
    scene.sendBytes(from(), ndFrame());
    scene.sendBytes(scene.net, arpFrame({ src: NETWORK_MAC }));
    scene.vm.start();
    expect(toB(1, 0)).toMatchObject({ announced: [VM_IP6] });
  });

  test('are made of configured addresses besides, where a MAC address of the VM is known', () => {
    for (const isKnown of [true, false]) {
      scene = new FailoverScene({ announce: ['10.0.0.99', '2001:db8::99'] });
      if (isKnown) scene.sendBytes(from(), arpFrame());
      scene.vm.start();
      const configured = ['10.0.0.99', '2001:db8::99'];
      expect(toB(1, 0)).toMatchObject({
        announced: isKnown ? [VM_IP4, ...configured] : [],
        unannounced: isKnown ? [] : configured,
      });
    }
  });

  test('are repeated when their time has come, and count for the gateway, not for the VM', () => {
    scene = new FailoverScene();
    scene.sendBytes(from(), arpFrame());
    scene.vm.start();
    toB(1, 0);
    scene.net.take();
    const before = scene.counts();
    const due: number[] = [];
    for (let dueNs = scene.vm.nextDueNs(); dueNs < Number.POSITIVE_INFINITY; dueNs = scene.vm.nextDueNs()) {
      due.push(dueNs / MS);
      scene.clock.advanceTo(dueNs);
      scene.vm.pump();
    }
    expect(due).toEqual([50, 200, 450, 800]);
    expect(scene.net.take()).toHaveLength(4);
    expect(scene.vm.forwarder.announcer.sentFrames).toBe(5);
    expect(scene.counts()).toEqual(before);
  });

  test.each([
    ['the lease has run out', () => scene.clock.advanceTo(40 * MS)],
    ['the replication is stopped', () => void scene.vm.stop(2, 'keep')],
    ['the VM has failed', () => void scene.vm.fail()],
  ])('end when %s', (_, event) => {
    scene = new FailoverScene();
    scene.sendBytes(from(), arpFrame());
    scene.vm.start('now', 40 * MS);
    toB(1, 0);
    event();
    scene.net.take();
    scene.clock.advanceTo(60 * MS);
    scene.vm.pump();
    expect(scene.net.take()).toEqual([]);
    expect(scene.vm.nextDueNs()).toBe(Number.POSITIVE_INFINITY);
  });
});

type Step =
  | { readonly kind: 'send'; readonly isA: boolean; readonly isHeld: boolean; readonly isRead: boolean }
  | { readonly kind: 'seal' | 'commit' | 'failover' };

test('after any schedule the network has exactly what committed machines sent', () => {
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('send' as const),
        isA: fc.boolean(),
        isHeld: fc.boolean(),
        isRead: fc.boolean(),
      }),
    },
    fc.record({ kind: fc.constantFrom('seal', 'commit', 'failover') }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      scene = new FailoverScene();
      const { vm } = scene;
      vm.start();
      let isOnA = true;
      let serial = 0;
      const expected: number[] = [];
      const got: number[] = [];
      /** Frames by the epoch that they were read in, and those that wait to be read. */
      let held: { readonly serial: number; readonly epoch: number }[] = [];
      let unread: { readonly serial: number; readonly isA: boolean; readonly isHeld: boolean }[] = [];
      let lastSealed = 0;
      let isFenced = false;
      const read = (epoch: number, isTurn: boolean) => {
        for (const frame of unread.filter(({ isA }) => isA === isOnA)) {
          if (frame.isHeld) held.push({ serial: frame.serial, epoch });
          else expected.push(frame.serial);
        }
        unread = unread.filter(({ isA }) => isA !== isOnA && !(isTurn && isFenced));
      };
      const release = () => {
        expected.push(...held.filter(({ epoch }) => epoch <= lastSealed).map((frame) => frame.serial));
        held = held.filter(({ epoch }) => epoch > lastSealed);
      };
      for (const one of steps) {
        const { term, openEpoch, committedEpoch } = vm.epochs;
        if (one.kind === 'send') {
          serial++;
          scene.put((one.isA ? scene.a : scene.b).hand, serial, one.isHeld ? HOLD : PASS);
          unread.push({ serial, isA: one.isA, isHeld: one.isHeld });
          if (!one.isRead) continue;
          for (let n = 0; n < 10; n++) vm.turn();
          read(openEpoch, true);
        } else if (one.kind === 'seal') {
          vm.seal(term, openEpoch);
          read(openEpoch, false);
          lastSealed = openEpoch;
        } else if (one.kind === 'commit') {
          if (lastSealed <= committedEpoch) continue;
          vm.commit(term, lastSealed);
          release();
        } else {
          lastSealed = Math.max(lastSealed, committedEpoch);
          const [from, to] = isOnA ? [scene.a, scene.b] : [scene.b, scene.a];
          vm.failover(term, lastSealed, to.port, from.port);
          release();
          held = [];
          // A machine that has never been the VM's nor behind its fence has not been read.
          unread = isFenced ? [] : unread.filter(({ isA }) => isA !== isOnA);
          isFenced = true;
          isOnA = !isOnA;
        }
        got.push(...scene.came(scene.net));
        expect([...got].sort((x, y) => x - y)).toEqual([...expected].sort((x, y) => x - y));
        scene.counts();
      }
    }),
    { numRuns: runs(200), ...SEED },
  );
});
