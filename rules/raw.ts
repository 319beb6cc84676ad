import { parseCondition } from './condition.ts';
import type { Cursor } from './cursor.ts';
import { quote } from './errors.ts';
import type { Token } from './lex.ts';
import { rawOperand } from './operand.ts';
import { MAX_RAW_BITS, RAW_BASES, type RawMatch } from './rule.ts';
import { spanning } from './values.ts';

/** The last bit of the longest frame that can be: 64 KiB of payload behind a header. */
const MAX_OFFSET_BITS = 8 * 0x1_0000;

const EXPECTED = '@ll (Ethernet header), @nh (network header) or @th (transport header)';

/**
 * A match on raw payload: `@th,64,32 0x5349502f`.
 * @param cursor at '@'
 * @returns null after reporting an error
 */
export function parseRawMatch(cursor: Cursor): RawMatch | null {
  const { reports } = cursor;
  const at = cursor.next();
  const baseToken = cursor.takeWord();
  if (baseToken === null) {
    cursor.unexpected(EXPECTED);
    return null;
  }
  const span = spanning(at, baseToken);
  const base = RAW_BASES.find((known) => known === baseToken.text);
  if (base === undefined) {
    if (cursor.is(',')) {
      const hint = baseToken.text === 'ih' ? "count from the transport header: '@th,OFFSET,LENGTH'" : undefined;
      const message = `${quote(`@${baseToken.text}`)} is no place to count from`;
      reports.error('bad-value', span, message, { expected: EXPECTED, ...(hint === undefined ? {} : { hint }) });
    } else {
      const message = `the set ${quote(`@${baseToken.text}`)} stands without a field`;
      reports.error('syntax', span, message, {
        hint: `write what to look up: ${quote(`udp dport @${baseToken.text}`)}`,
      });
    }
    // What follows belongs to it.
    cursor.skipStatement();
    return null;
  }
  const offset = parsePosition(cursor, base, 'offset', 0, MAX_OFFSET_BITS);
  const length = offset === undefined ? undefined : parsePosition(cursor, base, 'length', 1, MAX_RAW_BITS);
  if (offset === undefined || length === undefined) return null;
  if (cursor.is('.')) {
    cursor.unexpected(
      `a value for '@${base},…'`,
      'raw payload goes into no concatenation: write it as a match of its own',
    );
    return null;
  }
  const text = `@${base},${offset ?? 0},${length ?? MAX_RAW_BITS}`;
  const condition = parseCondition(cursor, rawOperand(text, length ?? MAX_RAW_BITS));
  if (condition === null || offset === null || length === null) return null;
  return { kind: 'raw', base, offsetBits: offset, lengthBits: length, ...condition };
}

/**
 * A comma and a number of bits.
 * @returns null after reporting a wrong number, undefined after reporting that there is none
 */
function parsePosition(
  cursor: Cursor,
  base: string,
  what: 'offset' | 'length',
  min: number,
  max: number,
): number | null | undefined {
  const form = `'@${base},OFFSET,LENGTH', both in bits`;
  if (!cursor.take(',')) {
    cursor.unexpected(`',' and the ${what}`, `write ${form}`);
    return undefined;
  }
  const token: Token | null = cursor.takeWord();
  if (token === null) {
    cursor.unexpected(`the ${what}`, `write ${form}`);
    return undefined;
  }
  const isNumber = /^(0[xX][0-9a-fA-F]{1,8}|0|[1-9][0-9]{0,9})$/.test(token.text);
  const value = isNumber ? Number(token.text) : -1;
  if (value >= min && value <= max) return value;
  cursor.reports.error('out-of-range', token, `${quote(token.text)} is not the ${what} of raw payload`, {
    expected: `a number of bits from ${min} to ${max}`,
    ...(what === 'length' && value > max ? { hint: 'write two matches, each on a part' } : {}),
  });
  return null;
}
