import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { HostEvent } from '../../../gateway/host/api.ts';
import type { HostClient } from '../../../gateway/host/client.ts';
import { CutProxy } from '../../support/cut-proxy.ts';
import { HostRig, until } from '../../support/host-rig.ts';
import { Scene } from '../../support/rig.ts';
import { HOLD } from '../../support/scene.ts';

let rig: HostRig;
let scene: Scene;
let proxy: CutProxy;
let host: HostClient;

beforeEach(async () => {
  scene = new Scene();
  rig = await new HostRig(scene).listen();
  proxy = await new CutProxy(rig.path).listen();
  host = rig.client({ path: proxy.path });
});
afterEach(async () => {
  host.close();
  await proxy.close();
  await rig.close();
});

function codeOf(request: Promise<unknown>): Promise<string> {
  return request.then(
    () => 'granted',
    ({ code }) => code,
  );
}

describe('a VM through the client', () => {
  test('start, seal, commit, abort, rollback, quiesce, resume, stop: the client knows term and epoch', async () => {
    const vm = host.vm('vm0');
    expect([vm.term, vm.openEpoch]).toEqual([0, 0]);
    await vm.start({ leaseMs: 1000 });
    scene.send(1, HOLD);
    expect(await vm.seal()).toEqual({ epoch: 1, openEpoch: 2, drained: true, heldFrames: 1, heldBytes: 46 });
    expect(await vm.seal(5)).toMatchObject({ epoch: 2, openEpoch: 3 });
    expect(await vm.commit(1)).toEqual({ releasedFrames: 1, releasedBytes: 46 });
    expect(await vm.abort(2)).toEqual({ movedFrames: 0 });
    expect(await vm.rollback(1)).toEqual({ term: 2, openEpoch: 4, discardedFrames: 0, releasedFrames: 0 });
    expect([vm.term, vm.openEpoch]).toEqual([2, 4]);
    expect(await vm.quiesce(1, 1000)).toEqual({ quiescent: true, waitedMs: 0 });
    expect(await vm.resume()).toEqual({ deliveredFrames: 0 });
    expect(await vm.stop('keep')).toEqual({ releasedFrames: 0, discardedFrames: 0 });
    expect(await vm.takeOver({ term: 5, epoch: 8 })).toEqual({ term: 6, openEpoch: 9 });
    expect(scene.left()).toEqual([1]);
  });

  test('attach goes on with the term in force', async () => {
    await rig.client().vm('vm0').start();
    const vm = host.vm('vm0');
    expect(await vm.attach()).toMatchObject({ state: 'on', term: 1, openEpoch: 1 });
    expect(await vm.seal()).toMatchObject({ epoch: 1 });
    await expect(host.vm('vm9').attach()).rejects.toThrow("no VM 'vm9'");
  });

  test('what the gateway refuses is an error with its codes', async () => {
    await expect(host.vm('vm9').start()).rejects.toMatchObject({
      name: 'RequestError',
      rpcCode: -32000,
      code: 'unknown-vm',
      field: 'vm',
    });
    await expect(host.call('replication.start', { vm: '' })).rejects.toMatchObject({ rpcCode: -32602, field: 'vm' });
  });
});

describe('an answer that is lost', () => {
  test('to a seal: asked again, the epoch is sealed once', async () => {
    const vm = host.vm('vm0');
    await vm.start();
    scene.send(1, HOLD);
    proxy.loseAnswerTo('checkpoint.seal');
    expect(await vm.seal()).toEqual({ epoch: 1, openEpoch: 2, drained: false, heldFrames: 1, heldBytes: 46 });
    expect(scene.vm.epochs.sealedEpochs).toEqual([1]);
    scene.send(2, HOLD);
    await vm.commit(1);
    expect(scene.left()).toEqual([1]);
  });

  test('to a commit: asked again, nothing more leaves than before', async () => {
    const vm = host.vm('vm0');
    await vm.start();
    scene.send(1, HOLD);
    await vm.seal();
    scene.send(2, HOLD);
    proxy.loseAnswerTo('checkpoint.commit');
    expect(await vm.commit(1)).toEqual({ releasedFrames: 0, releasedBytes: 0 });
    expect(scene.left()).toEqual([1]);
  });

  test('to an abort: asked again, the epoch stays aborted', async () => {
    const vm = host.vm('vm0');
    await vm.start();
    await vm.seal();
    proxy.loseAnswerTo('checkpoint.abort');
    expect(await vm.abort(1)).toEqual({ movedFrames: 0 });
    expect(await codeOf(vm.commit(1))).toBe('epoch-aborted');
  });

  test('to what begins or ends a term: not asked again, and the driver sees how things are', async () => {
    const vm = host.vm('vm0');
    proxy.loseAnswerTo('replication.start');
    expect(await codeOf(vm.start())).toBe('answer-lost');
    expect(await vm.attach()).toMatchObject({ term: 1 });
    proxy.loseAnswerTo('vm.rollback');
    expect(await codeOf(vm.rollback(0))).toBe('answer-lost');
    expect(await vm.attach()).toMatchObject({ term: 2 });
    proxy.loseAnswerTo('replication.stop');
    expect(await codeOf(vm.stop('keep'))).toBe('answer-lost');
    expect(await vm.attach()).toMatchObject({ state: 'waiting', term: 2 });
  });

  test('and a seal that another host made impossible meanwhile is refused as stale', async () => {
    const vm = host.vm('vm0');
    await vm.start();
    proxy.down();
    const sealed = codeOf(vm.seal());
    await rig.client().vm('vm0').start();
    proxy.up();
    expect(await sealed).toBe('stale-term');
    expect(scene.vm.epochs.sealedEpochs).toEqual([]);
  });

  test('a refusal that was one from the beginning stays one', async () => {
    const vm = host.vm('vm0');
    await vm.start();
    await vm.seal();
    await vm.abort(1);
    expect(await codeOf(vm.abort(1))).toBe('epoch-aborted');
    const late = host.vm('vm0');
    await late.attach();
    expect(await codeOf(host.call('checkpoint.seal', { vm: 'vm0', term: 1, epoch: 1 }))).toBe('epoch-sealed');
  });
});

