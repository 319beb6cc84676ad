import type { Recovered } from '../durable/vm-store.ts';
import type { Vm } from '../vm.ts';
import type { PortStatus, Status, VmStatus, VmSummary } from './api.ts';

const NS_PER_MS = 1e6;
/** Frames that the kernel or a peer lost before they could be read. */
const PORT_LOST = 'port-lost';
const COUNTED = [
  'outbound',
  'inbound',
  'passed',
  'held',
  'released',
  'discarded',
  'dropped',
  'inboundPassed',
  'inboundDropped',
] as const;

export function summaryOf(name: string, { epochs }: Vm): VmSummary {
  const { state, term, openEpoch, sealedEpochs, committedEpoch } = epochs;
  return { vm: name, state, term, openEpoch, sealedEpochs: [...sealedEpochs], committedEpoch };
}

export function statusOf(vms: ReadonlyMap<string, Vm>, ports: readonly PortStatus[], nowNs: number): Status {
  const rows = [...vms].map(([name, vm]) => {
    const row = vmStatusOf(name, vm, nowNs);
    const lost = ports.reduce((sum, port) => (port.vm === name ? sum + (port.counters.lost ?? 0) : sum), 0);
    // What a port never gave us is in no other count.
    return lost === 0 ? row : { ...row, reasons: { ...row.reasons, [PORT_LOST]: lost } };
  });
  const reasons: Record<string, number> = {};
  for (const row of rows) {
    for (const [reason, count] of Object.entries(row.reasons)) reasons[reason] = (reasons[reason] ?? 0) + count;
  }
  return { generation: Math.max(0, ...rows.map((row) => row.generation)), vms: rows, ports, reasons };
}

function vmStatusOf(name: string, vm: Vm, nowNs: number): VmStatus {
  vm.watchHost();
  const { counters, ruleCounters, txBuffer, lease, quiesced, forwarder, generation } = vm;
  const counted = Object.fromEntries(COUNTED.map((count) => [count, counters.get(count)]));
  const { recovered } = vm;
  return {
    ...summaryOf(name, vm),
    ...(recovered === null ? {} : { recovered: recoveredOf(recovered) }),
    generation: generation.number,
    counters: { ...counted, stillHeld: vm.stillHeld } as VmStatus['counters'],
    heldFrames: txBuffer.frames,
    heldBytes: txBuffer.bytes,
    oldestHeldMs: milliseconds(nowNs - txBuffer.oldestArrivalNs()),
    hostSilentMs: milliseconds(lease.silentNs(nowNs)),
    leaseMs: leaseMsOf(vm),
    leaseLapsed: forwarder.hostSilent,
    quiesced: quiesced.until[0]! > nowNs,
    reasons: counters.reasonsByName(),
    classes: ruleCounters.byClass(),
  };
}

function leaseMsOf({ epochs, leaseNs }: Vm): number | null {
  if (epochs.state === 'off') return null;
  return leaseNs === Number.POSITIVE_INFINITY ? 0 : leaseNs / NS_PER_MS;
}

/** @returns null for NaN: there is no such time */
function milliseconds(ns: number): number | null {
  return Number.isNaN(ns) ? null : Math.max(0, ns / NS_PER_MS);
}

function recoveredOf({ frames, resentFrames, lostFrames }: Recovered): NonNullable<VmStatus['recovered']> {
  return { frames, resentFrames, lostFrames };
}
