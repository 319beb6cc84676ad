import type { CompiledRuleText } from './compiled.ts';
import type { LiveRulesParts } from './live-rules.ts';
import { RuleFileWatch } from './rule-file-watch.ts';
import { RuleHistory } from './rule-history.ts';
import { isShipped } from './rule-path.ts';

/** What there is when rules begin. */
export interface Start {
  readonly history: RuleHistory;
  /** Null: a shipped set does not change. */
  readonly watch: RuleFileWatch | null;
  /** What the file says; null: it could not be read, or has errors. */
  readonly file: CompiledRuleText | null;
  readonly failure: Error | null;
  /** What was in force last; null: not known. One of `file` and `base` is there. */
  readonly base: CompiledRuleText | null;
}

/** @throws RulesInvalidError, RuleFileError, CompileError where there is nothing that could be in force */
export async function readStart({ vm, path, historyPath, compiler, log, watchTimes }: LiveRulesParts): Promise<Start> {
  const history = new RuleHistory(historyPath);
  const { found } = history;
  if (found.keptAside !== null) {
    const message = `the history of rules was damaged: it is kept as ${found.keptAside}, and a new one begins`;
    log.error({ vm, path: found.keptAside }, message);
  }
  const watch = isShipped(path) ? null : await RuleFileWatch.begin(path, watchTimes);
  let file: CompiledRuleText | null = null;
  let failure: Error | null = null;
  try {
    file = await compiler.compile({ kind: 'file', path });
  } catch (error) {
    failure = error as Error;
  }
  const base = found.base === null ? null : await compiledAgain(found.base.entry.sources);
  // Rules that were in force under another name are no stand-in for those that are named now.
  const isKnown = found.generations.some(({ entry }) => entry.sources.file === path);
  if (file === null && (base === null || !isKnown)) {
    watch?.close();
    throw failure!;
  }
  watch?.read(failure, file?.sources ?? null);
  return { history, watch, file, failure, base };

  /** Null: another version of Holdfast wrote it. */
  function compiledAgain(sources: CompiledRuleText['sources']): Promise<CompiledRuleText | null> {
    return compiler.compile({ kind: 'text', sources }).catch((error: Error) => {
      log.error({ vm }, `the rules that were in force last cannot be again: ${error.message}`);
      return null;
    });
  }
}