describe('a connection that breaks', () => {
  test('is made again, with growing pauses, and what waits is asked then', async () => {
    await host.connect();
    proxy.down();
    const status = host.call('status', {});
    await until(() => proxy.connections >= 4);
    expect(rig.server.clients).toBe(0);
    proxy.up();
    expect((await status).vms).toHaveLength(1);
  });

  test('nobody waits for is not made again until something is asked', async () => {
    await host.connect();
    proxy.down();
    await until(() => rig.server.clients === 0);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(proxy.connections).toBe(1);
    proxy.up();
    await host.connect();
    expect(proxy.connections).toBe(2);
  });

  test('to a gateway that has been started anew: what names a term of the old one is not asked', async () => {
    const vm = host.vm('vm0');
    await vm.start();
    await vm.seal();
    proxy.down();
    const commit = codeOf(vm.commit(1));
    const status = codeOf(host.call('status', {}));
    await rig.restart('boot-2');
    proxy.up();
    expect(await commit).toBe('gateway-restarted');
    expect(await status).toBe('granted');
    expect(scene.vm.epochs.committedEpoch).toBe(0);
    expect(await codeOf(vm.commit(1))).toBe('granted');
  });

  test('a gateway that is not there yet is waited for', async () => {
    await rig.server.close();
    const early = rig.client();
    const hello = early.connect();
    await new Promise((resolve) => setTimeout(resolve, 30));
    await rig.restart('boot-1');
    expect((await hello).bootId).toBe('boot-1');
  });

  test('events go on after it, and the driver hears that some may be missing', async () => {
    const events: HostEvent[] = [];
    const hellos: string[] = [];
    host.onReconnect = ({ bootId }) => hellos.push(bootId);
    const end = await host.subscribe(['epoch'], (event) => events.push(event));
    proxy.down();
    proxy.up();
    await until(() => hellos.length === 1);
    await host.call('status', {});
    await host.vm('vm0').start();
    expect(events.map((event) => event.kind === 'epoch' && event.change)).toEqual(['start']);
    await end();
    await host
      .vm('vm0')
      .seal()
      .catch(() => {});
    await host.call('status', {});
    expect(events).toHaveLength(1);
  });
});

describe('subscriptions', () => {
  test('each listener gets its kinds, and the gateway sends each event once', async () => {
    const epochs: string[] = [];
    const both: string[] = [];
    await host.subscribe(['epoch'], ({ change }) => epochs.push(change));
    await host.subscribe(['epoch', 'silence'], ({ kind }) => both.push(kind));
    await host.vm('vm0').start({ leaseMs: 1 });
    scene.rig.clock.advanceTo(1e6);
    rig.server.tick();
    await host.call('status', {});
    expect([epochs, both]).toEqual([['start'], ['epoch', 'silence']]);
  });
});

describe('a client that gives up', () => {
  test('after its time', async () => {
    proxy.down();
    expect(await codeOf(host.call('status', {}, 30))).toBe('timeout');
    proxy.up();
    expect(await codeOf(host.call('status', {}))).toBe('granted');
  });

  test('when it is closed, before an answer and after', async () => {
    proxy.down();
    const waiting = codeOf(host.call('status', {}));
    host.close();
    expect(await waiting).toBe('closed');
    expect(await codeOf(host.call('status', {}))).toBe('closed');
  });

  test('on something that is no gateway', async () => {
    const path = `${rig.path}.other`;
    let visits = 0;
    const other = createServer((socket) => {
      visits++;
      socket.on('error', () => {});
      socket.resume();
      socket.end('HTTP/1.1 400 Bad Request\r\n');
    }).listen(path);
    const client = rig.client({ path });
    const asked = codeOf(client.call('status', {}, 1500));
    await until(() => visits > 2);
    expect(await asked).toBe('timeout');
    client.close();
    await new Promise((resolve) => other.close(resolve));
  });
});

describe('a client for which the gateway must be there', () => {
  test('fails at once where none is, and says why', async () => {
    const lonely = rig.client({ path: `${rig.path}.not`, mustBeThere: true });
    await expect(lonely.connect()).rejects.toMatchObject({ code: 'unreachable', cause: { code: 'ENOENT' } });
    const rude = createServer((socket) => socket.destroy()).listen(`${rig.path}.rude`);
    const refused = rig.client({ path: `${rig.path}.rude`, mustBeThere: true });
    await expect(refused.call('status', {})).rejects.toMatchObject({ code: 'unreachable' });
    rude.close();
  });

  test('once it was there, connects again as any', async () => {
    const patient = rig.client({ path: proxy.path, mustBeThere: true });
    await patient.connect();
    proxy.down();
    const answer = patient.call('status', {});
    proxy.up();
    expect(await answer).toMatchObject({ generation: 1 });
    expect(proxy.connections).toBeGreaterThan(1);
  });
});
