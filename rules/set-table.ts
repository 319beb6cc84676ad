import { didYouMean, quote, type Reports } from './errors.ts';
import { mergeIntervals } from './intervals.ts';
import type { Token } from './lex.ts';
import { fieldText } from './operand.ts';
import type { Interval, Match, NamedSet } from './rule.ts';
import type { WrittenSet } from './set-draft.ts';
import type { SetReference } from './set-reference.ts';
import { setTypeOf } from './sets.ts';

/** A set with what is worked out once for all matches that use it. */
interface Entry {
  readonly written: WrittenSet;
  isUsed: boolean;
  intervals: readonly Interval[] | null;
  tuples: readonly (readonly Interval[])[] | null;
}

/** The sets of a rule file, and what `@NAME` stands for once all of them are known. */
export class SetTable {
  readonly #reports: Reports;
  readonly #entries = new Map<string, Entry>();

  constructor(reports: Reports) {
    this.#reports = reports;
  }

  /** @returns the set of that name that is there already, which stays */
  add(written: WrittenSet): Token | null {
    const { name } = written;
    const earlier = this.#entries.get(name.text);
    if (earlier !== undefined) return earlier.written.name;
    this.#entries.set(name.text, { written, isUsed: false, intervals: null, tuples: null });
    return null;
  }

  /** In the order of the file. */
  get sets(): NamedSet[] {
    return [...this.#entries.values()].map(({ written }) => written.set);
  }

  /** Names of those that no match has asked for. */
  get unused(): string[] {
    return [...this.#entries.values()].filter(({ isUsed }) => !isUsed).map(({ written }) => written.set.name);
  }

  /**
   * A static set is written out, also an empty one: then no value is in it. All matches on one set share its intervals.
   * @returns null after reporting an error, or if the set itself is wrong
   */
  resolve({ fields, name, negated, span }: SetReference): Match | null {
    const reports = this.#reports;
    const entry = this.#entries.get(name.text);
    if (entry === undefined) {
      const message = `there is no set ${quote(name.text)}`;
      const hint = `define it outside the block: ${quote(`set ${name.text} { type …; elements = { … } }`)}`;
      reports.error('unknown-set', name, message, { hint, ...didYouMean(name.text, this.#entries.keys()) });
      return null;
    }
    entry.isUsed = true;
    const { set, isKnown } = entry.written;
    if (!isKnown) return null;
    const types = fields.map(setTypeOf);
    if (types.join() !== set.types.join()) {
      this.#reportTypes(fields, types, entry.written, span);
      return null;
    }
    if (set.isDynamic) return { kind: 'set', fields, set: set.name, negated };
    if (fields.length === 1) {
      entry.intervals ??= mergeIntervals(set.elements.map(({ intervals }) => intervals[0]!));
      return { kind: 'field', field: fields[0]!, mask: null, negated, intervals: entry.intervals };
    }
    entry.tuples ??= set.elements.map(({ intervals }) => intervals);
    return { kind: 'concat', fields, negated, tuples: entry.tuples };
  }

  #reportTypes(
    fields: SetReference['fields'],
    types: readonly (string | null)[],
    { set, name }: WrittenSet,
    span: SetReference['span'],
  ): void {
    const reports = this.#reports;
    const untyped = fields.find((_, index) => types[index] === null);
    const related = reports.place(name);
    if (untyped !== undefined) {
      const message = `no set holds values of '${fieldText(untyped)}'`;
      reports.error('set-type', span, message, { hint: "write them in the rule: '{ a, b }'" });
      return;
    }
    const holds = `set ${quote(set.name)} holds '${set.types.join(' . ')}'`;
    const whole = fields.map(fieldText).join(' . ');
    const message = `${holds}, '${whole}' is '${types.join(' . ')}'`;
    reports.error('set-type', span, message, {
      related,
      hint: `the set is defined in ${reports.lineText(name, span)}`,
    });
  }
}
