import { compileGeneration, type Generation } from '../../classifier/classifier.ts';
import { type HistoryEntry, type Origin, RuleDatabase } from '../../rules/database.ts';
import { placeEdit, type RuleEdit } from '../../rules/edit.ts';
import type { RuleError } from '../../rules/errors.ts';
import { parseSources, type RuleSources } from '../../rules/sources.ts';
import type { Vm } from '../vm.ts';
import { type ChangeOptions, type ChangeResult, GenerationChangedError, type RulesChange } from './change.ts';
import { CompileError, type TextTask } from './compile-protocol.ts';
import type { CompiledRuleText } from './compiled.ts';
import type { RuleCompiler } from './compiler.ts';
import type { Difference } from './difference.ts';
import type { RuleFileWatch } from './rule-file-watch.ts';
import type { RuleHistory } from './rule-history.ts';
import { absoluteRules } from './rule-path.ts';
import { readStart, type Start } from './start.ts';
import { Trial } from './trial.ts';
import { Turns } from './turns.ts';
import type { WatchTimes } from './watched-files.ts';

/** Where it is said what happens to rules; a pino logger is one. */
export interface RulesLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface LiveRulesParts {
  /** The VM's name. */
  readonly vm: string;
  /** A rule file or the name of a shipped set. */
  readonly path: string;
  /** Where the history outlives the process; null: nowhere. */
  readonly historyPath: string | null;
  readonly compiler: RuleCompiler;
  readonly log: RulesLog;
  /** Milliseconds since 1970, which never step back. */
  readonly nowMs?: () => number;
  readonly watchTimes?: WatchTimes;
}

/** What a timer can wait for. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * One VM's rules while it runs: the file that the configuration names, which is watched, and changes over the host interface. Changes are
 * taken one after the other; each is parsed, checked and compiled in another thread, and takes force between two batches of frames.
 */
export class LiveRules {
  readonly #parts: LiveRulesParts;
  readonly #database: RuleDatabase<Generation>;
  readonly #history: RuleHistory;
  readonly #listeners = new Set<(change: RulesChange) => void>();
  /** Texts that need not be compiled again: what is in force, what a revert brings back, and what is being applied. */
  readonly #ready = new Map<RuleSources, CompiledRuleText>();
  readonly #watch: RuleFileWatch | null;
  readonly #turns = new Turns();
  readonly #trial = new Trial();
  #fileHash: string;
  #timer: NodeJS.Timeout | null = null;
  #vm: Vm | null = null;
  #isClosed = false;

  /**
   * Reads the rule file and what an earlier process left: rules that were changed over the host interface stay in force unless the file
   * has changed since; a change that waited to be confirmed is taken back.
   * @throws RulesInvalidError or RuleFileError where there is nothing that could be in force
   */
  static async open(given: LiveRulesParts): Promise<LiveRules> {
    const parts = { ...given, path: absoluteRules(given.path) };
    const start = await readStart(parts);
    const { file, failure, base, history } = start;
    const rules = new LiveRules(parts, start);
    if (failure !== null) rules.#refused(failure);
    else if (base !== null && file!.hash !== history.found.base!.fileHash) {
      rules.#applyFile(file!, 'the rule file has changed while the gateway was not running');
    }
    await rules.#store();
    return rules;
  }

  private constructor(parts: LiveRulesParts, { history, watch, file, base }: Start) {
    this.#parts = parts;
    this.#history = history;
    this.#watch = watch;
    const { found } = history;
    this.#fileHash = file?.hash ?? found.base!.fileHash;
    // The history's own object stands for the text.
    const sources = base === null ? file!.sources : found.base!.entry.sources;
    this.#ready.set(sources, (base ?? file)!);
    const origin =
      found.unconfirmed === null
        ? { who: 'config', what: parts.path }
        : { who: 'holdfast', what: `generation ${found.unconfirmed} was not confirmed before the gateway ended` };
    this.#database = new RuleDatabase<Generation>(
      sources,
      origin,
      {
        parse: (text) => this.#ready.get(text) ?? parseSources(text),
        prepare: (ruleSet, number, _, text) => compileGeneration(number, ruleSet, this.#ready.get(text)?.tables),
        nowMs: () => this.#nowMs(),
      },
      found.restored(base !== null),
    );
    history.follow(this.#database, () => this.#fileHash);
    this.#database.subscribe(({ kind, generation, origin: { who, what } }) => {
      if (this.#trial.isOf(this.#hash)) this.endAudit();
      this.#vm?.swapRules(generation.prepared);
      this.#tell(kind, who, what);
    });
    if (watch !== null) watch.onChange = () => void this.#fileChanged();
  }

