/** How a standby has the network switched to its machine, also where it does not know whether that has been done. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { PortStatus } from '../../../gateway/host/api.ts';
import type { HostClient } from '../../../gateway/host/client.ts';
import { invalidParams } from '../../../gateway/host/protocol.ts';
import { InsidePorts } from '../../../gateway/inside-ports.ts';
import { memoryLink } from '../../../gateway/port/memory.ts';
import { parsePortSpec } from '../../../gateway/port/spec.ts';
import { failoverAt, takeoverAt } from '../../../gateway/protect/port-switch.ts';
import { CutProxy } from '../../support/cut-proxy.ts';
import { LiveMemoryPort } from '../../support/failover-scene.ts';
import { SLOT_BYTES } from '../../support/frames.ts';
import { HOST_RULES, HostRig } from '../../support/host-rig.ts';
import { VM_IP4, VM_MAC } from '../../support/neighbour-frames.ts';
import { Scene } from '../../support/rig.ts';
import { HOLD, PASS } from '../../support/scene.ts';
import { generationOf } from '../../support/verdicts.ts';

const LOST = { code: 'answer-lost' };
const ADDRESSES = { addresses: [{ ip: VM_IP4, mac: VM_MAC, tags: [], pair: 0, router: false, override: true }] };
const NOTHING = { addresses: [] };

let scene: Scene;
let rig: HostRig;
let inside: InsidePorts;
let proxy: CutProxy;

beforeEach(async () => {
  scene = new Scene({}, generationOf(HOST_RULES));
  const port = (name: string) => new LiveMemoryPort(memoryLink(name, 8, SLOT_BYTES + 1, scene.rig.clock)[1]);
  inside = new InsidePorts({
    vm: scene.vm,
    first: [{ spec: parsePortSpec('tap0'), port: port('tap0') }],
    open: ({ arg }) => port(arg),
    isTaken: () => false,
    onInside: () => {},
  });
  const ports = (): PortStatus[] =>
    inside.inForce.map(({ spec }, pair) => ({
      ...{ vm: 'vm0', pair, side: 'inside', name: spec.arg, backend: spec.backend },
      ...{ link: 'up', trouble: null, mtu: null, counters: {} },
    }));
  const failover = (_: string, term: number, epoch: number, text: string) => inside.failover(term, epoch, text);
  rig = await new HostRig(scene, { failover, ports }).listen();
  proxy = await new CutProxy(rig.path).listen();
});
afterEach(async () => {
  await proxy.close();
  await rig.close();
});

/** Whose answers can be lost. */
function unsureHost(): HostClient {
  return rig.client({ path: proxy.path, firstBackoffMs: 1 });
}

it("this host's gateway takes over with a lease, tells the network, and goes back again where nothing has run since", async () => {
  const ports = takeoverAt(rig.client(), 'vm0', () => 100);
  expect(await ports.switch({ term: 4, epoch: 7 }, ADDRESSES, true)).toMatchObject({ term: 5 });
  expect(scene.rig.net.take(), 'the address is announced').toHaveLength(1);
  scene.send(1, PASS);
  scene.rig.clock.advanceTo(100e6);
  scene.send(2, PASS);
  expect(scene.left()).toEqual([1]);
  expect(await ports.switch({ term: 4, epoch: 7 }, ADDRESSES, true)).toMatchObject({ term: 6 });
  await expect(ports.switch({ term: 4, epoch: 7 }, ADDRESSES, false)).rejects.toMatchObject({ code: 'stale-term' });
});

it('the network is told of the groups that the VM has joined, except by a gateway that is too old for them', async () => {
  const host = rig.client();
  const where = { ip: VM_IP4, mac: VM_MAC, tags: [], pair: 0 };
  const known = { ...ADDRESSES, memberships: [{ group: '239.1.2.3', ...where, version: 2, sources: [] }] };
  await takeoverAt(host, 'vm0', () => null).switch({ term: 4, epoch: 7 }, known, false);
  expect(scene.rig.net.take()).toHaveLength(2);
  const asked: object[] = [];
  const call = host.call.bind(host);
  host.call = async (method, params) => {
    if (method === 'vm.announce') asked.push(params);
    if ('memberships' in params) throw invalidParams([{ field: 'memberships', message: 'there is no such field' }]);
    return call(method, params);
  };
  await takeoverAt(host, 'vm0', () => null).switch({ term: 4, epoch: 7 }, known, true);
  expect(asked).toEqual([known, ADDRESSES].map((told) => ({ vm: 'vm0', term: 6, ...told })));
});

it('a membership that is refused takes no address with it, and what else is refused is not asked for again', async () => {
  const host = rig.client();
  const asked: object[] = [];
  const call = host.call.bind(host);
  host.call = (method, params) => {
    if (method === 'vm.announce') asked.push(params);
    return call(method, params);
  };
  const [address] = ADDRESSES.addresses;
  const { ip, mac, tags, pair } = address!;
  const memberships = [{ group: '239.1.2.3', ip, mac, tags, pair, version: 3, sources: ['224.0.0.1'] }];
  const ports = takeoverAt(host, 'vm0', () => null);
  await ports.switch({ term: 4, epoch: 7 }, { ...ADDRESSES, memberships }, false);
  expect(scene.rig.net.take(), 'the address is announced').toHaveLength(1);
  expect(asked.splice(0)).toHaveLength(2);
  const wrong = { addresses: [{ ...address!, pair: 9 }], memberships };
  await expect(ports.switch({ term: 4, epoch: 7 }, wrong, true)).rejects.toMatchObject({ field: 'addresses[0].pair' });
  expect(asked).toHaveLength(1);
});

