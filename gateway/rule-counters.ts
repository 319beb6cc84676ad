import type { RuleSet } from '../rules/rule.ts';

/** Frames and bytes per rule of the generation in force. */
export class RuleCounters {
  #ruleSet: RuleSet;
  #handles: Int32Array;
  #frames: Float64Array;
  #bytes: Float64Array;
  #lastHitNs: Float64Array;

  constructor(ruleSet: RuleSet) {
    const size = ruleSet.outbound.length;
    this.#ruleSet = ruleSet;
    this.#handles = Int32Array.from(ruleSet.outbound, (rule) => rule.handle);
    this.#frames = new Float64Array(size);
    this.#bytes = new Float64Array(size);
    this.#lastHitNs = new Float64Array(size).fill(Number.NaN);
  }

  /**
   * Counts a frame that rule `index` decided.
   * @param bytes the frame's length on the wire
   * @returns the rule's handle
   */
  count(index: number, bytes: number, nowNs: number): number {
    this.#frames[index]!++;
    this.#bytes[index]! += bytes;
    this.#lastHitNs[index] = nowNs;
    return this.#handles[index]!;
  }

  /** Goes on with another rule set; rules whose text did not change keep their counts. */
  swap(ruleSet: RuleSet): void {
    const before = this.list();
    const next = new RuleCounters(ruleSet);
    ruleSet.outbound.forEach((rule, i) => {
      const old = before.findIndex((entry) => entry.text === rule.text);
      if (old < 0) return;
      next.#frames[i] = this.#frames[old]!;
      next.#bytes[i] = this.#bytes[old]!;
      next.#lastHitNs[i] = this.#lastHitNs[old]!;
      before[old]!.text = '';
    });
    this.#ruleSet = next.#ruleSet;
    this.#handles = next.#handles;
    this.#frames = next.#frames;
    this.#bytes = next.#bytes;
    this.#lastHitNs = next.#lastHitNs;
  }

  /** @returns a row per rule, in rule order; `lastHitNs` null for a rule that was never hit */
  list() {
    return this.#ruleSet.outbound.map((rule, i) => ({
      handle: rule.handle,
      line: rule.place.line,
      text: rule.text,
      class: rule.className,
      verdict: rule.verdict,
      frames: this.#frames[i]!,
      bytes: this.#bytes[i]!,
      lastHitNs: this.#frames[i] === 0 ? null : this.#lastHitNs[i]!,
    }));
  }
}
