import { lineOf, type RuleError, type Sources } from '../../rules/errors.ts';

/** One thing that is wrong in a rule text, with the line that it is about: enough to show it without the text. */
export interface RuleProblem extends RuleError {
  readonly source: string;
}

/** Of a line: what is longer is for no screen. */
const SHOWN_CHARACTERS = 400;

export function ruleProblem(error: RuleError, sources: Sources): RuleProblem {
  const source = lineOf(sources.get(error.file) ?? '', error.line);
  // Cut only where the place that the error is about is not.
  return { ...error, source: source.slice(0, Math.max(SHOWN_CHARACTERS, error.column + error.length)) };
}
