import type { Cursor } from './cursor.ts';
import { didYouMean, quote } from './errors.ts';
import { type Comparison, parseAbsentFlags, parseFlags, parseMaskedFlags } from './flags.ts';
import type { Token } from './lex.ts';
import { VALUE_SYNTAX } from './names.ts';
import { REFUSED_FIELDS, REFUSED_META, refuse } from './refused.ts';
import { APPS, type AppMatch, type AppName, FIELDS, type FieldMatch, type FieldName, type Interval } from './rule.ts';
import { fieldText, maxValue, parseBraces, parseInterval, spanning } from './values.ts';

/** `tcp` → `sport`, `dport`, `flags`, and so on for every protocol of FIELDS. */
const FIELDS_OF: ReadonlyMap<string, ReadonlyMap<string, FieldName>> = groupFields();

/** The words that begin a field match. */
export const PROTOCOL_WORDS: readonly string[] = [...FIELDS_OF.keys()];

function groupFields(): Map<string, Map<string, FieldName>> {
  const groups = new Map<string, Map<string, FieldName>>();
  for (const field of Object.keys(FIELDS) as FieldName[]) {
    const [protocol, part] = field.split('.') as [string, string];
    const group = groups.get(protocol) ?? new Map<string, FieldName>();
    groups.set(protocol, group.set(part, field));
  }
  return groups;
}

/**
 * A match on a field: `udp dport != { 5060, 16384-32767 }`.
 * @param cursor at one of PROTOCOL_WORDS
 * @returns null after reporting an error
 */
export function parseFieldMatch(cursor: Cursor): FieldMatch | null {
  const field = parseField(cursor);
  if (field === null) {
    // What a value of an unknown field looks like is unknown too.
    cursor.skipStatement();
    return null;
  }
  if (cursor.is('.')) {
    const hint = 'concatenations are not supported yet: write one rule for each combination';
    cursor.unexpected(`a value for '${fieldText(field)}'`, hint);
    return null;
  }
  if (cursor.is('&')) return parseMask(cursor, field);
  if (cursor.is('!') && field === 'tcp.flags') {
    cursor.next();
    return parseAbsentFlags(cursor);
  }
  const next = cursor.peek();
  const comparison = parseComparison(cursor, field);
  if (comparison === null) return null;
  if (cursor.is('@') || cursor.is('$')) {
    const hint = cursor.is('@')
      ? "named sets are not supported yet: write the values, '{ a, b-c }'"
      : "'define' is not supported yet: write the value";
    cursor.unexpected(`a value for '${fieldText(field)}'`, hint);
    return null;
  }
  if (comparison !== 'is' && comparison !== 'is-not') return parseOrder(cursor, field, comparison);
  if (field === 'tcp.flags') return parseFlags(cursor, comparison, cursor.peek() !== next);
  return parseEquality(cursor, field, comparison === 'is-not');
}

/** The protocol and the word after it; both are taken. */
function parseField(cursor: Cursor): FieldName | null {
  const { reports } = cursor;
  const protocol = cursor.next();
  const parts = FIELDS_OF.get(protocol.text)!;
  const expected = `${listed([...parts.keys()])} after '${protocol.text}'`;
  const word = cursor.takeWord();
  if (word === null) {
    cursor.unexpected(expected);
    return null;
  }
  const field = parts.get(word.text);
  if (field !== undefined) return field;
  const whole = `${protocol.text} ${word.text}`;
  const span = spanning(protocol, word);
  if (protocol.text === 'meta' && refuse(cursor, span, whole, word.text, REFUSED_META)) return null;
  if (REFUSED_FIELDS[protocol.text]?.includes(word.text)) {
    reports.error('not-supported', span, `${quote(whole)} is not supported yet`, { expected });
  } else {
    const message = `${quote(protocol.text)} has no field ${quote(word.text)}`;
    reports.error('unknown-field', word, message, { expected, ...didYouMean(word.text, parts.keys()) });
  }
  return null;
}

/** `a, b or c`. */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

const COMPARISONS: Readonly<Record<string, Comparison>> = {
  '==': 'is',
  '!=': 'is-not',
  '<': '<',
  '>': '>',
  '<=': '<=',
  '>=': '>=',
  eq: 'is',
  ne: 'is-not',
  lt: '<',
  gt: '>',
  le: '<=',
  ge: '>=',
};

