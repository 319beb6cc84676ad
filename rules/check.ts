import { type Box, covers } from './box.ts';
import { brokenClaims } from './broken-claims.ts';
import { CLAIM_WORD, type Claim } from './claims.ts';
import { matchText } from './coordinates.ts';
import { CoverIndex, type Entry } from './cover-index.ts';
import { lineText, quote, type RuleError, type RuleErrorCode } from './errors.ts';
import { describe } from './imagined.ts';
import { countParts, partsOf, Region } from './region.ts';
import type { Place, Rule, RuleSet, VerdictName } from './rule.ts';
import { coveredTogether, otherSides } from './together.ts';
import { Work } from './work.ts';

/** So many of the rules that together hide one are named. */
const MAX_NAMED = 3;
/** More tuples than this are not told apart, in all rules of a block together. */
const MAX_PARTS = 20_000;
/** Comparing parts of two rules with more parts than this in all pairs is not worth the better word for it. */
const MAX_PAIRS = 10_000;
/** For looking up one rule that hides another, and several. About a second each at most. */
const SINGLE_WORK = 2_500_000;
const TOGETHER_WORK = 1_000_000;
/** For finding frames that break claims. */
const CLAIM_WORK = 2_000_000;

/**
 * What is surely not meant in rules that are valid: a rule that no frame can match, one that earlier rules hide, a class that no
 * rule names. Sound rather than complete: what is said is so; in very large or very contrived files not all is found.
 * @param claims about outbound frames
 * @returns warnings in no particular order
 */
export function checkRules(ruleSet: RuleSet, claims: readonly Claim[]): RuleError[] {
  return [
    ...checkBlock(ruleSet.outbound),
    ...checkBlock(ruleSet.inbound ?? []),
    ...checkClaims(claims, ruleSet.outbound),
    ...unusedNames(ruleSet),
  ];
}

/** A rule and the boxes of frames that it matches. */
interface Known {
  readonly rule: Rule;
  readonly box: Box;
  /** Together they are the box: one for each of the rule's tuples, where they are told apart. */
  readonly parts: readonly Box[];
}

/** Rules of one block: those of the other one see other frames. */
function checkBlock(rules: readonly Rule[]): RuleError[] {
  const warnings: RuleError[] = [];
  const known: Known[] = [];
  let partsLeft = MAX_PARTS;
  for (const rule of rules) {
    if (rule.isDefault) continue;
    const { box, contradiction } = new Region(rule);
    if (contradiction !== null) {
      warnings.push(neverMatches(rule, contradiction));
      continue;
    }
    const count = countParts(rule.matches);
    const isSplit = count > 1 && count <= partsLeft;
    const parts = isSplit ? partsOf(rule) : [box];
    if (isSplit) partsLeft -= count;
    if (parts.length === 0) warnings.push(neverMatches(rule, 'none of its tuples fits its other matches'));
    else known.push({ rule, box, parts });
  }
  return [...warnings, ...hiddenRules(known)];
}

function neverMatches(rule: Rule, why: string): RuleError {
  return aboutRule(rule, 'never-matches', `this rule never matches: ${why}`);
}

function hiddenRules(known: readonly Known[]): RuleError[] {
  const warnings: RuleError[] = [];
  const entries = known.map(entriesOf);
  const boxes = entries.flatMap((list) => list.map(({ box }) => box));
  const index = new CoverIndex(boxes);
  const sides = otherSides(boxes, index.uses);
  const singleWork = new Work(SINGLE_WORK);
  const togetherWork = new Work(TOGETHER_WORK);
  const byRule = new Map(known.map((one) => [one.rule, one]));
  known.forEach((one, i) => {
    const found = index.find(one.box, singleWork);
    const hiders = found === null ? coveredTogether(one.parts, index, sides, togetherWork) : [found.rule];
    if (hiders === null) {
      for (const entry of entries[i]!) index.add(entry);
    } else if (hiders.length === 1) {
      warnings.push(aboutHidden(one.rule, hiders[0]!, areSame(one, byRule.get(hiders[0]!)!)));
    } else {
      warnings.push(aboutHiddenTogether(one.rule, hiders));
    }
  });
  return warnings;
}

/** What a rule is looked up as: its box, and its parts. */
function entriesOf({ rule, box, parts }: Known): Entry[] {
  return [...new Set([box, ...parts])].map((each) => ({ rule, box: each }));
}

