import { type Command, InvalidArgumentError, Option } from 'commander';
import { count, jsonOption, positiveDuration } from './arguments.ts';
import type { CaptureOptions } from './capture-port.ts';
import { controlOption, vmNameOption } from './control-option.ts';
import { Failure } from './failure.ts';

const MAX_SNAPLEN = 262_144;

function snapLength(text: string): number {
  const bytes = count(text);
  if (bytes > MAX_SNAPLEN) throw new InvalidArgumentError(`expected bytes up to ${MAX_SNAPLEN}`);
  return bytes;
}

/** Adds `holdfast capture`. */
export function addCapture(program: Command): void {
  program
    .command('capture')
    .description(
      "Capture the frames of a running gateway's port as pcapng, each with its verdict, rule, epoch and reason.",
    )
    .argument('[port]', "the port's name; or --side, for all of a VM's ports of that side")
    .addOption(vmNameOption())
    .addOption(
      new Option('--side <side>', 'inside: towards the VM; outside: towards the network').choices([
        'inside',
        'outside',
      ]),
    )
    .option('--write <file>', 'write there instead of to standard output')
    .option('--snaplen <n>', 'keep so many bytes of each frame', snapLength)
    .option('--count <n>', 'end after so many frames', count)
    .option('--duration <time>', 'end after this time', positiveDuration)
    .option(
      '--match <matches>',
      "only frames that these matches select, as in a rule: 'ip daddr 192.0.2.0/24 udp dport 53'",
    )
    .addOption(controlOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Examples:
  holdfast capture tap0 | wireshark -k -i -
  holdfast capture tap0 --match 'udp dport 5060' | tshark -r - -T fields -e frame.time -e frame.comment
  holdfast capture --side outside --write out.pcapng --duration 30s

Frames that come in are captured with the verdict that they got; frames that go out at the time they left. Packet comments
say which; direction flags are the port's (received, sent). Whoever reads too slowly loses frames of the capture, and nothing
else: how many is in its interface statistics, and told at the end. Ctrl-C ends it.

Exit code: 0 ended as asked; 1 refused, or ended by the gateway; 2 wrong usage, or no gateway there.`,
    )
    .action(async (port: string | undefined, options: CaptureOptions) => {
      if (port === undefined && options.side === undefined) throw new Failure('name a port, or say --side');
      if (options.write === undefined && process.stdout.isTTY === true) {
        throw new Failure(
          'standard output is a terminal: pipe it into a reader of pcapng, or name a file with --write',
        );
      }
      const { capturePort } = await import('./capture-port.ts');
      process.exitCode = await capturePort(port ?? null, options);
    });
}
