/** What clients that are not the owner can do and see, over sockets. */
import { spawn } from 'node:child_process';
import { chmodSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { HostEvent, PortStatus } from '../../../gateway/host/api.ts';
import { ROLES } from '../../../gateway/host/roles.ts';
import { UnixListener } from '../../../gateway/host/unix-listener.ts';
import { AccessRig, accessTo } from '../../support/access-rig.ts';
import { portStatus } from '../../support/control-rig.ts';
import { refusalOf, until } from '../../support/host-rig.ts';
import { rulesOf } from '../../support/live-rules-rig.ts';
import { RulesHostRig } from '../../support/rules-host-rig.ts';
import { HOLD, PASS } from '../../support/scene.ts';

const MIB = 2 ** 20;
const PORTS: readonly PortStatus[] = [
  portStatus('inside', { vm: 'a' }),
  portStatus('inside', { vm: 'b', name: 'tapb' }),
];
let rig: AccessRig;

beforeEach(async () => {
  rig = await new AccessRig({
    ports: () => PORTS,
    metricsText: (of) => [...(of?.keys() ?? ['everything'])].join(),
  }).listen();
});
afterEach(() => rig.close());

test('nobody but the owner may end the gateway, whatever role they have', async () => {
  const host = await rig.clientAs(accessTo(['a', 'b'], 'all'));
  expect(await refusalOf(host, 'gateway.leave', {})).toMatchObject({ code: 'forbidden' });
});

describe('a client that has one of two VMs', () => {
  test('sees this one only', async () => {
    rig.b.send(1, HOLD);
    const host = await rig.clientAs(accessTo(['a'], 'all'));
    expect((await host.connect()).vms.map(({ vm }) => vm)).toEqual(['a']);
    const metrics = await host.call('metrics', {});
    expect(metrics.vms.map(({ vm }) => vm)).toEqual(['a']);
    expect(metrics.ports.map(({ vm }) => vm)).toEqual(['a']);
    // Of its own port; b's held frame is in no count.
    expect([metrics.reasons, metrics.text]).toEqual([{ 'port-lost': 2 }, 'a']);
    expect(JSON.stringify(await host.call('status', {}))).not.toMatch(/"b"|tapb/);
    expect((await rig.owner.call('metrics', {})).text).toBe('everything');
    // An error that helps the owner would tell others too much.
    const { message } = await refusalOf(host, 'capture.start', { port: 'tap9' });
    expect(message).toMatch(/only tap0$/);
  });

  test('gets events of this one only', async () => {
    const host = await rig.clientAs(accessTo(['a'], 'read-only'));
    const events: HostEvent[] = [];
    await host.subscribe(['epoch'], (event) => events.push(event));
    const { owner } = rig;
    for (const vm of ['b', 'a', 'b']) await owner.call('replication.start', { vm });
    await until(() => events.length > 0);
    await host.call('status', {});
    expect(events.map(({ vm }) => vm)).toEqual(['a']);
  });

  test.each(ROLES)('as %s cannot touch the other', async (role) => {
    const host = await rig.clientAs(accessTo(['a'], role));
    const start = { vm: 'b' };
    const element = { vm: 'b', set: 'media', elements: ['10.0.0.1 . 6000'] };
    expect(await refusalOf(host, 'replication.start', start)).toMatchObject({ rpcCode: -32000, code: 'forbidden' });
    expect(await refusalOf(host, 'set.add', element)).toMatchObject({ code: 'forbidden' });
    expect(await refusalOf(host, 'set.list', { vm: 'b' })).toEqual({
      rpcCode: -32000,
      code: 'forbidden',
      field: 'vm',
      message: 'this client has only a',
    });
    expect(rig.b.vm.epochs.state).toBe('off');
    expect((await rig.owner.call('set.list', { vm: 'b', set: 'media' })).elements).toEqual([]);
  });
});

describe('an application in the VM', () => {
  beforeEach(async () => {
    await rig.owner.call('replication.start', { vm: 'a', leaseMs: 0 });
  });

  test('adds to a set, and takes out of it: what rules say of that holds from the next frame on', async () => {
    const host = await rig.clientAs(accessTo(['a'], 'guest'));
    const elements = ['10.0.0.1 . 6000'];
    rig.a.send(1, HOLD);
    expect(await host.call('set.add', { set: 'media', elements })).toEqual({ added: 1, refused: 0 });
    rig.a.send(2, HOLD);
    expect(rig.a.left()).toEqual([2]);
    expect((await host.call('set.list', { set: 'media' })).elements).toHaveLength(1);
    expect(await host.call('set.delete', { set: 'media', elements })).toEqual({ deleted: 1 });
    rig.a.send(3, HOLD);
    expect(rig.a.left()).toEqual([]);
  });

  test('declares flows, which end with its connection', async () => {
    const flow = { src: '10.0.0.1', dst: '10.0.0.254', protocol: 'udp', srcPort: 6000, dstPort: 5001 } as const;
    const host = await rig.clientAs(accessTo(['a'], 'guest'));
    await host.call('flow.declare', { vm: 'a', flow, timeoutMs: 60_000 });
    rig.a.send(1, HOLD);
    expect(rig.a.left()).toEqual([1]);
    const { clients } = rig.rig.server;
    host.close();
    await until(() => rig.rig.server.clients < clients);
    rig.a.send(2, HOLD);
    expect(rig.a.left()).toEqual([]);
  });

  test('has no say in anything else', async () => {
    const host = await rig.clientAs(accessTo(['a'], 'guest'));
    expect(await refusalOf(host, 'status', {})).toMatchObject({
      code: 'forbidden',
      message: 'status needs one of the roles read-only, rules, epochs, all; this client has guest',
    });
    for (const method of ['rules.list', 'rules.confirm', 'trace.start', 'vm.addresses'] as const) {
      expect(await refusalOf(host, method, { vm: 'a' })).toMatchObject({ code: 'forbidden' });
    }
    expect(await refusalOf(host, 'events.subscribe', { kinds: ['epoch'] })).toMatchObject({ code: 'forbidden' });
  });
});

describe('others than the owner', () => {
  test('are no more than sixteen of a kind, and the owner is served beside them', async () => {
    const path = await rig.socketFor(accessTo(['a'], 'guest'));
    for (let i = 0; i < 16; i++)
      expect(await (await rig.raw(path)).ask('hello', { client: 'x', protocol: 1 })).toHaveProperty('result');
    const late = await rig.raw(path);
    expect(await late.next()).toMatchObject({ id: null, error: { data: { code: 'overloaded' } } });
    await late.closed;
    expect((await rig.owner.connect()).vms).toHaveLength(2);
  });

  test('take no more than a fifth of the time, after which they are heard again, and the owner is heard meanwhile', async () => {
    const { clock } = rig.a.rig;
    let asked = 0;
    const slow = await new AccessRig({
      clock,
      metricsText: () => {
        asked++;
        clock.advanceTo(clock.nowNs() + 20e6);
        return '';
      },
    }).listen();
    const other = await slow.raw(await slow.socketFor(accessTo(['a'], 'read-only')));
    const owner = await slow.rig.raw();
    const request = '{"jsonrpc":"2.0","id":1,"method":"metrics"}\n';
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    try {
      other.write(request.repeat(4));
      await other.next();
      expect(asked).toBe(1);
      owner.write(request.repeat(4));
      for (let i = 0; i < 4; i++) await owner.next();
      expect(asked).toBe(5);
      // Five times the 20 ms of each request, and of what is left of those before: of the first none but for a fifth of the owner's 80 ms.
      for (const restMs of [100, 120, 220]) {
        const before = asked;
        vi.advanceTimersByTime(restMs - 1);
        expect(asked).toBe(before);
        vi.advanceTimersByTime(1);
        await other.next();
        expect(asked).toBe(before + 1);
      }
    } finally {
      vi.useRealTimers();
      await slow.close();
    }
  });

  test('go before the owner does when too much is unfinished', async () => {
    const owner = await rig.rig.raw();
    const line = Buffer.alloc(8 * MIB - 1, 0x20);
    owner.write(line);
    const path = await rig.socketFor(accessTo(['a'], 'guest'));
    const others = [];
    for (let i = 0; i < 9; i++) {
      const other = await rig.raw(path);
      other.write(line);
      others.push(other);
    }
    const told = await Promise.race(others.map((other) => other.next()));
    expect(told).toMatchObject({ error: { data: { code: 'overloaded' } } });
    owner.write(Buffer.from('\n'));
    // Blanks are no request, but the owner was heard.
    expect(await owner.next()).toMatchObject({ error: { data: { code: 'parse-error' } } });
  }, 30_000);

  test('have their name in the history of rules, and cannot have files read', async () => {
    const rules = await new RulesHostRig().begin(rulesOf('default class control'));
    const path = `${rules.rig.path}-rules`;
    const access = accessTo(['vm0'], 'rules', { identity: 'certificate CN:web' });
    const listener = new UnixListener({ path, uid: null, access }, (socket, to) => rules.rig.server.admit(socket, to));
    await listener.listen();
    const host = rules.rig.client({ path });
    expect(await refusalOf(host, 'rules.apply', { path: '/etc/passwd' })).toMatchObject({
      code: 'forbidden',
      field: 'path',
    });
    await host.call('rules.add', { rule: 'udp dport 5000 class data' });
    expect((await host.call('rules.history', {})).generations.at(-1)!.who).toBe('test (certificate CN:web)');
    expect(await refusalOf(host, 'replication.start', { vm: 'vm0' })).toMatchObject({ code: 'forbidden' });
    rules.scene.send(1, PASS);
    await listener.close();
    await rules.close();
  });
});

describe('a socket for others', () => {
  const NOBODY = 65_534;
  const ASK = `const s = require('net').connect(process.argv[1]);
    s.on('data', () => { console.log('answered'); s.destroy(); });
    s.on('error', ({ code }) => console.log(code));
    s.on('close', () => console.log('closed'));
    s.write('{"jsonrpc":"2.0","id":1,"method":"set.list"}\\n');`;

  async function askAs(uid: number, path: string): Promise<string[]> {
    const { stdout } = spawn(process.execPath, ['-e', ASK, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: '/',
      uid,
    });
    let said = '';
    for await (const chunk of stdout) said += chunk;
    return said.trim().split('\n').sort();
  }

  test('is for its owner and root, and for another user if one is named', async ({ skip }) => {
    skip(process.geteuid?.() !== 0, 'needs root, to be somebody else');
    chmodSync(dirname(rig.rig.path), 0o755);
    const own = await rig.socketFor(accessTo(['a'], 'guest'));
    expect(statSync(own).mode & 0o777).toBe(0o600);
    expect(await askAs(NOBODY, own)).toEqual(['EACCES', 'closed']);
    const shared = await rig.socketFor(accessTo(['a'], 'guest'), NOBODY);
    expect(await askAs(NOBODY, shared)).toEqual(['answered', 'closed']);
    expect(await askAs(NOBODY - 1, shared)).not.toContain('answered');
  });
});
