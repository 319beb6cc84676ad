#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Argument, Command, CommanderError, Option } from 'commander';
import { DEFAULT_LIMITS } from '../occupancy.ts';
import {
  bytes,
  checksumOption,
  count,
  duration,
  jsonOption,
  positiveDuration,
  rulesOption,
  vmAddresses,
  vmOption,
} from './arguments.ts';
import { addBridge } from './bridge-command.ts';
import { addCapture } from './capture-command.ts';
import { addCheck } from './check-command.ts';
import { completion, SHELLS, type Shell } from './completion.ts';
import { controlOption } from './control-option.ts';
import { addDisk } from './disk-command.ts';
import { addDoctor } from './doctor-command.ts';
import { EXIT, Failure } from './failure.ts';
import { addHost } from './host-command.ts';
import { addProtect } from './protect-command.ts';
import { addRules } from './rules-command.ts';
import { addRun } from './run-command.ts';
import { addSet } from './set-command.ts';
import { addStandby } from './standby-command.ts';
import { addStatus } from './status-command.ts';

const VERSION: string = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')).version;

const MISSING_COMMAND = "a command is missing: see 'holdfast --help'";

/** A command's own modules are loaded when it is called: most of the time that a small job takes is loading. */
function program(): Command {
  const holdfast = new Command('holdfast')
    .description(
      'Output commit for a replicated VM: data frames leave at once, control frames wait for their checkpoint.',
    )
    .version(VERSION)
    .helpOption('-h, --help', 'show help')
    .configureOutput({ outputError: () => {} })
    .exitOverride();

  holdfast
    .command('explain')
    .description('Print the verdict of every frame of captures, and why.')
    .argument('[capture...]', "pcap or pcapng file, also gzipped; '-' is standard input")
    .addOption(rulesOption())
    .addOption(vmOption())
    .option(
      '--live [match...]',
      "show frames as they pass a running gateway, those that a rule's matches select: --live udp dport 5060 (with --vm its name)",
    )
    .option('--rate <n>', 'with --live: so many frames a second at the most, up to 1000 (default: 10)', count)
    .option('--count <n>', 'with --live: end after so many frames', count)
    .addOption(controlOption())
    .option('--frame <n>', 'show how the verdict of frame n came about: fields, every rule tried, what decided', count)
    .addOption(checksumOption())
    .addOption(jsonOption())
    .action(async (captures: string[], options, command: Command) => {
      if (options.live !== undefined) {
        process.exitCode = await explainLiveCommand(captures, options, command);
        return;
      }
      if (captures.length === 0) throw new Failure("missing required argument 'capture'");
      for (const name of ['rate', 'count', 'control']) {
        if (options[name] !== undefined && command.getOptionValueSource(name) === 'cli')
          throw new Failure(`--${name} goes with --live`);
      }
      const [{ explain }, { loadGeneration }] = await Promise.all([
        import('./explain.ts'),
        import('./rules-option.ts'),
      ]);
      const generation = await loadGeneration(options.rules);
      process.exitCode = await explain(captures, {
        generation,
        vm: vmAddresses(options.vm),
        verifyChecksums: options.verifyChecksums === true,
        json: options.json === true,
        frame: options.frame ?? null,
      });
    });

  holdfast
    .command('replay')
    .description('Push captures through the gateway under a virtual clock, with a simulated host.')
    .argument('<capture...>', "pcap or pcapng file, also gzipped; '-' is standard input; several are merged by time")
    .addOption(rulesOption())
    .addOption(vmOption())
    .addOption(
      new Option('--epoch <time>', 'time between checkpoints').argParser(positiveDuration).default(100e6, '100ms'),
    )
    .addOption(
      new Option('--commit-delay <time>', 'time from a checkpoint to its commit')
        .argParser(duration)
        .default(20e6, '20ms'),
    )
    .option('--fail-at <time>', 'the VM fails this long after the first frame', duration)
    .addOption(new Option('--pace <policy>', 'how released frames leave').choices(['burst', 'paced']).default('burst'))
    .option('--no-drain', 'stop at the last frame instead of sealing and committing what is held')
    .addOption(
      new Option('--buffer-bytes <n>', 'limit of the transmit buffer, 256K or more')
        .argParser(bytes)
        .default(DEFAULT_LIMITS.limitBytes, '64M'),
    )
    .option('--buffer-frames <n>', 'limit of the transmit buffer', count, DEFAULT_LIMITS.limitFrames)
    .addOption(
      new Option('--overflow <policy>', 'when the transmit buffer is full')
        .choices(['drop', 'backpressure'])
        .default('drop'),
    )
    .option('--out <file>', 'write what left, when it left, as pcapng with a comment on every frame')
    .addOption(checksumOption())
    .addOption(jsonOption())
    .action(async (captures: string[], options) => {
      const [{ replay }, { loadGeneration }] = await Promise.all([import('./replay.ts'), import('./rules-option.ts')]);
      const generation = await loadGeneration(options.rules);
      process.exitCode = await replay(captures, {
        generation,
        vm: vmAddresses(options.vm),
        epochNs: options.epoch,
        commitDelayNs: options.commitDelay,
        failAtNs: options.failAt ?? null,
        pacing: options.pace,
        drain: options.drain,
        overflow: options.overflow,
        limitBytes: options.bufferBytes,
        limitFrames: options.bufferFrames,
        verifyChecksums: options.verifyChecksums === true,
        out: options.out ?? null,
        rulesName: options.rules,
        json: options.json === true,
      });
    });

  addRun(holdfast, VERSION);
  addCheck(holdfast);
  addRules(holdfast);
  addStatus(holdfast);
  addHost(holdfast);
  addSet(holdfast);
  addDisk(holdfast);
  addCapture(holdfast);
  addBridge(holdfast);
  addDoctor(holdfast);
  addProtect(holdfast);
  addStandby(holdfast);
  holdfast
    .command('completion')
    .description('Print a completion script for a shell: source <(holdfast completion bash)')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .action((shell: Shell) => {
      process.stdout.write(completion(holdfast, shell));
    });

  holdfast
    .command('manual')
    .description("Print the program's manual page, made from its help: holdfast manual | man -l -")
    .action(async () => {
      const { manual } = await import('./manual.ts');
      process.stdout.write(manual(holdfast, VERSION));
    });

  const silent = { outputError: () => {}, writeErr: () => {} };
  for (const command of allCommands(holdfast)) command.configureOutput(silent).exitOverride();
  return holdfast;
}

