import type { Reporter, Target } from './figures.ts';
import { quantile } from './live-delay.ts';
import { bridge, cForwarder, FORWARDING_ONLY, type ForwarderKind, holdfastOn, ovs } from './live-forwarders.ts';
import { cpuPerFrame, flooded } from './live-rates.ts';
import type { LiveRig } from './live-rig.ts';
import { median } from './rounds.ts';

const BYTES = 64;
const FRAMES = 2000;
const FRAMES_PER_SECOND = 2000;
const PORT = 7000;

/** What is seen of one forwarder, round after round. */
interface Seen {
  readonly rate: number[];
  readonly cpu: number[];
  readonly p50: number[];
  readonly p99: number[];
}

/** The ports on shared memory: frames under a flood, CPU time per frame, delay, each beside C with the same input and output. */
export async function backEndsBench(report: Reporter, rig: LiveRig, rounds: number): Promise<void> {
  const { forward, forwardRing, forwardXdp } = rig.programs;
  const c = cForwarder(forward);
  const cRing = cForwarder(forwardRing, 'C ring');
  const cXdp = cForwarder(forwardXdp, 'C xdp');
  const cBusy = cForwarder(forwardXdp, 'C xdp, busy-poll', 'busy');
  const ring = holdfastOn(['ring:', ''], FORWARDING_ONLY);
  const xdp = holdfastOn(['xdp:', ''], FORWARDING_ONLY);
  const busy = holdfastOn(['xdp:', ',busy-poll'], FORWARDING_ONLY);
  const busyOnes = [cBusy, busy];
  // Beside who never sleeps it would be the receiver's waking up that is measured.
  const forAwake = [bridge, ...busyOnes];
  const kinds = [bridge, c, cRing, ring, cXdp, xdp, cBusy, busy, ovs].filter(({ missing }) => missing === null);
  if (ovs.missing !== null) report.skipped(`back ends beside ${ovs.name}`, ovs.missing);
  const seen = new Map(kinds.map((kind): [ForwarderKind, Seen] => [kind, { rate: [], cpu: [], p50: [], p99: [] }]));
  for (let round = 0; round < rounds; round++) {
    for (const [kind, { rate, cpu, p50, p99 }] of seen) {
      await rig.with(kind, async ({ pid }) => {
        await rig.warm();
        rate.push(await flooded(rig, BYTES));
        // Who never sleeps is always at work.
        if (pid !== null && !busyOnes.includes(kind)) cpu.push(await cpuPerFrame(rig, pid));
        const delays = await rig.delays(FRAMES, FRAMES_PER_SECOND, PORT, forAwake.includes(kind));
        p50.push(quantile(delays, 0.5) / 1e3);
        p99.push(quantile(delays, 0.99) / 1e3);
      });
    }
  }
  const what = {
    rate: [`frames of ${BYTES} B under a flood`, 'frames/s'],
    cpu: [`CPU time per frame of ${BYTES} B at 100,000 frames/s`, 'ns'],
    p50: ['delay, p50, at 2,000 frames/s', 'µs'],
    p99: ['delay, p99, at 2,000 frames/s', 'µs'],
  } as const;
  const beside = (kind: ForwarderKind, other: ForwarderKind | null, which: keyof Seen, target?: Omit<Target, 'of'>) => {
    if (other !== null && !seen.has(other)) return;
    const [metric, unit] = what[which];
    report.figure({
      metric: `${kind.name}: ${metric}`,
      value: median(seen.get(kind)![which]),
      unit,
      ...(other === null ? {} : { baseline: { name: other.name, value: median(seen.get(other)![which]) } }),
      ...(target === undefined ? {} : { target: { of: 'ratio', ...target } }),
    });
  };
  for (const kind of kinds) beside(kind, kind === bridge ? null : bridge, 'rate');
  beside(xdp, c, 'rate', { atLeast: 1.3 });
  beside(xdp, ovs, 'rate', { atLeast: 2 });
  for (const [ours, its] of [
    [ring, cRing],
    [xdp, cXdp],
    [busy, cBusy],
  ] as const)
    beside(ours, its, 'rate');
  for (const kind of [cRing, cXdp]) beside(kind, c, 'cpu');
  for (const [ours, its] of [
    [ring, cRing],
    [xdp, cXdp],
  ] as const) {
    beside(ours, c, 'cpu');
    beside(ours, its, 'cpu', { atMost: 1.15 });
    beside(ours, its, 'p50', { atMost: 1.05 });
    beside(ours, its, 'p99', { atMost: 1.5 });
  }
  beside(bridge, null, 'p50');
  beside(cBusy, bridge, 'p50');
  beside(busy, bridge, 'p50', { atMost: 1.15 });
  beside(busy, cBusy, 'p50');
  beside(busy, cBusy, 'p99');
}