it('what is held leaves at once where the VM goes on unprotected', async () => {
  const ports = takeoverAt(rig.client(), 'vm0', () => null);
  const { term } = await ports.switch({ term: 4, epoch: 7 }, NOTHING, false);
  scene.send(1, HOLD);
  await ports.unprotect(term);
  expect(scene.vm.epochs.state).toBe('off');
  expect(scene.left()).toEqual([1]);
  // What has left cannot be undone: whoever asks once more is told.
  await expect(ports.switch({ term: 4, epoch: 7 }, NOTHING, true)).rejects.toMatchObject({ code: 'stale-term' });
});

it('the gateway is told to go on behind the port of this host, and once more only where it is there since', async () => {
  const host = rig.client();
  await host.vm('vm0').start();
  const checkpoint = { term: 1, epoch: 0 };
  expect(await failoverAt(host, 'vm0', 'tap1').switch(checkpoint, NOTHING, true)).toMatchObject({ term: 2 });
  await expect(failoverAt(host, 'vm0', 'tap1').switch(checkpoint, NOTHING, false)).rejects.toMatchObject({
    code: 'stale-term',
  });
  for (const elsewhere of ['tap2', 'tap1 tap2']) {
    await expect(failoverAt(host, 'vm0', elsewhere).switch(checkpoint, NOTHING, true)).rejects.toMatchObject({
      code: 'stale-term',
    });
  }
  expect(await failoverAt(host, 'vm0', ' tap1 ').switch(checkpoint, NOTHING, true)).toMatchObject({ term: 3 });
  expect(inside.inForce.map(({ spec }) => spec.arg)).toEqual(['tap1']);
});

it('a failover whose answer was lost is made once more by the one who asked for it, and nobody is asked twice who has answered', async () => {
  const host = unsureHost();
  await host.vm('vm0').start();
  const [first, other] = [failoverAt(host, 'vm0', 'tap1'), failoverAt(host, 'vm0', 'tap1')];
  const checkpoint = { term: 1, epoch: 0 };
  proxy.loseAnswerTo('vm.failover');
  await expect(first.switch(checkpoint, NOTHING, false)).rejects.toMatchObject(LOST);
  const over = { code: 'stale-term' };
  await expect(other.switch(checkpoint, NOTHING, false), 'who has not asked').rejects.toMatchObject(over);
  await expect(first.switch({ term: 1, epoch: 1 }, NOTHING, false), 'another checkpoint').rejects.toMatchObject(over);
  expect(await first.switch(checkpoint, NOTHING, false)).toMatchObject({ term: 3 });
  await expect(first.switch(checkpoint, NOTHING, false), 'its machine has run').rejects.toMatchObject(over);
});

it('a takeover whose answer was lost is gone on with by the one who asked for it', async () => {
  const ports = takeoverAt(unsureHost(), 'vm0', () => null);
  const checkpoint = { term: 4, epoch: 7 };
  proxy.loseAnswerTo('replication.takeover');
  await expect(ports.switch(checkpoint, ADDRESSES, false)).rejects.toMatchObject(LOST);
  expect(await ports.switch(checkpoint, ADDRESSES, false)).toMatchObject({ term: 6 });
  await expect(ports.switch(checkpoint, ADDRESSES, false)).rejects.toMatchObject({ code: 'stale-term' });
});

it('so is one after which the network could not be told', async () => {
  const host = unsureHost();
  const call = host.call.bind(host);
  host.call = (method, params) => {
    if (method === 'vm.announce') proxy.down();
    return call(method, params, 200);
  };
  const ports = takeoverAt(host, 'vm0', () => null);
  await expect(ports.switch({ term: 4, epoch: 7 }, ADDRESSES, false)).rejects.toMatchObject({ code: 'timeout' });
  host.call = call;
  proxy.up();
  expect(await ports.switch({ term: 4, epoch: 7 }, ADDRESSES, false)).toMatchObject({ term: 6 });
  expect(scene.rig.net.take(), 'the address is announced').toHaveLength(1);
});

it('a takeover that was refused is not asked for as if it had been made', async () => {
  const host = rig.client();
  await host.vm('vm0').takeOver({ term: 8, epoch: 1 });
  const ports = takeoverAt(host, 'vm0', () => null);
  for (const _ of [1, 2]) {
    await expect(ports.switch({ term: 4, epoch: 7 }, NOTHING, false)).rejects.toMatchObject({ code: 'stale-term' });
  }
});

it('what no gateway was there to hear has not been asked for', async () => {
  const nobody = rig.client({ path: `${rig.path}.none`, timeoutMs: 100 });
  for (const ports of [failoverAt(nobody, 'vm0', 'tap1'), takeoverAt(nobody, 'vm0', () => null)]) {
    await expect(ports.switch({ term: 4, epoch: 7 }, { addresses: [] }, false)).rejects.toMatchObject({
      code: 'timeout',
      wasSent: false,
    });
    expect(ports.mayBeMade).toBe(false);
  }
  const host = unsureHost();
  await host.vm('vm0').start();
  const ports = failoverAt(host, 'vm0', 'tap1');
  proxy.loseAnswerTo('vm.failover');
  await expect(ports.switch({ term: 1, epoch: 0 }, { addresses: [] }, false)).rejects.toMatchObject(LOST);
  expect(ports.mayBeMade, 'it may have been made').toBe(true);
});
