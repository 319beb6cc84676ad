import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { CONFIG_DEFAULTS } from '../../gateway/config-defaults.ts';
import { loadConfig } from '../../gateway/config-file.ts';
import { CONFIG_KEYS } from '../../gateway/config-schema.ts';
import { parsed, withVm } from '../support/config.ts';

const EXAMPLE = fileURLToPath(new URL('../../gateway/holdfast.example.yaml', import.meta.url));
const REFERENCE = fileURLToPath(new URL('../../gateway/CONFIG.md', import.meta.url));

/** Key, meaning, default, unit. */
const ROWS = [...readFileSync(REFERENCE, 'utf8').matchAll(/^\| `([^`]+)` \| (.+) \| (.*) \| (.*) \|$/gm)];
const FLAT_KEYS = Object.entries(CONFIG_KEYS).flatMap(([at, keys]) =>
  keys.map((key) => (at === '' ? key : `${at}.${key}`)),
);

describe('CONFIG.md', () => {
  it('has a row for every key, and no other', () => {
    expect(ROWS.map(([, key]) => key).sort()).toEqual([...FLAT_KEYS].sort());
  });

  it('tells the defaults that are in force', () => {
    const told = (prefix: string) =>
      ROWS.flatMap(([, key, , value]) => {
        const [, literal] = /^`([^`]+)`$/.exec(value!) ?? [];
        return key!.startsWith(prefix) && literal !== undefined ? [`${key!.slice(prefix.length)}: ${literal}`] : [];
      });
    const buffer = told('vms.NAME.buffer.').join(', ');
    const vm = told('vms.NAME.').filter((line) => !line.startsWith('buffer.'));
    const text = withVm({
      top: `log: { ${told('log.').join(', ')} }\n`,
      vm: [...vm, `buffer: { ${buffer} }`].map((line) => `    ${line}\n`).join(''),
    });
    const config = parsed(text);
    expect(vm).toContain('rules: default');
    expect(config.log).toEqual(CONFIG_DEFAULTS.log);
    expect(config.vms[0]).toMatchObject({ ...CONFIG_DEFAULTS.vm, rules: 'default' });
  });
});

describe('holdfast.example.yaml', () => {
  const text = readFileSync(EXAMPLE, 'utf8');

  it('is a configuration, also with everything that is commented out', async () => {
    const config = await loadConfig(EXAMPLE);
    expect(config.vms.map(({ name, pairs }) => [name, pairs.length])).toEqual([
      ['web1', 1],
      ['router', 2],
    ]);
    expect(parsed(text.replace(/^(\s*)# (?=[a-z-]+: )/gm, '$1'), EXAMPLE)).toEqual(config);
  });

  it('shows every key', () => {
    for (const key of Object.values(CONFIG_KEYS).flat()) expect(text).toMatch(new RegExp(`\\b${key}:`));
  });
});
