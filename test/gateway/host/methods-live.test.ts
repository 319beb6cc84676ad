import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Method, ParamsOf } from '../../../gateway/host/api.ts';
import type { HostClient } from '../../../gateway/host/client.ts';
import { FlowOwners } from '../../../gateway/host/methods-flow.ts';
import { HOST_RULES, HostRig, refusalOf } from '../../support/host-rig.ts';
import { Scene } from '../../support/rig.ts';
import { HOLD } from '../../support/scene.ts';
import { generationOf } from '../../support/verdicts.ts';

let rig: HostRig;
let scene: Scene;
let host: HostClient;

beforeEach(async () => {
  scene = new Scene({}, generationOf(HOST_RULES));
  rig = await new HostRig(scene).listen();
  host = rig.client();
});
afterEach(() => rig.close());

const at = (term: number, epoch: number) => ({ vm: 'vm0', term, epoch });

function refusal<M extends Method>(method: M, params: ParamsOf<M>) {
  return refusalOf(host, method, params);
}

describe('flow.declare', () => {
  const flow = { src: '10.0.0.1', dst: '10.0.0.254', protocol: 'udp', srcPort: 6000, dstPort: 5001 } as const;
  const declare = { vm: 'vm0', flow, timeoutMs: 1000 };

  beforeEach(async () => {
    await host.call('replication.start', { vm: 'vm0', leaseMs: 0 });
  });

  test('lets the flow pass by a rule that asks for it, until its time is over, and frees nothing that is held', async () => {
    scene.send(1, HOLD);
    expect(await host.call('flow.declare', { ...declare, class: 'data' })).toEqual({ handle: 1 });
    scene.send(2, HOLD);
    expect(scene.left()).toEqual([2]);
    scene.rig.clock.advanceTo(1000e6);
    scene.send(3, HOLD);
    expect(scene.left()).toEqual([]);
  });

  test('with another class, of another flow or of a tagged one does nothing for this one', async () => {
    await host.call('flow.declare', { ...declare, class: 'control' });
    await host.call('flow.declare', { ...declare, flow: { ...flow, srcPort: 6001 } });
    await host.call('flow.declare', { ...declare, flow: { ...flow, vlanId: 1 } });
    await host.call('flow.declare', { ...declare, flow: { ...flow, src: '::1', dst: '::2' } });
    scene.send(1, HOLD);
    expect(scene.left()).toEqual([]);
  });

  test('ends with the last client that declared it', async () => {
    const other = rig.client();
    await host.call('flow.declare', declare);
    await other.call('flow.declare', declare);
    other.close();
    await closed(1);
    scene.send(1, HOLD);
    host.close();
    await closed(0);
    scene.send(2, HOLD);
    expect(scene.left()).toEqual([1]);
  });

  test('ends with the term', async () => {
    await host.call('flow.declare', declare);
    await host.call('vm.rollback', at(1, 0));
    scene.send(1, HOLD);
    expect(scene.left()).toEqual([]);
  });

  test.each([
    ['flow.src', { ...declare, flow: { ...flow, src: '10.0.0' } }],
    ['flow.dst', { ...declare, flow: { ...flow, dst: 'host' } }],
    ['flow.dst', { ...declare, flow: { ...flow, dst: '::1' } }],
    ['flow.dstPort', { ...declare, flow: { src: '::1', dst: '::2', protocol: 'tcp' as const, srcPort: 1 } }],
    ['class', { ...declare, class: 'voice' }],
  ])('is refused where %s is wrong', async (field, params) => {
    expect(await refusal('flow.declare', params)).toMatchObject({ rpcCode: -32602, field });
  });

  test('is refused as overloaded when there are as many as there may be', async () => {
    const { declared } = scene.vm.generation.live;
    for (let i = 0; i < 65_536; i++) {
      declared.declare(
        { ipVersion: 4, src: BigInt(i), dst: 1n, protocol: 50, srcPort: 0, dstPort: 0, vlanId: null },
        null,
        null,
        0,
      );
    }
    expect(await refusal('flow.declare', declare)).toMatchObject({ rpcCode: -32000, code: 'overloaded' });
  });

  test('again and again does not grow the gateway: what has ended is forgotten', () => {
    const owners = new FlowOwners();
    for (let i = 0; i < 10_000; i++) owners.add(scene.vm, i, host, i + 100, i);
    expect(owners.size).toBeLessThanOrEqual(1024);
    owners.add(scene.vm, 9999, rig, 20_000, 10_000);
    owners.forget(host, 10_000);
    expect(owners.size).toBe(1);
    owners.endTerm(scene.vm);
    expect(owners.size).toBe(0);
  });
});

