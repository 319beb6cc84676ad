import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Rule } from '../../rules/rule.ts';
import type { RuleSources } from '../../rules/sources.ts';
import { CompileError, type CompileTask, type FromCompiler, readError, type ToCompiler } from './compile-protocol.ts';
import type { CompiledRuleText } from './compiled.ts';
import type { Difference } from './difference.ts';

/** Rules that take longer are given up: nobody waits for them any more. */
const LIMIT_MS = 60_000;
/** Of the thread's heap: a hundred thousand rules fit. */
const MAX_HEAP_MB = 2048;

type Answer = CompiledRuleText | Difference;

/**
 * Compiles rules in a thread of its own, one text after the other, so that frames are forwarded meanwhile. One serves all VMs. The
 * thread begins with the first task, and again after one that it did not survive.
 */
export class RuleCompiler {
  #worker: Worker | null = null;
  #last: Promise<unknown> = Promise.resolve();
  #isClosed = false;
  /** Gives up the task that the thread has. */
  #onBroken: ((why: string) => void) | null = null;

  /**
   * @throws RulesInvalidError with all errors, DatabaseError `no-statement`, RuleFileError
   */
  compile(task: Exclude<CompileTask, { kind: 'diff' }>): Promise<CompiledRuleText> {
    return this.#inTurn(task) as Promise<CompiledRuleText>;
  }

  /** What differs between two texts, each of which has no errors. */
  diff(before: RuleSources, after: RuleSources): Promise<Difference> {
    return this.#inTurn({ kind: 'diff', before, after }) as Promise<Difference>;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const worker = this.#worker;
    await worker?.terminate();
  }

  #inTurn(task: CompileTask): Promise<Answer> {
    const answer = this.#last.then(() => this.#ask(task));
    this.#last = answer.catch(() => {});
    return answer;
  }

  #ask(task: CompileTask): Promise<Answer> {
    if (this.#isClosed) return Promise.reject(new CompileError('the gateway is closing'));
    const worker = this.#thread();
    return new Promise<Answer>((resolve, reject) => {
      const collected: Rule[] = [];
      let head: Extract<FromCompiler, { kind: 'compiled' }> | null = null;
      const hear = (message: FromCompiler) => {
        if (message.kind === 'failed') return done(() => reject(readError(message.failure)));
        if (message.kind === 'difference') return done(() => resolve(message.difference));
        if (message.kind === 'compiled') head = message;
        else for (const rule of message.rules) collected.push(rule);
        if (collected.length < head!.rules + head!.inboundRules) post(worker, { kind: 'more' });
        else done(() => resolve(whole(head!, collected)));
      };
      const done = (settle: () => void) => {
        clearTimeout(limit);
        worker.off('message', hear);
        worker.unref();
        this.#onBroken = null;
        settle();
      };
      const limit = setTimeout(() => {
        this.#worker = null;
        void worker.terminate();
        this.#onBroken?.(`it took longer than ${LIMIT_MS / 1000} s`);
      }, LIMIT_MS);
      this.#onBroken = (why) => done(() => reject(new CompileError(why)));
      worker.ref();
      worker.on('message', hear);
      post(worker, { kind: 'task', task });
    });
  }

  #thread(): Worker {
    if (this.#worker !== null) return this.#worker;
    const worker = startThread();
    const broken = (why: string) => {
      if (this.#worker !== worker) return;
      this.#worker = null;
      this.#onBroken?.(why);
    };
    worker.on('error', (error: Error) => broken(error.message));
    worker.on('exit', () => broken('its thread ended'));
    this.#worker = worker;
    return worker;
  }
}

function post(worker: Worker, message: ToCompiler): void {
  worker.postMessage(message);
}

function whole({ compiled, rules }: Extract<FromCompiler, { kind: 'compiled' }>, collected: Rule[]): CompiledRuleText {
  const { ruleSet } = compiled;
  const inbound = ruleSet.inbound === null ? null : collected.slice(rules);
  return { ...compiled, ruleSet: { ...ruleSet, outbound: collected.slice(0, rules), inbound } };
}

function startThread(): Worker {
  const options = { resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB }, execArgv: [] };
  if (import.meta.url.endsWith('.js')) return new Worker(new URL('./compile-thread.js', import.meta.url), options);
  // From source, as tests run: a thread does not inherit what loads TypeScript.
  const url = new URL('./compile-thread.ts', import.meta.url).href;
  const loader = pathToFileURL(
    createRequire(import.meta.url)
      .resolve('tsx/esm/api')
      .replace(/cjs$/, 'mjs'),
  ).href;
  const [tsx, thread] = [JSON.stringify(loader), JSON.stringify(url)];
  const code = `import(${tsx}).then(({ register }) => { register(); return import(${thread}); })`;
  return new Worker(code, { ...options, eval: true });
}
