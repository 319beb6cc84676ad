import { existsSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DiskControlClient } from '../../../gateway/disk/control-client.ts';
import { Image } from '../../../gateway/disk/image.ts';
import { type ServedDisk, serveDisk } from '../../../gateway/disk/serve.ts';
import { until } from '../../support/netns.ts';
import { folder, openFiles } from './folders.ts';
import { attached, RawClient } from './nbd-client.ts';

let where = '';
let served: ServedDisk;
let driver: DiskControlClient;
const closing: (() => void)[] = [];

beforeEach(async () => {
  where = folder();
  served = await serveDisk({
    ...{ image: join(where, 'image'), log: join(where, 'log'), sizeBytes: 65_536, name: 'web', tls: null },
    ...{ address: { path: join(where, 'nbd') }, control: join(where, 'control') },
    // Nothing goes into the image but what a driver settles.
    flushDelayMs: 60_000,
  });
  driver = await DiskControlClient.open(join(where, 'control'));
});

afterEach(async () => {
  for (const close of closing.splice(0)) close();
  driver.close();
  await served.close();
});

/** What the server says to these bytes until it hangs up, or to one line. */
function say(bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(join(where, 'control'));
    let answer = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
      if (answer.endsWith('\n')) socket.destroy();
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(answer));
    socket.write(bytes);
  });
}

describe('the control socket of a disk', () => {
  it('drives it from checkpoint to failover', async () => {
    expect(statSync(join(where, 'control')).mode & 0o777).toBe(0o600);
    await driver.call('disk.start', { term: 5, epoch: 0 });
    const client = await attached({ path: join(where, 'nbd') }, 'web');
    await client.write(0, Buffer.from('kept'));
    await driver.call('disk.seal', { term: 5, epoch: 1 });
    await driver.call('disk.durable', { term: 5, epoch: 1 });
    await driver.call('disk.seal', { term: 5, epoch: 2 });
    await driver.call('disk.abort', { term: 5, epoch: 2 });
    expect(await driver.call('disk.commit', { term: 5, epoch: 1 })).toEqual({ isNew: true });
    expect(await driver.call('disk.commit', { term: 5, epoch: 1 })).toEqual({ isNew: false });
    await client.write(0, Buffer.from('lost'));
    expect(await driver.call('disk.failover', { term: 5 })).toEqual({ epoch: 1 });
    await client.closed;
    const next = await attached({ path: join(where, 'nbd') }, 'web@6');
    expect((await next.read(0, 4)).toString()).toBe('kept');
    await driver.call('disk.rollback', { term: 6, epoch: 1 });
    await driver.call('disk.stop', { term: 7 });
    await driver.call('disk.settle');
    expect(await driver.call('disk.status')).toMatchObject({ state: 'off', term: 7, fence: 7, isSettled: true });
  });

  it('says with a stable code why something is refused', async () => {
    await expect(driver.call('disk.seal', { term: 1, epoch: 1 })).rejects.toMatchObject({ code: 'not-replicated' });
    await driver.call('disk.start', { term: 1, epoch: 0 });
    await expect(driver.call('disk.seal', { term: 2, epoch: 1 })).rejects.toMatchObject({ code: 'stale-term' });
    await expect(driver.call('disk.seal', { term: 1 })).rejects.toMatchObject({
      code: 'invalid-params',
      field: undefined,
    });
    await expect(driver.call('disk.start', { term: 1.5, epoch: 0 })).rejects.toMatchObject({ code: 'invalid-params' });
    await expect(driver.call('disk.start', { term: 0, epoch: -1 })).rejects.toMatchObject({ code: 'invalid-params' });
    await expect(driver.call('disk.start', { term: 0, epoch: 0 })).rejects.toMatchObject({ code: 'invalid-params' });
    await driver.call('disk.stop', { term: 1 });
    const write = vi.spyOn(Image.prototype, 'write').mockRejectedValueOnce(new Error('no such luck'));
    await served.disk.write(0, [Buffer.from('x')]);
    const settled = driver.call('disk.settle');
    await expect(settled).rejects.toMatchObject({ code: 'disk-failed', message: 'no such luck' });
    write.mockRestore();
    await served.disk.close();
    await expect(driver.call('disk.start', { term: 2, epoch: 0 })).rejects.toMatchObject({ code: 'disk-closed' });
  });

  it.each([
    ['{"id":1,"method":"disk.format"}\n', 'method-not-found'],
    ['{"id":1,"method":"__proto__"}\n', 'method-not-found'],
    ['{"method":"disk.status"}\n', 'invalid-request'],
    ['{{{\n', 'parse-error'],
    ['null\n', 'invalid-request'],
  ])('answers %j with %s', async (line, code) => {
    expect(JSON.parse(await say(line)).error.data.code).toBe(code);
  });

  it('hangs up on endless lines and on floods, and goes on for others', async () => {
    expect(await say('x'.repeat(100_000))).toBe('');
    const flood = new RawClient({ path: join(where, 'control') });
    flood.send(Buffer.from('{"id":1,"method":"disk.settle"}\n'.repeat(100)));
    await flood.closed;
    expect(await driver.call('disk.status')).toMatchObject({ sizeBytes: 65_536 });
  });

  it('has 16 drivers at the most, each with as many requests as it likes, one after another', async () => {
    // More than a driver may have under way.
    for (let index = 0; index < 70; index++) await driver.call('disk.status');
    const path = join(where, 'control');
    for (let index = 0; index < 20; index++) expect(await say('{"id":1,"method":"disk.settle"}\n')).toContain('null');
    const drivers = await Promise.all(Array.from({ length: 15 }, () => DiskControlClient.open(path)));
    for (const one of drivers) await one.call('disk.status');
    const late = new RawClient({ path });
    await late.closed;
    for (const one of drivers) one.close();
    await expect(driver.call('disk.status')).resolves.toBeDefined();
  });

  it('hangs up on one request too many, also where nothing follows it', async () => {
    let goOn = () => {};
    const held = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const settle = vi.spyOn(served.disk, 'settle').mockReturnValue(held);
    const greedy = new RawClient({ path: join(where, 'control') });
    for (let index = 1; index <= 65; index++) {
      greedy.send(Buffer.from('{"id":1,"method":"disk.settle"}\n'));
      if (index <= 64) await until(() => settle.mock.calls.length === index, 'the request');
    }
    await greedy.closed;
    goOn();
    settle.mockRestore();
  });

  it('hangs up on who asks and never reads, before its answers are many', async () => {
    const greedy = connect(join(where, 'control')).on('error', () => {});
    closing.push(() => greedy.destroy());
    greedy.pause();
    const status = vi.spyOn(served.disk, 'status', 'get');
    let asked = 0;
    // One after another: too many at once would be another reason.
    for (; asked < 10_000 && !greedy.destroyed; asked++) {
      greedy.write('{"id":1,"method":"disk.status"}\n');
      for (let count = 0; count < 3; count++) await turn();
    }
    expect(greedy.destroyed).toBe(true);
    // Those were done before it was told of its end.
    expect(asked - status.mock.calls.length).toBeLessThan(10);
    status.mockRestore();
    expect(await driver.call('disk.status')).toMatchObject({ sizeBytes: 65_536 });
  });

  it('tells a driver whose server is gone', async () => {
    await served.close();
    await expect(driver.call('disk.status')).rejects.toThrow('hung up');
    await expect(DiskControlClient.open(join(where, 'control'))).rejects.toThrow();
  });
});

