/** The manual page against what `--help` says, command by command, and against programs that read manual pages. */
import { spawnSync } from 'node:child_process';
import { beforeAll, describe, expect, it } from 'vitest';
import { withoutPrograms } from '../support/programs.ts';
import { holdfast, temporaryFolder } from '../support/run-cli.ts';

const folder = temporaryFolder();
let page = '';
let path = '';

beforeAll(async () => {
  const { code, stdout, stderr } = await holdfast(['manual']);
  expect([code, stderr]).toEqual([0, '']);
  page = stdout;
  path = folder.write('holdfast.1', page);
});

/** @returns names of the commands, and the options, that a help text lists */
function listed(help: string): { commands: string[]; options: string[] } {
  const under = (title: string) => new RegExp(`^${title}:\n((?: .*\n|\n(?= ))*)`, 'm').exec(help)?.[1] ?? '';
  const commands = [...under('Commands').matchAll(/^ {2}(\S+)/gm)]
    .map(([, name]) => name!)
    .filter((name) => name !== 'help');
  const options = [...under('Options').matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, name]) => name!);
  return { commands, options };
}

/** @returns the page's text about a command, as people read it */
function sectionOf(command: string): string {
  const plain = page.replaceAll('\\-', '-').replaceAll('\\(aq', "'");
  const from = plain.indexOf(`\n.SS ${command}\n`);
  expect(from, `a section about '${command}'`).toBeGreaterThan(0);
  const rest = plain.slice(from + 1);
  return rest.slice(0, /\n\.S[SH] /.exec(rest)?.index);
}

describe('the manual page', () => {
  it('has every command that there is, with each of its options', { timeout: 300_000 }, async () => {
    const left = listed((await holdfast(['--help'])).stdout).commands;
    let seen = 0;
    while (left.length > 0) {
      const command = left.shift()!;
      const { stdout } = await holdfast([...command.split(' '), '--help'], { timeoutMs: 120_000 });
      const { commands, options } = listed(stdout);
      const about = sectionOf(command);
      for (const option of options.filter((name) => name !== '--help')) {
        expect(about, `${command} ${option}`).toMatch(new RegExp(`^\\.B .*${option}(?: |$)`, 'm'));
        seen++;
      }
      left.push(...commands.map((name) => `${command} ${name}`));
    }
    expect(seen).toBeGreaterThan(100);
  });

  it('shows examples and notes of the help, line by line', () => {
    const about = sectionOf('run');
    expect(about).toContain('\n.nf\n  holdfast run --inside tap0 --outside veth0 --rules my.rules\n');
    expect(about).toContain(
      "Prints one line, 'ready ...', when all ports are there; frames flow where both links are up.",
    );
  });

  it('is one that groff takes without a warning', ({ skip }) => {
    const missing = withoutPrograms('groff');
    skip(missing !== null, missing ?? '');
    const lint = (file: string) => spawnSync('groff', ['-man', '-ww', '-z', '-Tutf8', file], { encoding: 'utf8' });
    const { status, stderr } = lint(path);
    expect([status, stderr]).toEqual([0, '']);
    expect(lint(folder.write('bad.1', `${page}.nosuchrequest\n`)).stderr).toContain('nosuchrequest');
  });

  it('is one that mandoc has nothing to say against, but that it has no date', ({ skip }) => {
    const missing = withoutPrograms('mandoc');
    skip(missing !== null, missing ?? '');
    const { stdout } = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning', path], { encoding: 'utf8' });
    expect(stdout.split('\n').filter((line) => line !== '' && !line.includes('missing date'))).toEqual([]);
  });

  it('reads well', ({ skip }) => {
    const missing = withoutPrograms('man');
    skip(missing !== null, missing ?? '');
    const env = { ...process.env, MANWIDTH: '80', LC_ALL: 'C.UTF-8', MAN_KEEP_FORMATTING: '' };
    const { stdout } = spawnSync('man', ['--warnings', '-l', path], { env, encoding: 'utf8' });
    // A system without manual pages has a stand-in for man.
    skip(stdout.includes('minimized'), 'man is a stand-in here');
    expect(stdout).toMatch(/^HOLDFAST\(1\)/);
    expect(stdout).toContain('holdfast - output commit for replicated virtual machines');
    expect(stdout).toContain('…pause the VM…');
    expect(stdout).toContain('--commit-delay <time>');
  });
});
