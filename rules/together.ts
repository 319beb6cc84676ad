import { type Box, type Side, subtract } from './box.ts';
import { tightened } from './coordinates.ts';
import type { CoverIndex } from './cover-index.ts';
import type { Rule } from './rule.ts';
import type { Work } from './work.ts';

/** So many boxes may be cut off before the search is given up. */
const MAX_STEPS = 256;
/** Boxes are cut along so many sides that they do not have themselves. */
const MAX_OTHER_SIDES = 48;
const ZERO: Side['set'] = [{ low: 0n, high: 0n }];

/**
 * Which earlier rules together leave nothing of these boxes. A corner of what is left is looked up, the box around it cut off,
 * and so on: a corner that no rule covers ends the search, mostly at the first one.
 * @returns the rules in their order; null if something is left, or the search was given up
 */
export function coveredTogether(
  boxes: readonly Box[],
  index: CoverIndex,
  sides: readonly OtherSide[],
  work: Work,
): Rule[] | null {
  const rules = new Set<Rule>();
  const left = [...boxes];
  for (let steps = 0; ; steps++) {
    const box = left.pop();
    if (box === undefined) return [...rules].sort((a, b) => a.handle - b.handle);
    const around = steps < MAX_STEPS ? index.find(cornerOf(box, sides), work) : null;
    if (around === null) return null;
    rules.add(around.rule);
    for (const rest of subtract(box, around.box)) {
      const possible = tightened(rest);
      if (possible !== null) left.push(possible);
    }
  }
}

type OtherSide = readonly [key: string, corner: Side];

/** Sides that several boxes of the index have, and that a box may therefore be cut along. */
export function otherSides(boxes: readonly Box[], uses: ReadonlyMap<string, number>): OtherSide[] {
  const sides = new Map<string, Side>();
  for (const box of boxes) {
    for (const [key, { bits }] of box) if (uses.get(key)! > 1) sides.set(key, { bits, set: ZERO });
  }
  return [...sides].sort((a, b) => uses.get(b[0])! - uses.get(a[0])!).slice(0, MAX_OTHER_SIDES);
}

/** The point with the lowest value on each side. */
function cornerOf(box: Box, others: readonly OtherSide[]): Box {
  const corner = new Map(others);
  for (const [key, { bits, set }] of box) corner.set(key, { bits, set: [{ low: set[0]!.low, high: set[0]!.low }] });
  return corner;
}
