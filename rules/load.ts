import { closeSync, createReadStream, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type RuleError, RulesInvalidError, type Sources } from './errors.ts';
import { type IncludedFile, includedPath, type ResolveInclude, wildcardOf } from './include.ts';
import { parseRules } from './parse.ts';
import type { RuleSet } from './rule.ts';
import { closest } from './suggest.ts';

/** The rule sets that come with Holdfast; each is `sets/NAME.rules`. */
export const SHIPPED_SETS = ['default', 'hold-all', 'telephony', 'router', 'web'] as const;
export type ShippedSet = (typeof SHIPPED_SETS)[number];

/** Files that together are larger are refused before they fill the memory: a hundred thousand rules fit. */
export const MAX_RULE_BYTES = 16 * 1024 * 1024;

export interface LoadedRules {
  readonly file: string;
  readonly text: string;
  /** The text of each file that was read, this one first: for `formatRuleError`. */
  readonly sources: Sources;
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

/** What places and messages call the input at `path`. */
export function inputName(path: string): string {
  return path === '-' ? '<stdin>' : path;
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
 * Reads and parses a rule file with all files that it includes: their paths are relative to the file in which they stand, for
 * standard input to the working directory.
 * @param path a path, `-` for standard input, or the bare name of a shipped set (a file of that name is reached as `./default`)
 * @param filesOnly refuses pipes and devices: opening one may take for ever, and whoever does cannot be interrupted
 * @throws RulesInvalidError with all errors, files that cannot be included among them; RulesUnreadableError if the file cannot be
 *   read or is over MAX_RULE_BYTES
 */
export function loadRules(path: string, { filesOnly = false } = {}): Promise<LoadedRules> {
  const shipped = SHIPPED_SETS.find((name) => name === path);
  return shipped === undefined ? loadFile(path, filesOnly) : shippedRules(shipped);
}

async function loadFile(path: string, filesOnly = false): Promise<LoadedRules> {
  const file = inputName(path);
  const bytes = await readMain(path, file, filesOnly);
  const text = decode(bytes);
  const resolve = includeFromDisk(MAX_RULE_BYTES - bytes.length, filesOnly);
  const { ruleSet, errors, warnings, sources } = parseRules(text, file, { resolve });
  if (ruleSet === null) throw new RulesInvalidError(errors, sources);
  return { file, text, sources, ruleSet, warnings };
}

/** Bytes that are no UTF-8 become U+FFFD, which the lexer reports with their place. */
function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Without blocking: standard input may be slow. */
async function readMain(path: string, file: string, filesOnly: boolean): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    if (filesOnly) refuseOthers(path);
    for await (const chunk of path === '-' ? process.stdin : createReadStream(path)) {
      bytes += chunk.length;
      if (bytes > MAX_RULE_BYTES) break;
      chunks.push(chunk);
    }
  } catch (error) {
    const near = closest(path, SHIPPED_SETS);
    const hint = near === null ? '' : ` (did you mean the shipped set '${near}'?)`;
    throw new RulesUnreadableError(file, `${whyUnreadable(error)}${hint}`);
  }
  if (bytes > MAX_RULE_BYTES) throw new RulesUnreadableError(file, `it is larger than ${MAX_RULE_BYTES} bytes`);
  return Buffer.concat(chunks);
}

/** @throws Error for what is neither a file nor a folder, which says itself that it cannot be read */
function refuseOthers(path: string): void {
  const found = statSync(path);
  if (!found.isFile() && !found.isDirectory()) throw new Error('it is no regular file');
}

/** @param limitBytes of all files together, a file that is included twice counted twice */
function includeFromDisk(limitBytes: number, filesOnly: boolean): ResolveInclude {
  let left = limitBytes;
  function read(file: string): IncludedFile {
    if (filesOnly) refuseOthers(file);
    const bytes = readAtMost(file, left);
    left -= bytes.length;
    return { file, text: decode(bytes) };
  }
  return (path, from) => {
    const wanted = includedPath(path, from);
    try {
      const wildcard = wildcardOf(wanted);
      if (typeof wildcard === 'string') return wildcard;
      return wildcard === null ? [read(wanted)] : namesIn(wildcard.folder, wildcard.matches).map(read);
    } catch (error) {
      return whyUnreadable(error);
    }
  };
}

/** Sorted; a folder that is not there has no files that match. */
function namesIn(folder: string, matches: (name: string) => boolean): string[] {
  try {
    const entries = readdirSync(folder === '' ? '.' : folder, { withFileTypes: true });
    const names = entries.filter((entry) => !entry.isDirectory() && matches(entry.name)).map((entry) => entry.name);
    return names.sort().map((name) => folder + name);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

const PIECE_BYTES = 64 * 1024;

/** The whole file, also where its size is not known beforehand. @throws RangeError if it is larger */
function readAtMost(file: string, limitBytes: number): Buffer {
  const descriptor = openSync(file, 'r');
  try {
    const pieces: Buffer[] = [];
    for (let bytes = 0; ; ) {
      const piece = Buffer.allocUnsafe(PIECE_BYTES);
      const count = readSync(descriptor, piece);
      if (count === 0) return Buffer.concat(pieces);
      bytes += count;
      if (bytes > limitBytes) throw new RangeError(`all files together are larger than ${MAX_RULE_BYTES} bytes`);
      pieces.push(piece.subarray(0, count));
    }
  } finally {
    closeSync(descriptor);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
};

/** Why a file cannot be read, in words. */
export function whyUnreadable(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return REASONS[code] ?? (error instanceof Error ? error.message : String(error));
}
