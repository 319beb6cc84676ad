import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { REASON } from '../../../classifier/verdict.ts';
import type { Method, ParamsOf } from '../../../gateway/host/api.ts';
import type { HostClient } from '../../../gateway/host/client.ts';
import { Methods } from '../../../gateway/host/methods.ts';
import type { Vm } from '../../../gateway/vm.ts';
import { makeFrame } from '../../support/frames.ts';
import { HOST_RULES, HostRig, refusalOf } from '../../support/host-rig.ts';
import { Scene } from '../../support/rig.ts';
import { HOLD, PASS } from '../../support/scene.ts';
import { generationOf } from '../../support/verdicts.ts';

let rig: HostRig;
let scene: Scene;
let host: HostClient;
const remembered: [string, string, number][] = [];

beforeEach(async () => {
  scene = new Scene({}, generationOf(HOST_RULES));
  remembered.length = 0;
  rig = await new HostRig(scene, {
    remember: (name: string, { epochs }: Vm) => remembered.push([name, epochs.state, epochs.term]),
  }).listen();
  host = rig.client();
});
afterEach(() => rig.close());

const at = (term: number, epoch: number) => ({ vm: 'vm0', term, epoch });

function refusal<M extends Method>(method: M, params: ParamsOf<M>) {
  return refusalOf(host, method, params);
}

describe('hello', () => {
  test('says who the gateway is and how its VMs are', async () => {
    expect(await host.call('hello', { client: 'x', protocol: 1 })).toEqual({
      name: 'holdfast',
      version: '1.2.3',
      protocol: 1,
      bootId: 'boot-1',
      vms: [{ vm: 'vm0', state: 'off', term: 0, openEpoch: 1, sealedEpochs: [], committedEpoch: 0 }],
    });
    await host.call('replication.start', { vm: 'vm0' });
    for (const epoch of [1, 2, 3]) await host.call('checkpoint.seal', at(1, epoch));
    await host.call('checkpoint.commit', at(1, 1));
    expect((await host.connect()).vms).toEqual([
      { vm: 'vm0', state: 'on', term: 1, openEpoch: 4, sealedEpochs: [2, 3], committedEpoch: 1 },
    ]);
  });
});

describe('replication', () => {
  test('start begins a term with a lease of 5 s, or with the one that is asked for, or with none', async () => {
    expect(await host.call('replication.start', { vm: 'vm0' })).toEqual({ term: 1, openEpoch: 1 });
    expect(scene.vm.lease.deadline[0]).toBe(5e9);
    expect(await host.call('replication.start', { vm: 'vm0', leaseMs: 70 })).toEqual({ term: 2, openEpoch: 1 });
    expect(scene.vm.lease.deadline[0]).toBe(70e6);
    await host.call('replication.start', { vm: 'vm0', leaseMs: 0 });
    expect(scene.vm.lease.deadline[0]).toBe(Number.POSITIVE_INFINITY);
  });

  test('start from the first seal on lets output pass until then', async () => {
    await host.call('replication.start', { vm: 'vm0', holdFrom: 'first-seal' });
    scene.send(1, HOLD);
    await host.call('checkpoint.seal', at(1, 1));
    scene.send(2, HOLD);
    expect(scene.left()).toEqual([1]);
  });

  test('takeover goes on after the term and the epoch that it names', async () => {
    const params = { ...at(7, 3), leaseMs: 100 };
    expect(await host.call('replication.takeover', params)).toEqual({ term: 8, openEpoch: 4 });
    expect(await refusal('replication.takeover', at(8, 3))).toMatchObject({ rpcCode: -32000, code: 'stale-term' });
  });

  test.each([
    ['release', { releasedFrames: 1, discardedFrames: 0 }, [1]],
    ['discard', { releasedFrames: 0, discardedFrames: 1 }, []],
    ['keep', { releasedFrames: 0, discardedFrames: 0 }, []],
  ] as const)('stop with %s', async (held, answer, left) => {
    await host.call('replication.start', { vm: 'vm0' });
    scene.send(1, HOLD);
    expect(await host.call('replication.stop', { vm: 'vm0', term: 1, held })).toEqual(answer);
    expect(scene.left()).toEqual(left);
  });

  test('whatever changes a term is stored before the host hears of it, and nothing else is', async () => {
    await host.call('replication.start', { vm: 'vm0' });
    await host.call('checkpoint.seal', at(1, 1));
    await host.call('checkpoint.commit', at(1, 1));
    await host.call('vm.rollback', at(1, 1));
    await refusal('vm.rollback', at(1, 1));
    await host.call('replication.stop', { vm: 'vm0', term: 2, held: 'keep' });
    await host.call('replication.takeover', at(4, 9));
    expect(remembered).toEqual([
      ['vm0', 'on', 1],
      ['vm0', 'on', 2],
      ['vm0', 'waiting', 2],
      ['vm0', 'on', 5],
    ]);
  });

  test('whatever changes a term is stored before those who listen are told', async () => {
    const order: string[] = [];
    const view = {
      ...{ vms: new Map([['vm0', scene.vm]]), clock: scene.rig.clock, version: '1.2.3', bootId: 'boot-1' },
      remember: () => order.push('stored'),
    };
    const methods = new Methods(view, (kind) => order.push(kind));
    await methods.call('replication.start', { vm: 'vm0' }, { kinds: new Set(), isGone: false, access: null });
    expect(order).toEqual(['stored', 'epoch']);
  });
});

