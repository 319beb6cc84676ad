import type { Cursor } from './cursor.ts';
import { quote } from './errors.ts';
import type { Token } from './lex.ts';

const UNITS_MS = [86_400_000, 3_600_000, 60_000, 1000, 1];

/**
 * A time as nft writes it: `1d2h3m4s`, `30s`, `1500ms`; larger units first, each at most once.
 * @returns milliseconds, or null if it is not written so; 0 is possible
 */
export function parseDurationMs(text: string): number | null {
  // So many digits that the sum is still exact.
  const parts = /^(?:(\d{1,8})d)?(?:(\d{1,8})h)?(?:(\d{1,8})m(?!s))?(?:(\d{1,8})s)?(?:(\d{1,8})ms)?$/.exec(text);
  if (parts === null || text === '') return null;
  return UNITS_MS.reduce((sum, unit, index) => sum + unit * Number(parts[index + 1] ?? 0), 0);
}

/**
 * What stands behind `timeout`.
 * @returns null if no value is there, with null for `ms` if the value is wrong; both are reported
 */
export function parseTimeout(cursor: Cursor): { readonly ms: number | null; readonly at: Token } | null {
  const at = cursor.peek();
  const expected = "a time like '30s', '1500ms' or '1d2h3m4s'";
  if (at.kind !== 'word' && at.kind !== 'string') {
    cursor.unexpected(expected);
    return null;
  }
  cursor.next();
  const ms = parseDurationMs(at.text);
  if (ms !== null && ms > 0) return { ms, at };
  const isNumber = /^[0-9]+$/.test(at.text);
  const message = ms === 0 ? 'a timeout of nothing' : `${quote(at.text)} is not a time`;
  const hint = isNumber ? { hint: `say the unit: '${at.text.slice(0, 8)}s'` } : {};
  cursor.reports.error('bad-duration', at, message, { expected, ...hint });
  return { ms: null, at };
}
