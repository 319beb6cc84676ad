import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { dirname } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { peerUid } from '../../../gateway/host/peer.ts';
import { HostServer } from '../../../gateway/host/server.ts';
import { HostRig, type RawClient, until } from '../../support/host-rig.ts';
import { Scene } from '../../support/rig.ts';
import { HOLD, PASS, TIGHT } from '../../support/scene.ts';

let rig: HostRig;
let scene: Scene;

beforeEach(async () => {
  scene = new Scene();
  rig = await new HostRig(scene).listen();
});
afterEach(() => rig.close());

const at = (term: number, epoch: number) => ({ vm: 'vm0', term, epoch });

describe('the socket', () => {
  test('may be read and written by its owner only', () => {
    expect(statSync(rig.path).mode & 0o777).toBe(0o600);
  });

  test('is taken over from a gateway that died, not from one that lives, and is gone in the end', async () => {
    const second = new HostServer({ vms: new Map(), clock: scene.rig.clock, version: '', bootId: '' });
    await expect(second.listen(rig.path)).rejects.toThrow('another process answers');
    await rig.server.close();
    expect(existsSync(rig.path)).toBe(false);
    const dead = node("require('net').createServer().listen(process.argv[1], () => console.log('up'))", rig.path);
    await once(dead.stdout, 'data');
    dead.kill('SIGKILL');
    await once(dead, 'close');
    expect(existsSync(rig.path)).toBe(true);
    rig.server = new HostServer({ vms: new Map(), clock: scene.rig.clock, version: '', bootId: '' });
    await rig.listen();
    expect(await (await rig.raw()).ask('status')).toMatchObject({ id: 1 });
  });

  test('is never put in the place of another file', async () => {
    await rig.server.close();
    writeFileSync(rig.path, 'precious');
    rig.server = new HostServer({ vms: new Map(), clock: scene.rig.clock, version: '', bootId: '' });
    await expect(rig.listen()).rejects.toThrow('is no socket');
    unlinkSync(rig.path);
    await rig.listen();
  });

  describe('is for the processes of one user and of root', () => {
    const NOBODY = 65_534;
    const ASK = `const s = require('net').connect(process.argv[1]);
      s.on('data', () => { console.log('answered'); s.destroy(); });
      s.on('error', ({ code }) => console.log(code));
      s.on('close', () => console.log('closed'));
      s.write('{"jsonrpc":"2.0","id":1,"method":"status"}\\n');`;
    const isRoot = process.geteuid?.() === 0;

    test('the kernel says who connects', async () => {
      const uids: (number | null)[] = [];
      const server = createServer((socket) => {
        uids.push(peerUid(socket));
        socket.destroy();
      }).listen(`${rig.path}.uid`);
      await once(server, 'listening');
      await once(connect(`${rig.path}.uid`), 'close');
      await new Promise((resolve) => server.close(resolve));
      expect(uids).toEqual([process.geteuid!()]);
    });

    test('nobody else gets through, by the mode of the socket, and where that fails by who it is', async ({ skip }) => {
      skip(!isRoot, 'needs root, to be somebody else');
      chmodSync(dirname(rig.path), 0o755);
      const ask = async () => {
        const { stdout } = node(ASK, rig.path, NOBODY);
        let said = '';
        for await (const chunk of stdout) said += chunk;
        return said.trim().split('\n').sort();
      };
      expect(await ask()).toEqual(['EACCES', 'closed']);
      chmodSync(rig.path, 0o666);
      expect(await ask()).not.toContain('answered');
      await rig.server.close();
      rig.server = new HostServer({
        ownerUid: NOBODY,
        vms: new Map(),
        clock: scene.rig.clock,
        version: '',
        bootId: '',
      });
      await rig.listen();
      chmodSync(rig.path, 0o666);
      expect(await ask()).toEqual(['answered', 'closed']);
    });
  });
});

/** Runs code in a process of its own. */
function node(code: string, argument: string, uid?: number) {
  const who = uid === undefined ? {} : { uid };
  return spawn(process.execPath, ['-e', code, argument], { stdio: ['ignore', 'pipe', 'inherit'], cwd: '/', ...who });
}

