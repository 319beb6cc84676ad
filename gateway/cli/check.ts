import { formatRuleError, type RuleError, RulesInvalidError, type Sources } from '../../rules/errors.ts';
import { inputName, loadRules, RulesUnreadableError } from '../../rules/load.ts';
import { EXIT, Failure } from './failure.ts';
import { Output } from './output.ts';

/** `holdfast check`: 0 also with warnings, 1 for invalid rules. @returns the exit code */
export async function check(path: string, json: boolean): Promise<number> {
  const output = new Output();
  let exitCode: number = EXIT.ok;
  let result: {
    file: string;
    sources: Sources;
    errors: readonly RuleError[];
    warnings: readonly RuleError[];
    rules: number;
  };
  try {
    const { file, sources, ruleSet, warnings } = await loadRules(path);
    const rules = ruleSet.outbound.length + (ruleSet.inbound?.length ?? 0);
    result = { file, sources, errors: [], warnings, rules };
  } catch (error) {
    if (error instanceof RulesUnreadableError) throw new Failure(error.message);
    if (!(error instanceof RulesInvalidError)) throw error;
    exitCode = EXIT.no;
    const { errors, sources } = error;
    result = { file: inputName(path), sources, errors, warnings: [], rules: 0 };
  }
  if (json) {
    const { sources: _, ...shown } = result;
    output.line(JSON.stringify({ valid: exitCode === EXIT.ok, ...shown }));
  } else {
    for (const one of [...result.errors, ...result.warnings]) output.line(formatRuleError(one, result.sources));
    const { errors, warnings, rules } = result;
    const found = counted(errors.length, 'error');
    // Warnings are not looked for where there are errors.
    const all = `${counted(rules, 'rule')}, ${found}, ${counted(warnings.length, 'warning')}`;
    output.line(`${result.file}: ${exitCode === EXIT.ok ? all : found}`);
  }
  output.flush();
  return exitCode;
}

function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}
