import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { Attachment } from '../../../gateway/disk/attachment.ts';
import {
  BLOCK_SIZE,
  COMMAND,
  COMMAND_FLAG,
  EXPORT_FLAG,
  INFO,
  NBD_ERROR,
  OPTION,
  REPLY,
} from '../../../gateway/disk/nbd-protocol.ts';
import { carryOut, costOf } from '../../../gateway/disk/nbd-request.ts';
import { NbdServer } from '../../../gateway/disk/nbd-server.ts';
import { until } from '../../support/netns.ts';
import { folder } from './folders.ts';
import { attached, infoData, RawClient } from './nbd-client.ts';
import { serve } from './nbd-rig.ts';

const MIB = 2 ** 20;
const FLAGS =
  EXPORT_FLAG.hasFlags |
  EXPORT_FLAG.sendFlush |
  EXPORT_FLAG.sendFua |
  EXPORT_FLAG.sendTrim |
  EXPORT_FLAG.sendWriteZeroes |
  EXPORT_FLAG.canMultiConn |
  EXPORT_FLAG.sendFastZero;

describe('negotiation', () => {
  it('tells of an export what it can do, and goes on', async () => {
    const client = new RawClient({ path: (await serve()).path });
    expect(await client.greet()).toBe(3);
    const [size, blocks, ack] = await client.go('disk', OPTION.info);
    expect(size!.data.readUInt16BE(0)).toBe(INFO.export);
    expect(size!.data.readBigUInt64BE(2)).toBe(BigInt(MIB));
    expect(size!.data.readUInt16BE(10)).toBe(FLAGS);
    expect(blocks!.data.readUInt16BE(0)).toBe(INFO.blockSize);
    expect(blocks!.data.readUInt32BE(2)).toBe(BLOCK_SIZE.minimum);
    expect(blocks!.data.readUInt32BE(6)).toBe(4096);
    expect(blocks!.data.readUInt32BE(10)).toBe(32 * MIB);
    expect(ack).toMatchObject({ type: REPLY.ack, option: OPTION.info });
    expect((await client.go('nothing')).at(-1)!.type).toBe(REPLY.unknown);
    expect((await client.go('disk')).at(-1)!.type).toBe(REPLY.ack);
    expect((await client.read(0, 4)).equals(Buffer.alloc(4))).toBe(true);
  });

  it('takes EXPORT_NAME, with and without padding, and hangs up where there is no such export', async () => {
    const { path } = await serve();
    for (const [flags, bytes] of [
      [1, 134],
      [3, 10],
    ] as const) {
      const client = new RawClient({ path });
      await client.greet(flags);
      client.sendOption(OPTION.exportName, Buffer.from('disk'));
      const answer = await client.take(bytes);
      expect(answer.readBigUInt64BE(0)).toBe(BigInt(MIB));
      expect(answer.readUInt16BE(8)).toBe(FLAGS);
      expect(await client.write(0, Buffer.from('x'))).toBe(0);
    }
    const lost = new RawClient({ path });
    await lost.greet();
    lost.sendOption(OPTION.exportName, Buffer.from('other'));
    await lost.closed;
  });

  it('lists exports, declines what it does not support, and lets go', async () => {
    const client = new RawClient({ path: (await serve()).path });
    await client.greet();
    client.sendOption(OPTION.list);
    const [entry, end] = await client.replies();
    expect(entry!.data.toString('utf8', 4)).toBe('disk');
    expect(end!.type).toBe(REPLY.ack);
    for (const option of [8, 9, 10, 11, 4711]) {
      client.sendOption(option, Buffer.alloc(option % 7));
      expect(await client.replies()).toMatchObject([{ option, type: REPLY.unsupported }]);
    }
    client.sendOption(OPTION.startTls);
    expect((await client.replies())[0]!.type).toBe(REPLY.policy);
    client.sendOption(OPTION.list, Buffer.from('x'));
    expect((await client.replies())[0]!.type).toBe(REPLY.invalid);
    const bad = infoData('disk', 1, 2);
    for (const data of [Buffer.alloc(0), bad.subarray(0, 7), Buffer.concat([bad, bad]), Buffer.alloc(6, 0xff)]) {
      client.sendOption(OPTION.go, data);
      expect((await client.replies())[0]!.type).toBe(REPLY.invalid);
    }
    client.sendOption(OPTION.abort);
    expect((await client.replies())[0]!.type).toBe(REPLY.ack);
    await client.closed;
  });

  it('gives the first disk to who asks for none', async () => {
    const { path } = await serve();
    expect((await (await attached({ path }, '')).read(0, 1))[0]).toBe(0);
  });

  it('does not give the second one to who asks for none, where the first has been rolled back', async () => {
    const { where, disk } = await serve();
    const { disk: second } = await serve();
    await disk.start(1);
    await disk.failover(1);
    const disks = new Map([
      ['disk', disk],
      ['second', second],
    ]);
    const path = join(where, 'both');
    const server = new NbdServer({ address: { path }, disks });
    await server.listen();
    try {
      await expect(attached({ path }, '')).rejects.toThrow('no such export');
      await attached({ path }, 'second');
    } finally {
      await server.close();
    }
  });
});

