import { REASON_NAMES, type Reason, VERDICT_NAMES, type Verdict } from '../../classifier/verdict.ts';
import type { Rule, RuleSet } from '../../rules/rule.ts';
import type { FrameBatch } from '../frame-batch.ts';
import { FrameCopies } from '../live-rules/frame-copies.ts';
import type { Side, Tap } from '../tap.ts';
import type { Vm } from '../vm.ts';
import type { Events } from './api.ts';
import type { CaptureFilter } from './capture-filter.ts';

/** Frames that wait to be described. */
const WAITING = 64;
const NS_PER_S = 1e9;

export interface TraceParts {
  readonly name: string;
  readonly vm: Vm;
  /** Null: any frame. */
  readonly filter: CaptureFilter | null;
  readonly perSecond: number;
  /** Seconds and nanoseconds since 1970 of a time on the gateway's clock. */
  readonly timeText: (ns: number) => string;
  /** @returns false if the client has not read what it got before: this one is left out */
  readonly send: (event: Events['trace']) => boolean;
}

/**
 * Shows some of a VM's frames, and which rule decided about each, to one client: no more than it asked for, and none that it does not
 * read. Frames over the rate are not even looked at; of the others a copy is made, which is described after the batch has gone on.
 */
export class Trace implements Tap {
  readonly #parts: TraceParts;
  readonly #copies = new FrameCopies(WAITING);
  /** By copy: the rules that judged it. */
  readonly #ruleSets: RuleSet[] = [];
  #known: { readonly ruleSet: RuleSet; readonly byHandle: ReadonlyMap<number, Rule> } | null = null;
  #waiting = 0;
  /** Frames that may be shown now. */
  readonly #tokens = new Float64Array(1);
  /** When `#tokens` were counted. */
  readonly #last = new Float64Array(1).fill(Number.NaN);
  #notLookedAt = 0;
  #isEnded = false;

  constructor(parts: TraceParts) {
    this.#parts = parts;
    this.#tokens[0] = parts.perSecond;
    parts.vm.forwarder.addTap(this);
  }

  end(): void {
    this.#isEnded = true;
    this.#parts.vm.forwarder.removeTap(this);
  }

  received(side: Side, batch: FrameBatch, count: number): void {
    const { filter, vm } = this.#parts;
    const tokens = this.#tokens;
    if (count > 0) this.#refill(batch.arrivalNs, count - 1);
    for (let i = 0; i < count; i++) {
      if (tokens[0]! < 1 || this.#waiting === WAITING) {
        this.#notLookedAt++;
        continue;
      }
      if (filter !== null && !filter.selects(batch, i)) continue;
      tokens[0]!--;
      if (this.#waiting === 0) setImmediate(() => this.#describe());
      this.#ruleSets[this.#waiting] = vm.generation.ruleSet;
      this.#copies.keep(this.#waiting, batch, i);
      // A copy has no ticket: here stands which way it went.
      this.#copies.batch.ticket[this.#waiting] = side === 'inside' ? 1 : 0;
      this.#waiting++;
    }
  }

  sent(): void {}

  /** @param times of which the one at `at` is now: handed on as a number it would be allocated */
  #refill(times: Float64Array, at: number): void {
    const { perSecond } = this.#parts;
    const tokens = this.#tokens;
    const lastNs = this.#last[0]!;
    const nowNs = times[at]!;
    if (nowNs > lastNs) tokens[0] = Math.min(perSecond, tokens[0]! + ((nowNs - lastNs) / NS_PER_S) * perSecond);
    if (!(nowNs <= lastNs)) this.#last[0] = nowNs;
  }

  #ruleOf(ruleSet: RuleSet, handle: number): Rule | null {
    if (handle === 0) return null;
    if (this.#known?.ruleSet !== ruleSet) {
      const rules = [...ruleSet.outbound, ...(ruleSet.inbound ?? [])];
      this.#known = { ruleSet, byHandle: new Map(rules.map((rule) => [rule.handle, rule])) };
    }
    return this.#known.byHandle.get(handle) ?? null;
  }

  #describe(): void {
    const { name, send, timeText } = this.#parts;
    const { batch } = this.#copies;
    const waiting = this.#waiting;
    this.#waiting = 0;
    for (let i = 0; i < waiting && !this.#isEnded; i++) {
      const rule = this.#ruleOf(this.#ruleSets[i]!, batch.rule[i]!);
      const event: Events['trace'] = {
        vm: name,
        time: timeText(batch.arrivalNs[i]!),
        direction: batch.ticket[i] === 1 ? 'outbound' : 'inbound',
        verdict: VERDICT_NAMES[batch.verdict[i] as Verdict],
        class: rule?.className ?? null,
        reason: REASON_NAMES[batch.reason[i] as Reason]!,
        rule: rule === null ? null : { handle: rule.handle, line: rule.place.line, text: rule.text },
        length: batch.wireLength[i]!,
        frame: this.#copies.summary(i),
        notLookedAt: this.#notLookedAt,
      };
      if (send(event)) this.#notLookedAt = 0;
      else this.#notLookedAt++;
    }
  }
}
