import { compileGeneration, type Generation } from '../../classifier/classifier.ts';
import { formatRuleError, RulesInvalidError } from '../../rules/errors.ts';
import { inputName, type LoadedRules, loadRules, RulesUnreadableError } from '../../rules/load.ts';
import { EXIT, Failure } from './failure.ts';

/**
 * Loads what the user names. Invalid rules are reported whole on stderr.
 * @param exitCode for invalid rules
 * @throws Failure
 */
export async function loadRulesOrFail(path: string, exitCode: number = EXIT.usage): Promise<LoadedRules> {
  try {
    return await loadRules(path);
  } catch (error) {
    if (error instanceof RulesUnreadableError) throw new Failure(error.message);
    if (!(error instanceof RulesInvalidError)) throw error;
    for (const one of error.errors) process.stderr.write(`${formatRuleError(one, error.sources)}\n`);
    const count = error.errors.length;
    throw new Failure(`${inputName(path)}: ${count} error${count === 1 ? '' : 's'}; nothing was done`, exitCode);
  }
}

/** Loads and compiles what `--rules` names. @throws Failure with exit code 2 */
export async function loadGeneration(path: string): Promise<Generation> {
  const { ruleSet } = await loadRulesOrFail(path);
  return compileGeneration(1, ruleSet);
}
