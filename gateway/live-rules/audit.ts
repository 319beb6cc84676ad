import { Classifier, type Direction, type Generation } from '../../classifier/classifier.ts';
import type { Parsed } from '../../classifier/parsed.ts';
import { VERDICT_NAMES, type Verdict } from '../../classifier/verdict.ts';
import type { Rule, RuleSet, VerdictName } from '../../rules/rule.ts';
import type { JudgedListener } from '../forward.ts';
import type { FrameBatch } from '../frame-batch.ts';
import { RuleCounters } from '../rule-counters.ts';
import { FrameCopies } from './frame-copies.ts';

const VERDICTS = VERDICT_NAMES.length;
const DIRECTIONS: readonly Direction[] = ['outbound', 'inbound'];
const CELLS = DIRECTIONS.length * VERDICTS * VERDICTS;
/** Frames that are shown of those whose verdict changes in the same way. */
const EXAMPLES = 4;

/** Frames that the rules in force and the audited ones gave these verdicts. */
export interface AuditCell {
  readonly direction: Direction;
  readonly inForce: VerdictName;
  readonly audited: VerdictName;
  readonly frames: number;
  readonly bytes: number;
  /** The first of them, where the verdicts differ. */
  readonly examples: readonly AuditExample[];
}

export interface AuditExample {
  readonly frame: string;
  /** Null: no rule decided. */
  readonly ruleInForce: string | null;
  readonly ruleAudited: string | null;
}

/**
 * Rules on trial: each frame is judged by them, too, and counted, and goes its way by the rules in force. Verdicts are the rules', whether
 * or not the VM is replicated at the time. Allocates nothing but for the examples.
 */
export class RuleAudit implements JudgedListener {
  readonly counters: RuleCounters;
  readonly #generation: Generation;
  readonly #outbound: Classifier;
  readonly #inbound: Classifier;
  readonly #frames = new Float64Array(CELLS);
  readonly #bytes = new Float64Array(CELLS);
  readonly #examples = new FrameCopies(CELLS * EXAMPLES);
  /** By example: the rules' texts. */
  readonly #texts: (Pick<AuditExample, 'ruleInForce' | 'ruleAudited'> | undefined)[] = new Array(CELLS * EXAMPLES);

  /** @param generation this audit's own; its live state has begun beside that of the rules in force */
  constructor(generation: Generation, verifyChecksums: boolean) {
    this.#generation = generation;
    this.#outbound = new Classifier(generation, verifyChecksums, 'outbound');
    this.#inbound = new Classifier(generation, verifyChecksums, 'inbound');
    this.counters = new RuleCounters(generation.ruleSet);
  }

  get generation(): Generation {
    return this.#generation;
  }

  judged(parsed: Parsed, batch: FrameBatch, i: number, now: Classifier): void {
    const isOutbound = now.direction === 'outbound';
    const then = isOutbound ? this.#outbound : this.#inbound;
    then.classifyAt(parsed, batch.slab.view, batch.arrivalNs, i);
    const bytes = batch.wireLength[i]!;
    if (then.rule >= 0) {
      if (isOutbound) this.counters.count(then.rule, bytes, batch.arrivalNs, i);
      else this.counters.countInbound(then.rule, bytes, batch.arrivalNs, i);
    }
    const cell = ((isOutbound ? 0 : VERDICTS) + now.verdict) * VERDICTS + then.verdict;
    const nth = this.#frames[cell]!;
    this.#frames[cell] = nth + 1;
    this.#bytes[cell]! += bytes;
    if (now.verdict === then.verdict || nth >= EXAMPLES) return;
    this.#examples.keep(cell * EXAMPLES + nth, batch, i);
    const { ruleSet } = now.generation;
    this.#texts[cell * EXAMPLES + nth] = {
      ruleInForce: textOf(ruleSet, now.direction, now.rule),
      ruleAudited: textOf(this.#generation.ruleSet, now.direction, then.rule),
    };
  }

  /** @returns those that have frames */
  cells(): AuditCell[] {
    const cells: AuditCell[] = [];
    for (let cell = 0; cell < CELLS; cell++) {
      const frames = this.#frames[cell]!;
      if (frames === 0) continue;
      const then = cell % VERDICTS;
      const row = (cell - then) / VERDICTS;
      const examples: AuditExample[] = [];
      for (let at = cell * EXAMPLES; at < (cell + 1) * EXAMPLES; at++) {
        const texts = this.#texts[at];
        if (texts !== undefined) examples.push({ frame: this.#examples.summary(at), ...texts });
      }
      cells.push({
        direction: DIRECTIONS[Math.floor(row / VERDICTS)]!,
        inForce: VERDICT_NAMES[(row % VERDICTS) as Verdict],
        audited: VERDICT_NAMES[then as Verdict],
        frames,
        bytes: this.#bytes[cell]!,
        examples,
      });
    }
    return cells;
  }
}

function textOf(ruleSet: RuleSet, direction: Direction, index: number): string | null {
  const rule: Rule | undefined = ruleSet[direction]?.[index];
  return rule?.text ?? null;
}
