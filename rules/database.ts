import { DatabaseError } from './database-error.ts';
import { editRules, type RuleEdit } from './edit.ts';
import type { RuleError } from './errors.ts';
import { keepHandles } from './handles.ts';
import type { Rule, RuleSet } from './rule.ts';
import { parseSources, type RuleSources } from './sources.ts';

/** Who asked for a change, and in which words: for the history. */
export interface Origin {
  readonly who: string;
  readonly what: string;
}

/** The rules in force. Immutable, and replaced as a whole by one reference. */
export interface Generation<T> {
  /** Grows by 1 at every change, a reverted or rolled-back one included. */
  readonly number: number;
  readonly sources: RuleSources;
  readonly ruleSet: RuleSet;
  readonly warnings: readonly RuleError[];
  /** What `prepare` made of the rule set. */
  readonly prepared: T;
}

export interface HistoryEntry {
  readonly generation: number;
  readonly atMs: number;
  readonly origin: Origin;
  readonly sources: RuleSources;
  /** `pending`: takes itself back unless it is confirmed. */
  readonly state: 'in-force' | 'pending' | 'replaced' | 'reverted';
}

/** What a subscriber is told, after it has taken force. */
export interface GenerationEvent<T> {
  readonly kind: 'applied' | 'rolled-back' | 'reverted' | 'confirmed';
  readonly generation: Generation<T>;
  readonly origin: Origin;
}

export interface ApplyOptions {
  /** Takes force also while an earlier change waits to be confirmed; that one is taken back by it. */
  readonly overridesPending?: boolean;
  /** Only says whether the change would be taken, and with which warnings. */
  readonly checkOnly?: boolean;
  /** Goes back by itself unless `confirm` is called within this time. */
  readonly confirmWithinMs?: number;
}

export interface ApplyResult {
  /** The generation in force afterwards; with `checkOnly` the one that is in force now. */
  readonly generation: number;
  readonly warnings: readonly RuleError[];
}

export interface DatabaseParts<T> {
  /**
   * Makes what is needed to judge frames by these rules, aside from what is in force; if it throws, nothing has changed.
   * @param previous what is in force, null at first
   * @param sources the very object that the change names
   */
  readonly prepare: (ruleSet: RuleSet, generation: number, previous: T | null, sources: RuleSources) => T;
  /** Milliseconds since 1970, for the history and for the time to confirm. */
  readonly nowMs: () => number;
  /** Generations that the history keeps, the one in force included; at least 2. */
  readonly historyLimit?: number;
  /** Characters of rule text that the history keeps, besides those of the last two generations. */
  readonly historyCharacters?: number;
  /** Where texts have been parsed before. @throws RulesInvalidError */
  readonly parse?: (sources: RuleSources) => ReturnType<typeof parseSources>;
}

/** What is known of an earlier database, which this one goes on from. */
export interface Restored {
  readonly history: readonly HistoryEntry[];
  readonly lastNumber: number;
  /** Of the rules that are in force first, outbound ones first; null: those that parsing gave them. */
  readonly handles: readonly number[] | null;
  /** The least handle that no rule ever had. */
  readonly nextHandle: number;
  /** The text in force first is that of generation `lastNumber`: it is no change. Else it becomes the next one. */
  readonly goesOn: boolean;
}

const DEFAULT_HISTORY = 100;
const DEFAULT_HISTORY_CHARACTERS = 32 * 2 ** 20;

interface Pending {
  /** What comes back if nobody confirms. */
  readonly sources: RuleSources;
  readonly number: number;
  readonly deadlineMs: number;
}

/**
 * The rules in force and how they came to be. A change is all or nothing: text is parsed, checked and prepared aside, and then
 * one reference is replaced; whatever goes wrong before leaves the old generation in force. Rules whose text a change leaves as
 * it was keep their handles. Keeps no clock of its own: `tick` reverts what was not confirmed in time.
 */
export class RuleDatabase<T> {
  readonly #parts: DatabaseParts<T>;
  readonly #history: HistoryEntry[] = [];
  readonly #subscribers = new Set<(event: GenerationEvent<T>) => void>();
  #current: Generation<T>;
  #nextHandle: number;
  #pending: Pending | null = null;

