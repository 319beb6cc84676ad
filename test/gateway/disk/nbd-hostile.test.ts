import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { COMMAND, OPTION } from '../../../gateway/disk/nbd-protocol.ts';
import { runs, SEED } from '../../support/runs.ts';
import { attached, infoData, RawClient } from './nbd-client.ts';
import { serve } from './nbd-rig.ts';

const MIB = 2 ** 20;

/** Bytes that mean something here and there. */
const noise = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc
    .tuple(fc.nat(12), fc.uint8Array({ maxLength: 40 }), fc.constantFrom(null, 0, 5000, 0xffffffff))
    .map(([option, data, length]) => {
      const head = Buffer.from('IHAVEOPT________');
      head.writeUInt32BE(option, 8);
      head.writeUInt32BE(length ?? data.length, 12);
      return Buffer.concat([head, data]);
    }),
  fc
    .tuple(fc.nat(9), fc.nat(0xffff), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(1, 512, 0xffffffff))
    .map(([command, flags, from, length]) => {
      const head = Buffer.alloc(28);
      head.writeUInt32BE(0x25609513, 0);
      head.writeUInt16BE(flags, 4);
      head.writeUInt16BE(command, 6);
      head.writeBigUInt64BE(from, 16);
      head.writeUInt32BE(length, 24);
      return head;
    }),
);

describe('a hostile client costs at most its connection', () => {
  it('whatever it sends, before and after it has chosen an export', async () => {
    const { path, disk, server } = await serve();
    await disk.start(1);
    const good = await attached({ path });
    await good.write(0, Buffer.from('unharmed'));
    await disk.seal(1, 1);
    await disk.commit(1, 1);
    await fc.assert(
      fc.asyncProperty(fc.boolean(), fc.array(noise, { minLength: 1, maxLength: 8 }), async (isAttached, pieces) => {
        const bad = isAttached ? await attached({ path }) : new RawClient({ path });
        if (!isAttached) await bad.greet();
        for (const piece of pieces) bad.send(piece);
        bad.socket.end();
        await bad.closed;
      }),
      { numRuns: runs(150), ...SEED },
    );
    expect((await good.read(0, 1)).length).toBe(1);
    expect(good.isClosed).toBe(false);
    await disk.failover(1);
    const bytes = Buffer.alloc(8);
    await disk.read(bytes, 0);
    expect(bytes.toString()).toBe('unharmed');
    await good.closed;
    expect(server.connections).toBe(0);
  });

  it.each([
    ['flags that nobody knows', (client: RawClient) => client.send(Buffer.from([0, 0, 0, 7]))],
    [
      'an option that is none',
      (client: RawClient) => client.send(Buffer.from('\0\0\0\x03IHAVENOT\0\0\0\x07\0\0\0\0', 'latin1')),
    ],
    [
      'an option of 4 GiB',
      (client: RawClient) => {
        client.send(Buffer.from([0, 0, 0, 3]));
        client.sendOption(OPTION.go, infoData('disk'), 0xffffffff);
      },
    ],
  ])('%s: the server hangs up', async (_, misbehave) => {
    const client = new RawClient({ path: (await serve()).path });
    await client.take(18);
    misbehave(client);
    await client.closed;
  });

  it('a request that is none, or a payload that is too long: the server hangs up', async () => {
    const { path } = await serve();
    const first = await attached({ path });
    first.send(Buffer.alloc(28, 1));
    await first.closed;
    const second = await attached({ path });
    second.sendRequest(COMMAND.write, 0, 32 * MIB + 1);
    await second.closed;
  });

  it('silence: who chooses no export in time is hung up on, who has one may be silent', async () => {
    // Sockets go on, and time goes as it is told: not while somebody still has to choose.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const { path, server } = await serve({}, { handshakeMs: 50 });
      const good = await attached({ path });
      const silent = new RawClient({ path });
      const half = new RawClient({ path });
      await Promise.all([silent.take(18), half.greet()]);
      vi.advanceTimersByTime(49);
      expect(server.connections).toBe(3);
      vi.advanceTimersByTime(1);
      await Promise.all([silent.closed, half.closed]);
      expect((await good.read(0, 1)).length).toBe(1);
    } finally {
      vi.useRealTimers();
    }
  });

  it('crowds: those without an export make room, those with one stay', async () => {
    const { path, server } = await serve({}, { maxConnections: 3 });
    const good = [await attached({ path }), await attached({ path })];
    const crowd = Array.from({ length: 20 }, () => new RawClient({ path }));
    await Promise.all(crowd.slice(0, -1).map((client) => client.closed));
    const late = await attached({ path });
    const refused = new RawClient({ path });
    await refused.closed;
    for (const client of [...good, late]) expect((await client.read(0, 1)).length).toBe(1);
    expect(server.connections).toBe(3);
  });

  it('greed: who asks for much and takes nothing makes the server keep 32 MiB, not more', async () => {
    const { path } = await serve({ sizeBytes: 64 * MIB });
    const good = await attached({ path });
    global.gc!();
    const before = process.memoryUsage().arrayBuffers;
    const greedy = await attached({ path });
    greedy.socket.pause();
    for (let index = 0; index < 100; index++) greedy.sendRequest(COMMAND.read, 0, 16 * MIB);
    for (let index = 0; index < 20; index++) expect((await good.read(0, 4096)).length).toBe(4096);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(40 * MIB);
    greedy.socket.destroy();
    // Half a payload, and no more of it.
    const half = await attached({ path });
    half.sendRequest(COMMAND.write, 0, 32 * MIB, 0, Buffer.alloc(1000));
    expect(await good.write(0, Buffer.from('x'))).toBe(0);
    half.socket.destroy();
  });
});
