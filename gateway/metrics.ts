import { REASON_NAMES } from '../classifier/verdict.ts';
import type { Clock } from './clock.ts';
import type { COUNT } from './counters.ts';
import type { ReplicationState } from './epoch.ts';
import { Exposition, type MetricFamily } from './exposition.ts';
import { HOLD_BUCKETS_SECONDS } from './hold-times.ts';
import type { PortStatus } from './host/api.ts';
import { FAMILY } from './metric-families.ts';
import type { PORT_COUNT } from './port/port-counters.ts';
import type { ProcessMetrics } from './process-metrics.ts';
import type { Vm } from './vm.ts';

const NS_PER_SECOND = 1e9;
/** Of a VM's rules so many have series of their own: a rule set may have a hundred thousand. */
const MAX_RULES = 1000;
/** A table, so that none is forgotten. */
const STATES: Readonly<Record<ReplicationState, ReplicationState>> = { off: 'off', waiting: 'waiting', on: 'on' };

const VM_COUNTERS: Readonly<Record<keyof typeof COUNT, MetricFamily>> = {
  outbound: FAMILY.outbound,
  inbound: FAMILY.inbound,
  passed: FAMILY.passed,
  held: FAMILY.held,
  released: FAMILY.released,
  discarded: FAMILY.discarded,
  dropped: FAMILY.dropped,
  inboundPassed: FAMILY.inboundPassed,
  inboundDropped: FAMILY.inboundDropped,
};

const PORT_COUNTERS: Readonly<Record<keyof typeof PORT_COUNT, MetricFamily>> = {
  received: FAMILY.portReceived,
  receivedBytes: FAMILY.portReceivedBytes,
  sent: FAMILY.portSent,
  sentBytes: FAMILY.portSentBytes,
  lost: FAMILY.portLost,
  refused: FAMILY.portRefused,
  linkDown: FAMILY.portLinkDown,
  tooLong: FAMILY.portTooLong,
  invalid: FAMILY.portInvalid,
};

/** Values of a VM that are as they are at the moment. */
const VM_GAUGES: readonly (readonly [MetricFamily, (vm: Vm, nowNs: number) => number])[] = [
  [FAMILY.stillHeld, (vm) => vm.stillHeld],
  [FAMILY.bufferFrames, ({ txBuffer }) => txBuffer.frames],
  [FAMILY.bufferBytes, ({ txBuffer }) => txBuffer.bytes],
  [FAMILY.bufferPeakFrames, ({ txBuffer }) => txBuffer.occupancy.peakFrames],
  [FAMILY.bufferPeakBytes, ({ txBuffer }) => txBuffer.occupancy.peakBytes],
  [FAMILY.limitFrames, ({ txBuffer }) => txBuffer.occupancy.limits.limitFrames],
  [FAMILY.limitBytes, ({ txBuffer }) => txBuffer.occupancy.limits.limitBytes],
  [FAMILY.oldestHeld, ({ txBuffer }, nowNs) => secondsOrZero(nowNs - txBuffer.oldestArrivalNs())],
  [FAMILY.term, ({ epochs }) => epochs.term],
  [FAMILY.openEpoch, ({ epochs }) => epochs.openEpoch],
  [FAMILY.committedEpoch, ({ epochs }) => epochs.committedEpoch],
  [FAMILY.inFlight, ({ epochs }) => epochs.sealedEpochs.length],
  [FAMILY.hostSilent, ({ lease }, nowNs) => lease.silentNs(nowNs) / NS_PER_SECOND],
  [FAMILY.leaseLapsed, ({ forwarder }) => Number(forwarder.hostSilent)],
  [FAMILY.quiesced, ({ quiesced }, nowNs) => Number(quiesced.until[0]! > nowNs)],
  [FAMILY.failed, ({ forwarder }) => Number(forwarder.failed)],
  [FAMILY.recovered, ({ recovered }) => recovered?.frames ?? 0],
  [FAMILY.resent, ({ recovered }) => recovered?.resentFrames ?? 0],
  [FAMILY.lost, ({ recovered }) => (recovered === null ? 0 : (recovered.lostFrames ?? Number.NaN))],
  [FAMILY.announcements, ({ forwarder }) => forwarder.announcer.sentFrames],
  [FAMILY.generation, ({ generation }) => generation.number],
];

/** What is measured: as the host interface sees the gateway. */
export interface MetricsSource {
  readonly vms: ReadonlyMap<string, Vm>;
  readonly clock: Clock;
  readonly version: string;
  readonly ports?: () => readonly PortStatus[];
}

/**
 * @param ofProcess null: nothing of the process
 * @returns everything there is to measure, as text for Prometheus
 */
