import { type Command, Option } from 'commander';
import { checksumOption, jsonOption, vmAddresses, vmOption } from './arguments.ts';
import { Failure } from './failure.ts';

/** What is asked instead of a check; only one at a time. */
const MODES = ['format', 'formatted', 'explain', 'against', 'config'];

function mode(flags: string, description: string, name: string): Option {
  return new Option(flags, description).conflicts(MODES.filter((other) => other !== name));
}

/** Adds `holdfast check`. */
export function addCheck(program: Command): void {
  program
    .command('check')
    .description('Check a rule file: every error with its place, and rules that can never decide. Or ask more of it:')
    .argument('[rules]', "rule file, '-' for standard input, or a shipped set")
    .addOption(mode('--format', 'print the file in its usual form', 'format'))
    .option('--write', 'with --format: rewrite the file instead, if that changes it')
    .addOption(mode('--formatted', 'ask whether the file has its usual form: exit 1 if not', 'formatted'))
    .addOption(
      mode('--explain <rule>', 'say in words what a rule selects: its handle, or :LINE, or FILE:LINE', 'explain'),
    )
    .addOption(mode('--against <capture...>', 'count the frames of captures that each rule decides', 'against'))
    .addOption(
      mode('--config <file>', 'check a configuration of the gateway and every rule file that it names', 'config'),
    )
    .addOption(vmOption())
    .addOption(checksumOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Examples:
  holdfast check my.rules
  holdfast check my.rules --format --write
  holdfast check my.rules --explain :12
  holdfast check my.rules --against monday.pcapng tuesday.pcapng --vm 192.0.2.10
  holdfast check --config /etc/holdfast.yaml

Exit code: 0 ok, also with warnings; 1 the rules or the configuration are invalid, or the file is not formatted; 2 wrong usage or input.`,
    )
    .action(async (path: string | undefined, options) => {
      const json = options.json === true;
      if (options.write === true && options.format !== true) throw new Failure('--write goes with --format');
      if (options.against === undefined && (options.vm.length > 0 || options.verifyChecksums === true)) {
        throw new Failure('--vm and --verify-checksums go with --against');
      }
      if (options.config !== undefined) {
        if (path !== undefined) throw new Failure('--config names the rules to check: no others beside it');
        const { checkConfig } = await import('./check-config.ts');
        process.exitCode = await checkConfig(options.config, json);
        return;
      }
      if (path === undefined) throw new Failure("missing required argument 'rules'");
      if (options.format === true) {
        const { checkFormat } = await import('./check-format.ts');
        process.exitCode = await checkFormat(path, { write: options.write === true, json });
      } else if (options.formatted === true) {
        const { checkFormatted } = await import('./check-format.ts');
        process.exitCode = await checkFormatted(path, json);
      } else if (options.explain !== undefined) {
        const { checkExplain } = await import('./check-explain.ts');
        process.exitCode = await checkExplain(path, options.explain, json);
      } else if (options.against !== undefined) {
        if (path === '-' && options.against.includes('-')) throw new Failure('standard input can be read only once');
        const { checkAgainst } = await import('./check-against.ts');
        const vm = vmAddresses(options.vm);
        const verifyChecksums = options.verifyChecksums === true;
        process.exitCode = await checkAgainst(path, options.against, { vm, verifyChecksums, json });
      } else {
        const { check } = await import('./check.ts');
        process.exitCode = await check(path, json);
      }
    });
}
