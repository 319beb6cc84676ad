import { quote, type Reports, type Span } from './errors.ts';
import type { Token } from './lex.ts';
import type { NamedSet, SetType } from './rule.ts';
import type { WrittenElement } from './set-elements.ts';

/** A set as it is written in the file. */
export interface WrittenSet {
  readonly name: Token;
  readonly set: NamedSet;
  /** false: its types could not be read, which is reported; what its elements are is unknown. */
  readonly isKnown: boolean;
}

/** Most elements of a dynamic set that does not say its `size`: the kernel's default too. */
export const DEFAULT_SET_SIZE = 65_535;
export const MAX_SET_SIZE = 1_048_576;

export const SET_FLAGS = ['constant', 'dynamic', 'interval', 'timeout'] as const;
type SetFlag = (typeof SET_FLAGS)[number];

/** What has been read of a set so far. */
export class SetDraft {
  types: readonly SetType[] | null = null;
  /** Another 'type' has been reported as wrong already. */
  typeFailed = false;
  readonly flags = new Map<SetFlag, Span>();
  timeout: { readonly ms: number | null; readonly at: Token } | null = null;
  size: { readonly count: number; readonly at: Token } | null = null;
  autoMerge = false;
  readonly elements: WrittenElement[] = [];

  /** Reports what only the whole set shows. */
  finish(name: Token, reports: Reports): WrittenSet {
    const { elements, flags, size } = this;
    const isDynamic = flags.has('timeout') || flags.has('dynamic') || this.timeout !== null;
    const constant = flags.get('constant');
    if (isDynamic && constant !== undefined) {
      const message = "'constant' elements cannot come and go, and this set is dynamic";
      reports.error('missing-flag', constant, message, { hint: "leave 'constant' or the timeouts out" });
    }
    const timed = elements.find((element) => element.timeoutAt !== null);
    if (timed !== undefined && !flags.has('timeout') && this.timeout === null) {
      const message = 'an element of this set cannot have a timeout';
      reports.error('missing-flag', timed.timeoutAt!, message, { hint: "add 'timeout' to the set's 'flags'" });
    }
    const wide = elements.find(({ intervals }) => intervals.some(({ low, high }) => low !== high));
    if (wide !== undefined && !flags.has('interval')) {
      const message = `${quote(wide.text)} is more than one value`;
      const hint = `add 'flags ${['interval', ...flags.keys()].join(', ')}' to the set`;
      reports.error('missing-flag', wide.span, message, { hint });
    }
    const maxElements = size?.count ?? (isDynamic ? DEFAULT_SET_SIZE : MAX_SET_SIZE);
    const surplus = elements[maxElements];
    if (surplus !== undefined) {
      const message = `this set has ${elements.length} elements and a size of ${maxElements}`;
      reports.error('too-large', surplus.span, message, size === null ? {} : { related: reports.place(size.at) });
    }
    checkOverlaps(this, reports);
    const set: NamedSet = {
      name: name.text,
      place: reports.place(name),
      types: this.types ?? [],
      isDynamic,
      timeoutMs: this.timeout?.ms ?? null,
      maxElements,
      elements: elements.map(({ intervals, timeoutMs }) => ({ intervals, timeoutMs })),
    };
    return { name, set, isKnown: this.types !== null };
  }
}

/** The same element twice is harmless and surely a slip; ranges that overlap are refused, as by nft. */
function checkOverlaps({ elements, types, autoMerge }: SetDraft, reports: Reports): void {
  const seen = new Map<string, WrittenElement>();
  const different: WrittenElement[] = [];
  for (const element of elements) {
    const key = element.intervals.map(({ low, high }) => `${low}-${high}`).join(' ');
    const earlier = seen.get(key);
    if (earlier === undefined) {
      seen.set(key, element);
      different.push(element);
    } else if (!autoMerge) {
      const where = reports.lineText(earlier.span, element.span);
      const related = reports.place(earlier.span);
      reports.warning('duplicate-element', element.span, `this element stands in ${where} already`, { related });
    }
  }
  if (autoMerge || types?.length !== 1) return;
  const order = new Map(different.map((element, index) => [element, index]));
  different.sort((a, b) => (a.intervals[0]!.low < b.intervals[0]!.low ? -1 : 1));
  let widest: WrittenElement | null = null;
  for (const element of different) {
    if (widest !== null && element.intervals[0]!.low <= widest.intervals[0]!.high) {
      const [first, second] = order.get(widest)! < order.get(element)! ? [widest, element] : [element, widest];
      const where = reports.lineText(first.span, second.span);
      reports.error('overlap', second.span, `${quote(second.text)} overlaps ${quote(first.text)} of ${where}`, {
        related: reports.place(first.span),
        hint: "leave one out, or add 'auto-merge' to the set",
      });
    }
    if (widest === null || element.intervals[0]!.high > widest.intervals[0]!.high) widest = element;
  }
}
