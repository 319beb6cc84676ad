import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { RulesChange } from '../../gateway/live-rules/change.ts';
import { RuleCompiler } from '../../gateway/live-rules/compiler.ts';
import { LiveRules, type LiveRulesParts } from '../../gateway/live-rules/live-rules.ts';

export const ME = { who: 'operator', what: 'test' };

/** Text of rules that the tests' frames meet, which travel to 10.0.0.254:5000 + colour. */
export function rulesOf(...rules: readonly string[]): string {
  return `class data pass\nclass control hold\noutbound {\n${rules.map((rule) => `  ${rule}\n`).join('')}}\n`;
}

/** One for all tests of a file: its thread takes a second to begin, from source. */
const compiler = new RuleCompiler();
afterAll(() => compiler.close());

/** Rule files, a folder for state, and the rules that were opened; all of it goes with `close`. */
export class LiveRulesRig {
  readonly folder = mkdtempSync(join(tmpdir(), 'holdfast-rules-'));
  readonly compiler = compiler;
  readonly logged: string[] = [];
  readonly changes: RulesChange[] = [];
  nowMs = 1_790_000_000_000;
  readonly #open: LiveRules[] = [];

  path(name: string): string {
    return join(this.folder, name);
  }

  write(name: string, text: string | Uint8Array): string {
    writeFileSync(this.path(name), text);
    return this.path(name);
  }

  /** @param name of the rule file */
  async open(name = 'vm.rules', more: Partial<LiveRulesParts> = {}): Promise<LiveRules> {
    const log = (_: object, message: string) => this.logged.push(message);
    const rules = await LiveRules.open({
      vm: 'vm0',
      path: this.path(name),
      historyPath: this.path('vm0.rules-history'),
      compiler: this.compiler,
      log: { info: log, warn: log, error: log },
      nowMs: () => this.nowMs,
      watchTimes: { quietMs: 30, pollMs: 200 },
      ...more,
    });
    rules.onChange((change) => this.changes.push(change));
    this.#open.push(rules);
    return rules;
  }

  async close(): Promise<void> {
    for (const rules of this.#open) await rules.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function textsOf(rules: LiveRules): string[] {
  return rules.generation.ruleSet.outbound.map(({ text }) => text);
}

export function statesOf(rules: LiveRules): string[] {
  return rules.history.map(({ generation, state }) => `${generation} ${state}`);
}