  /** @throws RulesInvalidError, or what `prepare` throws */
  constructor(sources: RuleSources, origin: Origin, parts: DatabaseParts<T>, restored: Restored | null = null) {
    this.#parts = parts;
    const parsed = this.#parse(sources);
    const ruleSet = withHandles(parsed.ruleSet, restored?.handles ?? null);
    const highest = ruleSet.outbound
      .concat(ruleSet.inbound ?? [])
      .reduce((most, { handle }) => Math.max(most, handle), 0);
    this.#nextHandle = Math.max(highest + 1, restored?.nextHandle ?? 1);
    const number = restored === null ? 1 : restored.lastNumber + (restored.goesOn ? 0 : 1);
    this.#current = {
      number,
      sources,
      ruleSet,
      warnings: parsed.warnings,
      prepared: parts.prepare(ruleSet, number, null, sources),
    };
    this.#history.push(...(restored?.history ?? []));
    if (restored?.goesOn !== true) this.#record(origin, 'in-force');
  }

  get current(): Generation<T> {
    return this.#current;
  }

  /** Newest last. */
  get history(): readonly HistoryEntry[] {
    return this.#history;
  }

  /** The least handle that no rule ever had. */
  get nextHandle(): number {
    return this.#nextHandle;
  }

  /** What comes back if the change that waits is not confirmed; null if none waits. */
  get confirmedSources(): RuleSources | null {
    return this.#pending?.sources ?? null;
  }

  /** When the change that waits for `confirm` will be taken back; null if none waits. */
  get confirmDeadlineMs(): number | null {
    return this.#pending?.deadlineMs ?? null;
  }

  /** @returns a function that ends the subscription. A subscriber that throws keeps nobody else from being told. */
  subscribe(listener: (event: GenerationEvent<T>) => void): () => void {
    this.#subscribers.add(listener);
    return () => this.#subscribers.delete(listener);
  }

  /**
   * Replaces all rules.
   * @throws RulesInvalidError with all errors; DatabaseError `confirm-pending` while an earlier change waits for that; what
   *   `prepare` throws
   */
  apply(sources: RuleSources, origin: Origin, options: ApplyOptions = {}): ApplyResult {
    if (options.checkOnly !== true && options.overridesPending !== true) this.checkNoneWaits();
    return this.#apply(sources, origin, 'applied', options);
  }

  /** Adds, inserts, replaces or deletes one rule in the text that is in force. Throws what `apply` throws, and `unknown-handle`. */
  edit(edit: RuleEdit, origin: Origin, options: ApplyOptions = {}): ApplyResult {
    return this.apply(editRules(this.#current, edit), origin, options);
  }

  /**
   * Puts the text of an earlier generation into force again, as a new one. A change that waits to be confirmed is taken back by it.
   * @throws DatabaseError `unknown-generation` if the history does not have it
   */
  rollback(generation: number, origin: Origin, options: ApplyOptions = {}): ApplyResult {
    this.tick();
    const entry = this.entry(generation);
    return this.#apply(entry.sources, origin, 'rolled-back', options);
  }

  /** @throws DatabaseError `unknown-generation` if the history does not have it */
  entry(generation: number): HistoryEntry {
    const entry = this.#history.find((one) => one.generation === generation);
    if (entry !== undefined) return entry;
    const oldest = this.#history[0]!.generation;
    const message = `generation ${generation} is not in the history, which has ${oldest} to ${this.#current.number}`;
    throw new DatabaseError('unknown-generation', message);
  }

  /** @throws DatabaseError `confirm-pending` while an earlier change waits to be confirmed */
  checkNoneWaits(): void {
    this.tick();
    if (this.#pending === null) return;
    const message = `generation ${this.#current.number} waits to be confirmed; confirm it, or let it revert`;
    throw new DatabaseError('confirm-pending', message);
  }

  /** The change that waits for it stays. @throws DatabaseError `nothing-to-confirm` */
  confirm(origin: Origin): ApplyResult {
    if (this.#pending === null) throw new DatabaseError('nothing-to-confirm', 'no change waits to be confirmed');
    this.#pending = null;
    this.#mark(this.#current.number, 'in-force');
    this.#tell('confirmed', origin);
    return { generation: this.#current.number, warnings: this.#current.warnings };
  }

  /** Reverts a change whose time to be confirmed is over. Call it at `confirmDeadlineMs` or whenever it suits. */
  tick(): void {
    const pending = this.#pending;
    if (pending === null || this.#parts.nowMs() < pending.deadlineMs) return;
    this.#pending = null;
    const origin = { who: 'holdfast', what: `generation ${this.#current.number} was not confirmed` };
    this.#mark(this.#current.number, 'reverted');
    this.#apply(pending.sources, origin, 'reverted', {});
  }

  #apply(sources: RuleSources, origin: Origin, kind: GenerationEvent<T>['kind'], options: ApplyOptions): ApplyResult {
    const before = this.#current;
    const parsed = this.#parse(sources);
    const number = before.number + 1;
    const { ruleSet, nextHandle } = keepHandles(parsed.ruleSet, before.ruleSet, this.#nextHandle);
    if (options.checkOnly === true) return { generation: before.number, warnings: parsed.warnings };
    const prepared = this.#parts.prepare(ruleSet, number, before.prepared, sources);
    this.#nextHandle = nextHandle;
    this.#current = { number, sources, ruleSet, warnings: parsed.warnings, prepared };
    if (options.confirmWithinMs === undefined) {
      this.#pending = null;
    } else {
      const deadlineMs = this.#parts.nowMs() + options.confirmWithinMs;
      // A change that nobody has confirmed is nothing to go back to.
      const { sources: confirmed, number: from } = this.#pending ?? before;
      this.#pending = { sources: confirmed, number: from, deadlineMs };
    }
    const stateBefore = this.#stateOf(before.number);
    if (stateBefore !== 'reverted') this.#mark(before.number, stateBefore === 'pending' ? 'reverted' : 'replaced');
    this.#record(origin, this.#pending === null ? 'in-force' : 'pending');
    this.#tell(kind, origin);
    return { generation: number, warnings: parsed.warnings };
  }

  #record(origin: Origin, state: HistoryEntry['state']): void {
    const { number, sources } = this.#current;
    this.#history.push({ generation: number, atMs: this.#parts.nowMs(), origin, sources, state });
    const { historyLimit = DEFAULT_HISTORY, historyCharacters = DEFAULT_HISTORY_CHARACTERS } = this.#parts;
    let characters = this.#history.reduce((sum, entry) => sum + charactersOf(entry.sources), 0);
    while (this.#history.length > 2) {
      if (this.#history.length <= historyLimit && characters <= historyCharacters) break;
      characters -= charactersOf(this.#history.shift()!.sources);
    }
  }

  #parse(sources: RuleSources): ReturnType<typeof parseSources> {
    return (this.#parts.parse ?? parseSources)(sources);
  }

  #stateOf(generation: number): HistoryEntry['state'] | null {
    return this.#history.find((entry) => entry.generation === generation)?.state ?? null;
  }

  #mark(generation: number, state: HistoryEntry['state']): void {
    const at = this.#history.findIndex((entry) => entry.generation === generation);
    if (at >= 0) this.#history[at] = { ...this.#history[at]!, state };
  }

  #tell(kind: GenerationEvent<T>['kind'], origin: Origin): void {
    const event = { kind, generation: this.#current, origin };
    const failures: unknown[] = [];
    for (const listener of [...this.#subscribers]) {
      try {
        listener(event);
      } catch (error) {
        failures.push(error);
      }
    }
    // The change stands all the same; who subscribed badly should hear of it.
    if (failures.length > 0) throw new AggregateError(failures, 'a subscriber failed after the rules had changed');
  }
}

function charactersOf({ texts }: RuleSources): number {
  let characters = 0;
  for (const text of texts.values()) characters += text.length;
  return characters;
}

/** @param handles outbound rules' first; of no use where there are not as many as rules */
function withHandles(ruleSet: RuleSet, handles: readonly number[] | null): RuleSet {
  const { outbound, inbound } = ruleSet;
  if (handles === null || handles.length !== outbound.length + (inbound?.length ?? 0)) return ruleSet;
  const give = (rules: readonly Rule[], from: number) => {
    return rules.map((rule, i) => ({ ...rule, handle: handles[from + i]! }));
  };
  return {
    ...ruleSet,
    outbound: give(outbound, 0),
    inbound: inbound === null ? null : give(inbound, outbound.length),
  };
}
