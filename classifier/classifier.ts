import type { Rule, RuleSet, VerdictName } from '../rules/rule.ts';
import { compileRules } from './compile.ts';
import { isOrdered } from './flow-key.ts';
import { FragmentTable } from './fragments.ts';
import { LiveState } from './live-state.ts';
import { CompiledMatcher, type CompiledRules, type Matcher, NO_MATCH, UNKNOWN_ETHERTYPE } from './matcher.ts';
import { L3, type Parsed } from './parsed.ts';
import { REASON, type Reason, VERDICT, type Verdict } from './verdict.ts';

/** The compiled rules of one direction. */
export interface Block {
  readonly rules: readonly Rule[];
  readonly matcher: Matcher;
  /** Verdict and reason codes by rule index. */
  readonly verdicts: Uint8Array;
  readonly reasons: Uint8Array;
  /** By rule index: 1 where frames of a UDP flow, too, must not overtake each other. */
  readonly ordered: Uint8Array;
}

/** One compiled rule set in force, and its number. Immutable but for its live state, and therefore one VM's. */
export interface Generation {
  readonly number: number;
  readonly ruleSet: RuleSet;
  readonly live: LiveState;
  readonly outbound: Block;
  /** null: inbound frames pass without being looked at. */
  readonly inbound: Block | null;
}

export type Direction = 'outbound' | 'inbound';

/** What takes long in compiling a rule set: plain tables, which can be made in another thread. */
export interface GenerationTables {
  readonly outbound: CompiledRules;
  readonly inbound: CompiledRules | null;
}

export function compileTables({ outbound, inbound }: RuleSet): GenerationTables {
  return { outbound: compileRules(outbound), inbound: inbound === null ? null : compileRules(inbound) };
}

/**
 * @param number grows by 1 at every change of rules
 * @param tables the rule set's; handles are not in them
 */
export function compileGeneration(number: number, ruleSet: RuleSet, tables = compileTables(ruleSet)): Generation {
  const live = new LiveState(ruleSet.sets);
  return {
    number,
    ruleSet,
    live,
    outbound: blockOf(ruleSet.outbound, tables.outbound, live),
    inbound: ruleSet.inbound === null ? null : blockOf(ruleSet.inbound, tables.inbound!, live),
  };
}

const CODES: Readonly<Record<VerdictName, Verdict>> = { hold: VERDICT.hold, drop: VERDICT.drop, pass: VERDICT.pass };

function blockOf(rules: readonly Rule[], tables: CompiledRules, live: LiveState): Block {
  return {
    rules,
    matcher: new CompiledMatcher(tables, live),
    verdicts: Uint8Array.from(rules, (rule) => (needsGuard(rule) ? VERDICT.hold : CODES[rule.verdict])),
    reasons: Uint8Array.from(rules, (rule) => {
      if (needsGuard(rule)) return REASON.guard;
      return rule.isDefault ? REASON.default : REASON.rule;
    }),
    ordered: Uint8Array.from(rules, (rule) => (rule.ordered ? 1 : 0)),
  };
}

/** There is no TCP guard: what it alone could let pass waits. */
function needsGuard(rule: Rule): boolean {
  return rule.guard && rule.verdict === 'pass';
}

/**
 * Judges the frames of one direction: what cannot be classified is held (inbound: dropped) before rules are asked, later
 * fragments inherit, the rest is for the rules. The answer lies in the fields until the next call; nothing is allocated.
 */
export class Classifier {
  verdict: Verdict = VERDICT.hold;
  reason: Reason = REASON.unjudged;
  /** Index of the deciding rule in the block (for a later fragment: of its first fragment's), or -1. */
  rule = -1;
  /** The frame must not overtake earlier frames of its flow. */
  ordered = false;
  /** The frame counts against the share of the transmit buffer for what cannot be classified. */
  unclassified = false;
  readonly direction: Direction;
  #generation: Generation;
  #block: Block | null;
  readonly #fragments = new FragmentTable();
  readonly #verifyChecksums: boolean;
  readonly #time = new Float64Array(1);

  /** @param verifyChecksums do not pass frames whose IPv4 header checksum is wrong (always on for live ports) */
  constructor(generation: Generation, verifyChecksums: boolean, direction: Direction = 'outbound') {
    this.direction = direction;
    this.#generation = generation;
    this.#block = generation[direction];
    this.#verifyChecksums = verifyChecksums;
  }

  get verifiesChecksums(): boolean {
    return this.#verifyChecksums;
  }

  get generation(): Generation {
    return this.#generation;
  }

  /** The rules that are asked; null: everything passes, and frames need not be parsed. */
  get block(): Block | null {
    return this.#block;
  }

  /** Takes force at the next frame. Later fragments of packets that the old rules judged are unknown. */
  swap(generation: Generation): void {
    this.#generation = generation;
    this.#block = generation[this.direction];
    this.#fragments.clear();
  }

  /** @param nowNs the gateway's clock */
  classify(p: Parsed, slab: DataView, nowNs: number): void {
    this.#time[0] = nowNs;
    this.classifyAt(p, slab, this.#time, 0);
  }

  /**
   * The same, HOT: a number that is no small integer would be allocated at every call that it is handed to.
   * @param times the gateway's clock when the frame came, at `index`
   */
  classifyAt(p: Parsed, slab: DataView, times: Float64Array, index: number): void {
    this.ordered = isOrdered(p);
    this.rule = -1;
    const block = this.#block;
    if (block === null) {
      this.#decideByNone();
      return;
    }
    if (p.problem !== 0) {
      this.#refuse(p.problem as Reason);
      return;
    }
    if (this.#verifyChecksums && p.l3 === L3.ip4 && !isIp4ChecksumRight(p, slab)) {
      this.#refuse(REASON.badChecksum);
      return;
    }
    const { now } = this.#generation.live;
    now[0] = times[index]!;
    if (p.isFragment === 0) {
      this.#decide(block, block.matcher.classify(p, slab));
    } else if (p.fragOffset === 0) {
      const decision = block.matcher.classify(p, slab);
      const overlap = this.#fragments.begin(p, decision, now);
      if (overlap !== 0) this.#refuse(overlap);
      else this.#decide(block, decision);
    } else {
      const unknown = this.#fragments.follow(p, now);
      if (unknown !== 0) {
        this.#refuse(unknown);
        return;
      }
      this.#decide(block, this.#fragments.decision);
      this.reason = REASON.fragment;
    }
  }

  #refuse(reason: Reason): void {
    this.verdict = this.direction === 'outbound' ? VERDICT.hold : VERDICT.drop;
    this.reason = reason;
    this.unclassified = true;
  }

  #decideByNone(): void {
    const isOutbound = this.direction === 'outbound';
    this.verdict = isOutbound ? VERDICT.hold : VERDICT.pass;
    this.reason = isOutbound ? REASON.noDefault : REASON.inbound;
    this.unclassified = false;
  }

  /** @param decision a rule's index, or one of the matcher's negative answers */
  #decide(block: Block, decision: number): void {
    if (decision < 0) {
      if (decision === NO_MATCH) this.#decideByNone();
      else this.#refuse(decision === UNKNOWN_ETHERTYPE ? REASON.unknownEtherType : REASON.undecided);
      return;
    }
    this.rule = decision;
    this.verdict = block.verdicts[decision] as Verdict;
    this.reason = block.reasons[decision] as Reason;
    if (block.ordered[decision] === 1) this.ordered = true;
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
