import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PARAMS } from '../../../gateway/host/api.ts';
import { MAX_LINE_BYTES } from '../../../gateway/host/protocol.ts';
import { HostRig, type RawClient, until } from '../../support/host-rig.ts';
import { Scene } from '../../support/rig.ts';
import { runs, SEED } from '../../support/runs.ts';
import { HOLD } from '../../support/scene.ts';

const MIB = 2 ** 20;
/** What the whole process may grow by, in a test that sends far more: buffers of sockets on both sides are among it. */
const FLAT_BYTES = 96 * MIB;

let rig: HostRig;
let scene: Scene;
let host: RawClient;
let epoch: number;

beforeEach(async () => {
  scene = new Scene();
  rig = await new HostRig(scene).listen();
  host = await rig.raw();
  await host.ask('replication.start', { vm: 'vm0', leaseMs: 0 });
  epoch = 0;
});
afterEach(() => rig.close());

/** The host beside it all: a whole epoch, and exactly its frame leaves. */
async function expectServed(): Promise<void> {
  epoch++;
  scene.send(epoch, HOLD);
  const at = { vm: 'vm0', term: 1, epoch };
  expect((await host.ask('checkpoint.seal', at)).result).toMatchObject({ openEpoch: epoch + 1 });
  expect((await host.ask('checkpoint.commit', at)).result).toMatchObject({ releasedFrames: 1 });
  expect(scene.left()).toEqual([epoch]);
}

function memory(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Sends until the client is cut off or all is gone. @returns bytes that were handed to the socket */
async function pour(client: RawClient, piece: Uint8Array, bytes: number): Promise<number> {
  let sent = 0;
  while (sent < bytes && !client.socket.destroyed && client.socket.writable) {
    sent += piece.length;
    if (client.socket.write(piece)) await turn();
    else await Promise.race([new Promise((resolve) => client.socket.once('drain', resolve)), client.closed]);
  }
  return sent;
}

test('random bytes end their connection with -32700, and nothing else', async () => {
  // 0xff is nowhere in UTF-8, so that no bytes are a request by chance.
  const garbage = fc.uint8Array({ maxLength: 2000 }).map((bytes) => [0xff, ...bytes.filter((byte) => byte !== 0x0a)]);
  await fc.assert(
    fc.asyncProperty(garbage, async (bytes) => {
      const client = await rig.raw();
      client.write(Uint8Array.from([...bytes, 0x0a]));
      expect(await client.next()).toMatchObject({ id: null, error: { code: -32700, data: { code: 'parse-error' } } });
      await client.closed;
      expect(client.lines).toEqual([]);
    }),
    { numRuns: runs(40), ...SEED },
  );
  await expectServed();
});

test('what follows a garbled line is not obeyed', async () => {
  const client = await rig.raw();
  client.write(
    '{\n{"jsonrpc":"2.0","id":1,"method":"replication.stop","params":{"vm":"vm0","term":1,"held":"release"}}\n',
  );
  await client.closed;
  expect(client.lines).toHaveLength(1);
  expect(scene.vm.epochs.state).toBe('on');
});

test('deep JSON is not parsed', async () => {
  for (const text of ['['.repeat(MIB), '{"a":'.repeat(MIB), `${'['.repeat(MIB)}${']'.repeat(MIB)}`]) {
    const client = await rig.raw();
    client.write(`${text}\n`);
    expect(await client.next()).toMatchObject({ error: { code: -32700 } });
    await client.closed;
  }
  await expectServed();
});

test('a line of 100 MB is thrown away, whatever comes of it', async () => {
  const before = memory();
  const client = await rig.raw();
  const piece = Buffer.alloc(MIB, 'x');
  let most = 0;
  const watch = setInterval(() => {
    most = Math.max(most, memory() - before);
  }, 20);
  await pour(client, piece, 100 * MIB);
  clearInterval(watch);
  expect(await client.next()).toMatchObject({ id: null, error: { code: -32700 } });
  await client.closed;
  expect(most).toBeLessThan(FLAT_BYTES);
  await expectServed();
});

test('a line of 8 MiB is a request like any other', async () => {
  const text = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'hello', params: { client: 'x', protocol: 1 } });
  const client = await rig.raw();
  client.write(`${text.padEnd(MAX_LINE_BYTES)}\n`);
  expect(await client.next()).toMatchObject({ id: 1, result: { name: 'holdfast' } });
});

