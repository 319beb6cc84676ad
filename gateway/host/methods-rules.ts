import { isAbsolute } from 'node:path';
import type { Origin } from '../../rules/database.ts';
import { DatabaseError } from '../../rules/database-error.ts';
import type { RuleEdit } from '../../rules/edit.ts';
import { RulesInvalidError, type Sources } from '../../rules/errors.ts';
import type { RuleSources } from '../../rules/sources.ts';
import { type ChangeOptions, type ChangeResult, GenerationChangedError } from '../live-rules/change.ts';
import { CompileError, RuleFileError, type TextTask } from '../live-rules/compile-protocol.ts';
import type { LiveRules } from '../live-rules/live-rules.ts';
import { TooManyChangesError } from '../live-rules/turns.ts';
import type { RuleCounters } from '../rule-counters.ts';
import type { Vm } from '../vm.ts';
import {
  type ListedRule,
  MAX_LISTED_RULES,
  type ParamsOf,
  type Results,
  type RulesChanged,
  type RulesOrigin,
  type Status,
} from './api.ts';
import type { Client, GatewayView } from './methods.ts';
import { namedVm } from './named-vm.ts';
import { Pending } from './pending.ts';
import { invalidParams, RequestError, RPC } from './protocol.ts';
import { ruleProblem } from './rule-problem.ts';
import type { Problem } from './schema.ts';
import { isoTime } from './wall-time.ts';

type ChangeParams = Pick<ParamsOf<'rules.delete'>, 'checkOnly' | 'confirmWithinMs' | 'ifGeneration'>;

/** `rules.*`: live rules, as the host sees them. Errors of people become RequestErrors here. */
export class RuleMethods {
  readonly #view: GatewayView;
  /** Apart, so that whoever only reads does not keep others from changing anything. */
  readonly #changes = new Pending('changes of rules');
  readonly #differences = new Pending('differences of rules');

  constructor(view: GatewayView) {
    this.#view = view;
  }

  apply(params: ParamsOf<'rules.apply'>, client: Client): Promise<Results['rules.apply']> {
    return this.#changes.during(textsOf(params), () => this.#apply(params, client));
  }

