import type { Span } from './errors.ts';
import type { Token } from './lex.ts';
import type { FieldName } from './rule.ts';

/**
 * `udp sport @media` as it was read: sets may be defined below their use, so what it stands for is found out when the file is
 * complete. Then it becomes a FieldMatch or a ConcatMatch (static set), or a SetMatch (dynamic set).
 */
export interface SetReference {
  readonly kind: 'set-reference';
  /** As many as were written, one or more. */
  readonly fields: readonly FieldName[];
  /** The name, without its '@'. */
  readonly name: Token;
  readonly negated: boolean;
  /** From the first field to the name. */
  readonly span: Span;
}