describe('checkpoints', () => {
  beforeEach(async () => {
    await host.call('replication.start', { vm: 'vm0' });
  });

  test('seal reads what the VM has sent, and says what is held', async () => {
    scene.put(1, HOLD);
    const sealed = await host.call('checkpoint.seal', at(1, 1));
    expect(sealed).toEqual({ openEpoch: 2, drained: true, heldFrames: 1, heldBytes: 46 });
  });

  test('seal without time reads one batch, and says that there may be more', async () => {
    for (let i = 0; i < 20; i++) scene.put(i, HOLD);
    const sealed = await host.call('checkpoint.seal', { ...at(1, 1), timeoutMs: 0 });
    expect(sealed).toMatchObject({ drained: false, heldFrames: 8 });
  });

  test('commit releases, once', async () => {
    scene.send(1, HOLD);
    await host.call('checkpoint.seal', at(1, 1));
    expect(await host.call('checkpoint.commit', at(1, 1))).toEqual({ releasedFrames: 1, releasedBytes: 46 });
    expect(await host.call('checkpoint.commit', at(1, 1))).toEqual({ releasedFrames: 0, releasedBytes: 0 });
    expect(scene.left()).toEqual([1]);
  });

  test('abort moves frames to the next epoch', async () => {
    scene.send(1, HOLD);
    await host.call('checkpoint.seal', at(1, 1));
    expect(await host.call('checkpoint.abort', at(1, 1))).toEqual({ movedFrames: 1 });
  });

  test('rollback discards what is later and goes on in another term', async () => {
    scene.send(1, HOLD);
    await host.call('checkpoint.seal', at(1, 1));
    scene.send(2, HOLD);
    const answer = { term: 2, openEpoch: 3, discardedFrames: 1, releasedFrames: 1 };
    expect(await host.call('vm.rollback', at(1, 1))).toEqual(answer);
    expect(scene.left()).toEqual([1]);
  });

  test('failover checks term and epoch, says that it cannot, and changes nothing', async () => {
    const inside = 'tap1';
    expect(await refusal('vm.failover', { ...at(0, 0), inside })).toMatchObject({ code: 'stale-term' });
    expect(await refusal('vm.failover', { ...at(1, 1), inside })).toMatchObject({ code: 'epoch-not-sealed' });
    expect(await refusal('vm.failover', { ...at(1, 0), inside })).toMatchObject({
      rpcCode: -32000,
      code: 'not-supported',
    });
    expect(scene.vm.epochs.term).toBe(1);
  });

  test('each refusal of the state has its code, and none of them changes anything', async () => {
    for (const epoch of [1, 2, 3]) await host.call('checkpoint.seal', at(1, epoch));
    await host.call('checkpoint.commit', at(1, 1));
    await host.call('checkpoint.abort', at(1, 2));
    const before = await host.call('status', {});
    for (const [method, term, epoch, code] of [
      ['checkpoint.seal', 0, 4, 'stale-term'],
      ['checkpoint.commit', 2, 3, 'stale-term'],
      ['checkpoint.abort', 0, 3, 'stale-term'],
      ['vm.rollback', 0, 1, 'stale-term'],
      ['checkpoint.seal', 1, 5, 'epoch-not-open'],
      ['checkpoint.seal', 1, 3, 'epoch-sealed'],
      ['checkpoint.commit', 1, 4, 'epoch-not-sealed'],
      ['checkpoint.commit', 1, 2, 'epoch-aborted'],
      ['checkpoint.abort', 1, 2, 'epoch-aborted'],
      ['checkpoint.abort', 1, 1, 'output-already-released'],
      ['vm.rollback', 1, 0, 'output-already-released'],
      ['vm.rollback', 1, 4, 'epoch-not-sealed'],
    ] as const) {
      expect(await refusal(method, at(term, epoch))).toMatchObject({ rpcCode: -32000, code });
    }
    expect(await host.call('status', {})).toEqual(before);
    await host.call('replication.stop', { vm: 'vm0', term: 1, held: 'release' });
    for (const method of ['checkpoint.seal', 'checkpoint.commit', 'checkpoint.abort', 'vm.rollback'] as const) {
      expect(await refusal(method, at(1, 3))).toMatchObject({ code: 'not-replicated' });
    }
    for (const method of ['vm.failover', 'vm.quiesce', 'vm.resume', 'replication.stop'] as const) {
      const more = { inside: 'x', timeoutMs: 1, leaseMs: 1, held: 'keep', ...at(1, 3) };
      const fields = {
        'vm.failover': ['inside', 'epoch'],
        'vm.quiesce': ['timeoutMs', 'leaseMs'],
        'replication.stop': ['held'],
      };
      const wanted = ['vm', 'term', ...((fields as Record<string, string[]>)[method] ?? [])];
      const params = Object.fromEntries(Object.entries(more).filter(([name]) => wanted.includes(name)));
      expect(await refusal(method, params as never)).toMatchObject({ code: 'not-replicated' });
    }
  });
});