  /** In force. */
  get generation(): Generation {
    return this.#database.current.prepared;
  }

  get warnings(): readonly RuleError[] {
    return this.#database.current.warnings;
  }

  get sources(): RuleSources {
    return this.#database.current.sources;
  }

  /** Oldest first. */
  get history(): readonly HistoryEntry[] {
    return this.#database.history;
  }

  /** Until the change that waits to be confirmed is taken back; null if none waits. */
  get confirmLeftMs(): number | null {
    const deadlineMs = this.#database.confirmDeadlineMs;
    return deadlineMs === null ? null : Math.max(0, deadlineMs - this.#nowMs());
  }

  /** What the configuration names: a file's absolute path, or a shipped set. */
  get path(): string {
    return this.#parts.path;
  }

  /** Whether what is in force is what the file says, or said when it was last fit to be read. */
  get source(): 'file' | 'shipped' | 'edited' {
    if (this.#hash !== this.#fileHash) return 'edited';
    return this.#watch === null ? 'shipped' : 'file';
  }

  /** Why the rule file is not in force; null: nothing is wrong with it. */
  get fileTrouble(): string | null {
    return this.#watch?.trouble ?? null;
  }

  /** @param vm was made with `generation`: from now on it is told of every other one */
  attach(vm: Vm): void {
    this.#vm = vm;
    if (vm.generation !== this.generation) vm.swapRules(this.generation);
  }

  /**
   * Tries rules beside those in force: what they would do is counted. Ends when they take force, or with `endAudit`.
   * @throws RulesInvalidError, RuleFileError
   */
  async audit(task: TextTask): Promise<{ readonly warnings: readonly RuleError[] }> {
    const compiled = await this.#parts.compiler.compile(task);
    if (this.#vm === null) throw new CompileError('there is no VM yet to audit them on');
    const { current, nextHandle } = this.#database;
    this.#trial.begin(this.#vm, compiled, current.ruleSet, nextHandle);
    return { warnings: compiled.warnings };
  }

  /** Stops counting; what was counted stays. */
  endAudit(): void {
    this.#vm?.endAudit();
  }

  /** The last audit; null: there was none. */
  get lastAudit(): ReturnType<Trial['last']> {
    return this.#trial.last(this.#vm);
  }

  /** @returns ends it */
  onChange(listener: (change: RulesChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Replaces all rules. @throws RulesInvalidError, DatabaseError, RuleFileError for a task that names a file */
  apply(task: TextTask, origin: Origin, options: ChangeOptions = {}): Promise<ChangeResult> {
    return this.#change(options, async () => {
      const compiled = await this.#parts.compiler.compile(task);
      return this.#take(compiled, () => this.#database.apply(compiled.sources, origin, options));
    });
  }

  /** Changes one rule. @throws RulesInvalidError, DatabaseError */
  edit(edit: RuleEdit, origin: Origin, options: ChangeOptions = {}): Promise<ChangeResult> {
    return this.#change(options, async () => {
      const { ruleSet, sources } = this.#database.current;
      const compiled = await this.#parts.compiler.compile({ kind: 'edit', sources, edit: placeEdit(ruleSet, edit) });
      return this.#take(compiled, () => this.#database.apply(compiled.sources, origin, options));
    });
  }

  /** Puts an earlier text into force; a change that waits to be confirmed gives way. @throws DatabaseError */
  rollback(generation: number, origin: Origin, options: ChangeOptions = {}): Promise<ChangeResult> {
    return this.#change({ ...options, overridesPending: true }, async () => {
      const { sources } = this.#database.entry(generation);
      const compiled = this.#ready.get(sources) ?? (await this.#parts.compiler.compile({ kind: 'text', sources }));
      // The history's own object stands for the text.
      return this.#take({ ...compiled, sources }, () => this.#database.rollback(generation, origin, options));
    });
  }

  /** The change that waits for it stays. @throws DatabaseError `nothing-to-confirm` */
  confirm(origin: Origin): Promise<ChangeResult> {
    return this.#change({ overridesPending: true }, async () => {
      const result = this.#database.confirm(origin);
      this.#settle();
      return { ...result, handle: null };
    });
  }

  /** @throws DatabaseError `unknown-generation` */
  sourcesOf(generation: number): RuleSources {
    return generation === this.#database.current.number ? this.sources : this.#database.entry(generation).sources;
  }

  /** @throws RulesInvalidError where one of the texts has errors */
  diff(before: RuleSources, after: RuleSources): Promise<Difference> {
    return this.#parts.compiler.diff(before, after);
  }

  /** Changes that were begun are not waited for. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#watch?.close();
    await this.#history.close();
  }

  /** Of the text in force. */
  get #hash(): string {
    return this.#ready.get(this.sources)!.hash;
  }

  #nowMs(): number {
    return this.#parts.nowMs?.() ?? performance.timeOrigin + performance.now();
  }

  /** Refuses early what would be refused after compiling. */
  #check({ checkOnly, overridesPending, expected }: ChangeOptions): void {
    const { number } = this.#database.current;
    if (expected !== undefined && expected !== number) {
      throw new GenerationChangedError(`generation ${number} is in force, not ${expected}: nothing is changed`);
    }
    if (checkOnly !== true && overridesPending !== true) this.#database.checkNoneWaits();
  }

  /** One change after the other; while the history is written the next one may begin. */
  async #change(options: ChangeOptions, work: () => Promise<Omit<ChangeResult, 'stored'>>): Promise<ChangeResult> {
    const result = await this.#turns.take(() => {
      this.#check(options);
      return work();
    });
    return { ...result, stored: options.checkOnly === true || (await this.#store()) };
  }

  #take(
    compiled: CompiledRuleText,
    change: () => { readonly generation: number; readonly warnings: readonly RuleError[] },
  ): Omit<ChangeResult, 'stored'> {
    if (this.#isClosed) throw new CompileError('the gateway is closing');
    this.#ready.set(compiled.sources, compiled);
    const { nextHandle } = this.#database;
    try {
      const result = change();
      const { outbound, inbound } = this.#database.current.ruleSet;
      const isNew = ({ handle }: { readonly handle: number }) => handle >= nextHandle;
      return { ...result, handle: (outbound.find(isNew) ?? inbound?.find(isNew))?.handle ?? null };
    } finally {
      this.#settle();
    }
  }

  /** After whatever may have changed what is in force, or what waits. */
  #settle(): void {
    const { current, confirmedSources } = this.#database;
    for (const sources of this.#ready.keys()) {
      if (sources !== current.sources && sources !== confirmedSources) this.#ready.delete(sources);
    }
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const leftMs = this.confirmLeftMs;
    if (leftMs === null || this.#isClosed) return;
    this.#timer = setTimeout(() => this.tick(), Math.min(Math.ceil(leftMs), LONGEST_MS));
  }

  /** Takes back what was not confirmed in time, if it is time. A timer of its own does this, too. */
  tick(): void {
    this.#database.tick();
    this.#settle();
    void this.#store();
  }

  async #store(): Promise<boolean> {
    try {
      await this.#history.store();
      return true;
    } catch (error) {
      const message = `the history of rules cannot be stored: ${(error as Error).message}`;
      this.#parts.log.error({ vm: this.#parts.vm }, message);
      return false;
    }
  }

  async #fileChanged(): Promise<void> {
    const watch = this.#watch!;
    await this.#turns
      .take(async () => {
        let compiled: CompiledRuleText;
        try {
          compiled = await this.#parts.compiler.compile({ kind: 'file', path: this.path });
        } catch (error) {
          if (watch.read(error as Error, null)) this.#refused(error as Error);
          return;
        }
        if (this.#isClosed) return;
        watch.read(null, compiled.sources);
        if (compiled.hash === this.#fileHash) return;
        this.#applyFile(compiled, 'the rule file has changed');
      })
      .catch((error: Error) => this.#refused(error));
    await this.#store();
  }

  /** What the file says wins, also over a change that waits to be confirmed. */
  #applyFile(compiled: CompiledRuleText, what: string): void {
    this.#fileHash = compiled.hash;
    // Edited over the host interface to what the file says now: that is no change.
    if (this.#fileHash === this.#hash && this.#database.confirmDeadlineMs === null) return;
    const origin = { who: 'file', what };
    this.#take(compiled, () => this.#database.apply(compiled.sources, origin, { overridesPending: true }));
  }

  #refused(error: Error): void {
    const { vm, log } = this.#parts;
    const isGone = 'code' in error && error.code === 'rules-unreadable';
    const message = isGone
      ? `${error.message}; the rules in force stay`
      : `the rule file is not applied: ${error.message}`;
    log.error({ vm, generation: this.generation.number }, message);
    this.#tell(isGone ? 'file-gone' : 'refused', 'file', error.message);
  }

  #tell(change: RulesChange['change'], who: string, what: string): void {
    const generation = this.#database.current.number;
    if (change !== 'refused' && change !== 'file-gone') {
      this.#parts.log.info(
        { vm: this.#parts.vm, generation, who, change },
        `rules of ${this.#parts.vm}: ${change}: ${what}`,
      );
    }
    for (const listener of [...this.#listeners]) listener({ vm: this.#parts.vm, change, generation, who, what });
  }
}
