import type { Cursor } from './cursor.ts';
import { isReachable, parseMask } from './mask.ts';
import { maxOf, type Operand } from './operand.ts';
import { NO_MAPS, NO_REWRITING } from './refused.ts';
import type { Interval } from './rule.ts';
import { parseBraces, parseInterval, spanning } from './values.ts';

/** What a match says about a value; see FieldMatch. */
export interface Condition {
  readonly mask: bigint | null;
  readonly negated: boolean;
  readonly intervals: readonly Interval[];
}

/** What stands between an operand and its value; `is` also where nothing stands. */
export type Comparison = 'is' | 'is-not' | '<' | '>' | '<=' | '>=';

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

/** What people write for a comparison, and what it is here. */
const MISTAKEN: Readonly<Record<string, string>> = {
  '=': "write '=='",
  '!': "write '!='",
  not: "write '!='",
  is: "write '==', or nothing",
  in: "leave 'in' out: a set follows the field, '{ a, b }'",
  vmap: NO_MAPS,
  map: NO_MAPS,
  set: NO_REWRITING,
  '^': "the only operation on a value is '&': 'field & MASK == VALUE'",
  '|': "the only operation on a value is '&': 'field & MASK == VALUE'",
};

/** Why a mask and a '.' do not go together. */
export const MASK_IN_CONCAT = 'a concatenation compares whole values: write the masked match on its own, beside it';

/**
 * Takes the comparison, if one is written.
 * @returns null after reporting an error
 */
export function parseComparison(cursor: Cursor, operand: Operand): Comparison | null {
  const token = cursor.peek();
  if (token.kind !== 'punctuation' && token.kind !== 'word') return 'is';
  if (isShift(cursor)) {
    cursor.unexpected(`a value for '${operand.text}'`, MISTAKEN['^']);
    return null;
  }
  if (Object.hasOwn(COMPARISONS, token.text)) {
    cursor.next();
    return COMPARISONS[token.text]!;
  }
  if (!Object.hasOwn(MISTAKEN, token.text)) return 'is';
  cursor.unexpected(`a value for '${operand.text}'`, MISTAKEN[token.text]);
  return null;
}

/** `<<` and `>>` arrive as two tokens without a blank between. */
function isShift(cursor: Cursor): boolean {
  const [first, second] = [cursor.peek(), cursor.peek(1)];
  return (cursor.is('<') || cursor.is('>')) && second.text === first.text && second.start === first.end;
}

/**
 * What follows an operand: a mask perhaps, a comparison perhaps, and values. Not for `tcp flags`.
 * @returns null after reporting an error
 */
export function parseCondition(cursor: Cursor, operand: Operand): Condition | null {
  const mask = cursor.is('&') ? parseMask(cursor, operand) : null;
  if (mask === undefined) return null;
  if (cursor.is('.')) {
    cursor.unexpected(`a value for '${operand.text}'`, MASK_IN_CONCAT);
    return null;
  }
  const comparison = parseComparison(cursor, operand);
  if (comparison === null) return null;
  return parseCompared(cursor, operand, mask, comparison);
}

/** The values behind a comparison. */
export function parseCompared(
  cursor: Cursor,
  operand: Operand,
  mask: bigint | null,
  comparison: Comparison,
): Condition | null {
  const kept = mask === null || mask === maxOf(operand) ? null : mask;
  if (cursor.is('@')) {
    const isOrder = comparison !== 'is' && comparison !== 'is-not';
    const hint = isOrder
      ? "a set goes with '==' or '!='"
      : `${mask === null ? 'a named set cannot stand here' : 'a named set takes no mask'}: write the values, '{ a, b-c }'`;
    cursor.unexpected(`a value for '${operand.text}'`, hint);
    return null;
  }
  if (comparison !== 'is' && comparison !== 'is-not') {
    const bound = parseBound(cursor, operand, mask, comparison);
    if (bound === null || !endsHere(cursor, operand)) return null;
    return { mask: kept, negated: false, intervals: [bound] };
  }
  const negated = comparison === 'is-not';
  if (cursor.is('{')) {
    const intervals = parseBraces(cursor, () => parseReachable(cursor, operand, mask));
    return intervals === null ? null : { mask: kept, negated, intervals };
  }
  const interval = parseReachable(cursor, operand, mask);
  if (interval === null) return null;
  if (!endsHere(cursor, operand)) return null;
  return { mask: kept, negated, intervals: [interval] };
}

