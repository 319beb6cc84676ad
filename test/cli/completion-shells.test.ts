/** Completion in the shells themselves; what bash offers is in rules.test.ts. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { withoutPrograms } from '../support/programs.ts';
import { holdfast, temporaryFolder } from '../support/run-cli.ts';

const folder = temporaryFolder();

async function script(shell: string): Promise<string> {
  return folder.write(`completion.${shell}`, (await holdfast(['completion', shell])).stdout);
}

describe('fish', () => {
  it.for<[string, string[]]>([
    ['holdfast che', ['check']],
    ['holdfast rules from', ['from-nft']],
    ['holdfast replay --pace ', ['burst', 'paced']],
    ['holdfast host stop --held ', ['discard', 'keep', 'release']],
    ['holdfast check --form', ['--format', '--formatted']],
  ])('knows what follows %s', async ([line, expected], { skip }) => {
    const missing = withoutPrograms('fish');
    skip(missing !== null, missing ?? '');
    const { stdout } = spawnSync(
      'fish',
      ['--no-config', '-c', `source '${await script('fish')}'; complete -C '${line}'`],
      {
        encoding: 'utf8',
        cwd: folder.path('.'),
      },
    );
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((row) => row.split('\t')[0]),
    ).toEqual(expected);
  });
});

/** Types the line and a tab into a zsh that has a terminal, and waits until it shows the word. */
const TYPE = `
zmodload zsh/zpty
zpty -b shell zsh -f -i
zpty -w shell "autoload -U compinit; compinit -u -D; source '$1'; print REA''DY"
zpty -r shell out '*READY*'
zpty -w -n shell "$2"$'\\t'
zpty -r shell out "*$3*"
print -r -- "$out"
zpty -d shell
`;

describe('zsh', () => {
  it.for<[string, string]>([
    ['holdfast che', 'holdfast check'],
    ['holdfast rules from', 'holdfast rules from-nft'],
    ['holdfast replay --pace pa', 'holdfast replay --pace paced'],
    ['holdfast bridge att', 'holdfast bridge attach'],
  ])('knows what follows %s', async ([line, expected], { skip }) => {
    const missing = withoutPrograms('zsh');
    skip(missing !== null, missing ?? '');
    const { stdout } = spawnSync('zsh', ['-f', '-c', TYPE, 'zsh', await script('zsh'), line, expected], {
      encoding: 'utf8',
      timeout: 60_000,
      env: { ...process.env, TERM: 'dumb' },
    });
    expect(stdout).toContain(expected);
  });
});
