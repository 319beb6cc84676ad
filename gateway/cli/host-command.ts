import { type Command, InvalidArgumentError, Option } from 'commander';
import { countOrNone, duration, jsonOption, positiveDuration } from './arguments.ts';
import { controlOption, vmNameOption } from './control-option.ts';
import type * as Host from './host.ts';

const TERM = 'the term that is meant (default: the one in force)';

function epochOption(otherwise: string): Option {
  return new Option('--epoch <n>', `the epoch that is meant (default: ${otherwise})`).argParser(countOrNone);
}

function thisEpoch(text: string): Option {
  return new Option('--epoch <n>', text).argParser(countOrNone).makeOptionMandatory();
}

function leaseOption(): Option {
  const text = 'how long data may pass without a request of the host, 0s for ever (default: 5s)';
  return new Option('--lease <time>', text).argParser(duration);
}

function vlanId(text: string): number {
  const id = countOrNone(text);
  if (id > 4095) throw new InvalidArgumentError('expected a VLAN id up to 4095');
  return id;
}

/** Adds `holdfast host` and its commands. */
export function addHost(program: Command): void {
  const host = program
    .command('host')
    .description("Do by hand, or from a script, what a VM's host does: checkpoints and terms.")
    .addHelpText(
      'after',
      `
Example, one checkpoint:
  holdfast host start --vm vm0
  …pause the VM…;  epoch=$(holdfast host seal --json | jq .epoch);  …copy, resume…
  holdfast host commit --epoch "$epoch"

A script that must not act on a term that somebody else began gives --term: another one in force is refused as stale-term.

Exit code of each: 0 done; 1 refused, with the reason's name; 2 wrong usage, no gateway there, or no answer.`,
    );

  /** @param isOfTerm the request names a term */
  function add(name: Host.HostRequest, description: string, options: readonly Option[], isOfTerm = true): void {
    const command = host.command(name).description(description).addOption(vmNameOption());
    if (isOfTerm) command.addOption(new Option('--term <n>', TERM).argParser(countOrNone));
    for (const option of options) command.addOption(option);
    command
      .addOption(controlOption())
      .addOption(jsonOption())
      .action(async (given: Host.HostOptions) => {
        const { hostCommand } = await import('./host.ts');
        process.exitCode = await hostCommand(name, given);
      });
  }

  const holdFrom = new Option('--hold-from <when>', 'when holding begins').choices(['now', 'first-seal']);
  const held = new Option('--held <what>', 'what becomes of frames that are held')
    .choices(['release', 'discard', 'keep'])
    .makeOptionMandatory();
  const inside = new Option('--inside <port>', "the standby VM's port").makeOptionMandatory();

  add('start', 'Begin a term: epoch 1 is open, and its control frames are held.', [holdFrom, leaseOption()], false);
  add(
    'takeover',
    "Begin a term after another gateway's, whose host died.",
    [
      new Option('--term <n>', 'the term that ended there').argParser(countOrNone).makeOptionMandatory(),
      thisEpoch('the checkpoint that the VM lives on from'),
      leaseOption(),
    ],
    false,
  );
  add('seal', 'The VM is paused: what it has sent belongs to the epoch that is open, and the next one opens.', [
    epochOption('the open one'),
    new Option('--timeout <time>', 'how long the inside port is read at the most (default: 100ms)').argParser(duration),
  ]);
  add('commit', 'A checkpoint is durable on the standby: its frames, and those of all before it, leave.', [
    epochOption('the newest that is sealed'),
  ]);
  add('abort', 'A checkpoint failed and the VM runs on: its frames wait for the next one.', [
    thisEpoch('the sealed epoch'),
  ]);
  add('rollback', 'The VM goes on from a checkpoint: what it sent after that never leaves.', [
    thisEpoch('the checkpoint, committed or sealed'),
  ]);
  add('failover', 'The standby VM goes on from a checkpoint, at another port.', [
    thisEpoch('the checkpoint, committed or sealed'),
    inside,
  ]);
  add(
    'quiesce',
    "Deliver no more packets to the VM, until 'host resume' or the lease's end; 1 if some are on their way.",
    [
      new Option('--timeout <time>', 'how long to wait for those on their way').argParser(duration).default(1e9, '1s'),
      new Option('--lease <time>', 'when packets flow again by themselves')
        .argParser(positiveDuration)
        .default(10e9, '10s'),
    ],
  );
  add('resume', 'Deliver packets to the VM again.', []);
  add('stop', 'End the term.', [held]);
  add(
    'declare',
    "Declare a flow, for rules that say 'declared'. It ends with this command (Ctrl-C), with the term, or after --timeout.",
    [
      new Option('--src <ip>', 'source address').makeOptionMandatory(),
      new Option('--dst <ip>', 'destination address').makeOptionMandatory(),
      new Option('--protocol <name>', 'tcp, udp, udplite, sctp, dccp, or a number').makeOptionMandatory(),
      new Option('--sport <n>', 'source port').argParser(countOrNone),
      new Option('--dport <n>', 'destination port').argParser(countOrNone),
      new Option('--vlan <id>', 'VLAN').argParser(vlanId),
      new Option('--class <name>', 'only rules of this class see it (default: all)'),
      new Option('--timeout <time>', 'how long it holds').argParser(positiveDuration).makeOptionMandatory(),
    ],
    false,
  );
}
