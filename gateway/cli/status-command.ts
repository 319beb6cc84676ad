import { type Command, Option } from 'commander';
import { count, jsonOption, positiveDuration } from './arguments.ts';
import { type ControlOptions, controlOption } from './control-option.ts';

const EXIT_CODES = '\nExit code: 0 ok, 1 refused, 2 wrong usage, no gateway there, or no answer.';

function intervalOption(): Option {
  return new Option('--interval <time>', 'time between two looks').argParser(positiveDuration).default(1e9, '1s');
}

interface WatchOptions extends ControlOptions {
  readonly watch?: boolean;
  readonly interval: number;
  readonly count?: number;
}

/** Adds `holdfast status`, `holdfast metrics` and `holdfast top`. */
export function addStatus(program: Command): void {
  program
    .command('status')
    .description('Say how the VMs and ports of a running gateway are, and what became of their frames.')
    .option('--watch', 'say it again and again')
    .addOption(intervalOption())
    .option('--count <n>', 'with --watch: so many times', count)
    .addOption(controlOption())
    .addOption(jsonOption())
    .addHelpText('after', EXIT_CODES)
    .action(async (options: WatchOptions) => {
      const { status } = await import('./status.ts');
      process.exitCode = await status(options, options.watch === true ? (options.count ?? null) : 1, options.interval);
    });

  program
    .command('metrics')
    .description("Print a running gateway's metrics, as Prometheus reads them.")
    .addOption(controlOption())
    .addOption(jsonOption())
    .addHelpText('after', EXIT_CODES)
    .action(async (options: ControlOptions) => {
      const { metrics } = await import('./status.ts');
      process.exitCode = await metrics(options);
    });

  program
    .command('top')
    .description('Watch a running gateway: what is held, what flows, and how fast.')
    .addOption(intervalOption())
    .option('--count <n>', 'end after so many looks', count)
    .addOption(controlOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
On a terminal: q ends, the space bar pauses, arrow keys scroll. Elsewhere one block is printed at each look.
${EXIT_CODES}`,
    )
    .action(async (options: WatchOptions) => {
      const { top } = await import('./top.ts');
      process.exitCode = await top(options, options.count ?? null, options.interval);
    });
}
