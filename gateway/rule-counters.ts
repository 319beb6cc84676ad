import type { Direction } from '../classifier/classifier.ts';
import type { Rule, RuleSet, VerdictName } from '../rules/rule.ts';

interface Row {
  readonly direction: Direction;
  readonly rule: Rule;
}

/** What the rules of one class have decided; `class` null: rules that name a verdict themselves. */
export interface ClassCount {
  readonly direction: Direction;
  readonly class: string | null;
  readonly verdict: VerdictName;
  readonly frames: number;
  readonly bytes: number;
}

function rowsOf({ outbound, inbound }: RuleSet): Row[] {
  return [
    ...outbound.map((rule): Row => ({ direction: 'outbound', rule })),
    ...(inbound ?? []).map((rule): Row => ({ direction: 'inbound', rule })),
  ];
}

function isSame(a: Row, b: Row): boolean {
  return a.direction === b.direction && a.rule.text === b.rule.text;
}

function nameOf({ direction, rule }: Row): string {
  return `${direction} ${rule.text}`;
}

type Sum = { -readonly [K in keyof ClassCount]: ClassCount[K] };

/** @returns by row the sum that it belongs to, in which nothing is counted yet */
function groupsOf(rows: readonly Row[]): Sum[] {
  // Looked up by class alone: to put a name together for each of ten thousand rules would take longer than all the rest.
  const byClass = new Map<string | null, Sum[]>();
  return rows.map(({ direction, rule: { className, verdict } }) => {
    let sums = byClass.get(className);
    if (sums === undefined) {
      sums = [];
      byClass.set(className, sums);
    }
    for (const sum of sums) if (sum.direction === direction && sum.verdict === verdict) return sum;
    const sum = { direction, class: className, verdict, frames: 0, bytes: 0 };
    sums.push(sum);
    return sum;
  });
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
  /** What `byClass` adds to the counts of the rules in force, so that no sum falls when rules go or a class changes its verdict. */
  #base = new Map<string, ClassCount>();

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
    const old = this.#rows;
    const sums = this.#sums();
    const next = new RuleCounters(ruleSet);
    // A rule whose text stayed has kept its handle, where handles were kept: then no text has to be looked up.
    const byHandle = new Map<number, number>();
    for (let i = 0; i < old.length; i++) byHandle.set(this.#handles[i]!, i);
    const taken = new Uint8Array(old.length);
    const others: number[] = [];
    for (let i = 0; i < next.#rows.length; i++) {
      const from = byHandle.get(next.#handles[i]!);
      if (from !== undefined && isSame(old[from]!, next.#rows[i]!)) {
        taken[from] = 1;
        this.#hand(from, next, i);
      } else {
        others.push(i);
      }
    }
    if (others.length > 0) this.#handByText(others, next, taken);
    this.#rows = next.#rows;
    this.#inboundFrom = next.#inboundFrom;
    this.#handles = next.#handles;
    this.#frames = next.#frames;
    this.#bytes = next.#bytes;
    this.#lastHitNs = next.#lastHitNs;
    this.#base = new Map();
    const carried = this.#sums();
    for (const [name, { frames, bytes, ...of }] of [...carried, ...sums]) {
      const before = sums.get(name);
      const now = carried.get(name);
      const missing = {
        frames: (before?.frames ?? 0) - (now?.frames ?? 0),
        bytes: (before?.bytes ?? 0) - (now?.bytes ?? 0),
      };
      if (missing.frames !== 0) this.#base.set(name, { ...of, ...missing });
    }
  }

  /** @returns a row per class, verdict and direction that rules have, or had when they decided about frames */
  byClass(): ClassCount[] {
    return [...this.#sums().values()];
  }

  #sums(): Map<string, ClassCount> {
    const sums = new Map<string, Sum>();
    const groups = groupsOf(this.#rows);
    for (let i = 0; i < groups.length; i++) {
      const sum = groups[i]!;
      sum.frames += this.#frames[i]!;
      sum.bytes += this.#bytes[i]!;
    }
    for (const sum of new Set(groups)) sums.set(`${sum.direction} ${sum.verdict} ${sum.class ?? ''}`, sum);
    for (const [name, base] of this.#base) {
      const sum = sums.get(name);
      if (sum === undefined) {
        sums.set(name, { ...base });
        continue;
      }
      sum.frames += base.frames;
      sum.bytes += base.bytes;
    }
    return sums;
  }

  #handByText(indexes: readonly number[], next: RuleCounters, taken: Uint8Array): void {
    const free = new Map<string, number[]>();
    for (let i = this.#rows.length - 1; i >= 0; i--) {
      if (taken[i] === 1) continue;
      const name = nameOf(this.#rows[i]!);
      const same = free.get(name);
      if (same === undefined) free.set(name, [i]);
      else same.push(i);
    }
    for (const i of indexes) {
      const from = free.get(nameOf(next.#rows[i]!))?.pop();
      if (from !== undefined) this.#hand(from, next, i);
    }
  }

  #hand(from: number, next: RuleCounters, to: number): void {
    next.#frames[to] = this.#frames[from]!;
    next.#bytes[to] = this.#bytes[from]!;
    next.#lastHitNs[to] = this.#lastHitNs[from]!;
  }

  /**
   * @param from index of the first row, @param limit of rows
   * @returns a row per rule, outbound ones first, in rule order; `lastHitNs` null for a rule that was never hit
   */
  list(from = 0, limit = this.#rows.length) {
    return this.#rows.slice(from, from + limit).map(({ direction, rule }, at) => {
      const i = from + at;
      return {
        handle: rule.handle,
        file: rule.place.file,
        line: rule.place.line,
        text: rule.text,
        direction,
        class: rule.className,
        verdict: rule.verdict,
        frames: this.#frames[i]!,
        bytes: this.#bytes[i]!,
        lastHitNs: this.#frames[i] === 0 ? null : this.#lastHitNs[i]!,
      };
    });
  }
}
