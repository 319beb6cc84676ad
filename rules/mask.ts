import { parseIp4, parseIp6, parseMac } from './addresses.ts';
import type { Cursor } from './cursor.ts';
import { quote, type Span } from './errors.ts';
import type { Token } from './lex.ts';
import { formatBits, maxOf, type Operand } from './operand.ts';
import type { Interval } from './rule.ts';
import { NO_VALUES, parseValue } from './values.ts';

/**
 * `& MASK`: a number, a name, an address, or several of them or'ed in parentheses.
 * @param cursor at `&`
 * @returns undefined after reporting an error
 */
export function parseMask(cursor: Cursor, operand: Operand): bigint | undefined {
  cursor.next();
  const parenthesised = cursor.take('(');
  let bits: bigint | null = 0n;
  do {
    const token = cursor.peek();
    if ((token.kind !== 'word' && token.kind !== 'string') || NO_VALUES.includes(token.text)) {
      cursor.unexpected(`the bits of '${operand.text}' that count: a mask`);
      return undefined;
    }
    const value = parseMaskValue(cursor, operand, cursor.next());
    bits = bits === null || value === null ? null : bits | value;
  } while (parenthesised && cursor.take('|'));
  if (parenthesised && !cursor.take(')')) {
    cursor.unexpected("'|' or ')'");
    return undefined;
  }
  if (cursor.is('|')) {
    cursor.unexpected('the mask in parentheses', "write '& (a|b) == …'; without them nft reads something else");
    return undefined;
  }
  if (cursor.is('/')) {
    cursor.unexpected('a mask', `for a prefix leave the mask out: '${operand.text} ADDRESS/LENGTH'`);
    return undefined;
  }
  if (bits === null) {
    // Reported. What follows is read all the same, for its own errors; no value is outside of all bits.
    return maxOf(operand);
  }
  if (cursor.atStatementEnd() || NO_VALUES.some((word) => cursor.isWord(word))) {
    const text = formatBits(operand, bits);
    cursor.unexpected('a value after the mask', `for 'any of these bits' write '${operand.text} & ${text} != 0'`);
    return undefined;
  }
  return bits;
}

/** An address, or a number in hexadecimal; for number fields any value. */
function parseMaskValue(cursor: Cursor, operand: Operand, token: Token): bigint | null {
  const { kind, noun } = operand.syntax;
  if (kind === 'number') return parseValue(operand, token, cursor.reports);
  const parse = { ip4: parseIp4, ip6: parseIp6, mac: parseMac }[kind];
  const bits = parse(token.text) ?? (/^0[xX][0-9a-fA-F]{1,40}$/.test(token.text) ? BigInt(token.text) : null);
  if (bits !== null && bits <= maxOf(operand)) return bits;
  const isLength = /^[0-9]{1,3}$/.test(token.text);
  cursor.reports.error('bad-value', token, `${quote(token.text)} is not a mask for '${operand.text}'`, {
    expected: `a mask written as ${noun} or in hexadecimal`,
    ...(isLength ? { hint: `for a prefix write '${operand.text} ADDRESS/${token.text}'` } : {}),
  });
  return null;
}

/** Reports an interval that no masked value lies in. */
export function isReachable(
  cursor: Cursor,
  operand: Operand,
  mask: bigint,
  { low, high }: Interval,
  span: Span,
): boolean {
  const least = leastKept(mask, low);
  if (least !== null && least <= high) return true;
  const bits = formatBits(operand, mask);
  if (low !== high) {
    const message = `the mask ${bits} leaves no value in this range`;
    cursor.reports.error('outside-mask', span, message, { hint: `the largest that it leaves is ${bits}` });
    return false;
  }
  const value = formatBits(operand, low);
  const message = `${value} has bits outside the mask ${bits}: no masked value can be this`;
  cursor.reports.error('outside-mask', span, message, { hint: maskAdvice(operand, mask, low) });
  return false;
}

function maskAdvice(operand: Operand, mask: bigint, value: bigint): string {
  const inverted = maxOf(operand) & ~mask;
  const kept = value & mask;
  // What other tools call a wildcard mask has its bits the other way round.
  if (kept === 0n && operand.syntax.kind !== 'number') return `did you mean '& ${formatBits(operand, inverted)}'?`;
  const wider = `a mask that keeps them: '& ${formatBits(operand, mask | value)}'`;
  return kept === 0n ? `write ${wider}` : `write '${formatBits(operand, kept)}', or ${wider}`;
}

/** @returns the least value from `low` on that has no bit outside the mask; null if there is none */
function leastKept(mask: bigint, low: bigint): bigint | null {
  const outside = low & ~mask;
  if (outside === 0n) return low;
  // Above the highest bit that is outside, the next larger combination of the mask's bits; below it, none of them.
  const shift = BigInt(outside.toString(2).length);
  const kept = mask >> shift;
  const next = (((low >> shift) | ~kept) + 1n) & kept;
  return next > low >> shift ? next << shift : null;
}
