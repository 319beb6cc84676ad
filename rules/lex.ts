import { quote, type Reports, type Span } from './errors.ts';

/** `bad`: something that has been reported already; whoever meets it stays silent. */
export type TokenKind = 'word' | 'string' | 'punctuation' | 'newline' | 'bad' | 'end';

export interface Token extends Span {
  readonly kind: TokenKind;
  /** A word or punctuation as written, a string without its quotes; empty for newline and end. */
  readonly text: string;
  /** UTF-16 units from the text's start; `end` is just after the token. */
  readonly start: number;
  readonly end: number;
  /** For a token that a `$NAME` was replaced by: `$NAME` for the first of them, nothing for the others. */
  readonly written?: string;
}

// Each pattern repeats single characters only: V8 keeps a stack for repeated groups, and long input overflows it.
const BLANKS = /[ \t\r\f\v\ufeff]+/y;
const COMMENT = /#[^\n]*/y;
const ESCAPED_LINE_END = /\\\r?\n/y;
/** Digits first, or a colon in it: a number or an address, which ends where a range's '-' begins. */
const VALUE = /[\w:][\w.:]*/y;
const LETTER = /[A-Za-z_]/y;
/** In a word that starts with a letter '-' is part of the word (`echo-reply`). */
const HYPHENATED = /-\w[\w.]*/y;
const PUNCTUATION = /[=!<>]=|[{}(),;=!<>&|/@$.^*-]/y;
const STRING = /"[^"\n]*("|(?=\n|$))/y;
const UNKNOWN = /[^\s\w"#{}(),;=!<>&|/@$.^*:\\-]+|./suy;

/** What people paste from documents, and what they meant. */
const LOOKALIKES: readonly (readonly [RegExp, string])[] = [
  [/^['\u2018\u2019\u201a]/, 'write a plain "'],
  [/^\u2260/, "write '!='"],
  [/^\u2264/, "write '<='"],
  [/^\u2265/, "write '>='"],
  [/^[\u201c\u201d\u201e\u00ab\u00bb]/, 'write a plain "'],
  [/^[\u2010-\u2015\u2212]/, "write a plain '-'"],
  [/^[\u00a0\u2000-\u200b\u202f\u3000]/, 'this is not a plain blank: replace it'],
  [/^\ufffd/, 'the file is not UTF-8 text'],
];

/** A hundred thousand rules and more; beyond it the tokens would fill the memory. */
export const MAX_TOKENS = 2_000_000;

/**
 * Cuts a rule file into tokens; comments and blanks go, line ends stay. Never throws.
 * @param firstLine what the first line counts as
 * @returns at least one token; the last one is of kind `end`. After MAX_TOKENS the rest is left out and reported as `too-large`.
 */
export function lex(text: string, reports: Reports, firstLine = 1): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let line = firstLine;
  let lineStart = 0;

  function push(kind: TokenKind, end: number, content: string): void {
    tokens.push({ kind, text: content, line, column: at - lineStart + 1, length: end - at, start: at, end });
    at = end;
  }

  function matchEnd(pattern: RegExp, from = at): number {
    pattern.lastIndex = from;
    return pattern.test(text) ? pattern.lastIndex : from;
  }

  const isDamaged = text.includes('\ufffd');

  /** Bytes that were no UTF-8 would be lost when the text is written again, also where they mean nothing. */
  function requireText(end: number): void {
    const bad = isDamaged ? text.indexOf('\ufffd', at) : -1;
    if (bad < 0 || bad >= end) return;
    const span = { line, column: bad - lineStart + 1, length: 1 };
    reports.error('unknown-character', span, `unexpected ${quote('\ufffd')}`, { hint: 'the file is not UTF-8 text' });
  }

  /** @returns false where no blank, comment or escaped line end is */
  function skipBlanks(): boolean {
    const start = at;
    const end = matchEnd(COMMENT, matchEnd(BLANKS));
    requireText(end);
    at = end;
    const afterEscape = matchEnd(ESCAPED_LINE_END);
    if (afterEscape > at) {
      at = afterEscape;
      line++;
      lineStart = at;
    }
    return at > start;
  }

  function wordEnd(): number {
    let end = matchEnd(VALUE);
    if (matchEnd(LETTER) === at || text.slice(at, end).includes(':')) return end;
    for (let next = matchEnd(HYPHENATED, end); next > end; next = matchEnd(HYPHENATED, end)) end = next;
    return end;
  }

  while (at < text.length) {
    while (skipBlanks());
    if (at >= text.length) break;
    if (tokens.length === MAX_TOKENS) {
      const span = { line, column: at - lineStart + 1, length: 1 };
      reports.error('too-large', span, `more than ${MAX_TOKENS} words: the rest is not read`);
      break;
    }

    if (text[at] === '\n') {
      push('newline', at + 1, '');
      line++;
      lineStart = at;
      continue;
    }
    if (text[at] === '"') {
      const end = matchEnd(STRING);
      requireText(end);
      const closed = end > at + 1 && text[end - 1] === '"';
      if (!closed) {
        const span = { line, column: at - lineStart + 1, length: end - at };
        reports.error('unterminated-string', span, 'this string is not closed', {
          expected: "'\"' before the line ends",
        });
      }
      push(closed ? 'string' : 'bad', end, text.slice(at + 1, closed ? end - 1 : end));
      continue;
    }
    const afterWord = wordEnd();
    if (afterWord > at) {
      push('word', afterWord, text.slice(at, afterWord));
      continue;
    }
    const punctuationEnd = matchEnd(PUNCTUATION);
    if (punctuationEnd > at) {
      push('punctuation', punctuationEnd, text.slice(at, punctuationEnd));
      continue;
    }
    const end = matchEnd(UNKNOWN);
    const unknown = text.slice(at, end);
    const meant = LOOKALIKES.find(([pattern]) => pattern.test(unknown));
    const span = { line, column: at - lineStart + 1, length: end - at };
    reports.error(
      'unknown-character',
      span,
      `unexpected ${quote(unknown)}`,
      meant === undefined ? {} : { hint: meant[1] },
    );
    push('bad', end, unknown);
  }
  push('end', at, '');
  return tokens;
}
