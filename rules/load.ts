import { createReadStream } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type RuleError, RulesInvalidError } from './errors.ts';
import { parseRules } from './parse.ts';
import type { RuleSet } from './rule.ts';
import { closest } from './suggest.ts';

/** The rule sets that come with Holdfast; each is `sets/NAME.rules`. */
export const SHIPPED_SETS = ['default', 'hold-all', 'telephony'] as const;
export type ShippedSet = (typeof SHIPPED_SETS)[number];

/** Larger files are refused before they fill the memory: a hundred thousand rules fit. */
export const MAX_RULE_BYTES = 16 * 1024 * 1024;

export interface LoadedRules {
  readonly file: string;
  /** The source, for `formatRuleError`. */
  readonly text: string;
  readonly ruleSet: RuleSet;
  readonly warnings: readonly RuleError[];
}

/** The file cannot be read at all; the message names it and says why. */
export class RulesUnreadableError extends Error {
  readonly code = 'rules-unreadable';

  constructor(file: string, why: string) {
    super(`cannot read rules '${file}': ${why}`);
    this.name = 'RulesUnreadableError';
  }
}

/** @returns the absolute path of a shipped rule set */
export function shippedRulesPath(name: ShippedSet): string {
  return fileURLToPath(new URL(`./sets/${name}.rules`, import.meta.url));
}

/** A shipped rule set; its places name the file by its absolute path. Throws what `loadRules` throws. */
export function shippedRules(name: ShippedSet): Promise<LoadedRules> {
  return loadFile(shippedRulesPath(name));
}

/**
 * Reads and parses a rule file.
 * @param path a path, `-` for standard input, or the bare name of a shipped set (a file of that name is reached as `./default`)
 * @throws RulesInvalidError with all errors; RulesUnreadableError if the file cannot be read or is over MAX_RULE_BYTES
 */
export function loadRules(path: string): Promise<LoadedRules> {
  const shipped = SHIPPED_SETS.find((name) => name === path);
  return shipped === undefined ? loadFile(path) : shippedRules(shipped);
}

async function loadFile(path: string): Promise<LoadedRules> {
  const file = path === '-' ? '<stdin>' : path;
  const text = await readText(path, file);
  const { ruleSet, errors, warnings } = parseRules(text, file);
  if (ruleSet === null) throw new RulesInvalidError(errors, text);
  return { file, text, ruleSet, warnings };
}

async function readText(path: string, file: string): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of path === '-' ? process.stdin : createReadStream(path)) {
      bytes += chunk.length;
      if (bytes > MAX_RULE_BYTES) break;
      chunks.push(chunk);
    }
  } catch (error) {
    const near = closest(path, SHIPPED_SETS);
    const hint = near === null ? '' : ` (did you mean the shipped set '${near}'?)`;
    throw new RulesUnreadableError(file, `${explain(error)}${hint}`);
  }
  if (bytes > MAX_RULE_BYTES) throw new RulesUnreadableError(file, `it is larger than ${MAX_RULE_BYTES} bytes`);
  // Bytes that are no UTF-8 become U+FFFD, which the lexer reports with their place.
  return new TextDecoder().decode(Buffer.concat(chunks));
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
};

function explain(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return REASONS[code] ?? (error instanceof Error ? error.message : String(error));
}
