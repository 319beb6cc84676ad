import type { ApplyOptions } from '../../rules/database.ts';
import type { RuleError } from '../../rules/errors.ts';

/** What became of the rules, or of an attempt to change them. */
export interface RulesChange {
  readonly vm: string;
  readonly change: 'applied' | 'rolled-back' | 'reverted' | 'confirmed' | 'refused' | 'file-gone';
  /** In force now. */
  readonly generation: number;
  readonly who: string;
  readonly what: string;
}

export interface ChangeResult {
  readonly generation: number;
  readonly warnings: readonly RuleError[];
  /** The rule that was added, or that took another's place; null where none was. */
  readonly handle: number | null;
  /** The history on disk has it. */
  readonly stored: boolean;
}

export interface ChangeOptions extends ApplyOptions {
  /** Nothing is changed if another generation than this one is in force. */
  readonly expected?: number;
}

/** Somebody else has changed the rules in between. */
export class GenerationChangedError extends Error {
  readonly code = 'generation-changed';
}