describe('requests', () => {
  it('read what was written, zeroed and trimmed', async () => {
    const client = await attached({ path: (await serve()).path });
    expect(await client.write(1000, Buffer.alloc(3000, 7), true)).toBe(0);
    client.sendRequest(COMMAND.writeZeroes, 1500, 100, COMMAND_FLAG.noHole | COMMAND_FLAG.fastZero | COMMAND_FLAG.fua);
    expect(await client.reply()).toBe(0);
    client.sendRequest(COMMAND.trim, 2000, 1, COMMAND_FLAG.fua);
    expect(await client.reply()).toBe(0);
    client.sendRequest(COMMAND.flush, 0, 0);
    expect(await client.reply()).toBe(0);
    const bytes = await client.read(0, 8192);
    for (const [index, byte] of bytes.entries()) {
      const isZero = index < 1000 || index >= 4000 || (index >= 1500 && index < 1600) || index === 2000;
      if (byte !== (isZero ? 0 : 7)) throw new Error(`byte ${index} is ${byte}`);
    }
  });

  it('are durable when the reply to a flush or to FUA is there, not earlier', async () => {
    // Without a flush by itself, which makes durable what it writes.
    const { path, disk } = await serve({ flushDelayMs: 60_000 });
    const client = await attached({ path });
    await client.write(0, Buffer.alloc(100, 1));
    expect(disk.status.log.unsyncedBytes).toBe(156);
    await client.write(100, Buffer.alloc(100, 1), true);
    expect(disk.status.log.unsyncedBytes).toBe(0);
    for (const command of [COMMAND.trim, COMMAND.writeZeroes]) {
      client.sendRequest(command, 0, 100);
      expect(await client.reply()).toBe(0);
      expect(disk.status.log.unsyncedBytes).toBe(56);
      client.sendRequest(command, 0, 100, COMMAND_FLAG.fua);
      expect(await client.reply()).toBe(0);
      expect(disk.status.log.unsyncedBytes).toBe(0);
    }
    const other = await attached({ path });
    await client.write(0, Buffer.alloc(100, 1));
    other.sendRequest(COMMAND.flush, 0, 0);
    expect(await other.reply()).toBe(0);
    expect(disk.status.log.unsyncedBytes).toBe(0);
  });

  it('are refused with the error that the protocol names, and the connection goes on', async () => {
    const client = await attached({ path: (await serve()).path });
    const ask = async (command: number, from: number | bigint, length: number, flags = 0, payload?: Buffer) => {
      client.sendRequest(command, from, length, flags, payload);
      return client.reply();
    };
    const { invalid, noSpace } = NBD_ERROR;
    expect(await ask(COMMAND.read, MIB - 1, 2)).toBe(invalid);
    expect(await ask(COMMAND.read, 0, 32 * MIB + 1)).toBe(invalid);
    expect(await ask(COMMAND.read, 2n ** 64n - 1n, 1)).toBe(invalid);
    expect(await ask(COMMAND.write, MIB - 1, 2, 0, Buffer.alloc(2))).toBe(noSpace);
    expect(await ask(COMMAND.write, 2n ** 63n, 2, 0, Buffer.alloc(2))).toBe(noSpace);
    expect(await ask(COMMAND.writeZeroes, MIB, 1)).toBe(noSpace);
    expect(await ask(COMMAND.trim, MIB, 1)).toBe(invalid);
    expect(await ask(COMMAND.trim, 0, 0xffffffff)).toBe(invalid);
    expect(await ask(COMMAND.flush, 1, 0)).toBe(invalid);
    expect(await ask(COMMAND.flush, 0, 1)).toBe(invalid);
    expect(await ask(COMMAND.write, 0, 1, COMMAND_FLAG.noHole, Buffer.alloc(1))).toBe(invalid);
    expect(await ask(COMMAND.read, 0, 1, 0x8000)).toBe(invalid);
    for (const command of [5, 7, 8, 99, 0xffff]) expect(await ask(command, 0, 1)).toBe(invalid);
    expect((await client.read(0, 4)).equals(Buffer.alloc(4))).toBe(true);
    expect(await ask(COMMAND.read, 0, 0)).toBe(0);
    expect(await ask(COMMAND.write, 0, 0)).toBe(0);
    expect(await ask(COMMAND.write, MIB - 1, 1, 0, Buffer.from('!'))).toBe(0);
    expect((await client.read(MIB - 1, 1)).toString()).toBe('!');
    expect(await ask(COMMAND.trim, 0, MIB)).toBe(0);
  });

  it('leave a hole in the image only where they may', async () => {
    const { path, where, disk } = await serve();
    const client = await attached({ path });
    const blocks = () => statSync(join(where, 'image')).blocks * 512;
    for (const [command, flags, isHole] of [
      [COMMAND.writeZeroes, COMMAND_FLAG.noHole, false],
      [COMMAND.writeZeroes, 0, true],
      [COMMAND.trim, 0, true],
    ] as const) {
      await client.write(0, Buffer.alloc(MIB, 1));
      client.sendRequest(command, 0, MIB, flags);
      expect(await client.reply()).toBe(0);
      await disk.settle();
      expect([command, flags, blocks() < MIB / 2]).toEqual([command, flags, isHole]);
    }
  });

  it('of a client that was cut off, and of one whose disk is closed, change nothing', async () => {
    const { disk } = await serve();
    await disk.start(1);
    const dead = disk.attach(() => {});
    const next = async (who: Attachment) => {
      const request = { flags: 0, cookie: 1n, from: 0, length: 4 };
      const replies: number[] = [];
      for (const command of [COMMAND.write, COMMAND.trim, COMMAND.writeZeroes]) {
        const reply = await carryOut(disk, who, { ...request, command }, [Buffer.from('late')]);
        replies.push(reply.readUInt32BE(4));
      }
      return replies;
    };
    await disk.failover(1);
    const { shutdown } = NBD_ERROR;
    expect(await next(dead)).toEqual([shutdown, shutdown, shutdown]);
    const alive = disk.attach(() => {});
    expect(await next(alive)).toEqual([0, 0, 0]);
    await disk.close();
    const late = await carryOut(disk, alive, { flags: 0, cookie: 1n, from: 0, length: 0, command: COMMAND.flush }, []);
    expect(late.readUInt32BE(4)).toBe(shutdown);
  });

  it('cost what they make the server keep', () => {
    const request = { flags: 0, cookie: 1n, from: 0 };
    const cost = (command: number, length: number) => costOf({ ...request, command, length });
    for (const command of [COMMAND.read, COMMAND.write]) {
      expect([cost(command, 32 * MIB), cost(command, 32 * MIB + 1)]).toEqual([32 * MIB, 0]);
    }
    expect([cost(COMMAND.trim, MIB), cost(COMMAND.writeZeroes, MIB)]).toEqual([0, 0]);
  });

  it('are under way 128 at a time for one client', async () => {
    const { path, disk } = await serve();
    const client = await attached({ path });
    let goOn = () => {};
    const held = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const flush = vi.spyOn(disk, 'flush').mockReturnValue(held);
    for (let index = 0; index < 300; index++) client.sendRequest(COMMAND.flush, 0, 0);
    await until(() => flush.mock.calls.length >= 128, 'as many as may be');
    // Another client is served meanwhile, so what could follow would have.
    const other = await attached({ path });
    for (let index = 0; index < 5; index++) await other.read(0, 1);
    expect(flush).toHaveBeenCalledTimes(128);
    goOn();
    for (let index = 0; index < 300; index++) expect(await client.reply()).toBe(0);
    flush.mockRestore();
  });

  it('find no room where the log has reached its limit', async () => {
    const { path, disk } = await serve({ logLimitBytes: 65_536, segmentBytes: 16_384 });
    await disk.start(1);
    const client = await attached({ path });
    expect(await client.write(0, Buffer.alloc(60_000, 1))).toBe(0);
    expect(await client.write(0, Buffer.alloc(60_000, 2))).toBe(NBD_ERROR.noSpace);
    expect((await client.read(0, 1))[0]).toBe(1);
  });

  it('are many at a time, and all of 32 MiB', async () => {
    const { path } = await serve({ sizeBytes: 64 * MIB });
    const client = await attached({ path });
    for (let index = 0; index < 1000; index++) client.sendRequest(COMMAND.writeZeroes, index, 1);
    for (let index = 0; index < 1000; index++) expect(await client.reply()).toBe(0);
    expect(await client.write(5, Buffer.alloc(32 * MIB, 9))).toBe(0);
    const bytes = await client.read(6, 32 * MIB);
    expect(bytes.subarray(0, -1).equals(Buffer.alloc(32 * MIB - 1, 9))).toBe(true);
  });

  it('that are under way when a client leaves are answered first', async () => {
    const { path, disk } = await serve();
    const client = await attached({ path });
    client.sendRequest(COMMAND.write, 0, 5, COMMAND_FLAG.fua, Buffer.from('hello'));
    client.sendRequest(COMMAND.disconnect, 0, 0);
    expect(await client.reply()).toBe(0);
    await client.closed;
    expect(disk.status.attached).toBe(0);
  });
});

