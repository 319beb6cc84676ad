import { type RuleError, RulesInvalidError, type Sources } from './errors.ts';
import { includeFrom } from './include.ts';
import { parseRules } from './parse.ts';
import type { RuleSet } from './rule.ts';

/** A rule file with all files that it includes, as they were read: it can be parsed again without the disk. */
export interface RuleSources {
  /** The main file's name. */
  readonly file: string;
  /** By file name; has the main file. */
  readonly texts: Sources;
}

/** @throws RulesInvalidError with all errors */
export function parseSources({ file, texts }: RuleSources): {
  readonly ruleSet: RuleSet;
  readonly warnings: readonly RuleError[];
} {
  const { ruleSet, errors, warnings, sources } = parseRules(texts.get(file)!, file, { resolve: includeFrom(texts) });
  if (ruleSet === null) throw new RulesInvalidError(errors, sources);
  return { ruleSet, warnings };
}
