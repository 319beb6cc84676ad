/** The Debian package: made from what is built here, unpacked, and run from where it would be installed. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { withoutPrograms } from '../support/programs.ts';
import { TRACES, temporaryFolder } from '../support/run-cli.ts';

const DEPLOY = fileURLToPath(new URL('../../gateway/deploy/', import.meta.url));
const folder = temporaryFolder();
const missing = withoutPrograms('dpkg-deb', 'npm');
let root = '';
let fields = new Map<string, string>();

describe('the Debian package', () => {
  beforeAll(() => {
    if (missing !== null) return;
    const made = run(`${DEPLOY}deb.sh`, folder.path('made'));
    const path = made.trim();
    fields = new Map([...run('dpkg-deb', '--field', path).matchAll(/^([\w-]+): (.*)$/gm)].map(([, k, v]) => [k!, v!]));
    root = folder.path('root');
    run('dpkg-deb', '--extract', path, root);
    run('dpkg-deb', '--control', path, folder.path('control'));
  }, 300_000);

  test('says what it is and what it needs', ({ skip }) => {
    skip(missing !== null, missing ?? '');
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(fields.get('Package')).toBe('holdfast');
    expect(fields.get('Version')).toBe(version);
    expect(fields.get('Depends')).toContain('nodejs (>= 20');
    expect(readFileSync(folder.path('control/conffiles'), 'utf8')).toBe('/etc/holdfast/holdfast.yaml\n');
    expect(readdirSync(folder.path('control')).sort()).toEqual(['conffiles', 'control', 'postinst', 'postrm', 'prerm']);
  });

  test('has all that the program needs, and runs with nothing of this tree', ({ skip }) => {
    skip(missing !== null, missing ?? '');
    expect(readlinkSync(`${root}/usr/bin/holdfast`)).toBe('../lib/holdfast/dist/gateway/cli/main.js');
    // By its link, as from the path.
    const holdfast = (...words: string[]) => run(process.execPath, `${root}/usr/bin/holdfast`, ...words);
    expect(holdfast('--version').trim()).toBe(fields.get('Version'));
    expect(holdfast('explain', `${TRACES}dhcp.pcap`, '--json').split('\n').length).toBeGreaterThan(2);
    expect(holdfast('check', '--config', `${root}/etc/holdfast/holdfast.yaml`)).toContain('0 errors');
    // koffi is what all ports need.
    expect(holdfast('doctor', '--json')).toMatch(/"koffi"[^}]*"ok"|"ok"[^}]*"koffi"/);
  });

  test('has the unit, the manual page and the completion where Debian looks for them', ({ skip }) => {
    skip(missing !== null, missing ?? '');
    const unit = readFileSync(`${root}/usr/lib/systemd/system/holdfast.service`, 'utf8');
    expect(unit).toBe(readFileSync(`${DEPLOY}holdfast.service`, 'utf8'));
    expect(gunzipSync(readFileSync(`${root}/usr/share/man/man1/holdfast.1.gz`)).toString()).toMatch(
      /^\.TH HOLDFAST 1 /,
    );
    expect(readFileSync(`${root}/usr/share/bash-completion/completions/holdfast`, 'utf8')).toContain('complete ');
  });

  test('has nothing that only development needs', ({ skip }) => {
    skip(missing !== null, missing ?? '');
    const modules = readdirSync(`${root}/usr/lib/holdfast/node_modules`);
    for (const name of ['commander', 'koffi', 'pino', 'yaml']) expect(modules).toContain(name);
    for (const name of ['vitest', 'typescript', '@biomejs', 'cap', 'raw-socket']) expect(modules).not.toContain(name);
  });
});

function run(program: string, ...parameters: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, parameters, { encoding: 'utf8', timeout: 240_000 });
  // doctor answers 1 where a machine lacks something.
  if (status !== 0 && !parameters.includes('doctor')) throw new Error(`${program}: ${error?.message ?? stderr}`);
  return stdout;
}
