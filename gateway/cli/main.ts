#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { DEFAULT_LIMITS } from '../occupancy.ts';
import { VmAddresses } from '../vm-addresses.ts';
import { completion, SHELLS, type Shell } from './completion.ts';
import { EXIT, Failure } from './failure.ts';

const VERSION: string = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')).version;

/** The rule set that is in force where the user names none. */
const DEFAULT_RULES = 'default';

const UNIT_NS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, m: 60e9 };

/** `100ms`, `2.5s`, `250us` to nanoseconds. */
function duration(text: string): number {
  const [, value, unit] = /^(\d+(?:\.\d+)?)(ns|us|ms|s|m)$/.exec(text) ?? [];
  if (value === undefined) throw new InvalidArgumentError('expected a duration such as 100ms, 2.5s or 250us');
  const ns = Math.round(Number(value) * UNIT_NS[unit!]!);
  if (ns > Number.MAX_SAFE_INTEGER) throw new InvalidArgumentError('expected a duration of at most 104 days');
  return ns;
}

function positiveDuration(text: string): number {
  const value = duration(text);
  if (value < 1) throw new InvalidArgumentError('expected a duration above 0');
  return value;
}

function count(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new InvalidArgumentError('expected a whole number from 1 on');
  return Number(text);
}

/** `64M`, `512K` or plain bytes. */
function bytes(text: string): number {
  const [, value, unit] = /^(\d{1,10})([KMG]?)$/.exec(text) ?? [];
  if (value === undefined) throw new InvalidArgumentError('expected bytes such as 1000000, 512K or 64M');
  return Number(value) * ({ '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[unit!] ?? 1);
}

function collect(text: string, before: string[]): string[] {
  return [...before, text];
}

function vmOption(): Option {
  return new Option(
    '--vm <addr>',
    'MAC, IP or prefix of the VM: what it sent is outbound (repeatable; without it all is)',
  )
    .argParser(collect)
    .default([], 'every frame');
}

function rulesOption(): Option {
  return new Option('--rules <file>', 'rule file, or a shipped set: default, hold-all, telephony').default(
    DEFAULT_RULES,
  );
}

function vmAddresses(texts: string[]): VmAddresses {
  try {
    return new VmAddresses(texts);
  } catch (error) {
    throw error instanceof RangeError ? new Failure(`--vm: ${error.message}`) : error;
  }
}

const jsonOption = () => new Option('--json', 'print JSON for programs');
const checksumOption = () => new Option('--verify-checksums', 'hold frames with a wrong IPv4 header checksum');

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
    .argument('<capture...>', "pcap or pcapng file, also gzipped; '-' is standard input")
    .addOption(rulesOption())
    .addOption(vmOption())
    .option('--frame <n>', 'show how the verdict of frame n came about: fields, every rule tried, what decided', count)
    .addOption(checksumOption())
    .addOption(jsonOption())
    .action(async (captures: string[], options) => {
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

  holdfast
    .command('check')
    .description('Check a rule file: every error with its place, and rules that can never decide.')
    .argument('<rules>', "rule file, '-' for standard input, or a shipped set")
    .addOption(jsonOption())
    .action(async (path: string, options) => {
      const { check } = await import('./check.ts');
      process.exitCode = await check(path, options.json === true);
    });
  holdfast
    .command('completion')
    .description('Print a completion script for a shell: source <(holdfast completion bash)')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .action((shell: Shell) => {
      process.stdout.write(completion(holdfast, shell));
    });

  for (const command of holdfast.commands) command.configureOutput({ outputError: () => {} }).exitOverride();
  return holdfast;
}

/** One line on stderr, whatever went wrong. */
function fail(error: unknown): number {
  if (error instanceof CommanderError) {
    // Help and version are no errors; commander has printed them.
    if (error.exitCode === 0) return EXIT.ok;
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
  if (process.argv.length === 2) throw new Failure("a command is missing: see 'holdfast --help'");
  await program().parseAsync();
} catch (error) {
  process.exitCode = fail(error);
}
