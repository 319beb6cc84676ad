import { type Box, common, type Side, subtract } from './box.ts';
import type { Claim } from './claims.ts';
import { fieldOf, KEY, L3_VALUE } from './coordinates.ts';
import { guessRule, type ImaginedFrame } from './imagined.ts';
import { includes } from './intervals.ts';
import { countParts, partsOf, Region, type Selector } from './region.ts';
import { FIELDS, type Rule } from './rule.ts';
import { imagineFrame } from './witness.ts';
import type { Work } from './work.ts';

/** A rule that passes a frame which a claim says is held, and such a frame. */
export interface BrokenClaim {
  readonly claim: Claim;
  readonly rule: Rule;
  readonly witness: ImaginedFrame;
}

/** So many frames are imagined for one claim and one rule. */
const MAX_STEPS = 64;
/** More combinations of tuples than this are not told apart. */
const MAX_PARTS = 64;

const UNREAD: Side = { bits: 2, set: [{ low: L3_VALUE.other, high: L3_VALUE.other }] };
/** What imagining a frame costs, in steps of work. */
const IMAGINING = 100;

/** A rule and the boxes that it is. */
class Known {
  readonly rule: Rule;
  readonly box: Box;
  #parts: readonly Box[] | null = null;

  constructor(rule: Rule) {
    this.rule = rule;
    this.box = new Region(rule).box;
  }

  get parts(): readonly Box[] {
    this.#parts ??= boxesOf(this.rule, this.box);
    return this.#parts;
  }
}

/**
 * Looks for frames that claims say are held and that a rule passes. What is found is certain: the frame is imagined, and goes
 * through the rules; where a rule before the passing one cannot be answered for it, it counts for nothing. Not all is found.
 * @param rules of the outbound block
 */
export function brokenClaims(claims: readonly Claim[], rules: readonly Rule[], work: Work): BrokenClaim[] {
  if (claims.length === 0) return [];
  const broken: BrokenClaim[] = [];
  const known = rules.map((rule) => new Known(rule));
  for (const claim of claims) {
    const selector = { handle: 0, matches: claim.matches, className: null };
    const { box } = new Region(selector);
    const claimed = boxesOf(selector, box);
    const relevant = relevantRules(box, known, work);
    relevant.forEach((passing, index) => {
      // A guarded rule holds as long as nothing guards it.
      const { rule } = passing;
      if (rule.verdict !== 'pass' || rule.guard) return;
      const boxes = claimed
        .flatMap((one) => passing.parts.map((part) => common(one, part)))
        .filter((one) => one !== null);
      const witness = findPassed(selector, relevant.slice(0, index + 1), boxes, work);
      if (witness !== null) broken.push({ claim, rule, witness });
    });
  }
  return broken;
}

function boxesOf(selector: Selector, box: Box): readonly Box[] {
  return countParts(selector.matches) <= MAX_PARTS ? partsOf(selector) : [box];
}

/** The rules that may answer anything but no for one of the claim's frames. */
function relevantRules(claimed: Box, rules: readonly Known[], work: Work): Known[] {
  const relevant: Known[] = [];
  for (const known of rules) {
    if (!work.spend(known.box.size + 1)) return [];
    if (common(claimed, known.box) !== null) relevant.push(known);
  }
  return relevant;
}

/** @param rules the last one is to pass the frame, those before it must not match it @param boxes where the frame may be */
function findPassed(claim: Selector, rules: readonly Known[], boxes: readonly Box[], work: Work): ImaginedFrame | null {
  const passing = rules.at(-1)!.rule;
  const left = [...boxes];
  for (let step = 0; step < MAX_STEPS; step++) {
    const box = left.pop();
    if (box === undefined || !work.spend(IMAGINING)) return null;
    const frame = imagineFrame(box);
    if (frame === null || guessRule(claim, frame) !== 'yes' || guessRule(passing, frame) !== 'yes') continue;
    const blocker = rules.find(({ rule }) => {
      return !work.spend(rule.matches.length + 1) || guessRule(rule, frame) !== 'no';
    })!;
    if (blocker.rule === passing) return frame;
    for (const part of blocker.parts) {
      const around = readableSides(part, frame);
      if (!contains(around, frame)) continue;
      left.push(...subtract(box, around));
      break;
    }
  }
  return null;
}

/** What is left of a box without the sides that could not be read in such a frame. */
function readableSides(box: Box, frame: ImaginedFrame): Box {
  const isUnread = frame.values.get(KEY.l3) === L3_VALUE.other;
  const sides = [...box].filter(([key]) => {
    const of = fieldOf(key);
    if (of !== null) return !isUnread || FIELDS[of.field].layer === 'l2';
    return !isUnread && Object.values<string>(KEY).includes(key);
  });
  return new Map(isUnread ? [...sides, [KEY.l3, UNREAD]] : sides);
}

function contains(box: Box, frame: ImaginedFrame): boolean {
  for (const [key, { set }] of box) {
    const of = fieldOf(key);
    const value = frame.values.get(of?.field ?? key);
    if (value === undefined || !includes(set, value & (of?.mask ?? -1n))) return false;
  }
  return true;
}