describe('a client that does not read', () => {
  test('what it asked for is not read on, and after 10 s without a byte it is cut off', async () => {
    const client = await rig.raw();
    client.socket.pause();
    const request = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"status"}\n'.repeat(1000));
    const before = memory();
    const poured = pour(client, request, 64 * MIB);
    for (let i = 0; i < 50; i++) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (i % 10 === 0) await expectServed();
    }
    expect(memory() - before).toBeLessThan(FLAT_BYTES);
    expect(rig.server.clients).toBe(2);
    scene.rig.clock.advanceTo(20e9);
    rig.server.tick();
    await until(() => rig.server.clients === 1);
    client.socket.destroy();
    await poured;
    await expectServed();
  });

  test('one that asks ten thousand times at once and then reads gets every answer, in order', async () => {
    const client = await rig.raw();
    client.socket.pause();
    const count = 10_000;
    for (let id = 0; id < count; id++) client.write(`{"jsonrpc":"2.0","id":${id},"method":"status"}\n`);
    await turn();
    await expectServed();
    client.socket.resume();
    await until(() => client.lines.length === count);
    expect(client.lines.map((line) => JSON.parse(line).id)).toEqual(Array.from({ length: count }, (_, id) => id));
  });

  test('its events cost it the connection when there are too many', async () => {
    const client = await rig.raw();
    await client.ask('events.subscribe', { kinds: ['port'] });
    client.socket.pause();
    const name = 'x'.repeat(1000);
    for (let i = 0; i < 20_000 && rig.server.clients > 1; i++) {
      rig.server.publish('port', { vm: 'vm0', name, state: 'up' });
      if (i % 100 === 0) await turn();
    }
    await until(() => rig.server.clients === 1);
    await expectServed();
  });
});

describe('a client that does not finish', () => {
  test('its line is cut off after 10 s, one that keeps silent between lines is not', async () => {
    const [half, silent, slow] = [await rig.raw(), await rig.raw(), await rig.raw()];
    half.write('{"jsonrpc":');
    silent.write('{"jsonrpc":"2.0","id":1,"method":"status"}\n');
    slow.write('{"jsonrpc":"2.0",');
    await silent.next();
    await until(() => rig.server.clients === 4);
    scene.rig.clock.advanceTo(6e9);
    rig.server.tick();
    slow.write('"id":1,"method":"status"}\n{"jso');
    await slow.next();
    scene.rig.clock.advanceTo(11e9);
    rig.server.tick();
    await half.closed;
    await slow.ask('status').catch(() => {});
    expect(rig.server.clients).toBe(3);
    expect(await silent.ask('status')).toMatchObject({ id: 1 });
    await expectServed();
  });

  test('one that was told to go and stays is cut off after a second, and not heard meanwhile', async () => {
    const client = await rig.raw(true);
    client.write('garbage\n');
    expect(await client.next()).toMatchObject({ error: { code: -32700 } });
    client.write('{"jsonrpc":"2.0","id":1,"method":"replication.stop","params":{"vm":"vm0","term":1,"held":"keep"}}\n');
    await expectServed();
    rig.server.tick();
    expect(rig.server.clients).toBe(2);
    scene.rig.clock.advanceTo(1.1e9);
    rig.server.tick();
    await until(() => rig.server.clients === 1);
    await expectServed();
  });

  test('one byte at a time takes no more memory than the line is long', async () => {
    const client = await rig.raw();
    const before = memory();
    for (let i = 0; i < 20_000; i++) {
      client.socket.write('x');
      if (i % 50 === 0) await turn();
    }
    await until(() => client.socket.writableLength === 0);
    expect(memory() - before).toBeLessThan(16 * MIB);
    await expectServed();
  });

  test('unfinished lines of many clients together are bounded: who has most goes first', async () => {
    const before = memory();
    const clients: RawClient[] = [];
    const piece = Buffer.alloc(MIB, ' ');
    for (let i = 0; i < 20; i++) {
      const client = await rig.raw();
      clients.push(client);
      await pour(client, piece, 7 * MIB);
    }
    await until(() => rig.server.clients < 21);
    expect(memory() - before).toBeLessThan(2 * FLAT_BYTES);
    const cut = clients.find((client) => client.lines.length > 0);
    expect(JSON.parse(cut!.lines[0]!)).toMatchObject({ error: { code: -32000, data: { code: 'overloaded' } } });
    await expectServed();
  });

  test('a client that hangs up in the middle of a line, or before its answer, is forgotten', async () => {
    for (const text of ['', '{"jsonrpc"', '{"jsonrpc":"2.0","id":1,"method":"status"}\n']) {
      const client = await rig.raw();
      client.socket.write(text, () => client.socket.destroy());
      await client.closed;
    }
    await until(() => rig.server.clients === 1);
    await expectServed();
  });

  test('a client that only ends its side still gets its answers', async () => {
    const client = await rig.raw();
    client.socket.end('{"jsonrpc":"2.0","id":1,"method":"status"}\n');
    expect(await client.next()).toMatchObject({ id: 1 });
    await client.closed;
  });
});

