import { formatBits, prefixLength, setTypeOperand } from '../../rules/operand.ts';
import type { Interval, NamedSet, SetType } from '../../rules/rule.ts';
import type { Vm } from '../vm.ts';
import type { ListedElement, Results, SetSummary } from './api.ts';
import { invalidParams } from './protocol.ts';

const NS_PER_MS = 1e6;

/** @param name null: only the sets there are, without elements */
export function listSets(vm: Vm, name: string | null, from: number, limit: number, nowNs: number): Results['set.list'] {
  const { sets } = vm.generation.ruleSet;
  if (name === null) return { sets: sets.map((set) => summaryOf(vm, set, nowNs)), elements: [], next: null };
  const set = sets.find((one) => one.name === name);
  if (set === undefined) throw invalidParams([{ field: 'set', message: `the rules have no set '${name}'` }]);
  const { elements, total } = pageOf(vm, set, from, limit, nowNs);
  const next = from + limit < total ? from + limit : null;
  return { sets: [summaryOf(vm, set, nowNs)], elements, next };
}

function summaryOf({ generation }: Vm, set: NamedSet, nowNs: number): SetSummary {
  const live = generation.live.set(set.name);
  return {
    set: set.name,
    types: set.types,
    isDynamic: set.isDynamic,
    timeoutMs: set.timeoutMs,
    maxElements: set.isDynamic ? set.maxElements : null,
    elements: live?.page(0, 0, nowNs).total ?? set.elements.length,
    refused: live?.refused ?? 0,
  };
}

function pageOf({ generation }: Vm, set: NamedSet, from: number, limit: number, nowNs: number) {
  const live = generation.live.set(set.name);
  if (live === undefined) {
    const page = set.elements.slice(from, from + limit);
    const elements = page.map(({ intervals }) => ({ element: elementText(set.types, intervals), remainingMs: null }));
    return { elements, total: set.elements.length };
  }
  const { elements, total } = live.page(from, limit, nowNs);
  const listed = elements.map(({ intervals, deadlineNs }): ListedElement => {
    const remainingMs = deadlineNs === null ? null : (deadlineNs - nowNs) / NS_PER_MS;
    return { element: elementText(set.types, intervals), remainingMs };
  });
  return { elements: listed, total };
}

/** As rules write it, so that `set.delete` takes it. */
function elementText(types: readonly SetType[], intervals: readonly Interval[]): string {
  return types.map((type, i) => intervalText(type, intervals[i]!)).join(' . ');
}

function intervalText(type: SetType, interval: Interval): string {
  const operand = setTypeOperand(type);
  const text = (value: bigint) => (operand.syntax.kind === 'number' ? String(value) : formatBits(operand, value));
  const { low, high } = interval;
  if (low === high) return text(low);
  const length = operand.syntax.kind === 'mac' ? null : prefixLength(operand, interval);
  return length === null ? `${text(low)}-${text(high)}` : `${text(low)}/${length}`;
}
