import type { Place } from './rule.ts';
import { closest } from './suggest.ts';

/** What is wrong, for programs; stable. The second group is warnings. */
export const RULE_ERROR_CODES = [
  'syntax',
  'unknown-character',
  'unterminated-string',
  'unknown-keyword',
  'unknown-field',
  'not-supported',
  'bad-name',
  'unknown-class',
  'class-redefined',
  'second-outbound',
  'no-outbound',
  'missing-brace',
  'missing-verdict',
  'missing-match',
  'second-default',
  'after-default',
  'unknown-app',
  'bad-value',
  'out-of-range',
  'reversed-range',
  'host-bits',
  'empty-set',
  'too-large',
  'too-many-errors',
  'duplicate-rule',
  'shadowed-rule',
  'never-matches',
  'unused-class',
] as const;
export type RuleErrorCode = (typeof RULE_ERROR_CODES)[number];

/** A stretch of one line. Line and column count from 1, column and length in UTF-16 units. */
export interface Span {
  readonly line: number;
  readonly column: number;
  readonly length: number;
}

/** One thing that is wrong, or doubtful, in a rule file. The place is always inside the file, or just after its end. */
export interface RuleError extends Place, Span {
  readonly severity: 'error' | 'warning';
  readonly code: RuleErrorCode;
  /** One line without the place. Words of the file that it quotes are shortened and free of control characters. */
  readonly message: string;
  /** What could have stood there, to be read after 'expected'. */
  readonly expected?: string;
  /** What to write instead: a whole phrase. */
  readonly hint?: string;
  /** The other place that the message speaks of: a first definition, the rule that hides this one. */
  readonly related?: Place;
}

/** Rules that cannot come into force. The message is the first error's; all of them are in `errors`. */
export class RulesInvalidError extends Error {
  readonly code = 'rules-invalid';
  readonly errors: readonly RuleError[];
  /** The source, for `formatRuleError`. */
  readonly text: string;

  constructor(errors: readonly RuleError[], text: string) {
    const first = errors[0];
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
    super(first === undefined ? 'invalid rules' : `${heading(first)}${more}`);
    this.name = 'RulesInvalidError';
    this.errors = errors;
    this.text = text;
  }
}

/** Longest stretch of a source line that is shown. */
const SHOWN_COLUMNS = 120;

/**
 * An error for people: place and message, the source line, a caret under the word, what was expected, what to write.
 * @param sourceText the text that was parsed
 * @returns several lines without a final line end; no control characters but line ends and tabs
 */
export function formatRuleError(error: RuleError, sourceText: string): string {
  const line = lineOf(sourceText, error.line);
  const start = error.column - 1 > SHOWN_COLUMNS / 2 ? error.column - 1 - SHOWN_COLUMNS / 2 : 0;
  const shown = line.slice(start, start + SHOWN_COLUMNS);
  const before = shown.slice(0, error.column - 1 - start);
  const carets = '^'.repeat(Math.max(1, Math.min(error.length, shown.length - before.length)));
  // A tab stays a tab in the caret line, so that the caret stands under its word whatever the tab width is.
  const lines = [heading(error), `  ${printable(shown)}`, `  ${before.replace(/[^\t]/g, ' ')}${carets}`];
  if (error.expected !== undefined) lines.push(`  expected ${error.expected}`);
  if (error.hint !== undefined) lines.push(`  ${error.hint}`);
  return lines.join('\n');
}

function heading(error: RuleError): string {
  return `${printable(error.file)}:${error.line}:${error.column}: ${error.severity}: ${error.message}`;
}

function lineOf(text: string, line: number): string {
  let start = 0;
  for (let at = 1; at < line; at++) {
    const end = text.indexOf('\n', start);
    if (end < 0) return '';
    start = end + 1;
  }
  const end = text.indexOf('\n', start);
  return text.slice(start, end < 0 ? text.length : end).replace(/\r$/, '');
}

/** A rule file may be anything, also bytes that would steer a terminal. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is being removed
  return text.replace(/[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g, '?');
}

const QUOTED_CHARACTERS = 60;

/** A word of the file as messages show it. */
export function quote(text: string): string {
  const short = text.length > QUOTED_CHARACTERS ? `${text.slice(0, QUOTED_CHARACTERS - 1)}…` : text;
  return `'${printable(short).replaceAll('\t', ' ')}'`;
}

/** After so many errors a file is something else than rules; the last one says that more were left out. */
export const MAX_ERRORS = 1000;

interface Details {
  readonly expected?: string;
  readonly hint?: string;
  readonly related?: Place;
  /** A misspelt word and the words it may stand for; if one is near, it becomes the hint. */
  readonly near?: { readonly word: string; readonly among: Iterable<string> };
}

/** Details for an error: `did you mean 'x'?`, if one of these is near. */
export function didYouMean(word: string, among: Iterable<string>): Details {
  return { near: { word, among } };
}

/** Collects the errors of one file. */
export class Reports {
  readonly file: string;
  readonly errors: RuleError[] = [];

  constructor(file: string) {
    this.file = file;
  }

  error(code: RuleErrorCode, at: Span, message: string, details: Details = {}): void {
    if (this.errors.length > MAX_ERRORS) return;
    const { line, column, length } = at;
    const base = { severity: 'error', file: this.file, line, column, length } as const;
    if (this.errors.length === MAX_ERRORS) {
      this.errors.push({
        ...base,
        code: 'too-many-errors',
        message: `more than ${MAX_ERRORS} errors: the rest is not shown`,
      });
      return;
    }
    const { near, ...shown } = details;
    const meant = near === undefined ? null : closest(near.word, near.among);
    const suggestion = meant === null ? {} : { hint: `did you mean '${meant}'?` };
    this.errors.push({ ...base, code, message, ...shown, ...suggestion });
  }
}
