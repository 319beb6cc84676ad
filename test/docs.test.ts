import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { REASON_NAMES, REASON_TEXTS } from '../classifier/verdict.ts';
import { SHIPPED_SETS } from '../rules/load.ts';

const read = (name: string) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');

test('README lists every reason, with the words that the program uses', () => {
  const rows = REASON_NAMES.map((name, code) => `| \`${name}\` | ${REASON_TEXTS[code]} |`).slice(1);
  expect(read('README.md').split('\n')).toEqual(expect.arrayContaining(rows));
  expect(REASON_TEXTS).toHaveLength(REASON_NAMES.length);
});

test('README names every shipped rule set and every make target', () => {
  const readme = read('README.md');
  for (const name of SHIPPED_SETS) expect(readme).toContain(`\`${name}\``);
  for (const target of ['demo', 'test', 'fuzz', 'bench', 'mutate']) expect(read('Makefile')).toContain(`\n${target}:`);
});

test('the changelog speaks of the version that package.json has', () => {
  expect(read('CHANGELOG.md')).toContain(`## ${JSON.parse(read('package.json')).version}`);
});
