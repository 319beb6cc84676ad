import { parentPort } from 'node:worker_threads';
import { applyEdit } from '../../rules/edit.ts';
import { loadRules } from '../../rules/load.ts';
import type { Rule } from '../../rules/rule.ts';
import { parseSources } from '../../rules/sources.ts';
import { type CompileTask, type FromCompiler, type ToCompiler, writeError } from './compile-protocol.ts';
import { type CompiledRuleText, compileText, whole } from './compiled.ts';
import { differenceOf } from './difference.ts';

/*
 * The compiling thread: rules are parsed, checked and compiled here while the gateway's own thread goes on forwarding. Tables are
 * handed over whole, rules in pieces: reading a large message would stop forwarding for as long as parsing a small rule set takes.
 */

/** Reading so many takes about a millisecond. */
const PIECE_RULES = 200;
const port = parentPort!;
let waiting: Rule[] = [];

function send(message: FromCompiler, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

async function work(task: CompileTask): Promise<void> {
  if (task.kind === 'diff') {
    const [before, after] = [parseSources(task.before), parseSources(task.after)];
    send({ kind: 'difference', difference: differenceOf(before.ruleSet, after.ruleSet) });
    return;
  }
  sendCompiled(await compile(task));
}

async function compile(task: Exclude<CompileTask, { kind: 'diff' }>): Promise<CompiledRuleText> {
  if (task.kind === 'text') return compileText(task.sources);
  if (task.kind === 'edit') return compileText(applyEdit(task.sources, task.edit));
  const { file, sources, ruleSet, warnings } = await loadRules(task.path, { filesOnly: true });
  return whole({ file, texts: new Map(sources) }, ruleSet, warnings);
}

function sendCompiled(compiled: CompiledRuleText): void {
  const { ruleSet, tables } = compiled;
  const { outbound, inbound } = ruleSet;
  waiting = [...outbound, ...(inbound ?? [])];
  const bare = { ...compiled, ruleSet: { ...ruleSet, outbound: [], inbound: inbound === null ? null : [] } };
  const arrays = [tables.outbound, tables.inbound].flatMap((one) => (one === null ? [] : Object.values(one)));
  const buffers = arrays.flatMap((array) => (array instanceof Int32Array ? [array.buffer as ArrayBuffer] : []));
  const counts = { rules: outbound.length, inboundRules: inbound?.length ?? 0 };
  send({ kind: 'compiled', compiled: bare, ...counts }, buffers);
}

port.on('message', (message: ToCompiler) => {
  if (message.kind === 'more') send({ kind: 'rules', rules: waiting.splice(0, PIECE_RULES) });
  else work(message.task).catch((error) => send({ kind: 'failed', failure: writeError(error) }));
});
