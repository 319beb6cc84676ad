import { allValues, type Box, type Side } from './box.ts';
import { type Constraint, constraintsOf, matchText } from './coordinates.ts';
import { intersect, isSubset } from './intervals.ts';
import type { ConcatMatch, Match, Rule } from './rule.ts';

/** What selects frames: a rule, or a claim about frames. */
export type Selector = Pick<Rule, 'handle' | 'matches' | 'className'>;

/** Why a rule is never asked about a frame that has such an `ip frag-off`. */
export const LATER_FRAGMENTS =
  "no whole packet and no first fragment has such an 'ip frag-off', and later fragments follow their first one";

/** The frames that a rule matches: exactly those of its box, whose sides are coordinates (coordinates.ts). */
export class Region {
  /** If there is a contradiction, of those matches that do not lead to it. */
  readonly box: Box;
  /** Why no frame can be in the region, in words; null if some may. */
  readonly contradiction: string | null;

  constructor(selector: Selector) {
    const builder = new BoxBuilder();
    selector.matches.forEach((match, i) => {
      builder.add(match, { id: `${selector.handle}.${i}`, className: selector.className });
    });
    this.box = builder.sides;
    this.contradiction = builder.contradiction;
  }
}

/** How many combinations of tuples the concatenations of these matches have. */
export function countParts(matches: readonly Match[]): number {
  return matches.reduce((product, match) => product * alternativesOf(match).length, 1);
}

/**
 * Boxes that together are the region: one for each combination of tuples. The box itself where there are no concatenations; none
 * where no tuple fits the other matches.
 */
export function partsOf(selector: Selector): Box[] {
  let combined: (readonly Match[])[] = [[]];
  for (const match of selector.matches) {
    const alternatives = alternativesOf(match);
    combined = combined.flatMap((done) => alternatives.map((one) => [...done, one]));
  }
  return combined
    .map((matches) => new Region({ ...selector, matches }))
    .filter((region) => region.contradiction === null)
    .map((region) => region.box);
}

function alternativesOf(match: Match): readonly Match[] {
  if (match.kind !== 'concat' || match.negated) return [match];
  return match.tuples.map((tuple): ConcatMatch => ({ ...match, tuples: [tuple] }));
}

class BoxBuilder {
  readonly sides = new Map<string, Side>();
  contradiction: string | null = null;
  /** What narrowed each side last. */
  readonly #source = new Map<string, string>();

  add(match: Match, owner: { readonly id: string; readonly className: string | null }): void {
    const source = matchText(match);
    for (const constraint of constraintsOf(match, owner)) this.#narrow(constraint, source);
  }

  #narrow({ key, bits, set }: Constraint, source: string): void {
    const before = this.sides.get(key)?.set ?? allValues(bits);
    const after = intersect(before, set);
    if (after.length === 0 && key === 'ip.frag-off') {
      this.contradiction ??= LATER_FRAGMENTS;
      return;
    }
    if (set.length === 0) {
      this.contradiction ??= `no value of '${source}' satisfies its match`;
      return;
    }
    if (after.length === 0) {
      const other = this.#source.get(key);
      this.contradiction ??=
        other === source
          ? `its matches on '${source}' exclude each other`
          : `'${other}' and '${source}' exclude each other`;
      return;
    }
    if (isSubset(before, after)) return;
    this.sides.set(key, { bits, set: after });
    this.#source.set(key, source);
  }
}
