import { type Command, Option } from 'commander';
import { count, jsonOption, positiveDuration } from './arguments.ts';
import { controlOption, vmNameOption } from './control-option.ts';
import type { SetOptions } from './set.ts';

/** Adds `holdfast set` and its commands. */
export function addSet(program: Command): void {
  const set = program
    .command('set')
    .description("List and change the dynamic sets of a running gateway's rules ('flags timeout' or 'flags dynamic').")
    .addHelpText(
      'after',
      `
Examples:
  holdfast set add rtp '192.0.2.1 . 16384' '192.0.2.1 . 16386' --timeout 30s
  holdfast set delete rtp '192.0.2.1 . 16384'
  holdfast set list rtp

Exit code: 0 all was done; 1 refused, or not all elements were; 2 wrong usage, no gateway there, or no answer.`,
    );

  set
    .command('add')
    .description('Add elements; those that are there already get a new timeout.')
    .argument('<set>', "the set's name")
    .argument('<element...>', 'as in rules: 192.0.2.1, 10.0.0.0/8, 192.0.2.1 . 5060')
    .addOption(new Option('--timeout <time>', "how long they stay (default: the set's)").argParser(positiveDuration))
    .addOption(vmNameOption())
    .addOption(controlOption())
    .addOption(jsonOption())
    .action(async (name: string, elements: string[], options: SetOptions) => {
      const { setAdd } = await import('./set.ts');
      process.exitCode = await setAdd(name, elements, options);
    });

  set
    .command('delete')
    .description('Delete elements.')
    .argument('<set>', "the set's name")
    .argument('<element...>', 'as they were added')
    .addOption(vmNameOption())
    .addOption(controlOption())
    .addOption(jsonOption())
    .action(async (name: string, elements: string[], options: SetOptions) => {
      const { setDelete } = await import('./set.ts');
      process.exitCode = await setDelete(name, elements, options);
    });

  set
    .command('list')
    .description('List the sets there are, or the elements of one.')
    .argument('[set]', "the set's name")
    .option('--limit <n>', 'list so many elements at the most', count)
    .addOption(vmNameOption())
    .addOption(controlOption())
    .addOption(jsonOption())
    .action(async (name: string | undefined, options: SetOptions) => {
      const { setList } = await import('./set.ts');
      process.exitCode = await setList(name ?? null, options);
    });
}
