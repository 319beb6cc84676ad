import type { DynamicSet } from '../../classifier/dynamic-set.ts';
import { Cursor } from '../../rules/cursor.ts';
import { Reports } from '../../rules/errors.ts';
import { lex } from '../../rules/lex.ts';
import type { SetElement, SetType } from '../../rules/rule.ts';
import { parseSetElements, type WrittenElement } from '../../rules/set-elements.ts';
import type { Vm } from '../vm.ts';
import { invalidParams } from './protocol.ts';
import type { Problem } from './schema.ts';

const NS_PER_MS = 1e6;
const MAX_PROBLEMS = 20;

/**
 * @param texts as in rules: `192.0.2.1 . 5060`, `10.0.0.0/8 timeout 30s`
 * @param timeoutNs for elements without their own; null: the set's
 */
export function addElements(
  vm: Vm,
  name: string,
  texts: readonly string[],
  timeoutNs: number | null,
  nowNs: number,
): { added: number; refused: number } {
  const set = setOf(vm, name);
  // All are read before one is added: a request that is refused changes nothing.
  const elements = parseAll(texts, set.types);
  let added = 0;
  for (const { intervals, timeoutMs } of elements) {
    const lastsNs = timeoutMs === null ? timeoutNs : timeoutMs * NS_PER_MS;
    if (set.add(intervals, lastsNs, nowNs)) added++;
    auditedSet(vm, name, set)?.add(intervals, lastsNs, nowNs);
  }
  return { added, refused: elements.length - added };
}

/** @returns how many were there */
export function deleteElements(vm: Vm, name: string, texts: readonly string[], nowNs: number): { deleted: number } {
  const set = setOf(vm, name);
  const elements = parseAll(texts, set.types);
  for (const { intervals } of elements) auditedSet(vm, name, set)?.delete(intervals, nowNs);
  return { deleted: elements.filter(({ intervals }) => set.delete(intervals, nowNs)).length };
}

/** The same set of rules that are audited, if they have it. */
function auditedSet({ audited }: Vm, name: string, { types }: DynamicSet): DynamicSet | null {
  const set = audited?.set(name);
  return set !== undefined && set.types.join() === types.join() ? set : null;
}

function setOf({ generation }: Vm, name: string): DynamicSet {
  const set = generation.live.set(name);
  if (set !== undefined) return set;
  const isStatic = generation.ruleSet.sets.some((one) => one.name === name);
  const message = isStatic
    ? `the elements of '${name}' are part of the rules: only a set with 'flags timeout' or 'dynamic' takes others`
    : `the rules have no set '${name}'`;
  throw invalidParams([{ field: 'set', message }]);
}

function parseAll(texts: readonly string[], types: readonly SetType[]): SetElement[] {
  const problems: Problem[] = [];
  const elements: SetElement[] = [];
  for (const [i, text] of texts.entries()) {
    const parsed = parseElement(text, types);
    if (typeof parsed !== 'string') elements.push(parsed);
    else if (problems.push({ field: `elements[${i}]`, message: parsed }) === MAX_PROBLEMS) break;
  }
  if (problems.length > 0) throw invalidParams(problems);
  return elements;
}

/** @returns the element, or what is wrong */
function parseElement(text: string, types: readonly SetType[]): SetElement | string {
  const reports = new Reports('element');
  const cursor = new Cursor(lex(`{${text}}`, reports), reports);
  const elements: WrittenElement[] = [];
  const isRead = parseSetElements(cursor, types, elements, () => false);
  const [error] = reports.errors;
  if (error !== undefined)
    return error.expected === undefined ? error.message : `${error.message}: expected ${error.expected}`;
  if (!isRead || elements.length !== 1 || cursor.peek().kind !== 'end') return 'expected one element';
  return elements[0]!;
}