/** `holdfast explain --live`. */
async function explainLiveCommand(
  captures: readonly string[],
  options: {
    readonly live: true | readonly string[];
    readonly vm: readonly string[];
    readonly rate?: number;
    readonly count?: number;
    readonly control?: string;
    readonly json?: boolean;
  },
  command: Command,
): Promise<number> {
  if (captures.length > 0) throw new Failure('--live shows live frames: name no capture');
  for (const name of ['rules', 'frame', 'verifyChecksums']) {
    if (command.getOptionValueSource(name) === 'cli') throw new Failure(`--${name} is for captures, not for --live`);
  }
  if (options.vm.length > 1) throw new Failure('with --live, --vm is the name of one VM');
  const { explainLive } = await import('./explain-live.ts');
  const [vm] = options.vm;
  const match = options.live === true ? null : options.live.join(' ');
  const { rate, count: most, control, json } = options;
  return explainLive(match, {
    ...(vm === undefined ? {} : { vm }),
    ...(rate === undefined ? {} : { rate }),
    ...(most === undefined ? {} : { count: most }),
    ...(control === undefined ? {} : { control }),
    ...(json === undefined ? {} : { json }),
  });
}

function allCommands(program: Command): Command[] {
  return program.commands.flatMap((command) => [command, ...allCommands(command)]);
}

/** One line on stderr, whatever went wrong. */
function fail(error: unknown): number {
  if (error instanceof CommanderError) {
    // Help and version are no errors; commander has printed them.
    if (error.exitCode === 0) return EXIT.ok;
    // 'holdfast rules' alone.
    if (error.code === 'commander.help') return fail(new Failure(MISSING_COMMAND));
    process.stderr.write(`holdfast: ${error.message.replace(/^error: /, '').replaceAll('\n', ' ')}\n`);
    return EXIT.usage;
  }
  if (error instanceof Failure) {
    process.stderr.write(`holdfast: ${error.message}\n`);
    return error.exitCode;
  }
  throw error;
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.ok);
  throw error;
});

try {
  if (process.argv.length === 2) throw new Failure(MISSING_COMMAND);
  await program().parseAsync();
} catch (error) {
  process.exitCode = fail(error);
}
