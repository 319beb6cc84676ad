import type { Direction } from '../classifier/classifier.ts';
import type { Rule, RuleSet } from '../rules/rule.ts';

interface Row {
  readonly direction: Direction;
  readonly rule: Rule;
}

function rowsOf({ outbound, inbound }: RuleSet): Row[] {
  return [
    ...outbound.map((rule): Row => ({ direction: 'outbound', rule })),
    ...(inbound ?? []).map((rule): Row => ({ direction: 'inbound', rule })),
  ];
}

/** Frames and bytes per rule of the generation in force. */
export class RuleCounters {
  #rows: readonly Row[];
  /** Index of the first inbound rule. */
  #inboundFrom: number;
  #handles: Int32Array;
  #frames: Float64Array;
  #bytes: Float64Array;
  #lastHitNs: Float64Array;

  constructor(ruleSet: RuleSet) {
    this.#rows = rowsOf(ruleSet);
    this.#inboundFrom = ruleSet.outbound.length;
    this.#handles = Int32Array.from(this.#rows, ({ rule }) => rule.handle);
    this.#frames = new Float64Array(this.#rows.length);
    this.#bytes = new Float64Array(this.#rows.length);
    this.#lastHitNs = new Float64Array(this.#rows.length).fill(Number.NaN);
  }

  /**
   * Counts a frame that rule `index` of the outbound block decided.
   * @param bytes the frame's length on the wire
   * @param times of which the one at `at` is when the frame came: handed on as a number it would be allocated
   * @returns the rule's handle
   */
  count(index: number, bytes: number, times: Float64Array, at: number): number {
    this.#frames[index]!++;
    this.#bytes[index]! += bytes;
    this.#lastHitNs[index] = times[at]!;
    return this.#handles[index]!;
  }

  /** The same for the inbound block. */
  countInbound(index: number, bytes: number, times: Float64Array, at: number): number {
    return this.count(this.#inboundFrom + index, bytes, times, at);
  }

  /** Goes on with another rule set; rules of a direction whose text did not change keep their counts. */
  swap(ruleSet: RuleSet): void {
    const before = new Map<string, number[]>();
    this.#rows.forEach(({ direction, rule }, i) => {
      const name = `${direction} ${rule.text}`;
      const same = before.get(name);
      if (same === undefined) before.set(name, [i]);
      else same.push(i);
    });
    for (const same of before.values()) same.reverse();
    const next = new RuleCounters(ruleSet);
    next.#rows.forEach(({ direction, rule }, i) => {
      const old = before.get(`${direction} ${rule.text}`)?.pop();
      if (old === undefined) return;
      next.#frames[i] = this.#frames[old]!;
      next.#bytes[i] = this.#bytes[old]!;
      next.#lastHitNs[i] = this.#lastHitNs[old]!;
    });
    this.#rows = next.#rows;
    this.#inboundFrom = next.#inboundFrom;
    this.#handles = next.#handles;
    this.#frames = next.#frames;
    this.#bytes = next.#bytes;
    this.#lastHitNs = next.#lastHitNs;
  }

  /** @returns a row per rule, outbound ones first, in rule order; `lastHitNs` null for a rule that was never hit */
  list() {
    return this.#rows.map(({ direction, rule }, i) => ({
      handle: rule.handle,
      line: rule.place.line,
      text: rule.text,
      direction,
      class: rule.className,
      verdict: rule.verdict,
      frames: this.#frames[i]!,
      bytes: this.#bytes[i]!,
      lastHitNs: this.#frames[i] === 0 ? null : this.#lastHitNs[i]!,
    }));
  }
}
