import { Reports } from './errors.ts';
import { lex, type Token } from './lex.ts';

/** UTF-16 units from the text's start; `end` is just after. */
export interface TextSpan {
  readonly start: number;
  readonly end: number;
}

/**
 * Where the statement stands that begins at a place: up to its line's end, a ';', or the '}' of its block; a set in it may span
 * lines. Comments behind it are not part of it.
 * @param line from 1 @param column from 1, in UTF-16 units
 * @returns null if no token begins there
 */
export function statementAt(text: string, line: number, column: number): TextSpan | null {
  const tokens = lex(text, new Reports(''));
  const first = tokens.findIndex((token) => token.line === line && token.column === column);
  if (first < 0 || tokens[first]!.kind === 'end' || tokens[first]!.kind === 'newline') return null;
  let depth = 0;
  let last = first;
  for (let at = first; ; at++) {
    const token = tokens[at]!;
    if (token.kind === 'end' || (depth === 0 && endsStatement(token))) break;
    if (token.kind === 'punctuation' && token.text === '{') depth++;
    if (token.kind === 'punctuation' && token.text === '}') depth--;
    if (token.kind !== 'newline') last = at;
  }
  return { start: tokens[first]!.start, end: tokens[last]!.end };
}

function endsStatement(token: Token): boolean {
  return token.kind === 'newline' || (token.kind === 'punctuation' && (token.text === ';' || token.text === '}'));
}

/** The text without the statement. A line that held nothing else goes, with the comment behind the statement. */
export function withoutStatement(text: string, span: TextSpan): string {
  const lineStart = text.lastIndexOf('\n', span.start - 1) + 1;
  const newline = text.indexOf('\n', span.end);
  const lineEnd = newline < 0 ? text.length : newline + 1;
  const before = text.slice(lineStart, span.start);
  const behind = text.slice(span.end, lineEnd);
  if (before.trim() === '' && /^\s*(;\s*)?(#.*)?\n?$/.test(behind))
    return text.slice(0, lineStart) + text.slice(lineEnd);
  const separator = /^[ \t]*;[ \t]*/.exec(behind)?.[0].length ?? 0;
  return text.slice(0, span.start) + text.slice(span.end + separator);
}

/** The text with another statement on a line of its own above or below this one, indented like it. */
export function withStatement(text: string, span: TextSpan, side: 'above' | 'below', statement: string): string {
  const lineStart = text.lastIndexOf('\n', span.start - 1) + 1;
  const before = text.slice(lineStart, span.start);
  const indent = /^[ \t]*/.exec(before)![0];
  if (side === 'above') {
    const at = before.trim() === '' ? lineStart : span.start;
    const lead = before.trim() === '' ? indent : `\n${indent}`;
    return `${text.slice(0, at)}${lead}${statement}\n${at === lineStart ? '' : indent}${text.slice(at)}`;
  }
  const newline = text.indexOf('\n', span.end);
  const behind = text.slice(span.end, newline < 0 ? text.length : newline);
  // Behind the statement's own line, comment included; where more stands on it, the line is broken.
  if (newline >= 0 && /^[ \t]*;?[ \t]*(#.*)?$/.test(behind)) {
    return `${text.slice(0, newline + 1)}${indent}${statement}\n${text.slice(newline + 1)}`;
  }
  const rest = text.slice(span.end).replace(/^[ \t]*;?[ \t]*/, '');
  return `${text.slice(0, span.end)}\n${indent}${statement}\n${indent}${rest}`;
}
