import { printable } from '../rules/errors.ts';
import type { Place } from '../rules/rule.ts';
import { closest } from '../rules/suggest.ts';

/** What is wrong with a configuration, for programs; stable. */
export type ConfigErrorCode =
  | 'syntax'
  | 'unknown-key'
  | 'duplicate-key'
  | 'missing'
  | 'bad-value'
  | 'conflict'
  | 'too-many-errors';

/** Where a person wrote it: in a file, or an option of the command line. */
export type ConfigPlace = Place | { readonly option: string };

/** One thing that is wrong with a configuration. */
export interface ConfigError {
  readonly code: ConfigErrorCode;
  readonly place: ConfigPlace;
  /** One line without the place. */
  readonly message: string;
  /** What could have stood there, to be read after 'expected'. */
  readonly expected?: string;
  /** What to write instead, or why: a whole phrase. */
  readonly hint?: string;
}

interface Details {
  readonly expected?: string | undefined;
  readonly hint?: string | undefined;
  /** A misspelt word and the words it may stand for; if one is near, it becomes the hint. */
  readonly near?: { readonly word: string; readonly among: readonly string[] };
}

/** After so many errors a file is something else than a configuration. */
const MAX_ERRORS = 100;

/** Collects what is wrong, so that all of it is told at once. */
export class ConfigProblems {
  readonly #errors: ConfigError[] = [];

  get count(): number {
    return this.#errors.length;
  }

  /** In the order of their places in the file, or of the options. */
  get errors(): readonly ConfigError[] {
    const sorted = [...this.#errors].sort((a, b) => line(a) - line(b) || column(a) - column(b));
    if (sorted.length <= MAX_ERRORS) return sorted;
    const message = `more than ${MAX_ERRORS} errors: the rest is not shown`;
    return [...sorted.slice(0, MAX_ERRORS), { code: 'too-many-errors', place: sorted[MAX_ERRORS]!.place, message }];
  }

  add(code: ConfigErrorCode, place: ConfigPlace, message: string, { expected, hint, near }: Details = {}): void {
    const meant = near === undefined ? null : closest(near.word, near.among);
    const advice = meant === null ? hint : `did you mean '${meant}'?`;
    this.#errors.push({
      code,
      place,
      message,
      ...(expected === undefined ? {} : { expected }),
      ...(advice === undefined ? {} : { hint: advice }),
    });
  }
}

function line({ place }: ConfigError): number {
  return 'line' in place ? place.line : 0;
}

function column({ place }: ConfigError): number {
  return 'column' in place ? place.column : 0;
}

/** @returns `FILE:LINE:COLUMN`, or the option's name */
export function placeText(place: ConfigPlace): string {
  return 'option' in place ? place.option : `${printable(place.file)}:${place.line}:${place.column}`;
}

/** @returns one line: `FILE:LINE:COLUMN: message, expected … (hint)` */
export function formatConfigError({ place, message, expected, hint }: ConfigError): string {
  const wanted = expected === undefined ? '' : `, expected ${expected}`;
  return `${placeText(place)}: ${message}${wanted}${hint === undefined ? '' : ` (${hint})`}`;
}

/** A configuration that cannot work. The message has a line for each error. */
export class ConfigInvalidError extends Error {
  readonly code = 'config-invalid';
  readonly errors: readonly ConfigError[];

  constructor(errors: readonly ConfigError[]) {
    super(errors.map(formatConfigError).join('\n'));
    this.name = 'ConfigInvalidError';
    this.errors = errors;
  }
}

/** The file cannot be read at all; the message names it and says why. */
export class ConfigUnreadableError extends Error {
  readonly code = 'config-unreadable';

  constructor(file: string, why: string) {
    super(`cannot read configuration '${file}': ${why}`);
    this.name = 'ConfigUnreadableError';
  }
}
