import { readFileSync } from 'node:fs';
import { type ShippedSet, shippedRulesPath } from '../../rules/load.ts';

/** Values for the `define` lines of a shipped set, by name. */
export type Values = Readonly<Record<string, string>>;

/**
 * What a user would write for the hosts of pcaps/traces: the router's own addresses on both cables, with the virtual ones of
 * `vrrp`, and a server whose pages are files.
 */
export const RECORDED: Readonly<Record<'router' | 'web', Values>> = {
  router: {
    OWN4: '{ 0.0.0.0, 192.0.2.10, 192.0.2.100-192.0.2.101, 198.51.100.10 }',
    OWN6: '{ ::, 2001:db8:2::10, 2001:db8:2::64, 2001:db8:3::10 }',
    FORWARDED4: '0.0.0.0/0',
    FORWARDED6: '::/0',
  },
  web: { STATIC: '80' },
};

/** @returns the text of a shipped set with other values in its `define` lines, each of which has to be there */
export function filledIn(name: ShippedSet, values: Values): string {
  let text = readFileSync(shippedRulesPath(name), 'utf8');
  for (const [word, value] of Object.entries(values)) {
    const line = new RegExp(`^define ${word} = .*$`, 'm');
    if (!line.test(text)) throw new Error(`${name} defines no ${word}`);
    text = text.replace(line, `define ${word} = ${value}`);
  }
  return text;
}