/** Takes the comparison, if one is written. */
function parseComparison(cursor: Cursor, field: FieldName): Comparison | null {
  const token = cursor.peek();
  if (token.kind === 'punctuation' || token.kind === 'word') {
    if (Object.hasOwn(COMPARISONS, token.text)) {
      cursor.next();
      return COMPARISONS[token.text]!;
    }
    if (token.text === '=' || token.text === '!') {
      cursor.unexpected(`a value for '${fieldText(field)}'`, `write '${token.text === '=' ? '==' : '!='}'`);
      return null;
    }
    if (token.text === 'not') {
      cursor.unexpected(`a value for '${fieldText(field)}'`, "write '!='");
      return null;
    }
  }
  return 'is';
}

/** `< value` and its like: one value, and not one that leaves nothing. */
function parseOrder(cursor: Cursor, field: FieldName, comparison: '<' | '>' | '<=' | '>='): FieldMatch | null {
  const { reports } = cursor;
  if (cursor.is('{')) {
    cursor.unexpected(`one value after '${comparison}'`, "a set goes with '==' or '!='");
    return null;
  }
  const first = cursor.peek();
  const interval = parseInterval(field, cursor);
  if (interval === null) return null;
  const max = maxValue(field);
  const { low: value, high } = interval;
  const span = spanning(first, cursor.previous());
  if (value !== high) {
    reports.error('bad-value', span, `'${comparison}' compares with one value, not with a range`);
    return null;
  }
  if ((comparison === '<' && value === 0n) || (comparison === '>' && value === max)) {
    const what = comparison === '<' ? 'below 0' : `above ${max}`;
    reports.error('out-of-range', span, `no '${fieldText(field)}' is ${what}`);
    return null;
  }
  const bounds: Record<typeof comparison, Interval> = {
    '<': { low: 0n, high: value - 1n },
    '<=': { low: 0n, high: value },
    '>': { low: value + 1n, high: max },
    '>=': { low: value, high: max },
  };
  return { kind: 'field', field, mask: null, negated: false, intervals: [bounds[comparison]] };
}

function parseEquality(cursor: Cursor, field: FieldName, negated: boolean): FieldMatch | null {
  if (cursor.is('{')) {
    const intervals = parseBraces(cursor, () => parseInterval(field, cursor));
    return intervals === null ? null : { kind: 'field', field, mask: null, negated, intervals };
  }
  const interval = parseInterval(field, cursor);
  if (interval === null) return null;
  if (cursor.is(',')) {
    cursor.unexpected('a match, a class or a verdict', "several values go in braces: '{ a, b }'");
    return null;
  }
  return { kind: 'field', field, mask: null, negated, intervals: [interval] };
}

function parseMask(cursor: Cursor, field: FieldName): FieldMatch | null {
  if (field !== 'tcp.flags') {
    const hint =
      VALUE_SYNTAX[field].kind === 'number'
        ? "write a set or a range: '{ a, b-c }'"
        : "write a prefix: 'address/length'";
    cursor.unexpected(`a value for '${fieldText(field)}'`, hint);
    return null;
  }
  cursor.next();
  return parseMaskedFlags(cursor);
}

/** Applications that have no recogniser yet. */
const LATER_APPS: readonly string[] = ['rtcp', 'dns', 'dhcp', 'bgp', 'http'];

/**
 * A match on what the payload is: `app sip`, `app != rtp`.
 * @param cursor at `app`
 * @returns null after reporting an error
 */
export function parseAppMatch(cursor: Cursor): AppMatch | null {
  cursor.next();
  const negated = cursor.take('!=');
  if (!negated) cursor.take('==');
  const expected = listed(APPS);
  const name: Token | null = cursor.takeWord();
  if (name === null) {
    cursor.unexpected(expected, cursor.is('{') ? 'write one rule for each application' : undefined);
    return null;
  }
  const app: AppName | undefined = APPS.find((known) => known === name.text);
  if (app !== undefined) return { kind: 'app', app, negated };
  if (LATER_APPS.includes(name.text)) {
    const hint = 'match its ports instead';
    cursor.reports.error('not-supported', name, `the application ${quote(name.text)} is not supported yet`, {
      expected,
      hint,
    });
  } else {
    const message = `unknown application ${quote(name.text)}`;
    cursor.reports.error('unknown-app', name, message, { expected, ...didYouMean(name.text, APPS) });
  }
  return null;
}