  async #apply(params: ParamsOf<'rules.apply'>, client: Client): Promise<Results['rules.apply']> {
    const { rules } = this.#of(params.vm);
    if (params.audit === false) {
      refuseOthers(params, ['vm', 'audit'], "has no meaning with 'audit': false");
      rules.endAudit();
      const { number } = rules.generation;
      return { generation: number, warnings: [], handle: null, stored: true, auditing: false };
    }
    const task = this.#taskOf(rules, params, client);
    if (params.audit === true) {
      refuseOthers(params, ['vm', 'audit', 'text', 'file', 'includes', 'path'], "has no meaning with 'audit'");
      const { warnings } = await answered(rules.audit(task));
      const { number } = rules.generation;
      return { generation: number, warnings: warned(warnings, NONE), handle: null, stored: true, auditing: true };
    }
    const what = task.kind === 'file' ? `apply ${task.path}` : `apply ${task.sources.file}`;
    const result = await answered(rules.apply(task, origin(client, what), optionsOf(params)));
    return { ...changed(result, rules), auditing: rules.lastAudit?.isRunning === true };
  }

  list({ vm: name, from = 0, limit = MAX_LISTED_RULES }: ParamsOf<'rules.list'>): Results['rules.list'] {
    const { rules, vm } = this.#of(name);
    const { number, ruleSet } = rules.generation;
    return {
      generation: number,
      ...originOf(rules),
      total: ruleSet.outbound.length + (ruleSet.inbound?.length ?? 0),
      rules: this.#listed(vm.ruleCounters, from, limit),
    };
  }

  edit(edit: RuleEdit, params: ChangeParams & { readonly vm?: string }, client: Client): Promise<RulesChanged> {
    const { rules } = this.#of(params.vm);
    const { kind } = edit;
    const what = kind === 'delete' || kind === 'replace' ? `${kind} rule ${edit.handle}` : `${kind}: ${edit.rule}`;
    return this.#answer(rules, rules.edit(edit, origin(client, what), optionsOf(params)));
  }

  rollback(params: ParamsOf<'rules.rollback'>, client: Client): Promise<RulesChanged> {
    const { rules } = this.#of(params.vm);
    const { generation } = params;
    const from = origin(client, `roll back to generation ${generation}`);
    return this.#answer(rules, rules.rollback(generation, from, optionsOf(params)));
  }

  confirm({ vm }: ParamsOf<'rules.confirm'>, client: Client): Promise<RulesChanged> {
    const { rules } = this.#of(vm);
    return this.#answer(rules, rules.confirm(origin(client, 'confirm')));
  }

  diff(params: ParamsOf<'rules.diff'>): Promise<Results['rules.diff']> {
    return this.#differences.during(textsOf(params), () => this.#diff(params));
  }

  async #diff(params: ParamsOf<'rules.diff'>): Promise<Results['rules.diff']> {
    const { rules } = this.#of(params.vm);
    const { number } = rules.generation;
    const { from = number, to = number, text } = params;
    if (text !== undefined && params.to !== undefined) {
      throw invalidParams([{ field: 'to', message: "has no meaning with 'text'" }]);
    }
    try {
      const before = rules.sourcesOf(from);
      const after = text === undefined ? rules.sourcesOf(to) : sourcesOf(rules, { ...params, text });
      const difference = await rules.diff(before, after);
      return { from, to: text === undefined ? to : null, ...difference };
    } catch (error) {
      throw requestError(error);
    }
  }

  text({ vm, generation }: ParamsOf<'rules.text'>): Results['rules.text'] {
    const { rules } = this.#of(vm);
    try {
      const { file, texts } = rules.sourcesOf(generation ?? rules.generation.number);
      const all = [...texts].map(([name, text]) => ({ file: name, text }));
      return { generation: generation ?? rules.generation.number, file, texts: all };
    } catch (error) {
      throw requestError(error);
    }
  }

  history({ vm }: ParamsOf<'rules.history'>): Results['rules.history'] {
    const { rules } = this.#of(vm);
    const generations = rules.history.map(({ generation, atMs, origin: { who, what }, state }) => {
      return { generation, at: new Date(atMs).toISOString(), who, what, state };
    });
    return { generation: rules.generation.number, confirmLeftMs: rules.confirmLeftMs, generations };
  }

  audit({ vm }: ParamsOf<'rules.audit'>): Results['rules.audit'] {
    const { rules } = this.#of(vm);
    const { lastAudit } = rules;
    if (lastAudit === null) return { auditing: false, audit: null };
    const verdicts = lastAudit.audit.cells();
    const frames = verdicts.reduce((sum, cell) => sum + cell.frames, 0);
    const listed = this.#listed(lastAudit.audit.counters, 0, MAX_LISTED_RULES);
    return { auditing: lastAudit.isRunning, audit: { frames, verdicts, rules: listed } };
  }

  async #answer(rules: LiveRules, result: Promise<ChangeResult>): Promise<RulesChanged> {
    return changed(await answered(result), rules);
  }

  #listed(counters: RuleCounters, from: number, limit: number): ListedRule[] {
    return counters.list(from, limit).map(({ direction, lastHitNs, ...rule }) => {
      const lastHit = lastHitNs === null ? null : isoTime(lastHitNs, this.#view.clockOrigin);
      return { ...rule, block: direction, lastHit };
    });
  }

  #of(name: string | undefined): { readonly rules: LiveRules; readonly vm: Vm } {
    const { vms, rules } = this.#view;
    const { name: wanted, vm } = namedVm(vms, name);
    const live = rules?.get(wanted);
    if (live === undefined) {
      throw new RequestError(RPC.state, 'not-supported', 'this gateway cannot change rules while it runs');
    }
    return { rules: live, vm };
  }

  #taskOf(rules: LiveRules, params: ParamsOf<'rules.apply'>, client: Client): TextTask {
    const { text, path } = params;
    if (text !== undefined) {
      if (path !== undefined) throw invalidParams([{ field: 'path', message: "has no meaning with 'text'" }]);
      return { kind: 'text', sources: sourcesOf(rules, { ...params, text }) };
    }
    if (path === undefined) throw invalidParams([{ field: 'text', message: "is missing, and so is 'path'" }]);
    refuseOthers({ file: params.file, includes: params.includes }, [], "goes with 'text'");
    if (!isAbsolute(path)) {
      const message = 'expected an absolute path: the gateway knows no folder of yours';
      throw invalidParams([{ field: 'path', message }]);
    }
    // The gateway would read the file with its own rights.
    if (client.uid !== 0 && client.uid !== process.geteuid?.()) {
      const message = `only the owner of the control socket may name files: send the 'text'`;
      throw new RequestError(RPC.state, 'forbidden', message, 'path');
    }
    return { kind: 'file', path };
  }
}

