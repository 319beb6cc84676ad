import { expect, it } from 'vitest';
import { holdfast, temporaryFolder } from '../support/run-cli.ts';

const folder = temporaryFolder();

function standby(flags: readonly string[], ...qemu: readonly string[]) {
  const where = ['--listen', `unix:${folder.path('standby')}`, '--images', folder.path('images')];
  return holdfast(['standby', ...where, ...flags, '--', ...qemu]);
}

it('the network comes to the VM in one of two ways, exit 2', async () => {
  const stderr = 'holdfast: name either --inside, where the gateway will reach the VM, or --takeover\n';
  expect(await standby([], 'qemu')).toMatchObject({ code: 2, stdout: '', stderr });
  expect(await standby(['--takeover', '--inside', 'tap0'], 'qemu')).toMatchObject({ code: 2, stderr });
});

it('a machine that could not read its image, for QEMU starts no program for it, is refused at once, exit 2', async () => {
  const stderr =
    "holdfast: -sandbox with 'spawn=deny' behind --: the machine reads its image through a program, expected 'spawn=allow'\n";
  const sandbox = ['-sandbox', 'on,obsolete=deny,spawn=deny'];
  expect(await standby(['--takeover'], 'qemu', ...sandbox)).toMatchObject({ code: 2, stdout: '', stderr });
});
