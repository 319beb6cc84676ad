import { formatIp4, formatIp6, formatMac, parseIp4, parseIp6, parseMac } from './addresses.ts';
import type { Cursor } from './cursor.ts';
import { didYouMean, quote, type Reports, type Span } from './errors.ts';
import { mergeIntervals } from './intervals.ts';
import type { Token } from './lex.ts';
import { maxOf, type Operand } from './operand.ts';
import type { Interval } from './rule.ts';
import { addressAdvice, codepointAdvice, netmaskAdvice, numberAdvice, otherVersion } from './value-advice.ts';

export { fieldText } from './operand.ts';

/**
 * One value, as a number.
 * @param token a word or a string
 * @returns null after reporting that it is none
 */
export function parseValue(operand: Operand, token: Token, reports: Reports): bigint | null {
  switch (operand.syntax.kind) {
    case 'ip4':
      return parseIp4(token.text) ?? badAddress(operand, token, reports);
    case 'ip6':
      return parseIp6(token.text) ?? badAddress(operand, token, reports);
    case 'mac':
      return parseMac(token.text) ?? badAddress(operand, token, reports);
    case 'number':
      return parseNumber(operand, token, reports);
  }
}

function badAddress(operand: Operand, token: Token, reports: Reports): null {
  const { kind, noun } = operand.syntax;
  const { text } = operand;
  const isOther = kind === 'ip4' ? parseIp6(token.text) !== null : kind === 'ip6' && parseIp4(token.text) !== null;
  if (isOther) {
    const [other, own] = kind === 'ip4' ? ['IPv6', 'IPv4'] : ['IPv4', 'IPv6'];
    const message = `${quote(token.text)} is an ${other} address, '${text}' reads ${own} ones`;
    reports.error('bad-value', token, message, { hint: `write '${otherVersion(text, token.text)}'` });
    return null;
  }
  const example = { ip4: '192.0.2.1', ip6: '2001:db8::1', mac: '02:00:00:00:00:01', number: '' }[kind];
  const expected = `${noun} like ${example}`;
  reports.error('bad-value', token, `${quote(token.text)} is not ${noun}`, {
    expected,
    ...addressAdvice(operand, token.text),
  });
  return null;
}

/** More digits than any value of at most 128 bits needs; BigInt would take quadratic time for very many. */
const MAX_DIGITS = 50;

function parseNumber(operand: Operand, token: Token, reports: Reports): bigint | null {
  const { noun, names } = operand.syntax;
  const { text } = token;
  if (Object.hasOwn(names, text)) return BigInt(names[text]!);
  if (!/^(0[xX][0-9a-fA-F]+|[0-9]+)$/.test(text)) {
    const expected = Object.keys(names).length === 0 ? noun : `${noun}, by name or number`;
    const hint = numberAdvice(operand, token);
    reports.error('bad-value', token, `${quote(text)} is not ${noun}`, {
      expected,
      ...(hint === null ? didYouMean(text, Object.keys(names)) : { hint }),
    });
    return null;
  }
  if (/^0[0-9]/.test(text)) {
    const hint = 'write it without the zero, or in hexadecimal with 0x';
    reports.error('bad-value', token, `${quote(text)} begins with a zero, which nft reads as octal`, { hint });
    return null;
  }
  const max = maxOf(operand);
  const value = text.length > MAX_DIGITS ? max + 1n : BigInt(text);
  if (value <= max) return value;
  const message = `${quote(text)} is too large for '${operand.text}'`;
  reports.error('out-of-range', token, message, {
    expected: `a number up to ${max}`,
    ...codepointAdvice(operand, value),
  });
  return null;
}

/**
 * A value, `low-high`, or `address/length`.
 * @returns null after reporting an error. The statement is worth reading on unless the cursor stands where no value was.
 */
export function parseInterval(operand: Operand, cursor: Cursor): Interval | null {
  const { reports } = cursor;
  const first = takeValue(operand, cursor);
  if (first === null) return null;
  const low = parseValue(operand, first, reports);
  if (low === null && operand.syntax.kind === 'mac') {
    // As Windows writes it, 02-00-00-00-00-01: one error is enough.
    while (cursor.take('-') && cursor.takeWord() !== null);
    return null;
  }
  if (cursor.take('/')) return parsePrefix(operand, cursor, first, low);
  if (!cursor.take('-')) return low === null ? null : { low, high: low };

  const last = takeValue(operand, cursor);
  if (last === null) return null;
  const high = parseValue(operand, last, reports);
  if (low === null || high === null) return null;
  if (low <= high) return { low, high };
  const range = `${first.text}-${last.text}`;
  const hint = `write '${last.text}-${first.text}'`;
  reports.error('reversed-range', spanning(first, last), `the range ${quote(range)} runs backwards`, { hint });
  return null;
}