test('a VM that there is not is unknown, whatever is asked of it', async () => {
  for (const [method, params] of [
    ['replication.start', { vm: 'vm1' }],
    ['replication.stop', { vm: 'vm1', term: 1, held: 'keep' }],
    ['checkpoint.seal', { vm: 'vm1', term: 1, epoch: 1 }],
    ['vm.resume', { vm: 'vm1', term: 1 }],
    ['set.add', { vm: 'vm1', set: 'media', elements: [] }],
  ] as const) {
    expect(await refusal(method, params as never)).toMatchObject({ rpcCode: -32000, code: 'unknown-vm', field: 'vm' });
  }
});

describe('quiesce and resume', () => {
  const fromNet = (count: number) => {
    for (let i = 0; i < count; i++) scene.rig.net.send(makeFrame({ ...PASS, flow: 0, vlan: 0, pad: 0 }, i));
  };
  /** The VM takes no more, and some are on their way to it. */
  const clog = () => {
    for (const count of [256, 10]) {
      fromNet(count);
      for (let i = 0; i < 40; i++) scene.vm.turn();
    }
    expect(scene.vm.forwarder.queuedInbound).toBe(10);
  };
  const quiesce = { vm: 'vm0', term: 1, timeoutMs: 50, leaseMs: 1000 };

  beforeEach(async () => {
    await host.call('replication.start', { vm: 'vm0', leaseMs: 0 });
  });

  test('stop and go on with delivering', async () => {
    expect(await host.call('vm.quiesce', quiesce)).toEqual({ quiescent: true, waitedMs: 0 });
    expect((await host.call('status', {})).vms[0]).toMatchObject({ quiesced: true });
    fromNet(3);
    scene.vm.turn();
    expect(await host.call('vm.resume', { vm: 'vm0', term: 1 })).toEqual({ deliveredFrames: 3 });
    expect((await host.call('status', {})).vms[0]).toMatchObject({ quiesced: false });
  });

  test('the answer waits until what is on its way has been taken; other requests do not', async () => {
    clog();
    const answer = host.call('vm.quiesce', quiesce);
    expect(await host.call('vm.resume', { vm: 'vm0', term: 0 }).catch((error) => error.code)).toBe('stale-term');
    scene.rig.clock.advanceTo(7e6);
    scene.rig.guest.take();
    expect(await answer).toEqual({ quiescent: true, waitedMs: 7 });
  });

  test.each([
    ['the time is up', () => scene.rig.clock.advanceTo(50e6), 50],
    ['the term ends', () => scene.vm.rollback(1, 0), 0],
  ])('the answer is no when %s first', async (_, event, waitedMs) => {
    clog();
    const answer = host.call('vm.quiesce', quiesce);
    await host.call('status', {});
    event();
    expect(await answer).toEqual({ quiescent: false, waitedMs });
  });
});

