import { DatabaseError } from '../../rules/database-error.ts';
import type { PlacedEdit } from '../../rules/edit.ts';
import { type RuleError, RulesInvalidError, type Sources } from '../../rules/errors.ts';
import { RulesUnreadableError } from '../../rules/load.ts';
import type { Rule } from '../../rules/rule.ts';
import type { RuleSources } from '../../rules/sources.ts';
import type { CompiledRuleText } from './compiled.ts';
import type { Difference } from './difference.ts';

/** What the compiling thread is asked for. */
export type CompileTask =
  | { readonly kind: 'text'; readonly sources: RuleSources }
  | { readonly kind: 'edit'; readonly sources: RuleSources; readonly edit: PlacedEdit }
  /** A file with those that it includes, or a shipped set's name. */
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'diff'; readonly before: RuleSources; readonly after: RuleSources };

/** A whole text. */
export type TextTask = Extract<CompileTask, { kind: 'text' | 'file' }>;

export type ToCompiler = { readonly kind: 'task'; readonly task: CompileTask } | { readonly kind: 'more' };

export type FromCompiler =
  /** Rules follow, when they are asked for, `rules` outbound ones and then `inboundRules`. */
  | {
      readonly kind: 'compiled';
      readonly compiled: CompiledRuleText;
      readonly rules: number;
      readonly inboundRules: number;
    }
  | { readonly kind: 'rules'; readonly rules: readonly Rule[] }
  | { readonly kind: 'difference'; readonly difference: Difference }
  | { readonly kind: 'failed'; readonly failure: WrittenError };

/** An error on its way to another thread. */
type WrittenError =
  | { readonly kind: 'invalid'; readonly errors: readonly RuleError[]; readonly sources: Sources }
  | { readonly kind: 'unreadable'; readonly message: string }
  | { readonly kind: 'database'; readonly code: DatabaseError['code']; readonly message: string }
  | { readonly kind: 'fault'; readonly message: string };

export function writeError(error: unknown): WrittenError {
  if (error instanceof RulesInvalidError) return { kind: 'invalid', errors: error.errors, sources: error.sources };
  if (error instanceof RulesUnreadableError) return { kind: 'unreadable', message: error.message };
  if (error instanceof DatabaseError) return { kind: 'database', code: error.code, message: error.message };
  return { kind: 'fault', message: error instanceof Error ? error.message : String(error) };
}

export function readError(written: WrittenError): Error {
  if (written.kind === 'invalid') return new RulesInvalidError(written.errors, written.sources);
  if (written.kind === 'unreadable') return new RuleFileError(written.message);
  if (written.kind === 'database') return new DatabaseError(written.code, written.message);
  return new CompileError(written.message);
}

/** Rules that may be right or wrong: nobody knows. */
export class CompileError extends Error {
  readonly code = 'compile-failed';

  constructor(why: string) {
    super(`compiling rules failed: ${why}`);
    this.name = 'CompileError';
  }
}

/** A rule file that cannot be read at all; the message names it and says why. */
export class RuleFileError extends Error {
  readonly code = 'rules-unreadable';

  constructor(message: string) {
    super(message);
    this.name = 'RuleFileError';
  }
}
