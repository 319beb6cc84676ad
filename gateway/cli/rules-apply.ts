import { resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { type LoadedRules, SHIPPED_SETS } from '../../rules/load.ts';
import { parseSources } from '../../rules/sources.ts';
import type { HostClient } from '../host/client.ts';
import { EXIT, Failure } from './failure.ts';
import type { JudgeOptions } from './judge-captures.ts';
import { type ChangeOptions, change, RULES_TIMEOUT_MS } from './rules-live.ts';
import { loadRulesOrFail } from './rules-option.ts';

/** A request has 8 MiB, in which a character may take several bytes. */
const LONGEST_SENT = 2 ** 22;

export interface ReplayFirst extends JudgeOptions {
  readonly captures: readonly string[];
  readonly limit: number;
  readonly json: boolean;
}

/** `holdfast rules apply`. @returns the exit code */
export async function rulesApply(
  path: string,
  replay: ReplayFirst | null,
  options: ChangeOptions & { readonly audit?: boolean; readonly yes?: boolean },
): Promise<number> {
  // Read here, with the rights of who asks. Names are whole: the gateway lives in another folder.
  const isBare = path === '-' || SHIPPED_SETS.some((name) => name === path);
  const loaded = await loadRulesOrFail(isBare ? path : resolve(path), EXIT.no);
  const auditing = options.audit === true;
  return change(
    options,
    async (host, common) => {
      if (replay !== null) await showAndAsk(host, common.vm, loaded, replay, options.yes === true);
      const given = whatToSend(path, loaded);
      return host.call('rules.apply', { ...common, ...given, ...(auditing ? { audit: true } : {}) }, RULES_TIMEOUT_MS);
    },
    ({ generation }) =>
      auditing
        ? `${path} is tried beside generation ${generation}, which stays in force; see: holdfast rules audit`
        : null,
  );
}

/** Texts that are longer than a request may be are left for the gateway to read. */
function whatToSend(path: string, { file, text, sources }: LoadedRules) {
  let characters = 0;
  for (const one of sources.values()) characters += one.length;
  if (characters > LONGEST_SENT && path !== '-') return { path: file };
  const includes = [...sources].filter(([name]) => name !== file).map(([name, one]) => ({ file: name, text: one }));
  return { text, includes, ...(path === '-' ? {} : { file }) };
}

/** @throws Failure where the user does not want the change after all */
async function showAndAsk(
  host: HostClient,
  vm: string,
  { ruleSet }: LoadedRules,
  replay: ReplayFirst,
  isAgreed: boolean,
): Promise<void> {
  const { file, texts } = await host.call('rules.text', { vm });
  const inForce = parseSources({ file, texts: new Map(texts.map((one) => [one.file, one.text])) });
  const { replayUnderBoth } = await import('./rules-diff-replay.ts');
  const { damage } = await replayUnderBoth(inForce.ruleSet, ruleSet, replay.captures, replay);
  if (damage !== EXIT.ok && !isAgreed)
    process.stderr.write('holdfast: a capture is damaged: its good part was replayed\n');
  if (isAgreed) return;
  if (!(await ask('apply these rules? [y/N] ', false))) throw new Failure('nothing is changed', EXIT.no);
}

/** @throws Failure where nobody is there to answer */
export async function ask(question: string, usual: boolean): Promise<boolean> {
  if (process.stdin.isTTY !== true) throw new Failure('nobody is there to be asked: use --yes');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = (await terminal.question(question)).trim().toLowerCase();
    return answer === '' ? usual : answer === 'y' || answer === 'yes';
  } finally {
    terminal.close();
  }
}
