import type { Reporter } from './figures.ts';
import { bridge, cForwarder, FORWARDING_ONLY, type ForwarderKind, holdfast, nodeCap, ovs } from './live-forwarders.ts';
import { cpuNs, type LiveRig, pause, received } from './live-rig.ts';
import { median } from './rounds.ts';

const SIZES = [64, 1514];
/** At the beginning of a flood queues fill. */
const SETTLE_MS = 250;
const FLOOD_MS = 500;
const PACED = { framesPerSecond: 100_000, ms: 1000 } as const;

interface Rates {
  /** Frames per second, by size. */
  readonly saturated: number[][];
  /** CPU time per frame at 100,000 frames a second, ns. */
  readonly cpu: number[];
}

/** Throughput under a flood, and CPU time per frame. @returns frames of 64 bytes per second that holdfast forwards */
export async function ratesBench(report: Reporter, rig: LiveRig, rounds: number): Promise<number> {
  const c = cForwarder(rig.programs.forward);
  const ours = holdfast(FORWARDING_ONLY);
  const withRules: ForwarderKind = { ...holdfast(null), name: 'holdfast, default rules' };
  const all = [bridge, c, ours, withRules, nodeCap, ovs];
  const kinds = all.filter(({ missing }) => missing === null);
  for (const { name, missing } of all) if (missing !== null) report.skipped(`rates of ${name}`, missing);
  const seen = new Map(
    kinds.map((kind): [ForwarderKind, Rates] => [kind, { saturated: SIZES.map(() => []), cpu: [] }]),
  );
  for (let round = 0; round < rounds; round++) {
    for (const [kind, { saturated, cpu }] of seen) {
      await rig.with(kind, async ({ pid }) => {
        await rig.warm();
        for (const [i, bytes] of SIZES.entries()) saturated[i]!.push(await flooded(rig, bytes));
        if (pid !== null) cpu.push(await cpuPerFrame(rig, pid));
      });
    }
  }
  const rate = (kind: ForwarderKind, size: number) => median(seen.get(kind)!.saturated[size]!);
  const cpuOf = (kind: ForwarderKind) => median(seen.get(kind)!.cpu);
  for (const [size, bytes] of SIZES.entries()) {
    for (const kind of kinds) {
      const metric = `${kind.name}: frames of ${bytes} B under a flood`;
      const unit = 'frames/s';
      if (kind === bridge) report.figure({ metric, value: rate(kind, size), unit });
      else if (kind === withRules) {
        report.figure({
          metric,
          value: rate(kind, size),
          unit,
          baseline: { name: 'forwarding only', value: rate(ours, size) },
        });
      } else
        report.figure({
          metric,
          value: rate(kind, size),
          unit,
          baseline: { name: bridge.name, value: rate(bridge, size) },
        });
    }
    const beside = (other: ForwarderKind) => {
      if (!seen.has(other)) return;
      report.figure({
        metric: `holdfast: frames of ${bytes} B under a flood`,
        value: rate(ours, size),
        unit: 'frames/s',
        baseline: { name: other.name, value: rate(other, size) },
      });
    };
    beside(c);
    beside(ovs);
  }
  for (const kind of kinds) {
    if (kind === bridge) continue;
    const metric = `${kind.name}: CPU time per frame of 64 B at 100,000 frames/s`;
    const unit = 'ns';
    const value = cpuOf(kind);
    if (kind === c) report.figure({ metric, value, unit });
    else if (kind === withRules)
      report.figure({ metric, value, unit, baseline: { name: 'forwarding only', value: cpuOf(ours) } });
    else {
      report.figure({
        metric,
        value,
        unit,
        baseline: { name: c.name, value: cpuOf(c) },
        ...(kind === ours ? { target: { of: 'ratio', atMost: 1.1 } } : {}),
      });
    }
  }
  return rate(ours, 0);
}

/** @returns frames a second that reach the network */
export async function flooded(rig: LiveRig, bytes: number): Promise<number> {
  const { guest, network } = rig.scene;
  const flood = rig.flood(guest, bytes, (SETTLE_MS + FLOOD_MS) / 1e3 + 0.3, 0);
  await pause(SETTLE_MS + 50);
  const before = received(network);
  const begin = performance.now();
  await pause(FLOOD_MS);
  const frames = received(network) - before;
  const seconds = (performance.now() - begin) / 1e3;
  await flood.sent;
  await pause(50);
  return frames / seconds;
}

/** @returns CPU time of a process, ns per frame of 64 bytes at 100,000 frames a second */
export async function cpuPerFrame(rig: LiveRig, pid: number): Promise<number> {
  const { guest, network } = rig.scene;
  const before = { frames: received(network), cpu: cpuNs(pid) };
  await rig.flood(guest, 64, PACED.ms / 1e3, PACED.framesPerSecond).sent;
  await pause(50);
  return (cpuNs(pid) - before.cpu) / (received(network) - before.frames);
}