describe('epochs in flight over the socket', () => {
  test.each([2, 5])('%i of them, commit(1): exactly epoch 1 leaves, in order; then the rest', async (epochs) => {
    const host = await rig.raw();
    expect((await host.ask('replication.start', { vm: 'vm0' })).result).toEqual({ term: 1, openEpoch: 1 });
    for (let epoch = 1; epoch <= epochs; epoch++) {
      for (const i of [0, 1, 2]) scene.send(10 * epoch + i, { ...HOLD, flow: i });
      // The last one is still in the port when its epoch is sealed.
      scene.put(10 * epoch + 3, HOLD);
      expect((await host.ask('checkpoint.seal', at(1, epoch))).result).toMatchObject({
        openEpoch: epoch + 1,
        drained: true,
        heldFrames: 4 * epoch,
      });
    }
    scene.send(99, HOLD);
    expect(scene.left()).toEqual([]);
    expect((await host.ask('checkpoint.commit', at(1, 1))).result).toMatchObject({ releasedFrames: 4 });
    expect(scene.left()).toEqual([10, 11, 12, 13]);
    await host.ask('checkpoint.commit', at(1, epochs));
    const rest = Array.from({ length: epochs - 1 }, (_, i) => [0, 1, 2, 3].map((n) => 10 * (i + 2) + n)).flat();
    expect(scene.left()).toEqual(rest);
  });

  test('requests that come in one piece are answered in their order', async () => {
    const host = await rig.raw();
    const call = (id: number, method: string, params: unknown) =>
      `${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`;
    host.write(
      call(1, 'replication.start', { vm: 'vm0' }) +
        call(2, 'checkpoint.seal', at(1, 1)) +
        call(3, 'checkpoint.commit', at(1, 1)) +
        call(4, 'checkpoint.commit', at(1, 2)),
    );
    const answers = [await host.next(), await host.next(), await host.next(), await host.next()];
    expect(answers.map(({ id, error }) => [id, error?.data.code])).toEqual([
      [1, undefined],
      [2, undefined],
      [3, undefined],
      [4, 'epoch-not-sealed'],
    ]);
  });

  test('a notification is obeyed and not answered, whether it is granted or not', async () => {
    const host = await rig.raw();
    host.write('{"jsonrpc":"2.0","method":"replication.start","params":{"vm":"vm0"}}\n');
    host.write('{"jsonrpc":"2.0","method":"replication.stop","params":{"vm":"vm0","term":9,"held":"keep"}}\n');
    host.write('{"jsonrpc":"2.0","method":"nothing"}\n');
    expect(await host.ask('hello', { client: 'x', protocol: 1 }, 'end')).toMatchObject({ id: 'end' });
    expect(scene.vm.epochs.term).toBe(1);
  });
});

describe('hosts that come and go', () => {
  test('a host that is gone leaves everything as it is; the next one goes on with the same term', async () => {
    const first = await rig.raw();
    await first.ask('replication.start', { vm: 'vm0' });
    scene.send(1, HOLD);
    await first.ask('checkpoint.seal', at(1, 1));
    first.socket.destroy();
    await until(() => rig.server.clients === 0);
    scene.send(2, HOLD);
    const second = await rig.raw();
    const { result } = await second.ask('hello', { client: 'again', protocol: 1 });
    expect(result).toMatchObject({ vms: [{ state: 'on', term: 1, openEpoch: 2, sealedEpochs: [1] }] });
    await second.ask('checkpoint.commit', at(1, 1));
    expect(scene.left()).toEqual([1]);
  });

  test('of two hosts the one that started last is heard, and the other changes nothing', async () => {
    const [old, young] = [await rig.raw(), await rig.raw()];
    await old.ask('replication.start', { vm: 'vm0' });
    scene.send(1, HOLD);
    await old.ask('checkpoint.seal', at(1, 1));
    expect((await young.ask('replication.start', { vm: 'vm0' })).result).toEqual({ term: 2, openEpoch: 1 });
    for (const [method, params] of [
      ['checkpoint.commit', at(1, 1)],
      ['checkpoint.seal', at(1, 2)],
      ['checkpoint.abort', at(1, 1)],
      ['vm.rollback', at(1, 1)],
      ['replication.stop', { vm: 'vm0', term: 1, held: 'release' }],
    ] as const) {
      expect((await old.ask(method, params)).error?.data.code).toBe('stale-term');
    }
    expect(scene.left()).toEqual([]);
    await young.ask('checkpoint.seal', at(2, 1));
    await young.ask('checkpoint.commit', at(2, 1));
    expect(scene.left()).toEqual([1]);
  });

  test('VMs have each their own terms, epochs and frames', async () => {
    const [a, b] = [new Scene(), new Scene()];
    const vms = new Map([
      ['a', a.vm],
      ['b', b.vm],
    ]);
    const other = await new HostRig(a, { vms }).listen();
    const client = await other.raw();
    await client.ask('replication.start', { vm: 'a' });
    for (let i = 0; i < 2; i++) await client.ask('replication.start', { vm: 'b' });
    a.send(1, HOLD);
    b.send(1, HOLD);
    await client.ask('checkpoint.seal', { vm: 'a', term: 1, epoch: 1 });
    expect((await client.ask('checkpoint.seal', { vm: 'b', term: 1, epoch: 1 })).error?.data.code).toBe('stale-term');
    await client.ask('checkpoint.commit', { vm: 'a', term: 1, epoch: 1 });
    expect([a.left(), b.left()]).toEqual([[1], []]);
    await other.close();
  });

  test('a host that falls silent stops data after its lease, and starts it again with any request', async () => {
    const host = await rig.raw();
    await host.ask('replication.start', { vm: 'vm0', leaseMs: 100 });
    scene.rig.clock.advanceTo(99e6);
    scene.send(1, PASS);
    await host.ask('checkpoint.seal', at(1, 1));
    scene.rig.clock.advanceTo(198e6);
    scene.send(2, PASS);
    scene.rig.clock.advanceTo(199e6);
    scene.send(3, PASS);
    expect(scene.left()).toEqual([1, 2]);
    // Asking how things are is no sign of a host's life: anybody does it.
    await host.ask('status');
    scene.send(4, PASS);
    expect(scene.left()).toEqual([]);
    await host.ask('checkpoint.commit', at(1, 1));
    scene.send(5, PASS);
    expect(scene.left()).toEqual([5]);
  });

  test('a VM that is replicated holds everything until its host attaches', async () => {
    const waiting = new Scene({ replicated: true });
    const other = await new HostRig(waiting).listen();
    waiting.send(1, PASS);
    const host = await other.raw();
    expect((await host.ask('status')).result).toMatchObject({ vms: [{ state: 'waiting', reasons: { waiting: 1 } }] });
    await host.ask('replication.start', { vm: 'vm0' });
    waiting.send(2, PASS);
    expect(waiting.left()).toEqual([2]);
    await host.ask('checkpoint.seal', at(1, 1));
    await host.ask('checkpoint.commit', at(1, 1));
    expect(waiting.left()).toEqual([1]);
    await other.close();
  });
});

