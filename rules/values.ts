import { formatIp4, formatIp6, formatMac, parseIp4, parseIp6, parseMac } from './addresses.ts';
import type { Cursor } from './cursor.ts';
import { didYouMean, quote, type Reports, type Span } from './errors.ts';
import { mergeIntervals } from './intervals.ts';
import type { Token } from './lex.ts';
import { VALUE_SYNTAX } from './names.ts';
import { FIELDS, type FieldName, type Interval } from './rule.ts';

/** `ip.saddr` as rules write it: `ip saddr`. */
export function fieldText(field: FieldName): string {
  return field.replace('.', ' ');
}

/** The largest value that the field can have. */
export function maxValue(field: FieldName): bigint {
  return (1n << BigInt(FIELDS[field].bits)) - 1n;
}

/**
 * One value, as a number.
 * @param token a word or a string
 * @returns null after reporting that it is none
 */
export function parseValue(field: FieldName, token: Token, reports: Reports): bigint | null {
  switch (VALUE_SYNTAX[field].kind) {
    case 'ip4':
      return parseIp4(token.text) ?? badAddress(field, token, reports);
    case 'ip6':
      return parseIp6(token.text) ?? badAddress(field, token, reports);
    case 'mac':
      return parseMac(token.text) ?? badAddress(field, token, reports);
    case 'number':
      return parseNumber(field, token, reports);
  }
}

function badAddress(field: FieldName, token: Token, reports: Reports): null {
  const { kind, noun } = VALUE_SYNTAX[field];
  const [protocol, part] = field.split('.');
  if (kind === 'ip4' && parseIp6(token.text) !== null) {
    const message = `${quote(token.text)} is an IPv6 address, '${fieldText(field)}' reads IPv4 ones`;
    reports.error('bad-value', token, message, { hint: `write 'ip6 ${part} ${token.text}'` });
  } else if (kind === 'ip6' && parseIp4(token.text) !== null) {
    const message = `${quote(token.text)} is an IPv4 address, '${fieldText(field)}' reads IPv6 ones`;
    reports.error('bad-value', token, message, { hint: `write 'ip ${part} ${token.text}'` });
  } else {
    const example = protocol === 'ip' ? '192.0.2.1' : protocol === 'ip6' ? '2001:db8::1' : '02:00:00:00:00:01';
    reports.error('bad-value', token, `${quote(token.text)} is not ${noun}`, { expected: `${noun} like ${example}` });
  }
  return null;
}

/** More digits than any value of at most 32 bits needs; BigInt would take quadratic time for very many. */
const MAX_DIGITS = 20;

function parseNumber(field: FieldName, token: Token, reports: Reports): bigint | null {
  const { noun, names } = VALUE_SYNTAX[field];
  const { text } = token;
  if (Object.hasOwn(names, text)) return BigInt(names[text]!);
  if (!/^(0[xX][0-9a-fA-F]+|[0-9]+)$/.test(text)) {
    const expected = Object.keys(names).length === 0 ? noun : `${noun}, by name or number`;
    reports.error('bad-value', token, `${quote(text)} is not ${noun}`, {
      expected,
      ...didYouMean(text, Object.keys(names)),
    });
    return null;
  }
  if (/^0[0-9]/.test(text)) {
    const hint = 'write it without the zero, or in hexadecimal with 0x';
    reports.error('bad-value', token, `${quote(text)} begins with a zero, which nft reads as octal`, { hint });
    return null;
  }
  const max = maxValue(field);
  const value = text.length > MAX_DIGITS ? max + 1n : BigInt(text);
  if (value <= max) return value;
  const message = `${quote(text)} is too large for '${fieldText(field)}'`;
  reports.error('out-of-range', token, message, { expected: `a number up to ${max}` });
  return null;
}

/**
 * A value, `low-high`, or `address/length`.
 * @returns null after reporting an error. The statement is worth reading on unless the cursor stands where no value was.
 */
