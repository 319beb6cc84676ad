import { compileGeneration, type Generation } from '../../classifier/classifier.ts';
import { formatRuleError, RulesInvalidError } from '../../rules/errors.ts';
import { loadRules, RulesUnreadableError } from '../../rules/load.ts';
import { EXIT, Failure } from './failure.ts';

/**
 * Loads and compiles what `--rules` names. Invalid rules are reported whole on stderr.
 * @throws Failure with exit code 2
 */
export async function loadGeneration(path: string): Promise<Generation> {
  try {
    const { ruleSet } = await loadRules(path);
    return compileGeneration(1, ruleSet);
  } catch (error) {
    if (error instanceof RulesUnreadableError) throw new Failure(error.message);
    if (!(error instanceof RulesInvalidError)) throw error;
    for (const one of error.errors) process.stderr.write(`${formatRuleError(one, error.sources)}\n`);
    const count = error.errors.length;
    throw new Failure(`${path}: ${count} error${count === 1 ? '' : 's'}; nothing was done`, EXIT.usage);
  }
}
