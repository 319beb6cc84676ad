import type { Cursor } from './cursor.ts';
import type { Token } from './lex.ts';
import type { FieldName } from './rule.ts';
import type { SetReference } from './set-reference.ts';
import { spanning } from './values.ts';

/**
 * `@NAME` behind fields.
 * @param first the match's first token
 * @param cursor at '@'
 * @returns null after reporting an error
 */
export function parseLookup(
  cursor: Cursor,
  first: Token,
  fields: readonly FieldName[],
  negated: boolean,
): SetReference | null {
  cursor.next();
  const name = cursor.takeWord();
  if (name === null) {
    cursor.unexpected("the name of a set after '@'");
    return null;
  }
  return { kind: 'set-reference', fields, name, negated, span: spanning(first, name) };
}
