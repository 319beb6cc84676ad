import type { RuleSet, VerdictName } from '../rules/rule.ts';
import { compileMatcher } from './compile.ts';
import { isOrdered } from './flow-key.ts';
import { FragmentTable } from './fragments.ts';
import { type Matcher, NO_MATCH, UNKNOWN_ETHERTYPE } from './matcher.ts';
import { L3, type Parsed } from './parsed.ts';
import { REASON, type Reason, VERDICT, type Verdict } from './verdict.ts';

/** One compiled rule set in force, and its number. Immutable. */
export interface Generation {
  readonly number: number;
  readonly ruleSet: RuleSet;
  readonly matcher: Matcher;
  /** Verdict codes by rule index. */
  readonly verdicts: Uint8Array;
}

/** @param number grows by 1 at every change of rules */
export function compileGeneration(number: number, ruleSet: RuleSet): Generation {
  const code: Record<VerdictName, Verdict> = { hold: VERDICT.hold, drop: VERDICT.drop, pass: VERDICT.pass };
  return {
    number,
    ruleSet,
    matcher: compileMatcher(ruleSet),
    verdicts: Uint8Array.from(ruleSet.outbound, (rule) => code[rule.verdict]),
  };
}

/**
 * Judges outbound frames: what cannot be classified is held before rules are asked, later fragments inherit, the rest
 * is for the rules. The answer lies in the fields until the next call; nothing is allocated.
 */
export class Classifier {
  verdict: Verdict = VERDICT.hold;
  reason: Reason = REASON.unjudged;
  /** Index of the deciding rule (for a later fragment: of its first fragment's), or -1. */
  rule = -1;
  /** The frame must not overtake earlier frames of its flow. */
  ordered = false;
  /** The frame counts against the share of the transmit buffer for what cannot be classified. */
  unclassified = false;
  #generation: Generation;
  readonly #fragments = new FragmentTable();
  readonly #verifyChecksums: boolean;

  /** @param verifyChecksums hold frames whose IPv4 header checksum is wrong (always on for live ports) */
  constructor(generation: Generation, verifyChecksums: boolean) {
    this.#generation = generation;
    this.#verifyChecksums = verifyChecksums;
  }

  get generation(): Generation {
    return this.#generation;
  }

  /** Takes force at the next frame. Later fragments of packets that the old rules judged are held. */
  swap(generation: Generation): void {
    this.#generation = generation;
    this.#fragments.clear();
  }

  /** @param nowNs the gateway's clock */
  classify(p: Parsed, slab: DataView, nowNs: number): void {
    this.ordered = isOrdered(p);
    this.rule = -1;
    if (p.problem !== 0) {
      this.#hold(p.problem as Reason);
      return;
    }
    if (this.#verifyChecksums && p.l3 === L3.ip4 && !isIp4ChecksumRight(p, slab)) {
      this.#hold(REASON.badChecksum);
      return;
    }
    if (p.isFragment === 0) {
      this.#decide(this.#generation.matcher.classify(p, slab));
    } else if (p.fragOffset === 0) {
      const decision = this.#generation.matcher.classify(p, slab);
      const overlap = this.#fragments.begin(p, decision, nowNs);
      if (overlap !== 0) this.#hold(overlap);
      else this.#decide(decision);
    } else {
      const unknown = this.#fragments.follow(p, nowNs);
      if (unknown !== 0) {
        this.#hold(unknown);
        return;
      }
      this.#decide(this.#fragments.decision);
      this.reason = REASON.fragment;
    }
  }

  #hold(reason: Reason): void {
    this.verdict = VERDICT.hold;
    this.reason = reason;
    this.unclassified = true;
  }

  /** @param decision a rule's index, or one of the matcher's negative answers */
  #decide(decision: number): void {
    if (decision < 0) {
      if (decision === NO_MATCH) {
        this.verdict = VERDICT.hold;
        this.reason = REASON.noDefault;
        this.unclassified = false;
        return;
      }
      this.#hold(decision === UNKNOWN_ETHERTYPE ? REASON.unknownEtherType : REASON.truncated);
      return;
    }
    this.rule = decision;
    this.verdict = this.#generation.verdicts[decision] as Verdict;
    this.reason = this.#generation.ruleSet.outbound[decision]!.isDefault ? REASON.default : REASON.rule;
    this.unclassified = false;
  }
}

/** @returns whether the IPv4 header, which is whole, sums to all ones (RFC 1071 §1) */
function isIp4ChecksumRight(p: Parsed, slab: DataView): boolean {
  const end = p.l3Offset + (slab.getUint8(p.l3Offset) & 0xf) * 4;
  let sum = 0;
  for (let at = p.l3Offset; at < end; at += 2) sum += slab.getUint16(at);
  // A sum of 30 words at most: one fold leaves no carry but where the sum is all ones.
  return (sum & 0xffff) + (sum >> 16) === 0xffff;
}