describe('events', () => {
  async function subscribed(...kinds: string[]): Promise<RawClient> {
    const client = await rig.raw();
    expect((await client.ask('events.subscribe', { kinds })).result).toEqual({ kinds });
    return client;
  }

  test('go to those who asked for their kind, and to nobody else', async () => {
    const [epochs, silence, nothing] = [await subscribed('epoch'), await subscribed('silence'), await subscribed()];
    const host = await rig.raw();
    await host.ask('replication.start', { vm: 'vm0' });
    await host.ask('checkpoint.seal', at(1, 1));
    await host.ask('checkpoint.seal', at(1, 1));
    await host.ask('checkpoint.commit', at(1, 1));
    const seen = [await epochs.next(), await epochs.next(), await epochs.next()];
    expect(seen.map(({ params }) => params)).toEqual([
      {
        kind: 'epoch',
        vm: 'vm0',
        state: 'on',
        term: 1,
        openEpoch: 1,
        sealedEpochs: [],
        committedEpoch: 0,
        change: 'start',
      },
      {
        kind: 'epoch',
        vm: 'vm0',
        state: 'on',
        term: 1,
        openEpoch: 2,
        sealedEpochs: [1],
        committedEpoch: 0,
        change: 'seal',
      },
      {
        kind: 'epoch',
        vm: 'vm0',
        state: 'on',
        term: 1,
        openEpoch: 2,
        sealedEpochs: [],
        committedEpoch: 1,
        change: 'commit',
      },
    ]);
    for (const client of [silence, nothing, epochs])
      expect(await client.ask('status', {}, 'end')).toMatchObject({ id: 'end' });
  });

  test('silence: the lease has lapsed, and the host has come back', async () => {
    const client = await subscribed('silence');
    const host = await rig.raw();
    await host.ask('replication.start', { vm: 'vm0', leaseMs: 100 });
    rig.server.tick();
    scene.rig.clock.advanceTo(100e6);
    rig.server.tick();
    rig.server.tick();
    await host.ask('checkpoint.seal', at(1, 1));
    rig.server.tick();
    expect([await client.next(), await client.next()].map(({ params }) => params)).toEqual([
      { kind: 'silence', vm: 'vm0', term: 1, lapsed: true, hostSilentMs: 100 },
      { kind: 'silence', vm: 'vm0', term: 1, lapsed: false, hostSilentMs: 0 },
    ]);
  });

  test('overflow: what the transmit buffer had no room for', async () => {
    const tight = new Scene({ limits: { ...TIGHT, limitFrames: 2 } });
    const other = await new HostRig(tight).listen();
    const client = await other.raw();
    await client.ask('events.subscribe', { kinds: ['overflow'] });
    await client.ask('replication.start', { vm: 'vm0' });
    for (let i = 0; i < 5; i++) tight.send(i, HOLD);
    other.server.tick();
    other.server.tick();
    tight.send(9, HOLD);
    other.server.tick();
    expect([await client.next(), await client.next()].map(({ params }) => params)).toEqual([
      { kind: 'overflow', vm: 'vm0', droppedFrames: 3, reasons: { 'buffer-full': 3 } },
      { kind: 'overflow', vm: 'vm0', droppedFrames: 1, reasons: { 'buffer-full': 1 } },
    ]);
    await other.close();
  });

  test('rules and ports', async () => {
    const client = await subscribed('rules', 'port');
    scene.vm.swapRules({ ...scene.vm.generation, number: 2 });
    rig.server.tick();
    rig.server.publish('port', { vm: 'vm0', name: 'tap0', state: 'down' });
    expect([await client.next(), await client.next()].map(({ params }) => params)).toEqual([
      { kind: 'rules', vm: 'vm0', generation: 2 },
      { kind: 'port', vm: 'vm0', name: 'tap0', state: 'down' },
    ]);
  });
});