describe('a driver', () => {
  /** A server that says this to the first request, and what that was. */
  async function saying(answer: string): Promise<DiskControlClient> {
    const path = join(where, 'odd');
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.write(answer));
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    closing.push(() => server.close());
    return DiskControlClient.open(path);
  }

  it.each([
    ['to another question', '{"jsonrpc":"2.0","id":99,"result":null}\n'],
    ['to none', '{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"no","data":{"code":"no"}}}\n'],
    ['that is none', '{{{\n'],
    ['without an end', 'x'.repeat(100_000)],
  ])('hangs up on an answer %s, and says so', async (_, answer) => {
    const odd = await saying(answer);
    await expect(odd.call('disk.status')).rejects.toThrow('hung up');
    await expect(odd.call('disk.status')).rejects.toThrow('hung up');
  });
});

describe('a disk is not served, and is free again,', () => {
  const options = () => ({
    ...{ image: join(where, 'image2'), log: join(where, 'log2'), sizeBytes: 65_536, name: 'web', tls: null },
    ...{ address: { path: join(where, 'nbd2') }, control: null },
  });

  it('where it would need TLS', async () => {
    const far = { ...options(), address: { host: '0.0.0.0', port: 0 } };
    await expect(serveDisk(far)).rejects.toThrow(RangeError);
    expect(existsSync(join(where, 'image2'))).toBe(false);
  });

  it('where its sockets cannot be made', async () => {
    writeFileSync(join(where, 'nbd2'), 'mine');
    await expect(serveDisk({ ...options(), control: join(where, 'control2') })).rejects.toThrow('no socket');
    expect(openFiles(join(where, 'log2'))).toEqual([]);
    unlinkSync(join(where, 'nbd2'));
    const again = await serveDisk(options());
    await again.close();
    expect(openFiles(join(where, 'log2'))).toEqual([]);
  });
});