async function closed(clients: number): Promise<void> {
  while (rig.server.clients > clients) await new Promise((resolve) => setTimeout(resolve, 1));
}

describe('set.add and set.delete', () => {
  const media = { vm: 'vm0', set: 'media' };

  beforeEach(async () => {
    await host.call('replication.start', { vm: 'vm0', leaseMs: 0 });
  });

  test('change what rules look up, at once and for as long as is said', async () => {
    const elements = ['10.0.0.1 . 6000'];
    expect(await host.call('set.add', { ...media, elements, timeoutMs: 5 })).toEqual({ added: 1, refused: 0 });
    scene.send(1, HOLD);
    scene.rig.clock.advanceTo(5e6);
    scene.send(2, HOLD);
    await host.call('set.add', { ...media, elements });
    scene.send(3, HOLD);
    expect(await host.call('set.delete', { set: 'media', elements: [...elements, '1.1.1.1 . 1'] })).toEqual({
      deleted: 1,
    });
    scene.send(4, HOLD);
    expect(scene.left()).toEqual([1, 3]);
  });

  test('an element may say its own time, and be a prefix and a range', async () => {
    const elements = ['10.0.0.0/24 . 5999-6001 timeout 5ms', '192.0.2.1 . 1'];
    await host.call('set.add', { ...media, elements, timeoutMs: 9 });
    scene.send(1, HOLD);
    scene.rig.clock.advanceTo(5e6);
    scene.send(2, HOLD);
    expect(scene.left()).toEqual([1]);
    expect(scene.vm.generation.live.set('media')?.list(5e6)).toHaveLength(1);
  });

  test('what a full set does not take is told', async () => {
    const elements = [1, 2, 3, 4, 5].map((i) => `192.0.2.${i} . 1`);
    expect(await host.call('set.add', { ...media, elements })).toEqual({ added: 3, refused: 2 });
  });

  test.each([
    ['elements[1]', ['1.1.1.1 . 1', '1.1.1.1']],
    ['elements[0]', ['1.1.1.1 . 70000']],
    ['elements[0]', ['1.1.1.1 . 1, 2.2.2.2 . 2']],
    ['elements[0]', ['1.1.1.1 . 1 } outbound { default pass']],
    ['elements[0]', ['}']],
    ['elements[0]', ['{']],
    ['elements[0]', ['\n']],
    ['elements[0]', ['# nothing']],
    ['elements[0]', ['"']],
  ])('an element that is none refuses all of them: %s', async (field, elements) => {
    expect(await refusal('set.add', { ...media, elements })).toMatchObject({ rpcCode: -32602, field });
    expect(await refusal('set.delete', { ...media, elements })).toMatchObject({ rpcCode: -32602, field });
    expect(scene.vm.generation.live.set('media')?.list(0)).toEqual([]);
  });

  test.each(['none', 'ports', '__proto__'])('a set that is not there, or static, is refused: %s', async (set) => {
    const answer = { rpcCode: -32602, code: 'invalid-params', field: 'set' };
    expect(await refusal('set.add', { set, elements: ['7'] })).toMatchObject(answer);
  });

  test('with two VMs the request has to say whose set it means', async () => {
    const two = new Map([
      ['a', new Scene({}, generationOf(HOST_RULES)).vm],
      ['b', new Scene({}, generationOf(HOST_RULES)).vm],
    ]);
    const other = await new HostRig(scene, { vms: two }).listen();
    const asking = other.client();
    const elements = ['1.1.1.1 . 1'];
    const failed = await asking.call('set.add', { set: 'media', elements }).catch((error) => error);
    expect(failed).toMatchObject({ rpcCode: -32602, field: 'vm' });
    await asking.call('set.add', { vm: 'b', set: 'media', elements });
    expect([...two.values()].map((vm) => vm.generation.live.set('media')?.list(0).length)).toEqual([0, 1]);
    await other.close();
  });
});
