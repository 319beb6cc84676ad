import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DiskControlClient } from '../../gateway/disk/control-client.ts';
import { folder } from '../gateway/disk/folders.ts';
import { attached } from '../gateway/disk/nbd-client.ts';
import { HOLDFAST, holdfast } from '../support/run-cli.ts';

describe('holdfast disk serve', () => {
  it('makes a disk and serves it until a signal ends it', async () => {
    const where = folder();
    const paths = ['--image', join(where, 'image'), '--log', join(where, 'log'), '--control', join(where, 'control')];
    const child = spawn(process.execPath, [
      ...[HOLDFAST, 'disk', 'serve', ...paths, '--size', '1G', '--name', 'web'],
      ...['--listen', `unix:${join(where, 'nbd')}`],
    ]);
    const exit = once(child, 'exit');
    try {
      const [line] = await once(child.stdout, 'data');
      expect(String(line)).toBe(`serving web, 1073741824 bytes, on ${join(where, 'nbd')}: term 0, committed epoch 0\n`);
      expect(statSync(join(where, 'image')).size).toBe(2 ** 30);
      const driver = await DiskControlClient.open(join(where, 'control'));
      await driver.call('disk.start', { term: 1, epoch: 0 });
      const client = await attached({ path: join(where, 'nbd') }, 'web');
      expect(await client.write(0, Buffer.from('hello'), true)).toBe(0);
      child.kill('SIGTERM');
      expect(await exit).toEqual([0, null]);
      await client.closed;
    } finally {
      child.kill('SIGKILL');
    }
  });

  it.each<[string, string[], number, string]>([
    ['no image', ['--log', 'l', '--listen', 'unix:s'], 2, "required option '--image <file>'"],
    ['an address that is none', ['--image', 'i', '--log', 'l', '--listen', 'nowhere'], 2, 'unix:PATH or tcp:HOST:PORT'],
    ['a port that is none', ['--image', 'i', '--log', 'l', '--listen', 'tcp:localhost:70000'], 2, 'unix:PATH or tcp'],
    ['a size that is none', ['--image', 'i', '--log', 'l', '--listen', 'unix:s', '--size', '0'], 2, 'expected a size'],
    ['an image that is not there', ['--image', 'i', '--log', 'l', '--listen', 'unix:s'], 1, 'i does not exist'],
    ['others without TLS', ['--image', 'i', '--log', 'l', '--listen', 'tcp:0.0.0.0:0', '--size', '1M'], 2, 'with TLS'],
    ['half of TLS', ['--image', 'i', '--log', 'l', '--listen', 'unix:s', '--tls-key', 'k'], 2, 'go together'],
  ])('%s: one line, and nothing is made', async (_, parameters, code, message) => {
    const where = folder();
    const absolute = parameters.map((text) => (/^[il]$/.test(text) ? join(where, text) : text));
    const result = await holdfast(['disk', 'serve', ...absolute]);
    expect(result).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(message) });
    expect(result.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(() => statSync(join(where, 'i'))).toThrow();
  });

  it('says what is wrong with a log, exit 1', async () => {
    const where = folder();
    const paths = ['--image', join(where, 'image'), '--log', where, '--listen', `unix:${join(where, 'nbd')}`];
    writeFileSync(join(where, 'notes.txt'), '');
    const { code, stderr } = await holdfast(['disk', 'serve', ...paths, '--size', '1M']);
    expect([code, stderr]).toEqual([1, expect.stringContaining('is no part of a redo log')]);
  });
});

describe('holdfast standby --disk', () => {
  it.each<[string, string[], number, string]>([
    ['a disk without an image', ['--disk', 'd0'], 2, 'expected NAME=IMAGE'],
    ['a setting that is none', ['--disk', 'd0=i,colour=red'], 2, 'expected NAME=IMAGE'],
    ['a size that is none', ['--disk', 'd0=i,size=big'], 2, 'expected a size'],
    ['one disk twice', ['--disk', 'd0=i', '--disk', 'd0=j'], 2, 'there is a disk d0 already'],
    ['an image that is not there', ['--disk', 'd0=i'], 1, 'does not exist'],
    ['an address without disks', ['--disk-listen', 'unix:s'], 2, 'of use with --disk only'],
    ['another host without TLS', ['--disk', 'd0=i', '--disk-listen', 'tcp:192.0.2.1:1'], 2, '--disk-listen: '],
  ])('%s: one line, and nothing is made', async (_, parameters, code, message) => {
    const where = folder();
    const absolute = parameters.map((text) => text.replace(/=i/, `=${join(where, 'i')}`));
    const common = ['--listen', `unix:${join(where, 's')}`, '--images', join(where, 'images'), '--takeover'];
    const result = await holdfast(['standby', ...common, ...absolute, '--', 'true']);
    expect(result).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(message) });
    expect(result.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(() => statSync(join(where, 'i'))).toThrow();
  });
});