/** Words that no value is called: where one stands, the value is missing. */
export const NO_VALUES: readonly string[] = ['class', 'pass', 'hold', 'drop', 'comment'];

function takeValue(operand: Operand, cursor: Cursor): Token | null {
  const token = cursor.peek();
  if (token.kind === 'string' || (token.kind === 'word' && !NO_VALUES.includes(token.text))) return cursor.next();
  cursor.unexpected(`${operand.syntax.noun} for '${operand.text}'`, valueAdvice(operand, cursor));
  return null;
}

/** What to write instead of punctuation that stands where a value was due. */
function valueAdvice(operand: Operand, cursor: Cursor): string | undefined {
  if (cursor.is('*')) {
    const { kind } = operand.syntax;
    const all = kind === 'ip4' ? '0.0.0.0/0' : kind === 'ip6' ? '::/0' : `0-${maxOf(operand)}`;
    return `there is no '*': ${kind === 'mac' ? 'leave the match out' : `for any value write '${all}'`}`;
  }
  if (cursor.is('@')) return "a named set stands alone: write '@NAME' without braces, in a rule of its own";
  if (cursor.is('{')) return 'sets do not nest: write one element for each value';
  if (cursor.is('-')) return 'no value is negative';
  return undefined;
}

/** @param low null: the address was wrong and is reported */
function parsePrefix(operand: Operand, cursor: Cursor, address: Token, low: bigint | null): Interval | null {
  const { reports } = cursor;
  const { bits, text } = operand;
  const { kind } = operand.syntax;
  const isMissing = NO_VALUES.includes(cursor.peek().text);
  const lengthToken = isMissing ? null : cursor.takeWord();
  if (lengthToken === null) {
    cursor.unexpected(`a prefix length up to ${bits}`);
    return null;
  }
  const span = spanning(address, lengthToken);
  if (kind === 'number') {
    reports.error('bad-value', span, `'${text}' takes no prefix length`, { hint: "write a range: 'low-high'" });
    return null;
  }
  if (!/^(0|[1-9][0-9]{0,2})$/.test(lengthToken.text) || Number(lengthToken.text) > bits) {
    const message = `${quote(lengthToken.text)} is not a prefix length for '${text}'`;
    reports.error('out-of-range', lengthToken, message, {
      expected: `a number from 0 to ${bits}`,
      ...netmaskAdvice(kind, lengthToken.text, address.text),
    });
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
 * `{ a, b, … }` of intervals, merged.
 * @param element as for `parseElements`
 * @returns null after reporting an error, where the rest of the statement cannot be read; otherwise the elements that were good
 */
export function parseBraces(cursor: Cursor, element: () => Interval | null): Interval[] | null {
  const intervals = parseElements(cursor, element);
  return intervals === null ? null : mergeIntervals(intervals);
}

/**
 * `{ a, b, … }`, over any number of lines; a comma may follow the last one.
 * @param element reads one element; null: it has reported an error
 * @returns null after reporting an error, where the rest of the statement cannot be read; otherwise the elements that were good
 */
export function parseElements<T>(cursor: Cursor, element: () => T | null): T[] | null {
  const { reports } = cursor;
  const open = cursor.next();
  const elements: T[] = [];
  for (let count = 0; ; count++) {
    cursor.skipNewlines();
    if (cursor.is('}')) {
      const close = cursor.next();
      if (count === 0) {
        reports.error('empty-set', spanning(open, close), 'an empty set matches nothing', {
          expected: 'at least one value',
        });
      }
      return elements;
    }
    const before = cursor.peek();
    const one = element();
    if (one !== null) elements.push(one);
    else if (cursor.peek() === before) return null;
    cursor.skipNewlines();
    if (cursor.take(',') || cursor.is('}')) continue;
    // It has been said what is wrong with this element.
    if (one === null) return null;
    if (cursor.peek().kind === 'end') {
      reports.error('missing-brace', open, "this set is not closed: '}' is missing");
    } else {
      cursor.unexpected("',' or '}' in the set", separatorAdvice(cursor, open));
    }
    return null;
  }
}

/** Why another token than ',' or '}' may stand behind an element. */
function separatorAdvice(cursor: Cursor, open: Token): string | undefined {
  const token = cursor.peek();
  if (cursor.isWord(':')) return 'there are no maps: write one rule for each verdict';
  if (cursor.is(';')) return "elements are separated by ','";
  if (token.line > open.line)
    return `is the '}' of the set missing that opens in ${cursor.reports.lineText(open, token)}?`;
  return NO_VALUES.includes(token.text) ? "is the '}' of the set missing?" : undefined;
}