describe('a rollback', () => {
  it('hangs up on every client, and those of before do not find the disk again', async () => {
    const { path, disk, server } = await serve();
    await disk.start(3);
    const client = await attached({ path });
    await client.write(0, Buffer.from('lost'));
    await disk.failover(3);
    await client.closed;
    await expect(attached({ path })).rejects.toThrow('no such export');
    await expect(attached({ path }, '')).rejects.toThrow('no such export');
    const next = await attached({ path }, 'disk@4');
    expect((await next.read(0, 4)).equals(Buffer.alloc(4))).toBe(true);
    expect(server.connections).toBeGreaterThanOrEqual(1);
  });
});

describe('a server', () => {
  it('has a socket for its owner alone, and takes the place of one that died', async () => {
    const { path, disk } = await serve();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const disks = new Map([['disk', disk]]);
    await expect(new NbdServer({ address: { path }, disks }).listen()).rejects.toThrow('another process answers');
    const file = join(folder(), 'file');
    writeFileSync(file, '');
    await expect(new NbdServer({ address: { path: file }, disks }).listen()).rejects.toThrow('no socket');
  });

  it('listens on TCP for this host; for others only with TLS', async () => {
    const { disk } = await serve();
    const disks = new Map([['disk', disk]]);
    expect(() => new NbdServer({ address: { host: '0.0.0.0', port: 0 }, disks })).toThrow('only with TLS');
    for (const host of ['::1', 'localhost']) new NbdServer({ address: { host, port: 0 }, disks });
    const server = new NbdServer({ address: { host: '127.0.0.1', port: 0 }, disks });
    const address = await server.listen();
    if (!('port' in address)) throw new Error('no port');
    expect((await (await attached(address)).read(0, 1))[0]).toBe(0);
    await server.close();
  });
});
