import { resolve } from 'node:path';
import { SHIPPED_SETS } from '../../rules/load.ts';
import type { ControlOptions } from './control-option.ts';
import { Failure } from './failure.ts';
import { tellDifference } from './rules-diff.ts';
import { loadRulesOrFail } from './rules-option.ts';
import { chosenVm, withHost } from './with-host.ts';

interface DiffLiveOptions extends ControlOptions {
  /** A VM's name; of the addresses that replays take there are none here. */
  readonly vm: readonly string[];
  readonly from?: number;
  readonly to?: number;
  readonly replay?: readonly string[];
  readonly verifyChecksums?: boolean;
}

/**
 * `holdfast rules diff` against a running gateway.
 * @param path a rule file to compare with; null: two generations are compared
 * @returns the exit code: 1 where the rules differ
 */
export async function rulesDiffLive(path: string | null, options: DiffLiveOptions): Promise<number> {
  const { from, to } = options;
  if (options.replay !== undefined || options.verifyChecksums === true) {
    throw new Failure("--replay compares two files; for the rules in force see 'holdfast rules apply --replay'");
  }
  if (options.vm.length > 1) throw new Failure('name one VM');
  if (path !== null && to !== undefined) throw new Failure('--to does not go with a file');
  if (path === null && from === undefined && to === undefined)
    throw new Failure('name a rule file, or --from a generation');
  const isBare = path === '-' || SHIPPED_SETS.some((name) => name === path);
  const loaded = path === null ? null : await loadRulesOrFail(isBare ? path : resolve(path));
  return withHost(options, async (host) => {
    const { name: vm } = await chosenVm(host, options.vm[0] ?? null);
    const start = from === undefined ? {} : { from };
    if (loaded === null) {
      const result = await host.call('rules.diff', { vm, ...start, ...(to === undefined ? {} : { to }) });
      return tellDifference(result, `generation ${result.from}`, `generation ${result.to}`, options.json === true);
    }
    const { file, text, sources } = loaded;
    const includes = [...sources].filter(([name]) => name !== file).map(([name, one]) => ({ file: name, text: one }));
    const result = await host.call('rules.diff', { vm, ...start, text, file, includes });
    return tellDifference(result, `generation ${result.from}`, file, options.json === true);
  });
}