/** Reports what people write behind a value to go on with it. */
function endsHere(cursor: Cursor, operand: Operand): boolean {
  const hint = continuation(cursor, operand);
  if (hint !== null) cursor.unexpected('a match, a class or a verdict', hint);
  return hint === null;
}

function continuation(cursor: Cursor, { text }: Operand): string | null {
  const token = cursor.peek();
  const isDoubled = cursor.peek(1).text === token.text && cursor.peek(1).start === token.end;
  if (cursor.is('|') && isDoubled) return 'write two rules, or a set of values in braces';
  if (cursor.is('&') && isDoubled) return 'leave it out: all matches of a rule must be true';
  // No word of the language begins with a digit or has a colon or a dot in it.
  const isValue = token.kind === 'word' && /^[0-9]|[:.]/.test(token.text);
  if (cursor.is(',') || cursor.is('|') || isValue) return "several values go in braces: '{ a, b }'";
  if (cursor.is('.')) return `a concatenation names all its fields first: '${text} . FIELD { VALUE . VALUE }'`;
  if (token.kind === 'punctuation' && Object.hasOwn(COMPARISONS, token.text)) {
    return `a range is 'low-high'; for a second comparison write '${text}' again`;
  }
  return null;
}

/** One value, range or prefix, of which the mask leaves at least something. */
function parseReachable(cursor: Cursor, operand: Operand, mask: bigint | null): Interval | null {
  const first = cursor.peek();
  if (mask !== null && isPrefix(cursor)) {
    const span = spanning(first, cursor.peek(2));
    const message = 'a prefix cannot stand behind a mask: nft would change the mask';
    cursor.reports.error('bad-value', span, message, {
      hint: "write a range, 'low-high', or the prefix without the mask",
    });
    for (let taken = 0; taken < 3 && !cursor.atStatementEnd(); taken++) cursor.next();
    return null;
  }
  const interval = parseInterval(operand, cursor);
  if (interval === null || mask === null) return interval;
  return isReachable(cursor, operand, mask, interval, spanning(first, cursor.previous())) ? interval : null;
}

function isPrefix(cursor: Cursor): boolean {
  const slash = cursor.peek(1);
  return slash.kind === 'punctuation' && slash.text === '/';
}

/** `< value` and its like: one value, and not one that leaves nothing. */
function parseBound(
  cursor: Cursor,
  operand: Operand,
  mask: bigint | null,
  comparison: '<' | '>' | '<=' | '>=',
): Interval | null {
  const { reports } = cursor;
  if (cursor.is('{')) {
    cursor.unexpected(`one value after '${comparison}'`, "a set goes with '==' or '!='");
    return null;
  }
  const first = cursor.peek();
  const interval = parseInterval(operand, cursor);
  if (interval === null) return null;
  const max = maxOf(operand);
  const { low: value, high } = interval;
  const span = spanning(first, cursor.previous());
  if (value !== high) {
    const hint = `write 'low-high' without '${comparison}', or one value`;
    reports.error('bad-value', span, `'${comparison}' compares with one value, not with a range`, { hint });
    return null;
  }
  if ((comparison === '<' && value === 0n) || (comparison === '>' && value === max)) {
    const what = comparison === '<' ? 'below 0' : `above ${max}`;
    const hint = comparison === '<' ? "did you mean '== 0'?" : `did you mean '== ${max}'?`;
    reports.error('out-of-range', span, `no '${operand.text}' is ${what}`, { hint });
    return null;
  }
  const bounds: Record<typeof comparison, Interval> = {
    '<': { low: 0n, high: value - 1n },
    '<=': { low: 0n, high: value },
    '>': { low: value + 1n, high: max },
    '>=': { low: value, high: max },
  };
  const bound = bounds[comparison];
  return mask === null || isReachable(cursor, operand, mask, bound, span) ? bound : null;
}
