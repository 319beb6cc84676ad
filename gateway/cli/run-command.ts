import type { Command } from 'commander';
import type { RunFlags } from '../config-flags.ts';
import { Failure } from './failure.ts';

function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

/** Adds `holdfast run`. */
export function addRun(program: Command, version: string): void {
  program
    .command('run')
    .description('Run the gateway between VMs and the network, until it is told to end (SIGTERM).')
    .option('--config <file>', 'what to do, as YAML; without it, one VM is described by the options below')
    .option('--name <name>', "the VM's name (default: vm0)")
    .option('--replicated', 'everything is held until the host attaches')
    .option('--inside <port>', "towards the VM: a network device's name, or backend:arg (repeatable)", collect)
    .option('--outside <port>', 'towards the network, one for each --inside (repeatable)', collect)
    .option('--rules <file>', 'rule file, or a shipped set: default, hold-all, telephony, router, web')
    .option('--control <socket>', "the host interface's unix socket (env: HOLDFAST_CONTROL)")
    .option('--state <folder>', 'where state lives that outlives the process (default: beside the socket)')
    .option('--metrics <host:port>', 'serve /metrics and /healthz there, on loopback')
    .option('--buffer <storage>', 'where held frames wait: memory, or file, where they outlive the process')
    .option('--buffer-frames <n>', 'limit of the transmit buffer')
    .option('--buffer-bytes <n>', 'limit of the transmit buffer')
    .option('--pace <policy>', 'how released frames leave: burst or paced')
    .option('--overflow <policy>', 'when the transmit buffer is full: drop or backpressure')
    .option('--announce <ip>', 'an address of the VM that a failover announces in any case (repeatable)', collect)
    .option('--log-level <level>', 'debug, info, warn or error')
    .option('--log-format <format>', 'json, pretty, or auto: pretty on a terminal')
    .option(
      '--takeover',
      "go on with the VMs of the gateway that runs now: for a new version (needs '--buffer file' to keep held frames)",
    )
    .option('--keep-capabilities', 'keep rights that ports do not need')
    .addHelpText(
      'after',
      `
Ports: tap0 or packet:tap0 (an existing device); ring:tap0 (many small packets), xdp:tap0 (fastest, offloads off on the peers),
pcap:eth0 (libpcap), ip:tun0 (outside, no Ethernet); tap:NAME (makes a tap); stream:unix:PATH or stream:tcp:HOST:PORT (QEMU's -netdev
stream; goes there or, where nobody is, waits; stream-listen and stream-connect do one only).

Examples:
  holdfast run --inside tap0 --outside veth0 --rules my.rules
  holdfast run --replicated --inside stream:unix:/run/vm.sock --outside eth1
  holdfast run --config /etc/holdfast.yaml

Prints one line, 'ready ...', when all ports are there; frames flow where both links are up.
Exit code: 0 told to end; 1 the gateway failed; 2 wrong usage or configuration.`,
    )
    .action(
      async (
        options: RunFlags & {
          readonly config?: string;
          readonly keepCapabilities?: boolean;
          readonly takeover?: boolean;
        },
      ) => {
        const { config: file, keepCapabilities, takeover, ...flags } = options;
        if (file !== undefined && Object.keys(flags).length > 0) {
          const [first] = Object.keys(flags);
          const flag = first!.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
          throw new Failure(`--config says everything: --${flag} does not go with it`);
        }
        const { run } = await import('./run.ts');
        const control = flags.control ?? process.env.HOLDFAST_CONTROL;
        process.exitCode = await run({
          file: file ?? null,
          flags: { ...flags, control },
          version,
          keepCapabilities: keepCapabilities === true,
          takeover: takeover === true,
        });
      },
    );
}
