import { type Command, Option } from 'commander';
import { checksumOption, count, countOrNone, jsonOption, positiveDuration, vmAddresses } from './arguments.ts';
import { controlOption, vmNameOption } from './control-option.ts';
import { Failure } from './failure.ts';
import type { ChangeOptions } from './rules-live.ts';

const LISTED = 50;
const NS_PER_MS = 1e6;

function confirmOption(): Option {
  const text = "take the change back unless 'holdfast rules confirm' comes within this time";
  return new Option('--confirm-within <time>', text).argParser((value) =>
    Math.max(1, Math.round(positiveDuration(value) / NS_PER_MS)),
  );
}

const checkOption = () => new Option('--check', 'only say whether the change would be made');

/** A command that speaks to a running gateway. */
function live(command: Command): Command {
  return command.addOption(vmNameOption()).addOption(controlOption()).addOption(jsonOption());
}

function changing(command: Command): Command {
  return live(command.addOption(checkOption()).addOption(confirmOption()));
}

/** Adds the commands of `holdfast rules` that are for a running gateway. */
export function addLiveRules(rules: Command): void {
  addEdits(rules);
  addWhole(rules);
  live(
    rules
      .command('list')
      .description('List the rules in force: handle, frames, bytes, and when a frame met each last.'),
  ).action(async (options) => {
    const { rulesList } = await import('./rules-live.ts');
    process.exitCode = await rulesList(options);
  });
  live(
    rules.command('history').description('List generations of rules: when each came, who made it, and its state.'),
  ).action(async (options) => {
    const { rulesHistory } = await import('./rules-live.ts');
    process.exitCode = await rulesHistory(options);
  });
  changing(
    rules
      .command('rollback')
      .description('Put the rules of an earlier generation into force again, as a new one.')
      .argument('<generation>', "a number that 'holdfast rules history' lists", count),
  ).action(async (generation: number, options: ChangeOptions) => {
    const { rulesRollback } = await import('./rules-live.ts');
    process.exitCode = await rulesRollback(generation, options);
  });
  live(rules.command('confirm').description('Let the change stay that waits to be confirmed.')).action(
    async (options) => {
      const { rulesConfirm } = await import('./rules-live.ts');
      process.exitCode = await rulesConfirm(options);
    },
  );
  live(
    rules
      .command('audit')
      .description("Show what the rules that 'apply --audit' tries beside those in force would have done.")
      .option('--end', 'end it'),
  ).action(async (options) => {
    const { rulesAudit } = await import('./rules-audit.ts');
    process.exitCode = await rulesAudit(options.end === true, options);
  });
}

function addEdits(rules: Command): void {
  const inbound = () => new Option('--inbound', 'in the inbound block');
  changing(
    rules
      .command('add')
      .description('Add a rule to the rules in force: below another, or at the end of its block, above its default.')
      .argument('<rule...>', "a rule: 'udp dport 5060 class control'")
      .addOption(new Option('--after <handle>', 'below this rule').argParser(count))
      .addOption(inbound()),
  ).action(async (words: string[], options) => {
    const { rulesEdit } = await import('./rules-live.ts');
    const after = options.after === undefined ? {} : { after: options.after };
    process.exitCode = await rulesEdit(
      { method: 'rules.add', rule: words.join(' '), ...blockOf(options), ...after },
      options,
    );
  });
  changing(
    rules
      .command('insert')
      .description('Insert a rule into the rules in force: above another, or at the start of its block.')
      .argument('<rule...>', 'a rule')
      .addOption(new Option('--before <handle>', 'above this rule').argParser(count))
      .addOption(inbound()),
  ).action(async (words: string[], options) => {
    const { rulesEdit } = await import('./rules-live.ts');
    const before = options.before === undefined ? {} : { before: options.before };
    process.exitCode = await rulesEdit(
      { method: 'rules.insert', rule: words.join(' '), ...blockOf(options), ...before },
      options,
    );
  });
  changing(
    rules
      .command('replace')
      .description('Put another rule in the place of one.')
      .argument('<handle>', "the rule's number in 'holdfast rules list'", count)
      .argument('<rule...>', 'a rule'),
  ).action(async (handle: number, words: string[], options) => {
    const { rulesEdit } = await import('./rules-live.ts');
    process.exitCode = await rulesEdit({ method: 'rules.replace', handle, rule: words.join(' ') }, options);
  });
  changing(
    rules
      .command('delete')
      .description('Delete a rule from the rules in force.')
      .argument('<handle>', "the rule's number in 'holdfast rules list'", count),
  ).action(async (handle: number, options) => {
    const { rulesEdit } = await import('./rules-live.ts');
    process.exitCode = await rulesEdit({ method: 'rules.delete', handle }, options);
  });
}

