import type { PortStatus, Status, VmStatus } from '../host/api.ts';
import { className, epochText, heldText, hostText, sorted, stateText } from './status-text.ts';
import { grouped, printable, table } from './table.ts';

/** What the gateway said, and when it said so. */
export interface Sample {
  readonly status: Status;
  /** On a clock that only grows. */
  readonly atMs: number;
  /** Why this is what it said before; null: it is not. */
  readonly trouble: string | null;
}

export interface Line {
  readonly text: string;
  readonly style: 'bold' | 'red' | 'yellow' | 'dim' | null;
}

/** Per second, between two samples. null: not known, at the first look or across a restart of the gateway. */
interface VmRates {
  readonly vm: string;
  readonly counters: Readonly<Record<string, number | null>>;
  readonly reasons: Readonly<Record<string, number | null>>;
  readonly classes: readonly {
    readonly direction: string;
    readonly class: string | null;
    readonly verdict: string;
    readonly frames: number | null;
    readonly bytes: number | null;
  }[];
}

interface PortRates {
  readonly vm: string;
  readonly side: string;
  readonly name: string;
  readonly counters: Readonly<Record<string, number | null>>;
}

export interface TopRates {
  readonly seconds: number | null;
  readonly vms: readonly VmRates[];
  readonly ports: readonly PortRates[];
}

/** @param before the sample before; null: there is none */
export function topRates(now: Sample, before: Sample | null): TopRates {
  const seconds = before === null ? null : (now.atMs - before.atMs) / 1000;
  const rate = (count: number, earlier: number | undefined): number | null => {
    if (seconds === null || seconds <= 0 || earlier === undefined || count < earlier) return null;
    return (count - earlier) / seconds;
  };
  const rates = (counts: Readonly<Record<string, number>>, earlier: Readonly<Record<string, number>> | undefined) =>
    // A reason that was not there had not occurred.
    Object.fromEntries(Object.entries(counts).map(([name, n]) => [name, rate(n, earlier && (earlier[name] ?? 0))]));
  return {
    seconds,
    vms: now.status.vms.map((vm) => {
      const old = before?.status.vms.find((one) => one.vm === vm.vm);
      return {
        vm: vm.vm,
        counters: rates(vm.counters, old?.counters),
        reasons: rates(vm.reasons, old?.reasons),
        classes: vm.classes.map((one) => {
          const was = old?.classes.find(
            (other) => other.direction === one.direction && other.class === one.class && other.verdict === one.verdict,
          );
          const zero = old === undefined ? undefined : 0;
          const { direction, class: name, verdict } = one;
          const frames = rate(one.frames, was?.frames ?? zero);
          return { direction, class: name, verdict, frames, bytes: rate(one.bytes, was?.bytes ?? zero) };
        }),
      };
    }),
    ports: now.status.ports.map((port) => {
      const old = before?.status.ports.find((one) => isSame(one, port));
      const { vm, side, name } = port;
      return { vm, side, name, counters: rates(port.counters, old?.counters) };
    }),
  };
}

function isSame(a: PortStatus, b: PortStatus): boolean {
  return a.vm === b.vm && a.side === b.side && a.pair === b.pair;
}

/** @returns the whole view */
export function topLines(now: Sample, before: Sample | null, path: string): Line[] {
  const rates = topRates(now, before);
  const lines: Line[] = [line(`holdfast at ${printable(path)}`, 'dim')];
  if (now.trouble !== null) lines.push(line(`${now.trouble}: what it said last is shown`, 'red'));
  now.status.vms.forEach((vm, i) => {
    lines.push(...vmLines(vm, rates.vms[i]!), line(''));
  });
  const rows = now.status.ports.map((port, i) => {
    const { counters } = rates.ports[i]!;
    const lost = port.counters.lost ?? 0;
    const columns = ['received', 'receivedBytes', 'sent', 'sentBytes'].map((name) => perSecond(counters[name]));
    return [printable(port.name), port.side, port.vm, port.link, ...columns, lost];
  });
  const header = ['port', 'side', 'vm', 'link', 'in/s', 'in B/s', 'out/s', 'out B/s', 'lost'];
  if (rows.length > 0) lines.push(...rightAligned(header, rows));
  return lines;
}

function vmLines(vm: VmStatus, rates: VmRates): Line[] {
  const lines = [
    line(`${printable(vm.vm)}: ${stateText(vm)}`, 'bold'),
    line(`  held      ${heldText(vm)}`),
    line(`  epochs    ${epochText(vm)}`),
    line(`  host      ${hostText(vm)}`, vm.leaseLapsed ? 'red' : null),
  ];
  if (vm.leaseLapsed) lines.push(line('  the lease has run out: everything is held', 'red'));
  if (vm.quiesced) lines.push(line('  quiesced: no packets are delivered to the VM', 'yellow'));
  const each = (...names: readonly string[]) =>
    names.map((name) => `${perSecond(rates.counters[name])} ${words(name)}`).join(', ');
  lines.push(line(`  out/s     ${each('outbound', 'passed', 'held', 'released', 'discarded', 'dropped')}`));
  lines.push(line(`  in/s      ${each('inbound', 'inboundPassed', 'inboundDropped')}`));
  const classes = rates.classes.map((one, i) => [
    one.direction,
    className(one.class),
    one.verdict,
    perSecond(one.frames),
    perSecond(one.bytes),
    vm.classes[i]!.frames,
  ]);
  if (classes.length > 0)
    lines.push(...rightAligned(['direction', 'class', 'verdict', 'frames/s', 'B/s', 'frames'], classes));
  const reasons = sorted(vm.reasons).map(([name, count]) => [name, perSecond(rates.reasons[name]), count]);
  if (reasons.length > 0) lines.push(...rightAligned(['reason', 'frames/s', 'frames'], reasons));
  return lines;
}

function line(text: string, style: Line['style'] = null): Line {
  return { text, style };
}

function perSecond(rate: number | null | undefined): string {
  if (rate === null || rate === undefined) return '-';
  return rate > 0 && rate < 10 ? rate.toFixed(1) : grouped(Math.round(rate));
}

/** `inboundPassed` to `passed`: its line says the direction. */
function words(name: string): string {
  return name.replace(/^inbound(?=[A-Z])/, '').toLowerCase();
}

/** Columns of rates stand right as numbers do. */
function rightAligned(header: readonly string[], rows: readonly (readonly (string | number)[])[]): Line[] {
  const rateColumns = header.map((name) => name.endsWith('/s'));
  const widths = header.map((name, i) => Math.max(name.length, ...rows.map((row) => String(row[i]).length)));
  const padded = rows.map((row) => row.map((cell, i) => (rateColumns[i] ? String(cell).padStart(widths[i]!) : cell)));
  const names = header.map((name, i) => (rateColumns[i] ? name.padStart(widths[i]!) : name));
  return table(names, padded).map((text, i) => line(text, i === 0 ? 'dim' : null));
}
