import { expect } from 'vitest';
import { formatRuleError } from '../../rules/errors.ts';
import { parseRules } from '../../rules/parse.ts';
import type { FieldMatch, Match, Rule } from '../../rules/rule.ts';

/** The rules of a file that is `data` and `control` and these lines; the test fails if there are errors. */
export function rulesOf(...lines: readonly string[]): readonly Rule[] {
  const text = fileOf(...lines);
  const { ruleSet, errors } = parseRules(text, 'test.rules');
  expect(errors.map((error) => formatRuleError(error, text))).toEqual([]);
  return ruleSet!.outbound;
}

/** Line 4 is the first of `lines`. */
export function fileOf(...lines: readonly string[]): string {
  return ['class data pass', 'class control hold', 'outbound {', ...lines, '}', ''].join('\n');
}

export function matchesOf(match: string): readonly Match[] {
  return rulesOf(`${match} class data`)[0]!.matches;
}

/** `5-10 20` for a field match, with `!` before it where negated and `&mask ` where masked. */
export function valuesOf(match: string): string {
  const [only, ...others] = matchesOf(match);
  expect(others).toEqual([]);
  const { negated, mask, intervals } = only as FieldMatch;
  const values = intervals.map(({ low, high }) => (low === high ? `${low}` : `${low}-${high}`)).join(' ');
  return `${negated ? '!' : ''}${mask === null ? '' : `&${mask} `}${values}`;
}

/**
 * A mistake, in words; the text that has it, whole or as lines inside `outbound`, of which the first is line 4; and all that is
 * said about it.
 */
export type MessageCase = readonly [mistake: string, text: string, expected: readonly string[]];

/** The lines that are shown for the errors of a file called `r`. */
export function shownErrors(text: string): readonly string[] {
  return parseRules(text, 'r').errors.flatMap((error) => formatRuleError(error, text).split('\n'));
}
