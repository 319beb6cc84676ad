import { NETWORK } from '../support/live-scene.ts';
import type { Reporter } from './figures.ts';
import { bridge, cForwarder, FORWARDING_ONLY, type ForwarderKind, holdfast, nodeCap } from './live-forwarders.ts';
import { LiveRig, pause } from './live-rig.ts';
import { find } from './processes.ts';
import { median } from './rounds.ts';

const SECONDS = 2;
const DIRECTIONS = [
  { name: 'guest to network', flags: [] },
  { name: 'network to guest', flags: ['--reverse'] },
] as const;

interface Stream {
  readonly bitsPerSecond: number;
  readonly retransmits: number;
}

/** A single TCP stream, with every offload of the devices on, and with all off. */
export async function tcpBench(report: Reporter, rounds: number): Promise<void> {
  if (find('iperf3') === null) return report.skipped('TCP', 'iperf3 is not installed');
  for (const offloads of [true, false]) {
    const rig = new LiveRig(offloads);
    try {
      rig.scene.addAddresses();
      await streams(report, rig, offloads, offloads ? rounds : 1);
    } finally {
      await rig.delete();
    }
  }
}

async function streams(report: Reporter, rig: LiveRig, offloads: boolean, rounds: number): Promise<void> {
  const state = offloads ? 'offloads on' : 'offloads off';
  const ours = holdfast(FORWARDING_ONLY);
  const c = cForwarder(rig.programs.forward);
  // cap drops what is longer than a frame on a wire, and knows nothing of unfinished checksums.
  const cap: ForwarderKind = { ...nodeCap, missing: offloads ? 'cannot carry super-frames' : nodeCap.missing };
  const all = [bridge, c, ours, cap];
  for (const { name, missing } of all) if (missing !== null) report.skipped(`TCP through ${name}, ${state}`, missing);
  const kinds = all.filter(({ missing }) => missing === null);
  const seen = new Map(kinds.map((kind) => [kind, DIRECTIONS.map((): Stream[] => [])]));
  for (let round = 0; round < rounds; round++) {
    for (const [kind, streams] of seen) {
      await rig.with(kind, async () => {
        for (const [i, { flags }] of DIRECTIONS.entries()) streams[i]!.push(await stream(rig, flags));
      });
    }
  }
  for (const [i, { name: direction }] of DIRECTIONS.entries()) {
    const of = (kind: ForwarderKind) => median(seen.get(kind)![i]!.map(({ bitsPerSecond }) => bitsPerSecond / 1e9));
    for (const kind of kinds) {
      const retransmits = median(seen.get(kind)![i]!.map((one) => one.retransmits / SECONDS));
      report.figure({
        metric: `${kind.name}: TCP ${direction}, ${state} (${Math.round(retransmits)} retransmits/s)`,
        value: of(kind),
        unit: 'Gbit/s',
        ...(kind === bridge ? {} : { baseline: { name: bridge.name, value: of(bridge) } }),
        ...(kind === ours && offloads ? { target: { of: 'ratio', atLeast: 0.8 } } : {}),
      });
    }
  }
}

async function stream({ scene }: LiveRig, flags: readonly string[]): Promise<Stream> {
  const server = scene.network.start('iperf3', '--server', '--one-off', '--forceflush');
  await server.says('listening');
  const client = ['--client', NETWORK.ip4, '--time', String(SECONDS), '--json', ...flags];
  const said = await scene.guest.start('iperf3', ...client).done();
  await server.done();
  await pause(20);
  const { end } = JSON.parse(said);
  return { bitsPerSecond: end.sum_received.bits_per_second, retransmits: end.sum_sent.retransmits };
}
