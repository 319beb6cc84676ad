import { type Box, common, covers } from '../../rules/box.ts';
import { describe, guessRule } from '../../rules/imagined.ts';
import { countParts, partsOf, Region } from '../../rules/region.ts';
import type { Rule } from '../../rules/rule.ts';
import { imagineFrame } from '../../rules/witness.ts';

/** An earlier rule that decides frames which another rule selects, too. */
export interface Overlap {
  readonly rule: Rule;
  /** A frame was found that both select; otherwise nothing says that there is none. */
  readonly isCertain: boolean;
  /** No frame is left for the other rule. */
  readonly takesAll: boolean;
  /** Such a frame, as rules write its values; '' without one. */
  readonly example: string;
}

/** More combinations of tuples than this are not told apart. */
const MAX_PARTS = 64;

/** @param earlier rules above `rule`, of its block */
export function overlapsOf(rule: Rule, earlier: readonly Rule[]): Overlap[] {
  const boxes = boxesOf(rule);
  return boxes.length === 0 ? [] : earlier.flatMap((other) => overlapWith(rule, boxes, other) ?? []);
}

function overlapWith(rule: Rule, boxes: readonly Box[], other: Rule): Overlap | null {
  const others = boxesOf(other);
  const shared = boxes.flatMap((box) => others.map((one) => common(box, one))).filter((box) => box !== null);
  if (shared.length === 0) return null;
  const takesAll = boxes.every((box) => others.some((one) => covers(one, box)));
  for (const box of shared.slice(0, MAX_PARTS)) {
    const frame = imagineFrame(box);
    if (frame === null || guessRule(rule, frame) !== 'yes' || guessRule(other, frame) !== 'yes') continue;
    return { rule: other, isCertain: true, takesAll, example: describe([...rule.matches, ...other.matches], frame) };
  }
  return { rule: other, isCertain: takesAll, takesAll, example: '' };
}

function boxesOf(rule: Rule): readonly Box[] {
  const count = countParts(rule.matches);
  if (count > 1 && count <= MAX_PARTS) return partsOf(rule);
  const { box, contradiction } = new Region(rule);
  return contradiction === null ? [box] : [];
}