describe('status and metrics', () => {
  test('tell all that the gateway knows', async () => {
    await host.call('replication.start', { vm: 'vm0' });
    scene.rig.clock.advanceTo(3e6);
    scene.send(1, HOLD);
    scene.send(2, PASS);
    scene.rig.clock.advanceTo(10e6);
    const counters = { outbound: 2, inbound: 0, passed: 1, held: 1, released: 0, discarded: 0, dropped: 0 };
    const status = await host.call('status', {});
    expect(status).toEqual({
      generation: 1,
      vms: [
        {
          vm: 'vm0',
          state: 'on',
          term: 1,
          openEpoch: 1,
          sealedEpochs: [],
          committedEpoch: 0,
          generation: 1,
          counters: { ...counters, stillHeld: 1, inboundPassed: 0, inboundDropped: 0 },
          heldFrames: 1,
          heldBytes: 46,
          oldestHeldMs: 7,
          hostSilentMs: 10,
          leaseMs: 5000,
          leaseLapsed: false,
          quiesced: false,
          reasons: { rule: 1, default: 1 },
          classes: [
            { direction: 'outbound', class: 'data', verdict: 'pass', frames: 1, bytes: 46 },
            { direction: 'outbound', class: 'control', verdict: 'hold', frames: 1, bytes: 46 },
          ],
        },
      ],
      ports: [],
      reasons: { rule: 1, default: 1 },
    });
    expect(await host.call('metrics', {})).toEqual({ ...status, text: null });
  });

  test('say null where there is no term and nothing is held, and that the lease has lapsed though no frame came', async () => {
    const none = { oldestHeldMs: null, hostSilentMs: null, leaseMs: null };
    expect((await host.call('status', {})).vms[0]).toMatchObject(none);
    await host.call('replication.start', { vm: 'vm0', leaseMs: 5 });
    scene.rig.clock.advanceTo(5e6);
    expect((await host.call('status', {})).vms[0]).toMatchObject({ leaseLapsed: true, hostSilentMs: 5, leaseMs: 5 });
    await host.call('replication.start', { vm: 'vm0', leaseMs: 0 });
    expect(await host.vm('vm0').status()).toMatchObject({ leaseLapsed: false, leaseMs: 0 });
    await host.call('replication.stop', { vm: 'vm0', term: 2, held: 'release' });
    expect(await host.vm('vm0').status()).toMatchObject(none);
  });

  test("have the gateway's ports and its text for Prometheus", async () => {
    const link = { backend: 'packet', link: 'up' as const, trouble: null, mtu: 1500 };
    const ports = [{ vm: 'vm0', pair: 0, side: 'inside' as const, name: 'tap0', ...link, counters: { lost: 3 } }];
    const other = await new HostRig(scene, { ports: () => ports, metricsText: () => 'a 1\n' }).listen();
    const metrics = await other.client().call('metrics', {});
    expect(metrics).toMatchObject({ ports, text: 'a 1\n' });
    // What no VM's counters can have.
    expect([metrics.reasons['port-lost'], metrics.vms[0]!.reasons['port-lost']]).toEqual([3, 3]);
    await other.close();
  });

  test('sum reasons over VMs and take the highest generation', async () => {
    const [a, b] = [new Scene({}, generationOf(HOST_RULES)), new Scene({}, generationOf(HOST_RULES))];
    b.vm.swapRules({ ...generationOf(HOST_RULES), number: 5 });
    for (const one of [a, b]) one.send(1, HOLD);
    a.vm.counters.reasons[REASON.inbound] = 2;
    const other = await new HostRig(scene, {
      vms: new Map([
        ['a', a.vm],
        ['b', b.vm],
      ]),
    }).listen();
    const status = await other.client().call('status', {});
    expect(status).toMatchObject({ generation: 5, reasons: { 'not-replicated': 2, inbound: 2 } });
    await other.close();
  });
});
