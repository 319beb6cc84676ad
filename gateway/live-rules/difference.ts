import { areEqual, diffRules, type RuleDifference, type RuleSetDifference } from '../../rules/diff.ts';
import type { Rule, RuleSet } from '../../rules/rule.ts';

/** A rule, as differences tell of it. */
export interface ShownRule {
  readonly handle: number;
  readonly file: string;
  readonly line: number;
  readonly text: string;
  readonly class: string | null;
  readonly verdict: string;
}

/** What differs between two rule sets, as programs are told of it. */
export interface Difference extends Omit<RuleSetDifference, 'rules'> {
  readonly equal: boolean;
  readonly rules: readonly (Omit<RuleDifference, 'before' | 'after' | 'hasMoved'> & {
    readonly moved: boolean;
    readonly before: ShownRule | null;
    readonly after: ShownRule | null;
  })[];
}

export function differenceOf(before: RuleSet, after: RuleSet): Difference {
  const found = diffRules(before, after);
  const { classes, sets, inboundBlock } = found;
  return {
    equal: areEqual(found),
    classes,
    sets,
    inboundBlock,
    rules: found.rules.map(({ kind, block, changes, hasMoved, ...rule }) => {
      return { kind, block, changes, moved: hasMoved, before: shown(rule.before), after: shown(rule.after) };
    }),
  };
}

function shown(rule: Rule | null): ShownRule | null {
  if (rule === null) return null;
  const { handle, place, text, className, verdict } = rule;
  return { handle, file: place.file, line: place.line, text, class: className, verdict };
}
