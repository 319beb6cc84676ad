import { type Command, Option } from 'commander';
import type { StandbyDisk } from '../protect/standby-disks.ts';
import { countOrNone, jsonOption, positiveDuration } from './arguments.ts';
import { controlOption } from './control-option.ts';
import { standbyDisk } from './disk-option.ts';
import { Failure } from './failure.ts';
import type { AskOptions } from './standby-ask.ts';
import { addTlsOptions, type TlsOptions } from './tls-options.ts';

export interface StandbyOptions extends TlsOptions {
  readonly listen: string;
  readonly images: string;
  readonly client: readonly string[];
  readonly tlsCrl?: string;
  readonly vm: string;
  readonly control?: string;
  readonly inside?: string;
  readonly takeover?: boolean;
  readonly qmp?: string;
  readonly silence: number;
  readonly wait?: boolean;
  readonly fence?: string;
  readonly cold?: boolean;
  readonly unprotected?: boolean;
  readonly sync?: boolean;
  readonly delta?: boolean;
  readonly disk: readonly StandbyDisk[];
  readonly diskListen?: string;
  readonly json?: boolean;
}

/** Adds `holdfast standby`, and what one asks a standby that runs. */
export function addStandby(program: Command): void {
  const standby = program
    .command('standby')
    .description('Keep the last checkpoint of a VM, and go on from it when its machine is gone.')
    .hook('preSubcommand', ({ commands }) => {
      // Else a word that is no command would be taken for QEMU, which stands behind --.
      const word = process.argv[process.argv.indexOf('standby') + 1] ?? '-';
      const names = [...commands.map((command) => command.name()), 'help'];
      if (!word.startsWith('-') && !names.includes(word)) {
        throw new Failure(`unknown command '${word}': after 'standby' comes ${names.join(', ')}, or an option`);
      }
    });

  const run = standby
    .command('run', { isDefault: true })
    .description('Be the standby, until told to end (SIGTERM); a VM that has gone on here stays when it ends.')
    .argument('<qemu...>', 'behind --: QEMU and its arguments, the same machine as the one that is protected')
    .requiredOption('--listen <address>', 'for drivers and questions: unix:PATH, tls:HOST:PORT, tcp:127.0.0.1:PORT')
    .requiredOption(
      '--images <folder>',
      'where images are kept, of the size of two machines: /dev/shm/vm0, or on a disk',
    )
    .option('--vm <name>', "the VM's name at the gateway", 'vm0')
    .addOption(controlOption())
    .option(
      '--inside <port>',
      "the VM's gateway stays: it is told to reach the VM there, as in stream:unix:/run/standby.sock",
    )
    .option('--takeover', "this host's own gateway goes on: the control socket is that one's")
    .option('--qmp <socket>', "the new machine's QMP socket (default: qmp in the folder of images)")
    .addOption(
      new Option('--silence <time>', 'how long the driver may be silent or away before its machine is taken for dead')
        .argParser(positiveDuration)
        .default(5e9, '5s'),
    )
    .option(
      '--wait',
      'silence is no death: go on only when the driver says that its machine is gone, or somebody tells',
    )
    .option('--fence <command>', 'run before the VM goes on here; exit code 0: its old machine is dead')
    .option(
      '--unprotected',
      'once the VM has gone on here its frames pass; else what needs a checkpoint waits until somebody protects it again',
    )
    .option('--cold', 'start the machine when it is needed; until then it costs no memory')
    .option(
      '--delta',
      "for 'protect --copy delta' or auto: what has changed is brought into the file ram in the folder of images, the machine's memory: mem-path=FOLDER/ram,share=on",
    )
    .option('--sync', 'an image counts only when it is on the storage')
    .addOption(
      new Option(
        '--disk <disk>',
        'once for each disk, NAME=IMAGE[,size=SIZE][,log=FOLDER]: NAME as --disk of protect has it; IMAGE, a raw file, is what the command behind -- opens for it',
      )
        .argParser(standbyDisk)
        .default([], 'none, or disks that both machines share'),
    )
    .option(
      '--disk-listen <address>',
      'where the disks are served to the protected machine (NBD): unix:PATH, tls:HOST:PORT, tcp:127.0.0.1:PORT (default: nbd in the folder of images)',
    )
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Example:
  holdfast standby --listen tls:192.0.2.7:4600 --images /dev/shm/vm0 --inside stream:unix:/run/standby.sock -- \\
    qemu-system-x86_64 -m 1024 … -netdev stream,id=n0,server=on,addr.type=unix,addr.path=/run/standby.sock …

With a disk, which is copied and then kept at the checkpoint's instant:
  holdfast standby … --disk d0=/var/lib/vm0.raw,size=20G --disk-listen tls:192.0.2.7:10809 -- \\
    qemu-system-x86_64 … -drive if=none,id=d0,format=raw,cache=none,file=/var/lib/vm0.raw -device virtio-blk-pci,drive=d0 …

With memory that is a file, for 'protect --copy delta':
  holdfast standby … --images /dev/shm/vm0 --delta -- qemu-system-x86_64 -m 1024 … -machine memory-backend=pc.ram \\
    -object memory-backend-file,id=pc.ram,size=1G,mem-path=/dev/shm/vm0/ram,share=on …

Prints a line 'ready ...'. Exit code: 0 told to end; 1 the VM went on here and its machine ended; 2 wrong usage.`,
    )
    .action(async (qemu: string[], options: StandbyOptions) => {
      const { runStandby } = await import('./standby.ts');
      process.exitCode = await runStandby(qemu, options);
    });
  addTlsOptions(run)
    .option('--tls-crl <file>', 'who of them is not believed any more (PEM)')
    .option(
      '--client <name>',
      'for tls: a DNS name or URI in the certificate of whoever protects this VM, of its machine (--disk-listen), or of who asks (repeatable)',
      (name: string, before: readonly string[]) => [...before, name],
      [],
    );

  for (const [name, description] of [
    ['status', 'Say how a standby is.'],
    ['failover', 'Let the VM go on at its standby, whatever became of the machine that it is on.'],
    ['forget', 'Let a standby forget its image: the VM is protected elsewhere, or not any more.'],
  ] as const) {
    const asks = standby
      .command(name)
      .description(description)
      .argument('<address>', 'where it listens')
      .addOption(new Option('--timeout <seconds>', 'for the answer').argParser(countOrNone).default(60))
      .addOption(jsonOption())
      .action(async (address: string, options: AskOptions) => {
        const { askStandby } = await import('./standby-ask.ts');
        process.exitCode = await askStandby(name, address, options);
      });
    addTlsOptions(asks);
  }
}
