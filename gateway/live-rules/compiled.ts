import { createHash } from 'node:crypto';
import { compileTables, type GenerationTables } from '../../classifier/classifier.ts';
import { type RuleError, RulesInvalidError } from '../../rules/errors.ts';
import { includeFrom } from '../../rules/include.ts';
import { parseRules } from '../../rules/parse.ts';
import type { RuleSet } from '../../rules/rule.ts';
import type { RuleSources } from '../../rules/sources.ts';

/** A rule text with all that takes long to make of it. Plain data. */
export interface CompiledRuleText {
  /** Without files that the text does not include. */
  readonly sources: RuleSources;
  readonly ruleSet: RuleSet;
  readonly warnings: readonly RuleError[];
  readonly tables: GenerationTables;
  /** Of the sources: tells texts apart. */
  readonly hash: string;
}

/** @throws RulesInvalidError with all errors */
export function compileText({ file, texts }: RuleSources): CompiledRuleText {
  const { ruleSet, errors, warnings, sources } = parseRules(texts.get(file)!, file, { resolve: includeFrom(texts) });
  if (ruleSet === null) throw new RulesInvalidError(errors, sources);
  return whole({ file, texts: new Map(sources) }, ruleSet, warnings);
}

/** @param sources without errors */
export function whole(sources: RuleSources, ruleSet: RuleSet, warnings: readonly RuleError[]): CompiledRuleText {
  return { sources, ruleSet, warnings, tables: compileTables(ruleSet), hash: hashOf(sources) };
}

function hashOf({ file, texts }: RuleSources): string {
  const hash = createHash('sha256').update(JSON.stringify(file));
  for (const [name, text] of [...texts].sort(([a], [b]) => (a < b ? -1 : 1))) hash.update(JSON.stringify([name, text]));
  return hash.digest('hex');
}
