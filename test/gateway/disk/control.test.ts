import { statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DiskControlClient } from '../../../gateway/disk/control-client.ts';
import { type ServedDisk, serveDisk } from '../../../gateway/disk/serve.ts';
import { folder } from './folders.ts';
import { attached, RawClient } from './nbd-client.ts';

let where = '';
let served: ServedDisk;
let driver: DiskControlClient;

beforeEach(async () => {
  where = folder();
  served = await serveDisk({
    ...{ image: join(where, 'image'), log: join(where, 'log'), sizeBytes: 65_536, name: 'web', tls: null },
    ...{ address: { path: join(where, 'nbd') }, control: join(where, 'control') },
  });
  driver = await DiskControlClient.open(join(where, 'control'));
});

afterEach(async () => {
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

  it('tells a driver whose server is gone', async () => {
    await served.close();
    await expect(driver.call('disk.status')).rejects.toThrow('hung up');
    await expect(DiskControlClient.open(join(where, 'control'))).rejects.toThrow();
  });
});
