import { formatRuleError, type RuleError, RulesInvalidError, type Sources } from '../../rules/errors.ts';
import { loadRules, RulesUnreadableError } from '../../rules/load.ts';
import { parseConfig, readConfigFile } from '../config-file.ts';
import type { NamedTlsFiles } from '../config-listen.ts';
import { type ConfigError, ConfigUnreadableError, formatConfigError } from '../config-problem.ts';
import type { NamedRules } from '../config-schema.ts';
import { readTlsFiles, TlsFilesError } from '../host/tls-files.ts';
import { EXIT, Failure } from './failure.ts';
import { Output } from './output.ts';

interface CheckedRules {
  readonly path: string;
  /** The VMs that use it. */
  readonly vms: string[];
  readonly rules: number;
  readonly errors: readonly RuleError[];
  readonly warnings: readonly RuleError[];
  readonly sources: Sources;
}

/**
 * `holdfast check --config`: what is wrong with a configuration, and with the rule files and certificates that it names.
 * @returns the exit code: 0 also with warnings, 1 if it cannot work
 * @throws Failure if the configuration cannot be read
 */
export async function checkConfig(path: string, json: boolean): Promise<number> {
  const { config, errors, rules, tlsFiles } = parseConfig(await read(path), path);
  const unreadable: ConfigError[] = [];
  const checked = new Map<string, CheckedRules | null>();
  for (const named of rules) {
    const before = checked.get(named.path);
    if (before === undefined) checked.set(named.path, await checkRules(named, unreadable));
    else before?.vms.push(named.vm);
  }
  for (const named of tlsFiles) await checkTlsFiles(named, unreadable);
  const ruleFiles = [...checked.values()].filter((one) => one !== null);
  const configErrors = [...errors, ...unreadable];
  const ruleErrors = ruleFiles.flatMap((one) => one.errors);
  const warnings = ruleFiles.flatMap((one) => one.warnings);
  const valid = configErrors.length + ruleErrors.length === 0;
  const output = new Output();
  if (json) {
    const files = ruleFiles.map(({ path: file, vms, rules: count }) => ({ file, vms, rules: count }));
    const vms = config?.vms.length ?? null;
    const all = [...configErrors.map(flat), ...ruleErrors];
    output.line(JSON.stringify({ valid, file: path, errors: all, warnings, vms, ruleFiles: files }));
  } else {
    for (const one of configErrors) output.line(formatConfigError(one));
    for (const { errors: wrong, warnings: doubtful, sources } of ruleFiles) {
      for (const one of [...wrong, ...doubtful]) output.line(formatRuleError(one, sources));
    }
    const found = [counted(configErrors.length + ruleErrors.length, 'error'), counted(warnings.length, 'warning')];
    const parts = config === null ? [] : [counted(config.vms.length, 'VM'), counted(ruleFiles.length, 'rule file')];
    output.line(`${path}: ${[...parts, ...found].join(', ')}`);
  }
  output.flush();
  return valid ? EXIT.ok : EXIT.no;
}

async function read(path: string): Promise<string> {
  try {
    return await readConfigFile(path);
  } catch (error) {
    throw error instanceof ConfigUnreadableError ? new Failure(error.message) : error;
  }
}

/** @param unreadable receives an error where the file cannot be read; then the result is null */
async function checkRules({ vm, path, place }: NamedRules, unreadable: ConfigError[]): Promise<CheckedRules | null> {
  try {
    const { ruleSet, warnings, sources } = await loadRules(path);
    const rules = ruleSet.outbound.length + (ruleSet.inbound?.length ?? 0);
    return { path, vms: [vm], rules, errors: [], warnings, sources };
  } catch (error) {
    if (error instanceof RulesInvalidError) {
      return { path, vms: [vm], rules: 0, errors: error.errors, warnings: [], sources: error.sources };
    }
    if (!(error instanceof RulesUnreadableError)) throw error;
    unreadable.push({ code: 'bad-value', place, message: error.message });
    return null;
  }
}

/** @param unfit receives an error where one of the files is of no use */
async function checkTlsFiles({ files, place }: NamedTlsFiles, unfit: ConfigError[]): Promise<void> {
  try {
    await readTlsFiles(files);
  } catch (error) {
    if (!(error instanceof TlsFilesError)) throw error;
    unfit.push({ code: 'bad-value', place, message: error.message });
  }
}

/** As errors of rules are shown to programs. */
function flat({ place, ...error }: ConfigError): Record<string, unknown> {
  return { ...place, severity: 'error', ...error };
}

function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}
