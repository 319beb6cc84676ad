import type { PortStatus, Status, VmStatus } from '../host/api.ts';
import type { styles } from './output.ts';
import { grouped, printable, span, table } from './table.ts';

type Style = ReturnType<typeof styles>;

const NS_PER_MS = 1e6;
/** Epochs that are named one by one. */
const LISTED = 8;

/** @returns what `status` says to people, a line each */
export function statusLines(status: Status, style: Style): string[] {
  const vms = status.vms.flatMap((vm) => [...vmLines(vm, style), '']);
  return [...vms, ...portLines(status.ports, style)];
}

function vmLines(vm: VmStatus, style: Style): string[] {
  const { counters } = vm;
  const n = (name: keyof typeof counters) => grouped(counters[name]);
  const lines = [
    style('bold', `${printable(vm.vm)}: ${stateText(vm)}, rules of generation ${vm.generation}`),
    `  epochs    ${epochText(vm)}`,
    `  host      ${hostText(vm)}`,
    `  held      ${heldText(vm)}`,
    `  outbound  ${n('outbound')} = ${n('passed')} passed + ${n('released')} released + ${n('discarded')} discarded + ${n('dropped')} dropped + ${n('stillHeld')} still held (${n('held')} ever held)`,
    `  inbound   ${n('inbound')}: ${n('inboundPassed')} passed, ${n('inboundDropped')} dropped`,
  ];
  if (vm.quiesced) lines.push(style('yellow', '  quiesced: no packets are delivered to the VM'));
  if (vm.leaseLapsed) lines.push(style('red', '  the lease has run out: everything is held'));
  const reasons = sorted(vm.reasons);
  if (reasons.length > 0) lines.push(...table(['reason', 'frames'], reasons));
  const classes = vm.classes.map((one) => [one.direction, className(one.class), one.verdict, one.frames, one.bytes]);
  if (classes.length > 0) lines.push(...table(['direction', 'class', 'verdict', 'frames', 'bytes'], classes));
  return lines;
}

export function stateText({ state, term }: Pick<VmStatus, 'state' | 'term'>): string {
  switch (state) {
    case 'on':
      return `on, term ${term}`;
    case 'waiting':
      return `waiting for its host, everything is held${term === 0 ? '' : ` (last term ${term})`}`;
    case 'off':
      return `off, nothing is held${term === 0 ? '' : ` (last term ${term})`}`;
  }
}

export function epochText({ state, openEpoch, sealedEpochs, committedEpoch }: VmStatus): string {
  if (state !== 'on') return 'none';
  return `${openEpoch} open, in flight ${listed(sealedEpochs)}, committed ${committedEpoch === 0 ? 'none' : committedEpoch}`;
}

function listed(epochs: readonly number[]): string {
  if (epochs.length === 0) return 'none';
  if (epochs.length <= LISTED) return epochs.join(' ');
  return `${epochs.length} (${epochs[0]} to ${epochs.at(-1)})`;
}

export function hostText({ hostSilentMs }: VmStatus): string {
  return hostSilentMs === null ? 'none' : `silent for ${milliseconds(hostSilentMs)}`;
}

export function heldText({ heldFrames, heldBytes, oldestHeldMs }: VmStatus): string {
  const oldest = oldestHeldMs === null ? '' : `, the oldest for ${milliseconds(oldestHeldMs)}`;
  return `${grouped(heldFrames)} frame${heldFrames === 1 ? '' : 's'}, ${grouped(heldBytes)} bytes${oldest}`;
}

export function className(name: string | null): string {
  return name === null ? '-' : printable(name);
}

/** Most frequent first. */
export function sorted(reasons: Readonly<Record<string, number>>): [string, number][] {
  return Object.entries(reasons).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}

function milliseconds(ms: number): string {
  return span(ms * NS_PER_MS);
}

function portLines(ports: readonly PortStatus[], style: Style): string[] {
  if (ports.length === 0) return ['no ports'];
  const names = [...new Set(ports.flatMap(({ counters }) => Object.keys(counters)))];
  const counted = names.filter((name) => name.startsWith('received') || name.startsWith('sent') || any(ports, name));
  const rows = ports.map((port) => [
    printable(port.name),
    port.side,
    port.vm,
    port.mode === undefined ? port.backend : `${port.backend} ${port.mode}`,
    port.link,
    port.mtu ?? '-',
    ...counted.map((name) => port.counters[name] ?? 0),
  ]);
  const lines = table(['port', 'side', 'vm', 'kind', 'link', 'mtu', ...counted.map(words)], rows);
  const troubles = ports.filter(({ trouble }) => trouble !== null);
  return [
    ...lines,
    ...troubles.map(({ name, trouble }) => style('yellow', `  ${printable(name)}: ${printable(trouble!)}`)),
  ];
}

function any(ports: readonly PortStatus[], name: string): boolean {
  return ports.some(({ counters }) => (counters[name] ?? 0) > 0);
}

/** `linkDown` to `link down`. */
function words(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
