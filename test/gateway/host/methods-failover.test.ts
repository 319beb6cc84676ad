import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { HostEvent } from '../../../gateway/host/api.ts';
import type { HostClient } from '../../../gateway/host/client.ts';
import { InsidePorts } from '../../../gateway/inside-ports.ts';
import { memoryLink } from '../../../gateway/port/memory.ts';
import { PortError } from '../../../gateway/port/port-error.ts';
import { parsePortSpec } from '../../../gateway/port/spec.ts';
import type { Vm } from '../../../gateway/vm.ts';
import { LiveMemoryPort } from '../../support/failover-scene.ts';
import { SLOT_BYTES } from '../../support/frames.ts';
import { igmpRecords, mldFrame, RECORD } from '../../support/group-frames.ts';
import { HOST_RULES, HostRig, refusalOf, until } from '../../support/host-rig.ts';
import { arpFrame, NA, ndFrame, VM_IP4, VM_IP6, VM_MAC } from '../../support/neighbour-frames.ts';
import { Scene } from '../../support/rig.ts';
import { HOLD, PASS } from '../../support/scene.ts';
import { generationOf } from '../../support/verdicts.ts';

let rig: HostRig;
let scene: Scene;
let host: HostClient;
const remembered: number[] = [];

beforeEach(async () => {
  scene = new Scene({}, generationOf(HOST_RULES));
  remembered.length = 0;
  const port = (name: string) => new LiveMemoryPort(memoryLink(name, 8, SLOT_BYTES + 1, scene.rig.clock)[1]);
  const inside = new InsidePorts({
    vm: scene.vm,
    first: [{ spec: parsePortSpec('tap0'), port: port('tap0') }],
    open: ({ arg }) => {
      if (arg === 'br0') throw new PortError('has-addresses', 'br0 has IP addresses');
      return port(arg);
    },
    isTaken: () => false,
    onInside: () => {},
  });
  rig = await new HostRig(scene, {
    remember: (_: string, { epochs }: Vm) => remembered.push(epochs.term),
    failover: (_: string, term: number, epoch: number, text: string) => inside.failover(term, epoch, text),
  }).listen();
  host = rig.client();
});
afterEach(() => rig.close());

test('failover answers what became of frames and what is announced, and goes on in a new term', async () => {
  const vm = host.vm('vm0');
  await vm.start();
  scene.send(1, HOLD);
  const { epoch } = await vm.seal();
  scene.send(2, HOLD);
  expect(await vm.failover(epoch, 'tap1')).toEqual({
    term: 2,
    openEpoch: 3,
    discardedFrames: 1,
    releasedFrames: 1,
    announced: [],
  });
  expect(scene.left()).toEqual([1]);
  expect(remembered).toEqual([1, 2]);
  expect([vm.term, vm.openEpoch]).toEqual([2, 3]);
  expect(await vm.seal()).toMatchObject({ epoch: 3, openEpoch: 4 });
});

test('failover is told as an event of the epoch, and one for each port', async () => {
  const events: HostEvent[] = [];
  await host.subscribe(['epoch', 'port'], (event) => events.push(event));
  const vm = host.vm('vm0');
  await vm.start();
  await vm.failover(0, 'tap1');
  await until(() => events.length === 4);
  expect(events).toMatchObject([
    { kind: 'epoch', change: 'start', term: 1 },
    { kind: 'epoch', change: 'failover', term: 2, openEpoch: 2 },
    { kind: 'port', vm: 'vm0', name: 'tap1', state: 'up' },
    { kind: 'port', vm: 'vm0', name: 'tap0', state: 'fenced' },
  ]);
});

