import { FIELDS, type Match, type RuleSet } from '../rules/rule.ts';
import { carries } from './field.ts';
import { CompiledMatcher, EMPTY_LEAF, KINDS, kindOf, NONE } from './matcher.ts';
import { L3, type L3Kind, L4, type L4Kind } from './parsed.ts';
import { type Box, type EncodedRule, ProgramWriter } from './program.ts';
import { TreeBuilder } from './tree.ts';

/** What the rules say about one kind of frame. */
interface KindRules {
  /** The boxes of each rule that some frame of the kind can meet, in order. */
  readonly candidates: readonly (readonly Box[])[];
  /** The first rule that every frame of the kind meets, or NONE. No later one is ever asked. */
  readonly fallback: number;
}

/** Makes the fast matcher of a rule set: it answers every frame as `LinearMatcher` does. */
export function compileMatcher(ruleSet: RuleSet): CompiledMatcher {
  const program = new ProgramWriter();
  const rules = ruleSet.outbound.map((rule, index) => program.add(rule, index));
  const trees = new TreeBuilder();
  const roots = new Int32Array(KINDS).fill(EMPTY_LEAF);
  const fallbacks = new Int32Array(KINDS).fill(NONE);
  const built: { readonly candidates: KindRules['candidates']; readonly root: number }[] = [];
  for (const l3 of Object.values(L3)) {
    for (const l4 of Object.values(L4)) {
      for (const isTagged of [false, true]) {
        const { candidates, fallback } = rulesOfKind(rules, l3, l4, isTagged);
        // Many kinds have the same rules: `ip saddr` alone does not care for the transport.
        let tree = built.find((other) => isSame(other.candidates, candidates));
        if (tree === undefined) {
          tree = { candidates, root: trees.build(candidates.flat()) };
          built.push(tree);
        }
        const kind = kindOf(l3, l4, isTagged ? 1 : 0);
        roots[kind] = tree.root;
        fallbacks[kind] = fallback;
      }
    }
  }
  const matches = ruleSet.outbound.flatMap((rule) => rule.matches);
  return new CompiledMatcher({
    code: Int32Array.from(program.code),
    lists: Int32Array.from(program.lists),
    nodes: Int32Array.from(trees.nodes),
    children: Int32Array.from(trees.children),
    leaves: Int32Array.from(trees.leaves),
    roots,
    fallbacks,
    usesMacs: matches.some((match) => match.kind === 'field' && FIELDS[match.field].bits === 48),
    usesApps: matches.some((match) => match.kind === 'app'),
  });
}

function rulesOfKind(rules: readonly EncodedRule[], l3: L3Kind, l4: L4Kind, isTagged: boolean): KindRules {
  const candidates: (readonly Box[])[] = [];
  for (const { rule, matches, boxes, layer2Boxes } of rules) {
    // Of a frame with an unknown EtherType only layer 2 is asked; the rest of the rule is unknown.
    const asked = l3 === L3.unknown ? matches.filter(isLayer2) : matches;
    if (!asked.every((match) => match.kind === 'app' || carries(match.field, l3, l4, isTagged))) continue;
    if (asked.length === 0) return { candidates, fallback: rule };
    candidates.push(l3 === L3.unknown ? layer2Boxes : boxes);
  }
  return { candidates, fallback: NONE };
}

function isLayer2(match: Match): boolean {
  return match.kind === 'field' && FIELDS[match.field].layer === 'l2';
}

/** Every rule has its own array of boxes, so these are the same rules if they are the same arrays. */
function isSame(a: KindRules['candidates'], b: KindRules['candidates']): boolean {
  return a.length === b.length && a.every((boxes, i) => boxes === b[i]);
}
