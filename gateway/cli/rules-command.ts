import { type Command, Option } from 'commander';
import { checksumOption, count, countOrNone, jsonOption, vmAddresses, vmOption } from './arguments.ts';
import { controlOption } from './control-option.ts';
import { Failure } from './failure.ts';
import { addLiveRules } from './rules-live-command.ts';

/** Differences that are listed where the user says nothing else. */
const LISTED = 50;

/** Adds `holdfast rules` and its commands. */
export function addRules(program: Command): void {
  const rules = program
    .command('rules')
    .description(
      'List, change and compare the rules of a running gateway; compare rule files, and import rules from nft.',
    );

  rules
    .command('diff')
    .description(
      'Say what differs between two rule files, or with one from the rules in force, or between generations; with captures, which frames get another verdict.',
    )
    .argument('[old]', "rule file, '-' for standard input, or a shipped set")
    .argument('[new]', 'the same')
    .addOption(new Option('--from <generation>', 'of a running gateway; by default what is in force').argParser(count))
    .addOption(new Option('--to <generation>', 'the same').argParser(count))
    .option('--replay <capture...>', 'list the frames of captures whose verdict, class or order differs')
    .option('--limit <n>', 'with --replay: list so many frames; the summary counts all', countOrNone, LISTED)
    .addOption(vmOption())
    .addOption(checksumOption())
    .addOption(controlOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Examples:
  holdfast rules diff my.rules new.rules
  holdfast rules diff new.rules
  holdfast rules diff --from 3
  holdfast rules diff my.rules new.rules --replay monday.pcapng --vm 192.0.2.10

Exit code: 0 no difference, 1 differences, 2 invalid rules, wrong usage or input.`,
    )
    .action(async (before: string | undefined, after: string | undefined, options) => {
      if (before === undefined || after === undefined) {
        const { rulesDiffLive } = await import('./rules-diff-live.ts');
        process.exitCode = await rulesDiffLive(before ?? null, options);
        return;
      }
      if (options.from !== undefined || options.to !== undefined || options.control !== undefined) {
        throw new Failure('--from, --to and --control are for the rules of a running gateway, not for two files');
      }
      if ([before, after, ...(options.replay ?? [])].filter((name) => name === '-').length > 1)
        throw new Failure('standard input can be read only once');
      const json = options.json === true;
      if (options.replay === undefined) {
        if (options.vm.length > 0 || options.verifyChecksums === true) {
          throw new Failure('--vm and --verify-checksums go with --replay');
        }
        const { rulesDiff } = await import('./rules-diff.ts');
        process.exitCode = await rulesDiff(before, after, json);
        return;
      }
      const { rulesDiffReplay } = await import('./rules-diff-replay.ts');
      const vm = vmAddresses(options.vm);
      process.exitCode = await rulesDiffReplay(before, after, options.replay, {
        vm,
        verifyChecksums: options.verifyChecksums === true,
        limit: options.limit,
        json,
      });
    });

  rules
    .command('from-nft')
    .description("Make a rule file from what 'nft list ruleset' prints, as far as Holdfast has its matches.")
    .argument('<file>', "an nft ruleset, '-' for standard input")
    .option(
      '--chain <name>',
      "the chain to import, such as 'output' or 'inet filter output' (default: of those with rules, the first of hook output, forward, egress, ingress, postrouting, prerouting)",
    )
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Examples:
  nft list ruleset | holdfast rules from-nft - > my.rules
  holdfast rules from-nft ruleset.nft --chain forward

The rules go to standard output; what was not taken is told on standard error, with its line and reason.

Exit code: 0 all was taken, 1 something was not, 2 wrong usage or input.`,
    )
    .action(async (path: string, options) => {
      const { rulesFromNft } = await import('./rules-from-nft.ts');
      process.exitCode = await rulesFromNft(path, options.chain ?? null, options.json === true);
    });

  addLiveRules(rules);
}
