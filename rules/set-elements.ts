import { parseTuple } from './concat.ts';
import type { Cursor } from './cursor.ts';
import { parseTimeout } from './duration.ts';
import { didYouMean, quote, type Span } from './errors.ts';
import { setTypeOperand } from './operand.ts';
import { type Refusals, refuse } from './refused.ts';
import type { SetElement, SetType } from './rule.ts';
import { parseElements, parseInterval, spanning } from './values.ts';

/** An element with its place in the file. */
export interface WrittenElement extends SetElement {
  readonly span: Span;
  readonly text: string;
  /** Of its own timeout. */
  readonly timeoutAt: Span | null;
}

const ELEMENT_EXPECTED = "',', 'timeout', 'comment' or '}'";

const REFUSED_IN_ELEMENT: Refusals = {
  expires: "write 'timeout': an element's time begins when the rules take force",
  counter: 'leave it out: every rule counts its frames and bytes',
  limit: 'rules read one frame at a time and keep no rate',
};

/**
 * `{ 192.0.2.1 . 5060 timeout 30s comment "…", … }`.
 * @param cursor at '{'
 * @param elements to which those that are good are added
 * @param isEnd whether something begins here that no set has in it: then it is not closed
 * @returns false after reporting an error that makes the rest of the statement unreadable
 */
export function parseSetElements(
  cursor: Cursor,
  types: readonly SetType[],
  elements: WrittenElement[],
  isEnd: (cursor: Cursor) => boolean,
): boolean {
  const operands = types.map(setTypeOperand);
  const found = parseElements(cursor, (): WrittenElement | null => {
    const first = cursor.peek();
    const start = cursor.index;
    const intervals = operands.length > 1 ? parseTuple(cursor, operands) : parseSingle(cursor, types);
    if (cursor.index === start) {
      skipElement(cursor, isEnd);
      return null;
    }
    const span = spanning(first, cursor.previous());
    const text = cursor.textSince(start);
    const options = parseOptions(cursor);
    if (!cursor.is(',') && !cursor.is('}') && cursor.peek().kind !== 'newline') {
      cursor.unexpected(ELEMENT_EXPECTED);
      skipElement(cursor, isEnd);
    }
    return intervals === null ? null : { intervals, span, text, ...options };
  });
  // One by one: there may be more than fit into an argument list.
  for (const element of found ?? []) elements.push(element);
  return found !== null;
}

/** Goes to the ',' or '}' behind an element that cannot be read, so that the next ones are. */
function skipElement(cursor: Cursor, isEnd: (cursor: Cursor) => boolean): void {
  while (!cursor.is(',') && !cursor.is('}') && !cursor.is('{') && cursor.peek().kind !== 'end') {
    if (cursor.next().kind === 'newline' && isEnd(cursor)) return;
  }
}

function parseSingle(cursor: Cursor, types: readonly SetType[]): SetElement['intervals'] | null {
  const interval = parseInterval(setTypeOperand(types[0]!), cursor);
  if (cursor.is('.')) {
    const hint = `for elements of several values write 'type ${types[0]} . …'`;
    cursor.unexpected(`one value for '${types[0]}'`, hint);
    while (cursor.take('.') && cursor.takeWord() !== null);
    return null;
  }
  return interval === null ? null : [interval];
}

/** `timeout` and `comment`, in any order. */
function parseOptions(cursor: Cursor): Pick<WrittenElement, 'timeoutMs' | 'timeoutAt'> {
  let timeoutMs: number | null = null;
  let timeoutAt: Span | null = null;
  for (;;) {
    const word = cursor.peek();
    if (word.kind !== 'word') return { timeoutMs, timeoutAt };
    cursor.next();
    if (word.text === 'timeout') {
      timeoutAt = word;
      timeoutMs = parseTimeout(cursor)?.ms ?? null;
    } else if (word.text === 'comment') {
      if (cursor.peek().kind === 'string') cursor.next();
      else cursor.unexpected('the comment in double quotes');
    } else if (refuse(cursor, word, word.text, word.text, REFUSED_IN_ELEMENT)) {
      if (cursor.peek().kind === 'word') cursor.next();
    } else {
      const details = {
        expected: ELEMENT_EXPECTED,
        ...didYouMean(word.text, ['timeout', 'comment']),
      };
      cursor.reports.error('syntax', word, `unexpected ${quote(word.text)}`, details);
      // What follows belongs to it.
      while (cursor.peek().kind === 'word' || cursor.peek().kind === 'string') cursor.next();
    }
  }
}
