import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DiskControlClient } from '../../gateway/disk/control-client.ts';
import { folder } from '../gateway/disk/folders.ts';
import { attached } from '../gateway/disk/nbd-client.ts';
import { Authority, type CertificateFiles } from '../support/certificates.ts';
import { CliProcess, SLOW_MS } from '../support/cli-process.ts';
import { until } from '../support/netns.ts';
import { withoutPrograms } from '../support/programs.ts';
import { HOLDFAST, holdfast } from '../support/run-cli.ts';

interface Made {
  readonly one: CertificateFiles;
  readonly two: CertificateFiles;
  readonly ca: string;
  readonly text: string;
}

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

  it
    .skipIf(withoutPrograms('openssl') !== null)
    .each<[string, (made: Made) => readonly [cert: string, key: string, ca: string], string]>([
      ['the key of another certificate', ({ one, two, ca }) => [one.cert, two.key, ca], 'issued-2-key.pem: '],
      ['a file that is no certificate', ({ text, one, ca }) => [text, one.key, ca], "there is no 'CERTIFICATE' in PEM"],
      ['no file', ({ one }) => [one.cert, one.key, '/nowhere/ca.pem'], '/nowhere/ca.pem: cannot be read'],
    ])('for TLS with %s: one line, and nothing is made', async (_, files, message) => {
    const where = folder();
    const authority = new Authority(join(where, 'authority'));
    const made = { one: authority.issue({}), two: authority.issue({}), ca: authority.cert, text: join(where, 'text') };
    writeFileSync(made.text, 'not a certificate\n');
    const [cert, key, ca] = files(made);
    const tls = ['--tls-cert', cert, '--tls-key', key, '--tls-ca', ca];
    const paths = ['--image', join(where, 'i'), '--log', join(where, 'l'), '--listen', 'tcp:127.0.0.1:0'];
    const result = await holdfast(['disk', 'serve', ...paths, '--size', '1M', ...tls]);
    expect(result).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(message) });
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

  it('names the address where the disks cannot be served', async () => {
    const where = folder();
    const paths = ['--listen', `unix:${join(where, 's')}`, '--images', join(where, 'images')];
    writeFileSync(join(where, 'mine'), '');
    const disk = ['--disk', `d0=${join(where, 'i')},size=1M`, '--disk-listen', `unix:${join(where, 'mine')}`];
    const result = await holdfast(['standby', ...paths, '--takeover', ...disk, '--', 'true']);
    expect(result).toMatchObject({ code: 2, stdout: '' });
    expect(result.stderr).toMatch(/^[^\n]*--disk-listen: [^\n]*mine[^\n]*\n$/);
  });

  it.skipIf(withoutPrograms('openssl') !== null)('gives disks by TLS only to those who are named', async () => {
    const where = folder();
    const authority = new Authority(join(where, 'authority'));
    const { cert, key } = authority.issue({ names: 'IP:127.0.0.1' });
    const tls = ['--tls-cert', cert, '--tls-key', key, '--tls-ca', authority.cert];
    const paths = ['--listen', `unix:${join(where, 's')}`, '--images', join(where, 'images'), '--takeover'];
    const disk = ['--disk', `d0=${join(where, 'i')},size=1M`, '--disk-listen', 'tls:127.0.0.1:4701'];
    const result = await holdfast(['standby', ...paths, ...disk, ...tls, '--', 'true']);
    expect(result).toMatchObject({ code: 2, stderr: expect.stringContaining('--disk-listen tls: needs --client') });
    expect(() => statSync(join(where, 'i'))).toThrow();
  });

  it(
    'ends where the machine that waits opens another image; none is asked that is not there yet',
    async ({ skip }) => {
      const reason = withoutPrograms('qemu-system-x86_64');
      skip(reason !== null, reason ?? '');
      const where = folder();
      const image = (name: string) => {
        writeFileSync(join(where, name), Buffer.alloc(2 ** 20));
        return join(where, name);
      };
      const [kept, opened] = [image('kept'), image('opened')];
      const standby = (file: string, ...flags: readonly string[]) =>
        new CliProcess(
          spawn(process.execPath, [
            ...[HOLDFAST, 'standby', '--listen', `unix:${join(where, 's')}`, '--images', join(where, 'images')],
            ...['--takeover', '--disk', `d0=${kept}`, ...flags, '--', 'qemu-system-x86_64', '-nodefaults'],
            ...['-display', 'none', '-accel', 'tcg', '-drive', `if=none,id=d0,format=raw,file=${file}`],
          ]),
        );
      const wrong = standby(opened);
      try {
        await until(() => wrong.isOver, 'the standby to end', SLOW_MS);
        expect(await wrong.ended).toBe(2);
        const why = `--disk: the machine here does not open ${kept}, the VM's disk: `;
        expect(wrong.stderr.trimEnd().split('\n')).toEqual([expect.stringContaining(why)]);
        expect(wrong.stderr).toContain(opened);
      } finally {
        await wrong.kill('SIGTERM');
      }
      for (const [file, flags, is] of [
        [kept, [], 'warm'],
        [opened, ['--cold'], 'cold'],
      ] as const) {
        const right = standby(file, ...flags);
        try {
          await right.says('ready vm=vm0');
          const ask = async () => {
            const { stdout } = await holdfast(['standby', 'status', `unix:${join(where, 's')}`, '--json']);
            return JSON.parse(stdout) as { machine: string; trouble: string | null };
          };
          let said = await ask();
          const ends = Date.now() + SLOW_MS;
          while (said.machine === 'starting' && Date.now() < ends) said = await ask();
          expect(said).toMatchObject({ machine: is, trouble: null });
          right.child.kill('SIGTERM');
          expect(await right.ended).toBe(0);
        } finally {
          await right.kill('SIGTERM');
        }
      }
    },
    3 * SLOW_MS,
  );
});

describe('holdfast protect --disk', () => {
  it.each<[string, readonly string[], string]>([
    ['no name', ['--disk', ''], 'expected the name of a drive'],
    [
      'an address that is none',
      ['--disk', 'd0', '--disk-address', 'http://x'],
      "--disk-address: 'http://x' is no address",
    ],
    ['a port that is none', ['--disk', 'd0', '--disk-address', 'tcp:h:70000'], '--disk-address: '],
    ['no certificates', ['--disk', 'd0', '--disk-address', 'tls:h:1'], "'tls:h:1' needs --disk-tls"],
    ['certificates of no disk', ['--disk-tls', '/nowhere'], '--disk-tls is of use with --disk only'],
    ['the address of no disk', ['--disk-address', 'unix:n'], '--disk-address is of use with --disk only'],
  ])('%s: one line, before anything is done', async (_, parameters, message) => {
    const nowhere = ['--qmp', '/nowhere', '--control', '/nowhere', '--standby', 'unix:/nowhere'];
    const result = await holdfast(['protect', ...nowhere, ...parameters]);
    expect(result).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(message) });
    expect(result.stderr.trimEnd().split('\n')).toHaveLength(1);
  });
});