export function parseInterval(field: FieldName, cursor: Cursor): Interval | null {
  const { reports } = cursor;
  const first = takeValue(field, cursor);
  if (first === null) return null;
  const low = parseValue(field, first, reports);
  if (cursor.take('/')) return parsePrefix(field, cursor, first, low);
  if (!cursor.take('-')) return low === null ? null : { low, high: low };

  const last = takeValue(field, cursor);
  if (last === null) return null;
  const high = parseValue(field, last, reports);
  if (low === null || high === null) return null;
  if (low <= high) return { low, high };
  const range = `${first.text}-${last.text}`;
  const hint = `write '${last.text}-${first.text}'`;
  reports.error('reversed-range', spanning(first, last), `the range ${quote(range)} runs backwards`, { hint });
  return null;
}

/** Words that no value is called: where one stands, the value is missing. */
const NO_VALUES: readonly string[] = ['class', 'pass', 'hold', 'drop', 'comment'];

function takeValue(field: FieldName, cursor: Cursor): Token | null {
  const token = cursor.peek();
  if (token.kind === 'string' || (token.kind === 'word' && !NO_VALUES.includes(token.text))) return cursor.next();
  cursor.unexpected(`${VALUE_SYNTAX[field].noun} for '${fieldText(field)}'`);
  return null;
}

/** @param low null: the address was wrong and is reported */
function parsePrefix(field: FieldName, cursor: Cursor, address: Token, low: bigint | null): Interval | null {
  const { reports } = cursor;
  const { kind } = VALUE_SYNTAX[field];
  const { bits } = FIELDS[field];
  const lengthToken = cursor.takeWord();
  if (lengthToken === null) {
    cursor.unexpected(`a prefix length up to ${bits}`);
    return null;
  }
  const span = spanning(address, lengthToken);
  if (kind === 'number') {
    reports.error('bad-value', span, `'${fieldText(field)}' takes no prefix length`, {
      hint: "write a range: 'low-high'",
    });
    return null;
  }
  if (!/^(0|[1-9][0-9]{0,2})$/.test(lengthToken.text) || Number(lengthToken.text) > bits) {
    const message = `${quote(lengthToken.text)} is not a prefix length for '${fieldText(field)}'`;
    reports.error('out-of-range', lengthToken, message, { expected: `a number from 0 to ${bits}` });
    return null;
  }
  if (low === null) return null;
  const hostMask = (1n << BigInt(bits - Number(lengthToken.text))) - 1n;
  if ((low & hostMask) !== 0n) {
    const network = `${formatAddress(kind, low & ~hostMask)}/${lengthToken.text}`;
    const message = `${quote(`${address.text}/${lengthToken.text}`)} has bits set behind its prefix`;
    reports.error('host-bits', span, message, {
      hint: `the network is ${network}; the one address is ${address.text}`,
    });
    return null;
  }
  return { low, high: low | hostMask };
}

function formatAddress(kind: 'mac' | 'ip4' | 'ip6', value: bigint): string {
  if (kind === 'mac') return formatMac(value);
  return kind === 'ip4' ? formatIp4(value) : formatIp6(value);
}

/** From one token to a later one of the same line; the first alone if lines lie between. */
export function spanning(first: Token, last: Token): Span {
  return {
    line: first.line,
    column: first.column,
    length: first.line === last.line ? last.end - first.start : first.length,
  };
}

/**
 * `{ a, b, … }`, over any number of lines; a comma may follow the last one.
 * @param element reads one element; null: it has reported an error
 * @returns null after reporting an error, where the rest of the statement cannot be read; otherwise the elements that were good
 */
export function parseBraces(cursor: Cursor, element: () => Interval | null): Interval[] | null {
  const { reports } = cursor;
  const open = cursor.next();
  const intervals: Interval[] = [];
  for (let count = 0; ; count++) {
    cursor.skipNewlines();
    if (cursor.is('}')) {
      const close = cursor.next();
      if (count === 0) {
        reports.error('empty-set', spanning(open, close), 'an empty set matches nothing', {
          expected: 'at least one value',
        });
      }
      return mergeIntervals(intervals);
    }
    const before = cursor.peek();
    const interval = element();
    if (interval !== null) intervals.push(interval);
    else if (cursor.peek() === before) return null;
    cursor.skipNewlines();
    if (cursor.take(',') || cursor.is('}')) continue;
    if (cursor.peek().kind === 'end') {
      reports.error('missing-brace', open, "this set is not closed: '}' is missing");
    } else {
      cursor.unexpected("',' or '}' in the set");
    }
    return null;
  }
}
