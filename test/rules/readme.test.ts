import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { REASON_NAMES } from '../../classifier/verdict.ts';
import { APP_TYPES, APPS } from '../../rules/apps.ts';
import { formatRuleError, RULE_ERROR_CODES } from '../../rules/errors.ts';
import { parseRules } from '../../rules/parse.ts';
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

const BLOCKS = [...README.matchAll(/^```\n([\s\S]*?)^```$/gm)].map(([, block]) => block!);
const FILES = BLOCKS.filter((block) => /^(class|define|set) /.test(block));

it.each(FILES)('this example is valid: %s', (text) => {
  expect(FILES.length).toBeGreaterThanOrEqual(4);
  const { errors } = parseRules(text, 'example.rules');
  expect(errors).toEqual([]);
});

it('the ten minutes show what the checker says, and the remedy works', () => {
  const text = FILES[0]!;
  const { warnings, sources } = parseRules(text, 'call.rules');
  const shown = BLOCKS.find((block) => block.startsWith('$ holdfast check call.rules\n'))!;
  expect(shown).toContain(formatRuleError(warnings[0]!, sources));
  expect(warnings).toHaveLength(1);
  const mended = text.replace('udp sport @media', 'app rtp udp sport @media');
  expect(parseRules(mended, 'call.rules').warnings).toEqual([]);
});

it.each(REASON_NAMES.slice(1))('the catalogue names the reason %s', (reason) => {
  const catalogue = README.slice(README.indexOf('## Reasons'), README.indexOf('## Grammar'));
  expect(catalogue).toContain(`\`${reason}\``);
});

it.each(RULE_ERROR_CODES.slice(RULE_ERROR_CODES.indexOf('duplicate-rule')))(
  'the table of warnings names %s',
  (code) => {
    const table = README.slice(README.indexOf('## Warnings'), README.indexOf('## Reasons'));
    expect(table).toContain(`\`${code}\``);
  },
);
