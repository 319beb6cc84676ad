import type { Clock } from './clock.ts';
import type { PortStatus } from './host/api.ts';
import type { Vm } from './vm.ts';

export interface HealthSource {
  readonly vms: ReadonlyMap<string, Vm>;
  readonly clock: Clock;
  readonly ports?: () => readonly PortStatus[];
}

/** @returns why the gateway does not do all that it should, for people; empty: it does */
export function healthProblems({ vms, clock, ports }: HealthSource): string[] {
  const problems: string[] = [];
  for (const { vm, side, name, link, trouble } of ports?.() ?? []) {
    if (link !== 'up') problems.push(`${vm}: ${side} port ${name} is ${link}${trouble === null ? '' : `: ${trouble}`}`);
  }
  const nowNs = clock.nowNs();
  for (const [name, vm] of vms) {
    vm.watchHost();
    if (!vm.forwarder.hostSilent) continue;
    const seconds = Math.max(0, vm.lease.silentNs(nowNs) / 1e9).toFixed(1);
    problems.push(`${name}: the host has been silent for ${seconds} s, longer than its lease: everything is held`);
  }
  return problems;
}
