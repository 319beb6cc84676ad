import { APP_TYPES, APPS, type AppName } from '../rules/apps.ts';
import type { FieldName, Match, RawMatch, Rule } from '../rules/rule.ts';
import { RECOGNISERS, recognise } from './apps/index.ts';
import { ANSWER, type Answer } from './apps/recogniser.ts';
import type { Classifier } from './classifier.ts';
import { fieldValue, presence } from './frame-value.ts';
import { LinearMatcher } from './linear.ts';
import { L3, type Parsed } from './parsed.ts';
import { RAW_BASE, rawPresence, rawStart, readBits } from './raw.ts';
import { REASON, REASON_NAMES, REASON_TEXTS, VERDICT_NAMES } from './verdict.ts';

/** By index into APPS: every frame of `explain` is asked about all of them. */
const IN_ORDER = APPS.map((app) => RECOGNISERS[app]);

/** @returns the application that the frame's payload shows, null if none is recognised for certain */
export function recognisedApp(p: Parsed, slab: DataView): AppName | null {
  if (p.problem !== 0 || p.payloadCaptured <= 0 || p.fragOffset > 0) return null;
  for (let i = 0; i < IN_ORDER.length; i++) if (IN_ORDER[i]!(p, slab) >= ANSWER.yes) return APPS[i]!;
  return null;
}

/** One match of a rule against one frame, for people. */
export interface MatchTrial {
  /** As in `tcp.dport = 5060`; the value is the frame's. */
  readonly text: string;
  readonly answer: 'yes' | 'no' | 'unknown';
}

export interface RuleTrial {
  readonly rule: Rule;
  readonly matches: readonly MatchTrial[];
  readonly answer: 'yes' | 'no' | 'unknown';
}

/** Why a frame got its verdict. */
export interface Derivation {
  /** The rules that were tried, in order; the last one decided. Empty when rules were not asked. */
  readonly trials: readonly RuleTrial[];
  readonly verdict: string;
  readonly reason: string;
  readonly reasonText: string;
}

/**
 * Tries the rules one by one and says what each found. Slow; call it right after `classifier.classify(p, …)`.
 * @param p the frame, as it was classified
 */
export function derive(classifier: Classifier, p: Parsed, slab: DataView): Derivation {
  const trials: RuleTrial[] = [];
  const { block, generation } = classifier;
  if (block !== null && p.problem === 0 && p.fragOffset <= 0 && classifier.reason !== REASON.badChecksum) {
    const linear = new LinearMatcher(block.rules, generation.live);
    for (const [index, rule] of block.rules.entries()) {
      const matches = rule.matches.map((match, i) => ({
        text: matchText(match, p, slab),
        answer: answerName(linear.answerMatch(index, i, p, slab)),
      }));
      const answer = answerName(linear.answerRule(index, p, slab));
      trials.push({ rule, matches, answer });
      if (answer !== 'no') break;
    }
  }
  return {
    trials,
    verdict: VERDICT_NAMES[classifier.verdict],
    reason: REASON_NAMES[classifier.reason],
    reasonText: REASON_TEXTS[classifier.reason]!,
  };
}

function answerName(answer: number): 'yes' | 'no' | 'unknown' {
  if (answer === ANSWER.no) return 'no';
  return answer > ANSWER.no ? 'yes' : 'unknown';
}

/** @returns what the match finds in the frame */
function matchText(match: Match, p: Parsed, slab: DataView): string {
  switch (match.kind) {
    case 'app':
      return appText(match.app, match.types !== null, p, slab);
    case 'raw':
      return rawText(match, p, slab);
    case 'declared':
      return 'declared';
    case 'field':
      return fieldsText([match.field], p, slab);
    case 'concat':
      return fieldsText(match.fields, p, slab);
    case 'set':
      return `${fieldsText(match.fields, p, slab)}, looked up in @${match.set}`;
  }
}

function appText(app: AppName, withType: boolean, p: Parsed, slab: DataView): string {
  const type = p.l3 === L3.unknown ? ANSWER.unknown : recognise(RECOGNISERS[app], p, slab);
  if (!withType || type < ANSWER.yes) return `app ${app}`;
  const names = Object.entries(APP_TYPES[app] ?? {});
  return `app ${app} type ${names.find(([, number]) => number === type)?.[0] ?? type}`;
}

function fieldsText(fields: readonly FieldName[], p: Parsed, slab: DataView): string {
  const values: string[] = [];
  for (const field of fields) {
    const there = presence(p, field);
    if (there !== ANSWER.yes) return `${field} ${absence(there)}`;
    const value = fieldValue(p, field, slab)!;
    const isHex = field.includes('addr') || HEX_FIELDS.includes(field);
    values.push(isHex ? `0x${value.toString(16)}` : String(value));
  }
  return `${fields.join(' . ')} = ${values.join(' . ')}`;
}

const HEX_FIELDS: readonly FieldName[] = ['ether.type', 'tcp.flags', 'ip.frag-off'];

function rawText({ base, offsetBits, lengthBits }: RawMatch, p: Parsed, slab: DataView): string {
  const name = `@${base},${offsetBits},${lengthBits}`;
  const there = rawPresence(p, RAW_BASE[base], offsetBits, lengthBits);
  if (there !== ANSWER.yes) return `${name} ${absence(there)}`;
  const start = rawStart(p, RAW_BASE[base]);
  let value = 0n;
  for (let i = 0; i < lengthBits; i++) value = (value << 1n) | BigInt(readBits(slab, start, offsetBits + i, 1));
  return `${name} = 0x${value.toString(16)}`;
}

function absence(there: Answer): string {
  return there === ANSWER.unknown ? 'cannot be read' : 'is not in the frame';
}
