import type { NamedSet } from '../rules/rule.ts';
import { DeclaredFlows } from './declared-flows.ts';
import { DynamicSet } from './dynamic-set.ts';

const NS_PER_MS = 1e6;

/**
 * What a generation's rules look up in when a frame comes: elements of dynamic sets and flows that the host declared. Unlike the
 * rules it changes while they are in force; it belongs to one VM.
 */
export class LiveState {
  /** `nowNs`, for lookups: a number that is no small integer would be allocated at every call that it is handed to. */
  readonly now = new Float64Array(1);
  readonly declared = new DeclaredFlows();
  readonly #named: readonly NamedSet[];
  readonly #sets = new Map<string, DynamicSet>();

  /**
   * Begins at time 0; whoever lets the rules take force says when that is by `begin` or `takeOver`.
   * @param sets the rule set's; those that are not dynamic have no live state
   */
  constructor(sets: readonly NamedSet[]) {
    this.#named = sets.filter((set) => set.isDynamic);
    for (const { name, types, maxElements, timeoutMs } of this.#named) {
      this.#sets.set(name, new DynamicSet(types, maxElements, ns(timeoutMs)));
    }
    this.begin(0);
  }

  /** The gateway's clock when the frame came that is being judged: the classifier sets it before it asks the matcher. */
  get nowNs(): number {
    return this.now[0]!;
  }

  set nowNs(nowNs: number) {
    this.now[0] = nowNs;
  }

  /** @returns the dynamic set of that name, the same one as long as this state lives */
  set(name: string): DynamicSet | undefined {
    return this.#sets.get(name);
  }

  /** The rules take force anew: each set has the elements that the rule set lists, timeouts count from `nowNs`. */
  begin(nowNs: number): void {
    this.nowNs = nowNs;
    this.declared.clear();
    for (const { name, elements } of this.#named) {
      const set = this.#sets.get(name)!;
      set.clear();
      for (const { intervals, timeoutMs } of elements) set.add(intervals, ns(timeoutMs), nowNs);
    }
  }

  /**
   * The rules take force in place of others: declared flows stay, and sets whose name and types did not change keep their elements.
   * Of the elements that the rule sets list only what differs between them is added and deleted.
   * @param previous the state of the rules that were in force; it must not be used again, unless it takes over in its turn
   */
  takeOver(previous: LiveState, nowNs: number): void {
    if (previous === this) return;
    this.#follow(previous, nowNs, (set, before) => set.takeOver(before));
  }

  /**
   * Begins as `takeOver` would, while `current` stays in force: for rules that are tried beside it. Flows that are declared from now
   * on are declared here, too; who adds an element to a set of one has to add it to the other.
   */
  beginBeside(current: LiveState, nowNs: number): void {
    this.#follow(current, nowNs, (set, before) => set.copyFrom(before));
  }

  #follow(previous: LiveState, nowNs: number, fill: (set: DynamicSet, before: DynamicSet) => void): void {
    this.begin(nowNs);
    this.declared.takeOver(previous.declared);
    for (const named of this.#named) {
      const before = previous.#named.find((other) => other.name === named.name);
      if (before === undefined || before.types.join() !== named.types.join()) continue;
      const set = this.#sets.get(named.name)!;
      fill(set, previous.#sets.get(named.name)!);
      const old = new Set(before.elements.map(elementText));
      const listed = new Set(named.elements.map(elementText));
      for (const element of before.elements) {
        if (!listed.has(elementText(element))) set.delete(element.intervals, nowNs);
      }
      for (const element of named.elements) {
        if (!old.has(elementText(element))) set.add(element.intervals, ns(element.timeoutMs), nowNs);
      }
    }
  }
}

function ns(timeoutMs: number | null): number | null {
  return timeoutMs === null ? null : timeoutMs * NS_PER_MS;
}

function elementText({ intervals, timeoutMs }: NamedSet['elements'][number]): string {
  return `${intervals.map(({ low, high }) => `${low}-${high}`).join()} ${timeoutMs}`;
}
