import { parseCompared, parseComparison } from './condition.ts';
import type { Cursor } from './cursor.ts';
import { fieldOperand } from './operand.ts';
import type { FieldMatch, Interval } from './rule.ts';
import { parseBraces, parseInterval, parseValue } from './values.ts';

const FIELD = 'tcp.flags';
const OPERAND = fieldOperand(FIELD);
const ZERO: readonly Interval[] = [{ low: 0n, high: 0n }];

/**
 * `tcp flags` has a grammar of its own, with the meaning that nft 1.0.6 gives it:
 *
 *     syn   syn,ack   syn|ack       any of these is set (a bare list)
 *     == syn,ack      != syn        exactly these are set; not exactly these
 *     { syn, syn|ack }              exactly one of these combinations; a set of one is read as without its braces
 *     syn / syn,ack                 of those after the slash, exactly those before it
 *     & (syn|ack) == syn            the same; with `!= 0`: any of them; with `== 0`: none
 *     ! syn                         none of these
 *
 * @param cursor behind `tcp flags`
 * @returns null after reporting an error
 */
export function parseFlagsMatch(cursor: Cursor): FieldMatch | null {
  if (cursor.take('&')) return parseMaskedFlags(cursor);
  if (cursor.take('!')) return parseAbsentFlags(cursor);
  const next = cursor.peek();
  const comparison = parseComparison(cursor, OPERAND);
  if (comparison === null) return null;
  if (cursor.is('@')) {
    cursor.unexpected("a value for 'tcp flags'", "write the flags: '{ syn, syn|ack }'; no named set has them");
    return null;
  }
  if (comparison === 'is' || comparison === 'is-not') return parseFlags(cursor, comparison, cursor.peek() !== next);
  const condition = parseCompared(cursor, OPERAND, null, comparison);
  return condition === null ? null : { kind: 'field', field: FIELD, ...condition };
}

/** @param explicit whether the comparison is written out */
function parseFlags(cursor: Cursor, comparison: 'is' | 'is-not', explicit: boolean): FieldMatch | null {
  const negated = comparison === 'is-not';
  if (cursor.is('{')) {
    let count = 0;
    const intervals = parseBraces(cursor, () => {
      count++;
      return exactly(parseFlagSet(cursor, '|'));
    });
    if (intervals === null) return null;
    if (count === 1 && !explicit && intervals.length === 1) return match(intervals[0]!.low, true, ZERO);
    return match(null, negated, intervals);
  }
  if (isNumericRange(cursor)) {
    const interval = parseInterval(OPERAND, cursor);
    return interval === null ? null : match(null, negated, [interval]);
  }
  const value = parseFlagSet(cursor, '|,');
  if (value === null) return null;
  if (cursor.take('/')) {
    const mask = parseFlagSet(cursor, ',');
    return mask === null ? null : match(mask, negated, [{ low: value, high: value }]);
  }
  if (explicit) return match(null, negated, [{ low: value, high: value }]);
  return match(value, true, ZERO);
}

/** After `&`: a mask, a comparison and a value, a list of values or a set. */
function parseMaskedFlags(cursor: Cursor): FieldMatch | null {
  const mask = parseFlagSet(cursor, '');
  if (mask === null) return null;
  if (cursor.is('|') || cursor.is(',')) {
    cursor.unexpected('the mask in parentheses', "write '& (syn|ack) == …'; without them nft reads something else");
    return null;
  }
  const negated = cursor.is('!=');
  if (!negated && !cursor.is('==')) {
    cursor.unexpected("'==' or '!=' after the mask", "for 'any of these flags' write '& (syn|fin) != 0'");
    return null;
  }
  cursor.next();
  if (cursor.is('{')) {
    const intervals = parseBraces(cursor, () => exactly(parseFlagSet(cursor, '|')));
    return intervals === null ? null : match(mask, negated, intervals);
  }
  const value = parseFlagSet(cursor, '|,');
  return value === null ? null : match(mask, negated, [{ low: value, high: value }]);
}

/** After `!`: none of these is set. */
function parseAbsentFlags(cursor: Cursor): FieldMatch | null {
  const value = parseFlagSet(cursor, '|,');
  return value === null ? null : match(value, false, ZERO);
}

function match(mask: bigint | null, negated: boolean, intervals: readonly Interval[]): FieldMatch {
  return { kind: 'field', field: FIELD, mask, negated, intervals };
}

function exactly(value: bigint | null): Interval | null {
  return value === null ? null : { low: value, high: value };
}

function isNumericRange(cursor: Cursor): boolean {
  const between = cursor.peek(1);
  return between.kind === 'punctuation' && between.text === '-';
}

/**
 * Flags or'ed together: one, a parenthesised `(a|b)`, or a bare list with one of the given separators.
 * @param separators those that may stand outside parentheses
 * @returns the bits; null after reporting an error, and then at least one token is taken unless it could not be a flag
 */
function parseFlagSet(cursor: Cursor, separators: string): bigint | null {
  const parenthesised = cursor.take('(');
  const allowed = parenthesised ? '|' : separators;
  let bits: bigint | null = 0n;
  do {
    const token = cursor.peek();
    if (token.kind !== 'word' && token.kind !== 'string') {
      cursor.unexpected('a TCP flag: fin, syn, rst, psh, ack, urg, ecn or cwr');
      return null;
    }
    const value = parseValue(OPERAND, cursor.next(), cursor.reports);
    bits = bits === null || value === null ? null : bits | value;
  } while ([...allowed].some((separator) => cursor.take(separator)));
  if (parenthesised && !cursor.take(')')) {
    cursor.unexpected("'|' or ')'");
    return null;
  }
  return bits;
}