function blockOf({ inbound }: { readonly inbound?: boolean }): { readonly block?: 'inbound' } {
  return inbound === true ? { block: 'inbound' } : {};
}

function addWhole(rules: Command): void {
  changing(
    rules
      .command('apply')
      .description('Put a rule file, with those that it includes, in place of the rules in force.')
      .argument('<file>', "rule file, '-' for standard input, or a shipped set")
      .option('--audit', 'do not apply it: count what it would do, beside the rules in force')
      .option('--replay <capture...>', 'first list the frames of captures whose verdict would change, and ask')
      .option('--yes', 'with --replay: do not ask')
      .option(
        '--addr <addr>',
        'with --replay: MAC, IP or prefix of the VM: what it sent is outbound (repeatable)',
        collect,
        [],
      )
      .option('--limit <n>', 'with --replay: list so many frames; the summary counts all', countOrNone, LISTED)
      .addOption(checksumOption())
      .addHelpText(
        'after',
        `
Examples:
  holdfast rules apply new.rules --confirm-within 60s
  holdfast rules apply new.rules --replay monday.pcapng --addr 192.0.2.10
  holdfast rules apply new.rules --audit, and later: holdfast rules audit

Exit code: 0 done, 1 refused or not wanted, 2 wrong usage or input, no gateway there, or no answer.`,
      ),
  ).action(async (path: string, options) => {
    if (options.replay === undefined && (options.yes || options.addr.length > 0 || options.verifyChecksums)) {
      throw new Failure('--yes, --addr and --verify-checksums go with --replay');
    }
    if (options.audit && (options.check || options.confirmWithin !== undefined || options.replay !== undefined)) {
      throw new Failure('--audit changes nothing: --check, --confirm-within and --replay do not go with it');
    }
    if ([path, ...(options.replay ?? [])].filter((name) => name === '-').length > 1) {
      throw new Failure('standard input can be read only once');
    }
    const { rulesApply } = await import('./rules-apply.ts');
    const vm = vmAddresses(options.addr);
    const { verifyChecksums = false, limit, json = false } = options;
    const replay = { vm, verifyChecksums, limit, json };
    process.exitCode = await rulesApply(
      path,
      options.replay === undefined ? null : { ...replay, captures: options.replay },
      options,
    );
  });
  live(
    rules
      .command('check')
      .description(
        "Say whether a running gateway would take a rule file, in place of the rules in force ('holdfast check' needs none).",
      )
      .argument('<file>', "rule file, '-' for standard input, or a shipped set"),
  ).action(async (path: string, options) => {
    const { rulesApply } = await import('./rules-apply.ts');
    process.exitCode = await rulesApply(path, null, { ...options, check: true });
  });
  live(
    rules
      .command('edit')
      .description(
        'Edit the rules in force with $VISUAL or $EDITOR; they are checked, and applied when they have no errors.',
      )
      .addOption(confirmOption()),
  ).action(async (options: ChangeOptions) => {
    const { rulesEditText } = await import('./rules-edit-text.ts');
    process.exitCode = await rulesEditText(options);
  });
}

function collect(text: string, before: string[]): string[] {
  return [...before, text];
}
