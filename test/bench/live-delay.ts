import type { Reporter } from './figures.ts';
import { bridge, cForwarder, FORWARDING_ONLY, type ForwarderKind, holdfast, nodeCap, ovs } from './live-forwarders.ts';
import type { LiveRig } from './live-rig.ts';
import { median } from './rounds.ts';

const FRAMES = 2000;
const FRAMES_PER_SECOND = 2000;

/** One-way delay of single frames. @returns holdfast's 99th percentile, µs */
export async function delayBench(report: Reporter, rig: LiveRig, rounds: number): Promise<number> {
  const c = cForwarder(rig.programs.forward);
  const ours = holdfast(FORWARDING_ONLY);
  const all = [bridge, c, ours, nodeCap, ovs];
  const kinds = all.filter(({ missing }) => missing === null);
  for (const { name, missing } of all) if (missing !== null) report.skipped(`delay of ${name}`, missing);
  const seen = new Map(kinds.map((kind) => [kind, { p50: [] as number[], p99: [] as number[] }]));
  for (let round = 0; round < rounds; round++) {
    for (const [kind, { p50, p99 }] of seen) {
      await rig.with(kind, async () => {
        await rig.warm();
        const delays = await rig.delays(FRAMES, FRAMES_PER_SECOND);
        p50.push(quantile(delays, 0.5) / 1e3);
        p99.push(quantile(delays, 0.99) / 1e3);
      });
    }
  }
  const of = (kind: ForwarderKind, which: 'p50' | 'p99') => median(seen.get(kind)![which]);
  for (const which of ['p50', 'p99'] as const) {
    for (const kind of kinds) {
      report.figure({
        metric: `${kind.name}: delay, ${which}, at 2,000 frames/s`,
        value: of(kind, which),
        unit: 'µs',
        ...(kind === bridge || kind === c ? {} : { baseline: { name: c.name, value: of(c, which) } }),
        ...(kind === ours ? { target: { of: 'ratio', atMost: which === 'p50' ? 1.05 : 1.5 } } : {}),
      });
    }
  }
  return of(ours, 'p99');
}

/** @returns the value that the share `q` of all does not exceed */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)]!;
}