test('a takeover goes on behind the term that died with another gateway, and data passes as long as its host is heard', async () => {
  const vm = host.vm('vm0');
  expect(await vm.takeOver({ term: 4, epoch: 7, leaseMs: 100 })).toEqual({ term: 5, openEpoch: 8 });
  expect([vm.term, vm.openEpoch, remembered]).toEqual([5, 8, [5]]);
  scene.send(1, PASS);
  scene.rig.clock.advanceTo(100e6);
  scene.send(2, PASS);
  expect(scene.left()).toEqual([1]);
  expect(await vm.seal()).toMatchObject({ epoch: 8 });
  scene.send(3, PASS);
  expect(scene.left()).toEqual([3]);
});

test('a port that cannot be one is refused with the reason, and the term goes on', async () => {
  await host.vm('vm0').start();
  for (const [inside, message] of [
    ['br0', 'br0 has IP addresses'],
    ['floppy:a', /there is no port 'floppy'/],
    ['tap1 tap2', /names 2 ports: the VM needs one port/],
  ] as const) {
    const refusal = await refusalOf(host, 'vm.failover', { vm: 'vm0', term: 1, epoch: 0, inside });
    expect(refusal).toMatchObject({ rpcCode: -32000, code: 'port-refused', field: 'inside' });
    expect(refusal.message).toMatch(message);
  }
  expect([scene.vm.epochs.term, remembered]).toEqual([1, [1]]);
});

test('a failover that the state of the VM forbids opens nothing', async () => {
  await host.vm('vm0').start();
  for (const [term, epoch, code] of [
    [0, 0, 'stale-term'],
    [1, 1, 'epoch-not-sealed'],
  ] as const) {
    expect(await refusalOf(host, 'vm.failover', { vm: 'vm0', term, epoch, inside: 'br0' })).toMatchObject({ code });
  }
});

test('a failover whose answer is lost is not asked again; attach tells how things are', async () => {
  const vm = host.vm('vm0');
  await vm.start();
  const asked = vm.failover(0, 'tap1').catch((error) => error.code);
  await until(() => scene.vm.epochs.term === 2);
  await rig.restart('boot-1');
  const answer = await asked;
  // The answer may have been on its way already.
  if (typeof answer === 'string') expect(answer).toBe('answer-lost');
  expect(scene.vm.epochs.term).toBe(2);
  await vm.attach();
  expect([vm.term, vm.openEpoch]).toEqual([2, 2]);
});

