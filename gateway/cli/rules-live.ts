import { formatRuleError } from '../../rules/errors.ts';
import type { ListedRule, ParamsOf, Results, RulesChanged } from '../host/api.ts';
import type { HostClient } from '../host/client.ts';
import { RequestError } from '../host/protocol.ts';
import type { RuleProblem } from '../host/rule-problem.ts';
import type { ControlOptions } from './control-option.ts';
import { EXIT, Failure } from './failure.ts';
import { printable, table } from './table.ts';
import { chosenVm, withHost } from './with-host.ts';

/** For an answer: a hundred thousand rules take a while. */
export const RULES_TIMEOUT_MS = 120_000;
/** Rules in one answer. */
const PAGE = 1000;

export interface LiveOptions extends ControlOptions {
  readonly vm?: string;
}

export interface ChangeOptions extends LiveOptions {
  readonly check?: boolean;
  /** Milliseconds. */
  readonly confirmWithin?: number;
}

type Edit = {
  [M in 'rules.add' | 'rules.insert' | 'rules.replace' | 'rules.delete']: { readonly method: M } & Omit<
    ParamsOf<M>,
    'vm'
  >;
}['rules.add' | 'rules.insert' | 'rules.replace' | 'rules.delete'];

export function rulesList(options: LiveOptions): Promise<number> {
  return withHost(options, async (host) => {
    const { name: vm } = await chosenVm(host, options.vm ?? null);
    const listed = await allRules(host, vm);
    if (options.json === true) {
      tellJson({ vm, ...listed });
      return EXIT.ok;
    }
    const { generation, path, source, fileTrouble, confirmLeftMs, rules } = listed;
    const lines = [
      `${vm}: generation ${generation}, ${source === 'edited' ? `edited: ${path} says otherwise` : `as in ${path}`}`,
    ];
    if (fileTrouble !== null) lines.push(`the file is not in force: ${printable(fileTrouble)}`);
    if (confirmLeftMs !== null) lines.push(`goes back in ${seconds(confirmLeftMs)} unless it is confirmed`);
    for (const block of ['outbound', 'inbound']) {
      const rows = rules.filter((rule) => rule.block === block).map(row);
      if (rows.length > 0)
        lines.push(block, ...table(['handle', 'frames', 'bytes', 'last hit', 'verdict', 'rule'], rows));
    }
    process.stdout.write(`${lines.join('\n')}\n`);
    return EXIT.ok;
  });
}

export function rulesEdit({ method, ...params }: Edit, options: ChangeOptions): Promise<number> {
  return change(options, (host, common) =>
    host.call(method, { ...params, ...common } as ParamsOf<typeof method>, RULES_TIMEOUT_MS),
  );
}

export function rulesRollback(generation: number, options: ChangeOptions): Promise<number> {
  return change(options, (host, common) => host.call('rules.rollback', { generation, ...common }, RULES_TIMEOUT_MS));
}

export function rulesConfirm(options: LiveOptions): Promise<number> {
  return change(options, (host, { vm }) => host.call('rules.confirm', { vm }));
}

export function rulesHistory(options: LiveOptions): Promise<number> {
  return withHost(options, async (host) => {
    const { name: vm } = await chosenVm(host, options.vm ?? null);
    const history = await host.call('rules.history', { vm });
    if (options.json === true) {
      tellJson({ vm, ...history });
      return EXIT.ok;
    }
    const rows = history.generations.map(({ generation, at, who, what, state }) => [
      generation,
      at,
      state,
      printable(who),
      printable(what),
    ]);
    process.stdout.write(`${table(['generation', 'at', 'state', 'who', 'what'], rows).join('\n')}\n`);
    return EXIT.ok;
  });
}

/** What every change has in common; `vm` is the one that is meant. */
interface Common {
  readonly vm: string;
  readonly checkOnly?: boolean;
  readonly confirmWithinMs?: number;
}

/** Asks for a change and tells what became of it. @returns the exit code */
export function change<R extends RulesChanged>(
  options: ChangeOptions,
  ask: (host: HostClient, common: Common) => Promise<R>,
  words: (result: R) => string | null = () => null,
): Promise<number> {
  return withHost(options, async (host) => {
    const { name: vm } = await chosenVm(host, options.vm ?? null);
    const { check, confirmWithin, json } = options;
    const common = {
      vm,
      ...(check === true ? { checkOnly: true } : {}),
      ...(confirmWithin === undefined ? {} : { confirmWithinMs: confirmWithin }),
    };
    const result = await ask(host, common).catch((error) => {
      throw json === true ? error : withRuleErrors(error);
    });
    for (const warning of result.warnings) process.stderr.write(`${problemText(warning)}\n`);
    if (!result.stored) process.stderr.write('holdfast: the change is in force, but the gateway could not store it\n');
    if (json === true) tellJson({ vm, ...result });
    else process.stdout.write(`${words(result) ?? changedText(vm, result, options)}\n`);
    return EXIT.ok;
  });
}

function changedText(
  vm: string,
  { generation, handle }: RulesChanged,
  { check, confirmWithin }: ChangeOptions,
): string {
  if (check === true) return `${vm}: the change would be made; nothing is changed`;
  const rule = handle === null ? '' : `, rule ${handle}`;
  const until =
    confirmWithin === undefined ? '' : `; it goes back in ${seconds(confirmWithin)} unless: holdfast rules confirm`;
  return `${vm}: generation ${generation} is in force${rule}${until}`;
}

/** Prints what is wrong with rules, as `holdfast check` does. @returns what to throw */
export function withRuleErrors(error: unknown): unknown {
  if (!(error instanceof RequestError) || error.code !== 'rules-invalid') return error;
  const problems = (error.errors ?? []) as readonly RuleProblem[];
  for (const problem of problems) process.stderr.write(`${problemText(problem)}\n`);
  const count = problems.length;
  return new Failure(`${count} error${count === 1 ? '' : 's'}; nothing is changed`, EXIT.no);
}

function problemText(problem: RuleProblem): string {
  return formatRuleError(problem, '\n'.repeat(problem.line - 1) + problem.source);
}

/** @returns all rules of one generation, however many there are */
async function allRules(host: HostClient, vm: string): Promise<Results['rules.list']> {
  for (;;) {
    const first = await host.call('rules.list', { vm, limit: PAGE });
    const rules: ListedRule[] = [...first.rules];
    let isSame = true;
    while (isSame && rules.length < first.total) {
      const page = await host.call('rules.list', { vm, from: rules.length, limit: PAGE });
      isSame = page.generation === first.generation;
      rules.push(...page.rules);
    }
    if (isSame) return { ...first, rules };
  }
}

function row({ handle, frames, bytes, lastHit, verdict, text }: ListedRule): (string | number)[] {
  return [handle, frames, bytes, lastHit ?? '-', verdict, printable(text)];
}

function seconds(ms: number): string {
  return `${Math.ceil(ms / 100) / 10} s`;
}

export function tellJson(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
