import type { NamedSet, Rule, RuleSet, TrafficClass, VerdictName } from './rule.ts';

/** What differs between two rules that select frames by the same words or the same matches. */
export type RuleChange = 'verdict' | 'class' | 'options' | 'comment' | 'matches';

export interface RuleDifference {
  readonly kind: 'added' | 'removed' | 'moved' | 'changed';
  readonly block: 'outbound' | 'inbound';
  /** null: added. */
  readonly before: Rule | null;
  /** null: removed. */
  readonly after: Rule | null;
  /** Of a rule that is in both; where it is empty, the rule has only moved. */
  readonly changes: readonly RuleChange[];
  /** It stands before or behind rules that it stood behind or before. */
  readonly hasMoved: boolean;
}

export interface RuleSetDifference {
  /** Classes that only one of them has, or whose verdict differs; null where it is not there. */
  readonly classes: readonly {
    readonly name: string;
    readonly before: VerdictName | null;
    readonly after: VerdictName | null;
  }[];
  /** Named sets. Rules whose static sets changed are among the rules, too. */
  readonly sets: readonly { readonly name: string; readonly kind: 'added' | 'removed' | 'changed' }[];
  /** In the order of the new rules; a removed one where it stood. */
  readonly rules: readonly RuleDifference[];
  /** null: the block is in both or in neither. */
  readonly inboundBlock: 'added' | 'removed' | null;
}

/**
 * What is different between two rule sets, by what rules say and not by where they stand in their files. Rules are taken for the same
 * if their words are the same, or else their matches; of several the first for the first.
 */
export function diffRules(before: RuleSet, after: RuleSet): RuleSetDifference {
  return {
    classes: diffClasses(before.classes, after.classes),
    sets: diffSets(before.sets, after.sets),
    rules: [
      ...diffBlock('outbound', before.outbound, after.outbound),
      ...diffBlock('inbound', before.inbound ?? [], after.inbound ?? []),
    ],
    inboundBlock: diffInboundBlock(before, after),
  };
}

export function areEqual({ classes, sets, rules, inboundBlock }: RuleSetDifference): boolean {
  return classes.length + sets.length + rules.length === 0 && inboundBlock === null;
}

function diffInboundBlock(before: RuleSet, after: RuleSet): 'added' | 'removed' | null {
  if ((before.inbound === null) === (after.inbound === null)) return null;
  return before.inbound === null ? 'added' : 'removed';
}

function diffClasses(before: readonly TrafficClass[], after: readonly TrafficClass[]): RuleSetDifference['classes'] {
  const verdicts = (classes: readonly TrafficClass[]) => new Map(classes.map(({ name, verdict }) => [name, verdict]));
  const [old, now] = [verdicts(before), verdicts(after)];
  const names = [...new Set([...old.keys(), ...now.keys()])];
  return names
    .map((name) => ({ name, before: old.get(name) ?? null, after: now.get(name) ?? null }))
    .filter((one) => one.before !== one.after);
}

function diffSets(before: readonly NamedSet[], after: readonly NamedSet[]): RuleSetDifference['sets'] {
  const texts = (sets: readonly NamedSet[]) => new Map(sets.map((set) => [set.name, textOf({ ...set, place: null })]));
  const [old, now] = [texts(before), texts(after)];
  const names = [...new Set([...old.keys(), ...now.keys()])].filter((name) => old.get(name) !== now.get(name));
  return names.map((name) => {
    return { name, kind: !old.has(name) ? 'added' : !now.has(name) ? 'removed' : 'changed' };
  });
}

function diffBlock(block: RuleDifference['block'], before: readonly Rule[], after: readonly Rule[]): RuleDifference[] {
  const partner = partnersOf(before, after);
  const indexOf = new Map(before.map((rule, index) => [rule, index]));
  const stayed = longestRise(after.flatMap((rule) => partner.get(rule) ?? []).map((rule) => indexOf.get(rule)!));
  const differences: RuleDifference[] = [];
  const kept = new Set(partner.values());
  let shown = 0;
  const showRemoved = (end: number) => {
    for (; shown < end; shown++) {
      const rule = before[shown]!;
      if (kept.has(rule)) continue;
      differences.push({ kind: 'removed', block, before: rule, after: null, changes: [], hasMoved: false });
    }
  };
  for (const rule of after) {
    const old = partner.get(rule);
    if (old === undefined) {
      differences.push({ kind: 'added', block, before: null, after: rule, changes: [], hasMoved: false });
      continue;
    }
    const index = indexOf.get(old)!;
    const hasMoved = !stayed.has(index);
    if (!hasMoved) showRemoved(index);
    const changes = changesOf(old, rule);
    if (changes.length === 0 && !hasMoved) continue;
    const kind = changes.length > 0 ? 'changed' : 'moved';
    differences.push({ kind, block, before: old, after: rule, changes, hasMoved });
  }
  showRemoved(before.length);
  return differences;
}

/** By new rule, the old one that it is: first those with the same words, then those with the same matches. */
function partnersOf(before: readonly Rule[], after: readonly Rule[]): Map<Rule, Rule> {
  const partners = new Map<Rule, Rule>();
  const taken = new Set<Rule>();
  for (const keyOf of [(rule: Rule) => rule.text, (rule: Rule) => `${rule.isDefault} ${textOf(rule.matches)}`]) {
    const free = new Map<string, Rule[]>();
    for (const rule of before) {
      if (taken.has(rule)) continue;
      const key = keyOf(rule);
      const list = free.get(key);
      if (list === undefined) free.set(key, [rule]);
      else list.push(rule);
    }
    for (const rule of after) {
      if (partners.has(rule)) continue;
      const old = free.get(keyOf(rule))?.shift();
      if (old === undefined) continue;
      partners.set(rule, old);
      taken.add(old);
    }
  }
  return partners;
}

function changesOf(before: Rule, after: Rule): RuleChange[] {
  const changes: RuleChange[] = [];
  if (before.verdict !== after.verdict) changes.push('verdict');
  if (before.className !== after.className) changes.push('class');
  if (before.guard !== after.guard || before.ordered !== after.ordered) changes.push('options');
  if (before.comment !== after.comment) changes.push('comment');
  if (textOf(before.matches) !== textOf(after.matches)) changes.push('matches');
  return changes;
}

function textOf(value: unknown): string {
  return JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? `${one}n` : one));
}

/** @returns members of a longest rising subsequence of different numbers: what need not be moved */
function longestRise(numbers: readonly number[]): Set<number> {
  /** By length less one, the index of the smallest number that ends a rise of that length. */
  const ends: number[] = [];
  const previous: number[] = [];
  for (const [at, number] of numbers.entries()) {
    let low = 0;
    for (let high = ends.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (numbers[ends[middle]!]! < number) low = middle + 1;
      else high = middle;
    }
    previous.push(low === 0 ? -1 : ends[low - 1]!);
    ends[low] = at;
  }
  const rise = new Set<number>();
  for (let at = ends.at(-1) ?? -1; at >= 0; at = previous[at]!) rise.add(numbers[at]!);
  return rise;
}
