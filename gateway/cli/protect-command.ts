import { type Command, Option } from 'commander';
import { jsonOption, positiveDuration } from './arguments.ts';
import { controlOption } from './control-option.ts';
import { driveName } from './disk-option.ts';
import { addTlsOptions, type TlsOptions } from './tls-options.ts';

export interface ProtectOptions extends TlsOptions {
  readonly qmp: string;
  readonly standby: string;
  readonly vm?: string;
  readonly control?: string;
  readonly interval: string;
  readonly copy: 'auto' | 'live' | 'paused' | 'delta';
  readonly ram?: string;
  readonly lease: number;
  readonly patience: number;
  readonly downtime: number;
  readonly disk: readonly string[];
  readonly diskAddress?: string;
  readonly diskTls?: string;
  readonly json?: boolean;
}

/** Adds `holdfast protect`. */
export function addProtect(program: Command): void {
  const protect = program
    .command('protect')
    .description('Copy a running QEMU machine to a standby again and again, and let its frames go accordingly.')
    .requiredOption(
      '--qmp <socket>',
      "the machine's QMP socket, which nobody else uses: -qmp unix:PATH,server=on,wait=off",
    )
    .requiredOption(
      '--standby <address>',
      "where 'holdfast standby' listens: unix:PATH, tls:HOST:PORT, tcp:127.0.0.1:PORT",
    )
    .option('--vm <name>', "the VM's name at its gateway; may be left out where there is only one")
    .addOption(controlOption())
    .option(
      '--interval <time>',
      'from one checkpoint to the next, or adaptive: at once when frames wait (adaptive:LEAST:MOST); longer where the machine would not run as long as it was paused',
      'adaptive:50ms:1s',
    )
    .addOption(
      new Option(
        '--copy <when>',
        'live: while the machine runs, with a short pause for the last part; paused: for all of it; delta: what has changed in memory that is a shared file, the fastest; auto: delta where the standby has --delta, else live under KVM and paused without',
      )
        .choices(['auto', 'live', 'paused', 'delta'])
        .default('auto'),
    )
    .option('--ram <file>', "for delta and auto: the machine's memory, if not where the machine says")
    .addOption(
      new Option('--lease <time>', 'how long the gateway lets data pass without a word of ours')
        .argParser(positiveDuration)
        .default(3e9, '3s'),
    )
    .addOption(
      new Option('--patience <time>', 'how long the standby may be silent before it is taken for lost')
        .argParser(positiveDuration)
        .default(2e9, '2s'),
    )
    .addOption(
      new Option('--downtime <time>', 'how long a checkpoint may pause the machine, as QEMU estimates it')
        .argParser(positiveDuration)
        .default(100e6, '100ms'),
    )
    .addOption(
      new Option(
        '--disk <drive>',
        "once for each disk that the standby keeps too, by the machine's name for it: -drive id=NAME, or a node-name",
      )
        .argParser(driveName)
        .default([], 'none'),
    )
    .option(
      '--disk-address <address>',
      'where the standby serves them, if not where it says: unix:PATH, tls:HOST:PORT …',
    )
    .option(
      '--disk-tls <folder>',
      "for tls: certificates of the machine's own, as QEMU wants them: ca-cert.pem, client-cert.pem, client-key.pem; the standby knows its name (--client)",
    )
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
The machine must run already; it is attached to, also after this command was killed. Told to end (SIGTERM), it leaves the term in
force: the gateway holds what needs a checkpoint until somebody protects the VM again, or 'holdfast host stop' ends it.

Disks are copied first, while the machine runs; from then on its writes go to both. Where the standby fails, the machine's own disk goes
on, and nothing is protected until a standby is back and has a new copy.

The gateway is waited for where it does not answer yet. With --copy auto a line 'copies: …' says which way was chosen, and why.

With --copy delta the machine's memory is a shared file, best on a tmpfs: -object memory-backend-file,id=pc.ram,size=1G,mem-path=FILE,share=on
-machine memory-backend=pc.ram; this command takes as much memory as the machine, and the standby needs --delta. A standby with --delta takes nothing else.

Example:
  holdfast protect --qmp /run/vm0.qmp --standby tls:192.0.2.7:4600 --vm vm0 \\
    --tls-cert host1.pem --tls-key host1-key.pem --tls-ca ca.pem

Exit code: 0 told to end, or the machine was shut down; 1 the machine is gone, or the VM goes on elsewhere; 2 wrong usage, or no
machine there.`,
    )
    .action(async (options: ProtectOptions) => {
      const { protect } = await import('./protect.ts');
      process.exitCode = await protect(options);
    });
  addTlsOptions(protect);
}
