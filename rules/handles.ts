import type { Rule, RuleSet } from './rule.ts';

/**
 * Gives rules whose text stayed the same the handles they had; the others get new ones, never used before. Of several rules with the
 * same text in one block the first keeps the first's handle, and so on.
 * @param next the least handle that no rule ever had
 */
export function keepHandles(
  ruleSet: RuleSet,
  before: RuleSet,
  next: number,
): { readonly ruleSet: RuleSet; readonly nextHandle: number } {
  let nextHandle = next;
  function renumber(rules: readonly Rule[], old: readonly Rule[]): Rule[] {
    // Handles in reverse: the first of a text is the last that was put in, and most texts are there only once.
    const free = new Map<string, number | number[]>();
    for (let i = old.length - 1; i >= 0; i--) {
      const { text, handle } = old[i]!;
      const others = free.get(text);
      if (others === undefined) free.set(text, handle);
      else if (typeof others === 'number') free.set(text, [others, handle]);
      else others.push(handle);
    }
    return rules.map((rule) => ({ ...rule, handle: take(free, rule.text) ?? nextHandle++ }));
  }
  const outbound = renumber(ruleSet.outbound, before.outbound);
  const inbound = ruleSet.inbound === null ? null : renumber(ruleSet.inbound, before.inbound ?? []);
  return { ruleSet: { ...ruleSet, outbound, inbound }, nextHandle };
}

function take(free: Map<string, number | number[]>, text: string): number | undefined {
  const handles = free.get(text);
  if (typeof handles !== 'number') return handles?.pop();
  free.delete(text);
  return handles;
}
