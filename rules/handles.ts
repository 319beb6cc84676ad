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
    const free = new Map<string, number[]>();
    for (const { text, handle } of old) {
      const handles = free.get(text);
      if (handles === undefined) free.set(text, [handle]);
      else handles.push(handle);
    }
    return rules.map((rule) => ({ ...rule, handle: free.get(rule.text)?.shift() ?? nextHandle++ }));
  }
  const outbound = renumber(ruleSet.outbound, before.outbound);
  const inbound = ruleSet.inbound === null ? null : renumber(ruleSet.inbound, before.inbound ?? []);
  return { ruleSet: { ...ruleSet, outbound, inbound }, nextHandle };
}