describe('many clients', () => {
  test('1,000 connections that say nothing keep nobody from being served', async () => {
    const before = memory();
    for (let i = 0; i < 1000; i++) await rig.raw();
    await until(() => rig.server.clients === 1001);
    await expectServed();
    expect(memory() - before).toBeLessThan(FLAT_BYTES);
  });

  test('beyond 1,024 the one that has been silent from the beginning for longest makes room', async () => {
    const silent: RawClient[] = [];
    for (let i = 0; i < 1023; i++) silent.push(await rig.raw());
    await until(() => rig.server.clients === 1024);
    const late = await rig.raw();
    expect(await late.ask('status')).toMatchObject({ id: 1 });
    await silent[0]!.closed;
    expect(silent[1]!.socket.destroyed).toBe(false);
    await expectServed();
  });

  test('where all have spoken, one more is told that there is no room', async () => {
    const all: RawClient[] = [];
    for (let i = 0; i < 1023; i++) all.push(await rig.raw());
    for (const client of all) client.write('{"jsonrpc":"2.0","method":"status"}\n');
    await Promise.all(all.map((client) => client.ask('status')));
    const late = await rig.raw();
    expect(await late.next()).toMatchObject({ error: { code: -32000, data: { code: 'overloaded' } } });
    await late.closed;
    await expectServed();
  });
});

test('requests in any order, of many clients at once, right and wrong, never disturb the host', async () => {
  const params = fc.dictionary(
    fc.constantFrom(
      'vm',
      'term',
      'epoch',
      'held',
      'leaseMs',
      'timeoutMs',
      'kinds',
      'set',
      'elements',
      'flow',
      'client',
    ),
    fc.oneof(
      // Never the term in force: these clients are not the host.
      fc.constantFrom('vm0', 'vm1', 0, 2, 3, 'keep', 'release', ['epoch'], [], {}, null, 'media'),
      fc.jsonValue({ maxDepth: 2 }).filter((value) => value !== 1),
    ),
  );
  const methods = Object.keys(PARAMS).filter((name) => name !== 'replication.start');
  const line = fc.oneof(
    {
      weight: 8,
      arbitrary: fc
        .record({ method: fc.constantFrom(...methods), params, id: fc.oneof(fc.nat(), fc.constant(null)) })
        .map((request) => JSON.stringify({ jsonrpc: '2.0', ...request })),
    },
    { weight: 2, arbitrary: fc.json({ maxDepth: 3 }).map((text) => text.replaceAll('\n', ' ')) },
    { weight: 1, arbitrary: fc.string() },
  );
  const visit = fc.record({ lines: fc.array(line, { maxLength: 8 }), hangsUp: fc.boolean(), cut: fc.nat(20) });
  await fc.assert(
    fc.asyncProperty(fc.array(visit, { minLength: 1, maxLength: 6 }), async (visits) => {
      const clients = await Promise.all(visits.map(() => rig.raw()));
      visits.forEach(({ lines, hangsUp, cut }, i) => {
        const text = `${lines.join('\n')}\n`;
        clients[i]!.write(hangsUp ? text.slice(0, -cut) : text);
        if (hangsUp) clients[i]!.socket.end();
      });
      await expectServed();
      for (const client of clients) client.socket.destroy();
    }),
    { numRuns: runs(60), ...SEED },
  );
  await until(() => rig.server.clients === 1);
});
