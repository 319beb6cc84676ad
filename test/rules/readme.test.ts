import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { APP_TYPES, APPS } from '../../rules/apps.ts';
import { FIELDS } from '../../rules/rule.ts';

const README = readFileSync(new URL('../../rules/README.md', import.meta.url), 'utf8');
const MATCHES = README.slice(README.indexOf('## Matches'), README.indexOf('## Where this is not nft'));

it.each(Object.keys(FIELDS))('the table of matches names %s', (field) => {
  const [protocol, part] = field.split('.') as [string, string];
  const row = MATCHES.split('\n').find((line) => {
    const cell = line.split('|')[1] ?? '';
    return (
      cell.includes(`\`${protocol} ${part}\``) || (cell.includes(`\`${protocol}\``) && cell.includes(`\`${part}\``))
    );
  });
  expect(row).toBeDefined();
});

it.each(APPS)('the table of matches names the application %s, and its types', (app) => {
  expect(MATCHES).toMatch(new RegExp(`\\| \`app\` \\|.*\\b${app}\\b`));
  const types = Object.keys(APP_TYPES[app] ?? {});
  if (types.length === 0) return;
  const row = MATCHES.split('\n').find((line) => (line.split('|')[1] ?? '').includes(`\`${app}\``));
  expect(row).toContain(`\`${types.join(' ')}\``);
});
