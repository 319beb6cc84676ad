import { compileMatcher } from '../../classifier/compile.ts';
import { LinearMatcher } from '../../classifier/linear.ts';
import { LiveState } from '../../classifier/live-state.ts';
import type { Matcher } from '../../classifier/matcher.ts';
import type { RuleSet } from '../../rules/rule.ts';

/** Every matcher, for tests that all must pass; without live state for rules that ask none. */
export const MATCHERS: readonly (readonly [string, (ruleSet: RuleSet, live?: LiveState) => Matcher])[] = [
  ['linear', (ruleSet, live = new LiveState(ruleSet.sets)) => new LinearMatcher(ruleSet.outbound, live)],
  ['compiled', (ruleSet, live = new LiveState(ruleSet.sets)) => compileMatcher(ruleSet.outbound, live)],
];
