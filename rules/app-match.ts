import { APP_TYPES, APPS, type AppName } from './apps.ts';
import type { Cursor } from './cursor.ts';
import { didYouMean, quote } from './errors.ts';
import { listed } from './fields.ts';
import type { AppMatch } from './rule.ts';
import { NO_VALUES, parseElements, spanning } from './values.ts';

/** What else people call these applications. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  sips: "write 'app tls', or match its port: 'tcp dport sip-tls'",
  https: "write 'app tls'",
  ssl: "write 'app tls'",
  http3: "write 'app quic'",
  voip: "write 'app sip' or 'app rtp'",
  srtp: "write 'app rtp': the header is not encrypted",
  bootp: "write 'app dhcp'",
  wg: "write 'app wireguard'",
};

/**
 * A match on what the payload is: `app sip`, `app != rtp`, `app bgp type { open, notification }`.
 * @param cursor at `app`
 * @returns null after reporting an error
 */
export function parseAppMatch(cursor: Cursor): AppMatch | null {
  const word = cursor.next();
  const negated = cursor.take('!=');
  if (!negated) cursor.take('==');
  const expected = listed(APPS);
  const name = NO_VALUES.includes(cursor.peek().text) ? null : cursor.takeWord();
  if (name === null) {
    cursor.unexpected(expected, cursor.is('{') ? 'write one rule for each application' : undefined);
    return null;
  }
  const app = APPS.find((known) => known === name.text);
  if (app === undefined) {
    const hint = Object.hasOwn(OTHER_NAMES, name.text) ? OTHER_NAMES[name.text] : undefined;
    const details = hint === undefined ? didYouMean(name.text, APPS) : { hint };
    cursor.reports.error('unknown-app', name, `unknown application ${quote(name.text)}`, { expected, ...details });
    return null;
  }
  if (!cursor.isWord('type')) return { kind: 'app', app, types: null, negated };
  const types = parseTypes(cursor, app);
  if (types === null) return null;
  if (negated) {
    const hint = `write 'app ${app} type != …': it is ${app}, and of another type`;
    const message = "'!=' before the application does not go with a type";
    cursor.reports.error('syntax', spanning(word, name), message, { hint });
    return null;
  }
  return { kind: 'app', app, types: types.numbers, negated: types.negated };
}

interface Types {
  readonly numbers: readonly number[];
  readonly negated: boolean;
}

/** @param cursor at `type` */
function parseTypes(cursor: Cursor, app: AppName): Types | null {
  const word = cursor.next();
  const names = APP_TYPES[app];
  if (names === undefined) {
    const typed = APPS.filter((known) => APP_TYPES[known] !== undefined).join(', ');
    const hint = `leave 'type …' out; applications with types: ${typed}`;
    cursor.reports.error('syntax', word, `'app ${app}' has no message types`, { hint });
    cursor.skipStatement();
    return null;
  }
  const negated = cursor.take('!=');
  if (!negated) cursor.take('==');
  const numbers = cursor.is('{')
    ? parseElements(cursor, () => parseType(cursor, app, names))
    : asList(parseType(cursor, app, names));
  if (numbers === null) return null;
  if (cursor.is(',')) {
    cursor.unexpected('a match, a class or a verdict', "several types go in braces: '{ a, b }'");
    return null;
  }
  return { numbers: [...new Set(numbers)].sort((a, b) => a - b), negated };
}

function asList(number: number | null): readonly number[] | null {
  return number === null ? null : [number];
}

function parseType(cursor: Cursor, app: AppName, names: Readonly<Record<string, number>>): number | null {
  const expected = `a type of '${app}': ${listed(Object.keys(names))}`;
  const token = cursor.peek();
  if (token.kind !== 'word' || NO_VALUES.includes(token.text)) {
    cursor.unexpected(expected);
    return null;
  }
  cursor.next();
  if (Object.hasOwn(names, token.text)) return names[token.text]!;
  const near = didYouMean(token.text, Object.keys(names));
  cursor.reports.error('unknown-app-type', token, `'${app}' has no type ${quote(token.text)}`, { expected, ...near });
  return null;
}
