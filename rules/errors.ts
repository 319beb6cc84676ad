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
  'second-inbound',
  'no-outbound',
  'inbound-hold',
  'bad-option',
  'missing-brace',
  'missing-verdict',
  'missing-match',
  'second-default',
  'after-default',
  'unknown-app',
  'unknown-app-type',
  'conflicting-protocols',
  'outside-mask',
  'bad-value',
  'out-of-range',
  'reversed-range',
  'host-bits',
  'empty-set',
  'unknown-set',
  'set-redefined',
  'set-type',
  'missing-type',
  'overlap',
  'missing-flag',
  'bad-duration',
  'unknown-define',
  'redefined',
  'include-failed',
  'include-cycle',
  'include-depth',
  'too-large',
  'too-many-errors',
  'duplicate-rule',
  'shadowed-rule',
  'conflicting-rule',
  'never-matches',
  'unused-class',
  'unused-set',
  'claim-broken',
  'claim-empty',
  'claim-unchecked',
  'unused-define',
  'duplicate-element',
] as const;
export type RuleErrorCode = (typeof RULE_ERROR_CODES)[number];

/**
 * A stretch of one line. Columns count from 1, column and length in UTF-16 units. Lines count from 1 over all the files that
 * are read together, one after another: `Reports.place` tells which file's line it is.
 */
export interface Span {
  readonly line: number;
  readonly column: number;
  readonly length: number;
}

/** One thing that is wrong, or doubtful, in a rule file. The place is always inside the file, or just after its end. */
export interface RuleError extends Place {
  /** UTF-16 units of the line that the error is about. */
  readonly length: number;
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

/** The text of each file that was read, by the name that places carry. */
export type Sources = ReadonlyMap<string, string>;

/** Rules that cannot come into force. The message is the first error's; all of them are in `errors`. */
export class RulesInvalidError extends Error {
  readonly code = 'rules-invalid';
  readonly errors: readonly RuleError[];
  /** For `formatRuleError`. */
  readonly sources: Sources;

  constructor(errors: readonly RuleError[], sources: Sources) {
    const first = errors[0];
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
    super(first === undefined ? 'invalid rules' : `${heading(first)}${more}`);
    this.name = 'RulesInvalidError';
    this.errors = errors;
    this.sources = sources;
  }
}

/** Longest stretch of a source line that is shown. */
const SHOWN_COLUMNS = 120;

/**
 * An error for people: place and message, the source line, a caret under the word, what was expected, what to write.
 * @param source the text of the error's file, or of all files
 * @returns several lines without a final line end; no control characters but line ends and tabs
 */
export function formatRuleError(error: RuleError, source: string | Sources): string {
  const line = lineOf(typeof source === 'string' ? source : (source.get(error.file) ?? ''), error.line);
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

/** @param line from 1 @returns that line of the text, without its end */
export function lineOf(text: string, line: number): string {
  let start = 0;
  for (let at = 1; at < line; at++) {
    const end = text.indexOf('\n', start);
    if (end < 0) return '';
    start = end + 1;
  }
  const end = text.indexOf('\n', start);
  return text.slice(start, end < 0 ? text.length : end).replace(/\r$/, '');
}

/** A file may be anything, also bytes that would steer a terminal: they become `?`. */
export function printable(text: string): string {
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

/** `line 5`, or `line 5 of 'other.rules'` seen from another file. */
export function lineText(place: Place, from: { readonly file: string }): string {
  return `line ${place.line}${place.file === from.file ? '' : ` of ${quote(place.file)}`}`;
}

/** A `$NAME` that was replaced by what it stands for. */
interface Use {
  readonly name: string;
  readonly definedAt: Span;
}

/** Collects what is wrong in the files that are read together, and knows which line is which file's. */
export class Reports {
  /** The first file. */
  readonly file: string;
  readonly #firstLines: number[] = [1];
  readonly #files: string[] = [];
  /** By line and column. */
  readonly #uses = new Map<string, Use>();
  readonly #errors: RuleError[] = [];
  readonly #warnings: RuleError[] = [];

  constructor(file: string) {
    this.file = file;
    this.#files = [file];
  }

  /** Lines from `firstLine` on are those of `file`. Files must be added in the order of their lines. */
  addFile(file: string, firstLine: number): void {
    this.#files.push(file);
    this.#firstLines.push(firstLine);
  }

  /** @param file one that was added; where it was more than once, the first time */
  firstLineOf(file: string): number {
    return this.#firstLines[this.#files.indexOf(file)]!;
  }

  /** What is reported at `at` from now on is said to come from a definition. */
  addUse(at: Span, name: string, definedAt: Span): void {
    this.#uses.set(`${at.line}:${at.column}`, { name, definedAt });
  }

  place({ line, column }: Span): Place {
    let low = 0;
    for (let high = this.#firstLines.length; high - low > 1; ) {
      const middle = (low + high) >> 1;
      if (this.#firstLines[middle]! <= line) low = middle;
      else high = middle;
    }
    return { file: this.#files[low]!, line: line - this.#firstLines[low]! + 1, column };
  }

  /** Where `at` is, in words, seen from `from`. */
  lineText(at: Span, from: Span): string {
    return lineText(this.place(at), this.place(from));
  }

  /** Sorted by place, file by file; what is wrong in a file that is included twice is told once. */
  get errors(): RuleError[] {
    return this.#sorted(this.#errors);
  }

  /** In the same order. */
  get warnings(): RuleError[] {
    return this.#sorted(this.#warnings);
  }

  #sorted(reports: readonly RuleError[]): RuleError[] {
    const told = new Map(reports.map((one) => [`${one.line}:${one.column} ${one.message} ${one.file}`, one]));
    const order = new Map([...this.#files].reverse().map((file, index) => [file, -index]));
    return [...told.values()].sort(
      (a, b) => order.get(a.file)! - order.get(b.file)! || a.line - b.line || a.column - b.column,
    );
  }

  error(code: RuleErrorCode, at: Span, message: string, details: Details = {}): void {
    this.#add(this.#errors, 'error', code, at, message, details);
  }

  warning(code: RuleErrorCode, at: Span, message: string, details: Details = {}): void {
    this.#add(this.#warnings, 'warning', code, at, message, details);
  }

  #add(
    list: RuleError[],
    severity: RuleError['severity'],
    code: RuleErrorCode,
    at: Span,
    message: string,
    details: Details,
  ): void {
    if (list.length > MAX_ERRORS) return;
    const base = { severity, ...this.place(at), length: at.length } as const;
    if (list.length === MAX_ERRORS) {
      const tooMany = `more than ${MAX_ERRORS} ${severity}s: the rest is not shown`;
      list.push({ ...base, code: 'too-many-errors', message: tooMany });
      return;
    }
    const { near, ...shown } = details;
    const meant = near === undefined ? null : closest(near.word, near.among);
    const suggestion = meant === null ? {} : { hint: `did you mean '${meant}'?` };
    const use = this.#uses.get(`${at.line}:${at.column}`);
    const defined = use === undefined ? {} : { related: this.place(use.definedAt) };
    const from = use === undefined ? '' : `, in ${quote(`$${use.name}`)} of ${this.lineText(use.definedAt, at)}`;
    list.push({ ...base, code, message: message + from, ...defined, ...shown, ...suggestion });
  }
}