export function metricsText({ vms, clock, version, ports }: MetricsSource, ofProcess: ProcessMetrics | null): string {
  const to = new Exposition();
  to.family(FAMILY.buildInfo).sample([version, process.version], 1);
  const nowNs = clock.nowNs();
  for (const vm of vms.values()) vm.watchHost();
  writeVms(to, vms, nowNs);
  writeRules(to, vms);
  writePorts(to, ports?.() ?? []);
  ofProcess?.write(to);
  return to.text();
}

function writeVms(to: Exposition, vms: ReadonlyMap<string, Vm>, nowNs: number): void {
  for (const [count, family] of Object.entries(VM_COUNTERS)) {
    to.family(family);
    for (const [name, { counters }] of vms) to.sample([name], counters.get(count as keyof typeof COUNT));
  }
  for (const [family, value] of VM_GAUGES) {
    to.family(family);
    for (const [name, vm] of vms) to.sample([name], value(vm, nowNs));
  }
  to.family(FAMILY.reasons);
  for (const [name, { counters }] of vms) {
    // Also those that have not occurred: a rate needs a series that began at 0. The first name is for frames not judged.
    for (let code = 1; code < REASON_NAMES.length; code++) {
      to.sample([name, REASON_NAMES[code]!], counters.reasons[code]!);
    }
  }
  to.family(FAMILY.state);
  for (const [name, { epochs }] of vms) {
    for (const state of Object.values(STATES)) to.sample([name, state], Number(epochs.state === state));
  }
  to.family(FAMILY.holdTimes);
  for (const [name, { forwarder }] of vms) {
    const { counts, sumSeconds } = forwarder.holdTimes;
    to.histogram([name], HOLD_BUCKETS_SECONDS, counts, sumSeconds);
  }
}

interface ClassSum {
  readonly direction: string;
  readonly className: string;
  frames: number;
  bytes: number;
}

function writeRules(to: Exposition, vms: ReadonlyMap<string, Vm>): void {
  const lists = [...vms].map(([name, vm]) => ({ name, rules: vm.ruleCounters.list() }));
  to.family(FAMILY.rules);
  for (const { name, rules } of lists) to.sample([name], rules.length);
  to.family(FAMILY.rulesLeftOut);
  for (const { name, rules } of lists) to.sample([name], Math.max(0, rules.length - MAX_RULES));
  for (const [family, value] of [
    [FAMILY.ruleFrames, 'frames'],
    [FAMILY.ruleBytes, 'bytes'],
  ] as const) {
    to.family(family);
    for (const { name, rules } of lists) {
      for (const rule of rules.slice(0, MAX_RULES)) {
        to.sample([name, rule.direction, String(rule.handle)], rule[value]);
      }
    }
  }
  const sums = lists.map(({ name, rules }) => ({ name, classes: classSums(rules) }));
  for (const [family, value] of [
    [FAMILY.classFrames, 'frames'],
    [FAMILY.classBytes, 'bytes'],
  ] as const) {
    to.family(family);
    for (const { name, classes } of sums) {
      for (const sum of classes) to.sample([name, sum.direction, sum.className], sum[value]);
    }
  }
}

/** Rules that name a verdict belong to no class. */
function classSums(rules: ReturnType<Vm['ruleCounters']['list']>): ClassSum[] {
  const sums = new Map<string, ClassSum>();
  for (const { direction, class: className, frames, bytes } of rules) {
    if (className === null) continue;
    const key = `${direction} ${className}`;
    const sum = sums.get(key) ?? { direction, className, frames: 0, bytes: 0 };
    sum.frames += frames;
    sum.bytes += bytes;
    sums.set(key, sum);
  }
  return [...sums.values()];
}

function writePorts(to: Exposition, ports: readonly PortStatus[]): void {
  const rows = ports.map((port) => ({
    port,
    labels: [port.vm, String(port.pair), port.side, port.name, port.backend],
  }));
  to.family(FAMILY.linkUp);
  for (const { port, labels } of rows) to.sample(labels, Number(port.link === 'up'));
  to.family(FAMILY.mtu);
  for (const { port, labels } of rows) if (port.mtu !== null) to.sample(labels, port.mtu);
  for (const [count, family] of Object.entries(PORT_COUNTERS)) {
    to.family(family);
    for (const { port, labels } of rows) to.sample(labels, port.counters[count] ?? 0);
  }
}

/** @returns 0 for NaN: there is no such time */
function secondsOrZero(ns: number): number {
  return Number.isNaN(ns) ? 0 : Math.max(0, ns / NS_PER_SECOND);
}
