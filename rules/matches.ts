import { parseConcat } from './concat.ts';
import { parseCompared, parseComparison, parseCondition } from './condition.ts';
import type { Cursor } from './cursor.ts';
import { parseField } from './fields.ts';
import { parseFlagsMatch } from './flags.ts';
import { parseLookup } from './lookup.ts';
import { fieldOperand } from './operand.ts';
import type { ConcatMatch, FieldMatch } from './rule.ts';
import type { SetReference } from './set-reference.ts';
import { spanning } from './values.ts';

export { parseAppMatch } from './app-match.ts';
export { PROTOCOL_WORDS } from './fields.ts';
export { parseRawMatch } from './raw.ts';

/**
 * A match on a field: `udp dport != { 5060, 16384-32767 }`, or on several: `ip saddr . udp sport @rtp`.
 * @param cursor at one of PROTOCOL_WORDS
 * @returns null after reporting an error
 */
export function parseFieldMatch(cursor: Cursor): FieldMatch | ConcatMatch | SetReference | null {
  const first = cursor.peek();
  const field = parseField(cursor);
  if (field === null) {
    // What a value of an unknown field looks like is unknown too.
    cursor.skipStatement();
    return null;
  }
  if (cursor.is('.')) return parseConcat(cursor, first, field);
  if (field === 'tcp.flags') return parseFlagsMatch(cursor);
  const operand = fieldOperand(field);
  if (cursor.is('&')) {
    const masked = parseCondition(cursor, operand);
    return masked === null ? null : { kind: 'field', field, ...masked };
  }
  const comparison = parseComparison(cursor, operand);
  if (comparison === null) return null;
  if (cursor.is('@') && (comparison === 'is' || comparison === 'is-not')) {
    return parseLookup(cursor, first, [field], comparison === 'is-not');
  }
  const condition = parseCompared(cursor, operand, null, comparison);
  if (condition === null) return null;
  if (field === 'sctp.chunk' && !isFirstChunk(cursor)) return null;
  return { kind: 'field', field, ...condition };
}

/** nft's words behind a chunk's name, which looks for it anywhere in the packet. */
const CHUNK_WORDS: readonly string[] = [
  'exists',
  'missing',
  'type',
  'flags',
  'length',
  'vtag',
  'tsn',
  'stream',
  'ssn',
  'ppid',
];

/** Reports nft's `sctp chunk init exists` and its like. */
function isFirstChunk(cursor: Cursor): boolean {
  const word = cursor.peek();
  if (word.kind !== 'word' || !CHUNK_WORDS.includes(word.text)) return true;
  const message =
    "'sctp chunk' is the type of the first chunk; nft's form, which looks at any, is not part of the language";
  const hint = word.text === 'missing' ? "write 'sctp chunk != NAME'" : "write 'sctp chunk NAME' alone";
  cursor.reports.error('not-supported', spanning(word, word), message, { hint });
  cursor.skipStatement();
  return false;
}
