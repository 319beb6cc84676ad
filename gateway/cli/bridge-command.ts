import { type Command, InvalidArgumentError, Option } from 'commander';
import { isNetdevName } from '../port/netdev.ts';
import { jsonOption } from './arguments.ts';

interface BridgeFlags {
  readonly vmTap: string;
  readonly state: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

function device(name: string): string {
  if (!isNetdevName(name) || name.startsWith('-'))
    throw new InvalidArgumentError('expected the name of a network device');
  return name;
}

const tapOption = () => new Option('--vm-tap <device>', "the VM's tap").argParser(device).makeOptionMandatory();
const stateOption = () =>
  new Option('--state <folder>', 'where it is recorded how everything was before').default('/run/holdfast/bridge');
const dryOption = () => new Option('--dry-run', 'print the commands, change nothing');

/** Adds `holdfast bridge`. */
export function addBridge(program: Command): void {
  const bridge = program
    .command('bridge')
    .description("Put the gateway between a VM's tap and a Linux bridge, or take it away.");
  bridge
    .command('attach')
    .description(
      'Take the tap out of the bridge, and put a pair of devices in its place, for the gateway to go between.',
    )
    .addOption(tapOption())
    .addOption(
      new Option('--bridge <device>', 'the Linux bridge that the tap is in, or, free now, would be in')
        .argParser(device)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--offloads <how>', "keep; or off, for ports that carry no super-frames: 'ring:' and 'xdp:'")
        .choices(['keep', 'off'])
        .default('keep'),
    )
    .addOption(stateOption())
    .addOption(dryOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Example:
  holdfast bridge attach --vm-tap tap0 --bridge br0
  holdfast run --inside tap0 --outside hf-tap0

While no gateway runs no frame passes. The gateway may also be started first: it waits for both devices.
What the tap was as the bridge's port goes over to the pair: flags, cost, priority, VLANs, entries made by hand.
Called again it finishes what was not finished, and else changes nothing.
Exit code: 0 attached; 1 refused or failed, with the reason; 2 wrong usage.`,
    )
    .action(async (options: BridgeFlags & { readonly bridge: string; readonly offloads: 'keep' | 'off' }) => {
      const { bridgeAttach } = await import('./bridge.ts');
      const { vmTap: tap, bridge: name, offloads } = options;
      process.exitCode = bridgeAttach({ tap, bridge: name, offloads }, flagsOf(options));
    });
  bridge
    .command('detach')
    .description('Undo what attach did: links, bridge port, qdiscs and settings are again as they were.')
    .addOption(tapOption())
    .addOption(stateOption())
    .addOption(dryOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
A tap that is gone is no error: the rest is removed. Where nothing is attached, nothing is done.
What holdfast did not make, or somebody has moved since, is left alone, with an error that says so.
Exit code: 0 detached; 1 refused or failed, with the reason; 2 wrong usage.`,
    )
    .action(async (options: BridgeFlags) => {
      const { bridgeDetach } = await import('./bridge.ts');
      process.exitCode = bridgeDetach(options.vmTap, flagsOf(options));
    });
}

function flagsOf({ state, dryRun, json }: BridgeFlags) {
  return { state, dryRun: dryRun === true, json: json === true };
}
