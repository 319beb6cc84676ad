import {
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { formatRules } from '../../rules/format.ts';
import { SHIPPED_SETS } from '../../rules/load.ts';
import { EXIT, Failure } from './failure.ts';
import { Output } from './output.ts';
import { loadRulesOrFail } from './rules-option.ts';

/**
 * `holdfast check --format`: the file in its usual form. A file with errors is not touched; what it includes is read to find them,
 * and left alone.
 * @returns the exit code
 */
export async function checkFormat(
  path: string,
  { write, json }: { readonly write: boolean; readonly json: boolean },
): Promise<number> {
  if (write && path === '-') throw new Failure('standard input cannot be rewritten: leave --write out');
  if (write && SHIPPED_SETS.some((name) => name === path)) {
    throw new Failure(`'${path}' is a shipped set, which is not rewritten; a file of that name is './${path}'`);
  }
  const { file, text } = await loadRulesOrFail(path, EXIT.no);
  const formatted = formatRules(text);
  const changed = formatted !== text;
  if (write && changed) replaceFile(path, formatted);
  const output = new Output();
  if (json) output.line(JSON.stringify({ file, changed, written: write && changed, text: formatted }));
  else if (write) output.line(changed ? `${file}: rewritten` : `${file}: has its usual form already`);
  else output.write(formatted);
  output.flush();
  return EXIT.ok;
}

/** `holdfast check --formatted`: 1 if the file has not its usual form. @returns the exit code */
export async function checkFormatted(path: string, json: boolean): Promise<number> {
  const { file, text } = await loadRulesOrFail(path, EXIT.no);
  const formatted = formatRules(text);
  const line = formatted === text ? null : firstDifference(text, formatted);
  const output = new Output();
  if (json) output.line(JSON.stringify({ file, formatted: line === null, line }));
  else if (line === null) output.line(`${file}: formatted`);
  else output.line(`${file}:${line}: not formatted from here on: 'holdfast check --format' shows how it would be`);
  output.flush();
  return line === null ? EXIT.ok : EXIT.no;
}

/** The first line that is another, from 1. */
function firstDifference(a: string, b: string): number {
  const theirs = b.split('\n');
  const at = a.split('\n').findIndex((line, index) => line !== theirs[index]);
  // One is the beginning of the other.
  return (at < 0 ? Math.min(a.split('\n').length, theirs.length) : at) + 1;
}

/**
 * Puts a file in the place of another of the same mode and owner, whole or not at all. A link goes on pointing to its file.
 * @throws Failure
 */
function replaceFile(path: string, text: string): void {
  let temporary: string | null = null;
  try {
    const target = realpathSync(path);
    const { mode } = statSync(target);
    temporary = `${target}.${process.pid}.new`;
    const descriptor = openSync(temporary, 'wx', mode & 0o7777);
    try {
      fchmodSync(descriptor, mode & 0o7777);
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, target);
  } catch (error) {
    if (temporary !== null) rmSync(temporary, { force: true });
    throw new Failure(`cannot write '${path}': ${error instanceof Error ? error.message : String(error)}`);
  }
}
