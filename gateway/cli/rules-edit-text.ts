import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { HostClient } from '../host/client.ts';
import { RequestError } from '../host/protocol.ts';
import { EXIT, Failure } from './failure.ts';
import { ask } from './rules-apply.ts';
import { type ChangeOptions, change, RULES_TIMEOUT_MS, withRuleErrors } from './rules-live.ts';

/** `holdfast rules edit`: the text in force goes through an editor, as often as it has errors. @returns the exit code */
export function rulesEditText(options: ChangeOptions): Promise<number> {
  return change(options, async (host, common) => {
    const { vm } = common;
    const { generation, file, texts } = await host.call('rules.text', { vm });
    const before = texts.find((one) => one.file === file)!.text;
    if (texts.length > 1) process.stderr.write(`holdfast: files that ${file} includes are left as they are\n`);
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-edit-'));
    const path = join(folder, `${vm}.rules`);
    writeFileSync(path, before, { mode: 0o600 });
    const text = await edited(host, vm, path, before);
    try {
      // What somebody else has changed meanwhile would be lost.
      const result = await host.call('rules.apply', { ...common, text, ifGeneration: generation }, RULES_TIMEOUT_MS);
      rmSync(folder, { recursive: true });
      return result;
    } catch (error) {
      throw kept(error, path);
    }
  });
}

/** @returns a text without errors. @throws Failure where it was not changed, or is given up; then it stays where it is */
async function edited(host: HostClient, vm: string, path: string, before: string): Promise<string> {
  for (;;) {
    runEditor(path);
    const text = readFileSync(path, 'utf8');
    if (text === before) {
      rmSync(dirname(path), { recursive: true });
      throw new Failure('the text is as it was: nothing is changed', EXIT.ok);
    }
    try {
      await host.call('rules.apply', { vm, text, checkOnly: true }, RULES_TIMEOUT_MS);
      return text;
    } catch (error) {
      const failure = withRuleErrors(error);
      if (!(error instanceof RequestError) || error.code !== 'rules-invalid' || process.stdin.isTTY !== true) {
        throw kept(failure, path);
      }
      if (!(await ask('edit again? [Y/n] ', true))) throw kept(failure, path);
    }
  }
}

function runEditor(path: string): void {
  const editor = process.env.VISUAL || process.env.EDITOR || 'vi';
  // As a shell reads it: an editor may have options.
  const { error, status, signal } = spawnSync('/bin/sh', ['-c', `${editor} "$1"`, 'sh', path], { stdio: 'inherit' });
  if (error !== undefined || status !== 0) {
    const why = error?.message ?? (signal === null ? `exit code ${status}` : signal);
    throw kept(new Failure(`the editor '${editor}' failed: ${why}`, EXIT.no), path);
  }
}

/** Nobody's work is thrown away. */
function kept(error: unknown, path: string): unknown {
  process.stderr.write(`holdfast: what was edited is in ${path}\n`);
  return error;
}