/** Says of each VM how its rules came to be. */
export function withRules(status: Status, all: ReadonlyMap<string, LiveRules>): Status {
  const vms = status.vms.map((row) => {
    const live = all.get(row.vm);
    return live === undefined ? row : { ...row, rules: originOf(live) };
  });
  return { ...status, vms };
}

function originOf({ path, source, fileTrouble, confirmLeftMs }: LiveRules): RulesOrigin {
  return { path, source, fileTrouble, confirmLeftMs };
}

const NONE: Sources = new Map();

/** The text in place of the main file that is in force; files that it includes are those in force unless they come with it. */
function sourcesOf(
  rules: LiveRules,
  {
    text,
    file,
    includes,
  }: Pick<ParamsOf<'rules.apply'>, 'includes' | 'file'> & {
    readonly text: string;
  },
): RuleSources {
  const { sources } = rules;
  const name = file ?? sources.file;
  const texts = new Map(includes === undefined ? sources.texts : includes.map((one) => [one.file, one.text] as const));
  return { file: name, texts: texts.set(name, text) };
}

function textsOf({ text, includes = [] }: Pick<ParamsOf<'rules.apply'>, 'text' | 'includes'>): readonly string[] {
  const texts = includes.map((one) => one.text);
  return text === undefined ? texts : [text, ...texts];
}

function optionsOf({ checkOnly, confirmWithinMs, ifGeneration }: ChangeParams): ChangeOptions {
  return {
    ...(checkOnly === undefined ? {} : { checkOnly }),
    ...(confirmWithinMs === undefined ? {} : { confirmWithinMs }),
    ...(ifGeneration === undefined ? {} : { expected: ifGeneration }),
  };
}

function origin({ name = 'somebody', uid = null, access }: Client, what: string): Origin {
  const known = access?.identity ?? (uid === null ? null : `uid ${uid}`);
  return { who: known === null ? name : `${name} (${known})`, what };
}

function changed({ generation, warnings, handle, stored }: ChangeResult, rules: LiveRules): RulesChanged {
  return { generation, warnings: warned(warnings, rules.sources.texts), handle, stored };
}

function warned(warnings: ChangeResult['warnings'], sources: Sources): RulesChanged['warnings'] {
  return warnings.map((warning) => ruleProblem(warning, sources));
}

function refuseOthers(params: object, allowed: readonly string[], message: string): void {
  const problems: Problem[] = Object.entries(params)
    .filter(([field, value]) => value !== undefined && !allowed.includes(field))
    .map(([field]) => ({ field, message }));
  if (problems.length > 0) throw invalidParams(problems);
}

function answered<T>(result: Promise<T>): Promise<T> {
  return result.catch((error) => {
    throw requestError(error);
  });
}

/** @returns what the client is told; anything else as it is */
function requestError(error: unknown): unknown {
  if (error instanceof RulesInvalidError) {
    const problems = error.errors.map((one) => ruleProblem(one, error.sources));
    return new RequestError(RPC.state, 'rules-invalid', error.message, undefined, problems);
  }
  const isKnown =
    error instanceof DatabaseError ||
    error instanceof RuleFileError ||
    error instanceof CompileError ||
    error instanceof GenerationChangedError ||
    error instanceof TooManyChangesError;
  if (isKnown) return new RequestError(RPC.state, error.code, error.message);
  return error;
}