/** @param hider covers all of `hidden` */
function areSame(hidden: Known, hider: Known): boolean {
  if (covers(hidden.box, hider.box)) return true;
  if (hidden.parts.length * hider.parts.length > MAX_PAIRS) return false;
  return hider.parts.every((part) => hidden.parts.some((other) => covers(other, part)));
}

const OUTCOMES: Readonly<Record<VerdictName, string>> = { pass: 'passes', hold: 'holds', drop: 'drops' };

function aboutHidden(rule: Rule, hider: Rule, areTheSame: boolean): RuleError {
  const shown = `${lineText(hider.place, rule.place)}, ${quote(hider.text)}`;
  if (!areTheSame) {
    return aboutRule(rule, 'shadowed-rule', `this rule is never reached: all its frames match ${shown}`, hider.place);
  }
  const message = `this rule is never reached: it matches the same frames as ${shown}`;
  if (rule.verdict === hider.verdict) return aboutRule(rule, 'duplicate-rule', message, hider.place);
  const conflict = `, which ${OUTCOMES[hider.verdict]} them; this one asks for ${rule.verdict}`;
  return aboutRule(rule, 'conflicting-rule', message + conflict, hider.place);
}

function aboutHiddenTogether(rule: Rule, hiders: readonly Rule[]): RuleError {
  const named = hiders.slice(0, MAX_NAMED).map(({ place, text }) => `${lineText(place, rule.place)}, ${quote(text)}`);
  const more = hiders.length > named.length ? [`${hiders.length - named.length} more`] : [];
  const list = [...named, ...more];
  const shown = `${list.slice(0, -1).join('; ')}; and ${list.at(-1)}`;
  const message = `this rule is never reached: all its frames match one of these: ${shown}`;
  return aboutRule(rule, 'shadowed-rule', message, hiders[0]!.place);
}

function checkClaims(claims: readonly Claim[], rules: readonly Rule[]): RuleError[] {
  const warnings: RuleError[] = [];
  for (const claim of claims) {
    const { contradiction } = new Region({ ...claim, handle: 0, className: null });
    if (contradiction !== null) {
      const message = `no frame is like that: ${contradiction}`;
      warnings.push(warning(claim.place, CLAIM_WORD.length, 'claim-empty', message));
      continue;
    }
    const raw = claim.matches.find(({ kind }) => kind === 'raw');
    if (raw === undefined) continue;
    const message = `this claim is not checked: which frames '${matchText(raw)}' means is not worked out`;
    warnings.push(warning(claim.place, CLAIM_WORD.length, 'claim-unchecked', message));
  }
  for (const { claim, rule, witness } of brokenClaims(claims, rules, new Work(CLAIM_WORK))) {
    const claimed = `${lineText(claim.place, rule.place)} says are held, ${quote(claim.text)}`;
    const example = describe([...claim.matches, ...rule.matches], witness);
    const message = `this rule passes frames that ${claimed}${example === '' ? '' : `: for example ${example}`}`;
    warnings.push(aboutRule(rule, 'claim-broken', message, claim.place));
  }
  return warnings;
}

function unusedNames({ classes, sets, unusedSets, outbound, inbound }: RuleSet): RuleError[] {
  const used = new Set([...outbound, ...(inbound ?? [])].map((rule) => rule.className));
  const unused = new Set(unusedSets);
  return [
    ...classes
      .filter(({ name }) => !used.has(name))
      .map(({ name, place }) => warning(place, name.length, 'unused-class', `no rule names class ${quote(name)}`)),
    ...sets
      .filter(({ name }) => unused.has(name))
      .map(({ name, place }) => warning(place, name.length, 'unused-set', `no rule asks for set ${quote(name)}`)),
  ];
}

function aboutRule(rule: Rule, code: RuleErrorCode, message: string, related?: Place): RuleError {
  const firstWord = rule.text.split(' ', 1)[0]!;
  return warning(rule.place, firstWord.length, code, message, related);
}

function warning(place: Place, length: number, code: RuleErrorCode, message: string, related?: Place): RuleError {
  const { file, line, column } = place;
  const base = { severity: 'warning', code, file, line, column, length, message } as const;
  return related === undefined ? base : { ...base, related };
}