describe('addresses for the gateway that takes over', () => {
  const say = (...frames: readonly Uint8Array[]) => {
    for (const bytes of frames) scene.rig.guest.send({ bytes, linkType: 1 });
    scene.vm.turn();
    scene.rig.net.take();
  };
  const known = (more: object = {}) => ({
    ip: VM_IP4,
    mac: VM_MAC,
    tags: [],
    pair: 0,
    router: false,
    override: true,
    ...more,
  });

  test('are what the VM announced', async () => {
    say(arpFrame(), arpFrame({ tags: [{ id: 7, tpid: 0x88a8 }, { id: 5 }] }), ndFrame({ flags: NA.router }));
    expect(await host.vm('vm0').addresses()).toEqual({
      addresses: [
        known(),
        known({ tags: [0x88a80007, 0x81000005] }),
        known({ ip: VM_IP6, router: true, override: false }),
      ],
    });
  });

  test('are announced there as the VM would have, and are known there from then on', async () => {
    say(arpFrame(), arpFrame({ tags: [{ id: 5 }] }), ndFrame({ flags: NA.router | NA.override }));
    const { addresses } = await host.vm('vm0').addresses();
    const there = new Scene({}, generationOf(HOST_RULES));
    const other = await new HostRig(there).listen();
    try {
      const vm = other.client().vm('vm0');
      await vm.takeOver({ term: 4, epoch: 7 });
      expect(await vm.announce(addresses)).toEqual({ announced: [VM_IP4, VM_IP6], unannounced: [] });
      const sent = there.rig.net.take();
      scene.vm.start();
      scene.vm.announce(1, []);
      expect(sent).toEqual(scene.rig.net.take());
      expect(sent).toHaveLength(3);
      expect(await vm.addresses()).toEqual({ addresses });
    } finally {
      await other.close();
    }
  });

  test('come with the groups that the VM has joined, and are reported there as the VM would', async () => {
    say(arpFrame(), igmpRecords([[RECORD.toInclude, '239.1.2.3', ['192.0.2.1']]]), mldFrame(131, 'ff15::123'));
    const known = await host.vm('vm0').addresses();
    const where = { mac: VM_MAC, tags: [], pair: 0 };
    expect(known.memberships).toEqual([
      { group: '239.1.2.3', ip: VM_IP4, ...where, version: 3, sources: ['192.0.2.1'] },
      { group: 'ff15::123', ip: VM_IP6, ...where, version: 1, sources: [] },
    ]);
    const there = new Scene({}, generationOf(HOST_RULES));
    const other = await new HostRig(there).listen();
    try {
      const vm = other.client().vm('vm0');
      await vm.takeOver({ term: 4, epoch: 7 });
      expect(await vm.announce(known)).toEqual({ announced: [VM_IP4], unannounced: [] });
      expect(there.rig.net.take()).toHaveLength(3);
      expect(await vm.addresses()).toEqual(known);
    } finally {
      await other.close();
    }
  });

  test('do not replace what the VM said here', async () => {
    say(arpFrame());
    await host.vm('vm0').start();
    const vm = host.vm('vm0');
    await vm.attach();
    await vm.announce([known({ mac: '02:00:00:00:00:99' }), known({ ip: '10.0.0.77' })]);
    expect((await vm.addresses()).addresses).toEqual([known(), known({ ip: '10.0.0.77' })]);
  });

  test('are announced by the term in force only', async () => {
    await host.vm('vm0').start();
    const params = { vm: 'vm0', term: 0, addresses: [known()] };
    expect(await refusalOf(host, 'vm.announce', params)).toMatchObject({ code: 'stale-term' });
    expect(await host.vm('vm0').addresses()).toEqual({ addresses: [] });
  });

  test.each([
    ['addresses[1].ip', { ip: '10.0.0' }],
    ['addresses[1].mac', { mac: '02:00' }],
    ['addresses[1].pair', { pair: 1 }],
  ])('are refused all together where %s is wrong', async (field, more) => {
    await host.vm('vm0').start();
    const params = { vm: 'vm0', term: 1, addresses: [known(), known(more)] };
    expect(await refusalOf(host, 'vm.announce', params)).toMatchObject({ rpcCode: -32602, field });
    expect(await host.vm('vm0').addresses()).toEqual({ addresses: [] });
  });

  test.each([
    ['memberships[0].group', { group: '10.0.0.1' }],
    ['memberships[0].group', { group: 'all' }],
    ['memberships[0].ip', { ip: VM_IP6 }],
    ['memberships[0].ip', { ip: '224.0.0.1' }],
    ['memberships[0].mac', { mac: '02:00' }],
    ['memberships[0].pair', { pair: 1 }],
    ['memberships[0].version', { group: 'ff15::1', ip: VM_IP6, version: 3 }],
    ['memberships[0].version', { version: 0 }],
    ['memberships[0].sources[1]', { sources: ['192.0.2.1', 'x'] }],
    ['memberships[0].sources', { sources: [VM_IP6] }],
    ['memberships[0].sources', { sources: Array(9).fill('192.0.2.1') }],
  ])('are refused where %s is wrong', async (field, more) => {
    await host.vm('vm0').start();
    const joined = { group: '239.1.2.3', ip: VM_IP4, mac: VM_MAC, tags: [], pair: 0, version: 3, sources: [], ...more };
    const params = { vm: 'vm0', term: 1, addresses: [known()], memberships: [joined] };
    expect(await refusalOf(host, 'vm.announce', params)).toMatchObject({ rpcCode: -32602, field });
    expect(await host.vm('vm0').addresses()).toEqual({ addresses: [] });
  });
});
